// What `import Weir` brings: the engine, its requests and events, the tokenizer and the vocabulary types.

@_exported public import WeirBasics
@_exported public import WeirEngine
@_exported public import WeirKernels
@_exported public import WeirSampling
@_exported public import WeirText
