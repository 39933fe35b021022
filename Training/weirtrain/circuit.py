"""The start of training: random weights, plus a hand-made induction circuit in the first two layers.

Retrieval ("find the place where this token stood before, and say what came after") forms late when it is left to
gradient descent: on this budget plain recall stayed at chance for 3 million tokens. So the weights start with one head
of layer 0 that looks at the previous token, and one of layer 1 that looks for keys whose previous token equals the
current one and copies what stands there. Everything is trained from there on; nothing is frozen.

How: embeddings share a common direction, so that a head can have constant queries and keys. Constant ones under RoPE give
a score that depends on distance only, and turning the keys by one position puts its peak at distance 1. The matching
head uses the slow RoPE pairs, which hardly turn within the context.
"""

import math

import torch

EMBEDDING_SPREAD = 0.08
COMMON_SHARE = 0.7  # length of the common part of an embedding, relative to its content
FAST_PAIRS = 10  # RoPE pairs that tell neighbouring positions apart
PREVIOUS_SCORE = 80.0  # score scale of the previous-token head, before the division by the root of the head width
MATCH_SCALE = 3.7
COPY_SCALE = 0.3


def orthonormal(size, columns, generator):
    return torch.linalg.qr(torch.randn(size, size, generator=generator))[0][:, :columns]


@torch.no_grad()
def start(model, seed):
    """Writes the starting weights into a fresh Decoder with at least two layers."""
    config, generator = model.config, torch.Generator().manual_seed(seed)
    width, head = config.width, config.head_width
    for name, parameter in model.named_parameters():
        if name.endswith(("o_proj.weight", "down_proj.weight")):
            parameter.zero_()
    common = torch.randn(width, generator=generator)
    common /= common.norm()
    content = torch.randn(config.vocab, width, generator=generator) * EMBEDDING_SPREAD
    content -= (content @ common)[:, None] * common
    model.embed_tokens.weight.copy_(content + EMBEDDING_SPREAD * math.sqrt(width) * COMMON_SHARE * common)
    slots = min(head, width // 2)
    basis = orthonormal(width, width, generator)
    read = basis[:, :slots].T  # [slots, width]: the content that the circuit carries
    write = orthonormal(width, slots, generator)  # [width, slots]: where layer 0 puts the previous token's content
    previous_token(model.layers[0].self_attn, config, common, read, write)
    match_and_copy(model.layers[1].self_attn, config, read, write)


def previous_token(attention, config, common, read, write):
    """KV head 0 and its query heads: a peak at distance 1; the first of them writes the content found there."""
    head, half, slots = config.head_width, config.head_width // 2, read.shape[0]
    share = math.sqrt(config.width) * COMMON_SHARE / math.sqrt(1 + COMMON_SHARE**2)  # of the common part, after the norm
    turns = config.rope_theta ** (-torch.arange(half, dtype=torch.float64) / half)
    scale = math.sqrt(PREVIOUS_SCORE) / share
    q, k = torch.zeros(head, config.width), torch.zeros(head, config.width)
    for pair in range(min(FAST_PAIRS, half)):
        q[pair] = scale * common
        k[pair] = scale * math.cos(turns[pair]) * common
        k[half + pair] = scale * math.sin(turns[pair]) * common
    group = config.heads // config.kv_heads
    for number in range(group):
        attention.q_proj.weight[number * head:(number + 1) * head] = q
    attention.k_proj.weight[:head] = k
    attention.v_proj.weight[:slots] = read
    attention.o_proj.weight[:, :slots] = write * EMBEDDING_SPREAD * COMMON_SHARE


def match_and_copy(attention, config, read, write):
    """KV head 0 and its query heads: current content against previous content; copies the content of the place."""
    head, half, slots = config.head_width, config.head_width // 2, read.shape[0]
    slow = torch.arange(half * 3 // 8, half)
    places = torch.cat([slow, slow + half])
    count = min(len(places), slots)
    q, k = torch.zeros(head, config.width), torch.zeros(head, config.width)
    q[places[:count]] = read[:count] * MATCH_SCALE
    k[places[:count]] = write.T[:count] * MATCH_SCALE
    attention.k_proj.weight[:head] = k
    attention.v_proj.weight[:slots] = read
    for number in range(config.heads // config.kv_heads):
        attention.q_proj.weight[number * head:(number + 1) * head] = q
        attention.o_proj.weight[:, number * head:number * head + slots] = read.T * COPY_SCALE
