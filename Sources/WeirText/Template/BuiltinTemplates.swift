// Templates for models that come without one.

enum BuiltinTemplates {
  static let sources: [String: String] = ["chatml": chatML, "llama-3": llama3, "plain": plain]

  /// Content that comes as parts is joined from its texts.
  private static let textOf = """
    {%- macro text_of(content) -%}
    {%- if content is string -%}{{ content }}
    {%- elif content is sequence and content is not mapping -%}
    {%- for part in content -%}{{ part.text if part.text is defined else '' }}{%- endfor -%}
    {%- endif -%}
    {%- endmacro -%}

    """

  private static let toolIntroduction = """
    {%- if tools -%}
    {%- set ns.tools = '# Tools\\n\\nYou may call these functions:\\n<tools>' -%}
    {%- for tool in tools -%}{%- set ns.tools = ns.tools + '\\n' + (tool | tojson) -%}{%- endfor -%}
    {%- set ns.tools = ns.tools + '\\n</tools>\\n\\nTo call one, answer with\\n<tool_call>\\n{"name": <function-name>, "arguments": <args-json-object>}\\n</tool_call>' -%}
    {%- endif -%}

    """

  private static let calls = """
    {%- macro calls_of(message) -%}
    {%- for call in message.tool_calls or [] -%}
    {%- set f = call.function if call.function is defined else call -%}
    {{- '\\n<tool_call>\\n{"name": "' + f.name + '", "arguments": ' }}{{ f.arguments if f.arguments is string else f.arguments | tojson }}{{ '}\\n</tool_call>' -}}
    {%- endfor -%}
    {%- endmacro -%}

    """

  private static let chatML =
    textOf + calls + """
      {%- set ns = namespace(tools='') -%}

      """ + toolIntroduction + """
      {%- set rest = messages -%}
      {%- if messages and messages[0].role == 'system' -%}
      {%- set rest = messages[1:] -%}
      {{- '<|im_start|>system\\n' + text_of(messages[0].content) + ('\\n\\n' + ns.tools if ns.tools else '') + '<|im_end|>\\n' -}}
      {%- elif ns.tools -%}
      {{- '<|im_start|>system\\n' + ns.tools + '<|im_end|>\\n' -}}
      {%- endif -%}
      {%- for message in rest -%}
      {%- if message.role == 'tool' -%}
      {{- '<|im_start|>user\\n<tool_response>\\n' + text_of(message.content) + '\\n</tool_response><|im_end|>\\n' -}}
      {%- else -%}
      {{- '<|im_start|>' + message.role + '\\n' + text_of(message.content) + calls_of(message) + '<|im_end|>\\n' -}}
      {%- endif -%}
      {%- endfor -%}
      {%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}
      """

  private static let llama3 =
    textOf + calls + """
      {%- set ns = namespace(tools='') -%}

      """ + toolIntroduction + """
      {{- bos_token -}}
      {%- set rest = messages -%}
      {%- if messages and messages[0].role == 'system' -%}
      {%- set rest = messages[1:] -%}
      {{- '<|start_header_id|>system<|end_header_id|>\\n\\n' + text_of(messages[0].content) | trim + ('\\n\\n' + ns.tools if ns.tools else '') + '<|eot_id|>' -}}
      {%- elif ns.tools -%}
      {{- '<|start_header_id|>system<|end_header_id|>\\n\\n' + ns.tools + '<|eot_id|>' -}}
      {%- endif -%}
      {%- for message in rest -%}
      {%- set role = 'ipython' if message.role == 'tool' else message.role -%}
      {{- '<|start_header_id|>' + role + '<|end_header_id|>\\n\\n' + (text_of(message.content) + calls_of(message)) | trim + '<|eot_id|>' -}}
      {%- endfor -%}
      {%- if add_generation_prompt -%}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' -}}{%- endif -%}
      """

  private static let plain =
    textOf + """
      {{- bos_token -}}
      {%- for message in messages -%}
      {%- if message.role == 'system' -%}
      {{- text_of(message.content) + '\\n\\n' -}}
      {%- else -%}
      {{- message.role | capitalize + ': ' + text_of(message.content) + '\\n' -}}
      {%- endif -%}
      {%- endfor -%}
      {%- if add_generation_prompt -%}{{- 'Assistant:' -}}{%- endif -%}
      """
}
