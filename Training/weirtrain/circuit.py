"""The start of training: random weights, plus hand-made recall circuits in the first two layers.

Retrieval ("find the place where this was said, and say what came after") forms late when it is left to gradient
descent: from random weights, recall of random pairs stood at 32 % between 1.6 and 3.2 million tokens; from an induction
head alone, 7 million tokens gave 71 % of the values in 256-token conversations, mostly of the right kind but of the wrong
owner. So the weights start with four heads that work from the first step. Everything is trained from there on; nothing is frozen.

- Layer 0, KV head 0 looks at the previous token, KV head 1 at a soft window of the last ten or so.
- Layer 1, KV head 0 looks for keys whose previous token is the current one (induction); KV head 1 looks for that and
  for a similar window, so that "your sister's city is" finds the sister's city and not the brother's. Both copy.

How: the residual stream is parted into content, previous content, window content and one common coordinate, so that the
parts do not disturb each other. The common coordinate gives a head constant queries and keys. Constant ones under RoPE
give a score that depends on distance only; turning the keys by one position puts its peak at distance 1. Matching heads
use the slow RoPE pairs, which hardly turn within a conversation.
"""

import math

import torch

EMBEDDING_SPREAD = 0.08
COMMON_SHARE = 0.7  # the common coordinate, relative to the length of an embedding's content
FAST_PAIRS = 10  # RoPE pairs that tell neighbouring positions apart
PREVIOUS_SCORE = 80.0  # score scale of the previous-token head, before the division by the root of the head width
WINDOW_SCORE = 12.0
WINDOW_PAIRS = (5, 12)  # their sum of cosines falls off after about ten tokens
LOCAL_SCORE = 32.0  # by which the binding head avoids its own surroundings, whose window is always similar
LOCAL_PAIRS = (3, 9)
PREVIOUS_WRITE, WINDOW_WRITE, COPY_WRITE = 1.6, 4.0, 0.3
MATCH, BIND_PREVIOUS, BIND_WINDOW = 1.6, 1.6, 2.0  # scales of queries and keys


class Parts:
    """Which coordinates of the residual stream hold what at the start."""

    def __init__(self, config):
        width = config.width
        self.content = torch.arange(0, width // 2)
        self.previous = torch.arange(width // 2, width * 3 // 4)
        self.window = torch.arange(width * 3 // 4, width - 1)
        self.common = width - 1
        #: of the common coordinate, after the norm
        self.share = math.sqrt(width) * COMMON_SHARE / math.sqrt(1 + COMMON_SHARE**2)


@torch.no_grad()
def start(model, seed):
    """Writes the starting weights into a fresh Decoder with at least two layers."""
    config, generator, parts = model.config, torch.Generator().manual_seed(seed), Parts(model.config)
    for name, parameter in model.named_parameters():
        if name.endswith(("o_proj.weight", "down_proj.weight")):
            parameter.zero_()
    embeddings = model.embed_tokens.weight.zero_()
    spread = EMBEDDING_SPREAD * math.sqrt(2)
    embeddings[:, parts.content] = torch.randn(config.vocab, len(parts.content), generator=generator) * spread
    embeddings[:, parts.common] = EMBEDDING_SPREAD * math.sqrt(config.width) * COMMON_SHARE
    first, second = model.layers[0].self_attn, model.layers[1].self_attn
    previous_token(first, config, parts)
    induction(second, config, parts)
    if config.kv_heads > 1:
        window(first, config, parts)
        binding(second, config, parts)


def distance_rows(config, parts, pairs, scale, turned=0.0):
    """[e, d] weights whose output is constant over tokens: `scale` in the first element of the pairs, turned ahead."""
    half = config.head_width // 2
    turns = config.rope_theta ** (-torch.arange(half, dtype=torch.float64) / half) * turned
    rows = torch.zeros(config.head_width, config.width)
    for pair in range(pairs[0], min(pairs[1], half)):
        rows[pair, parts.common] = scale / parts.share * math.cos(turns[pair])
        rows[half + pair, parts.common] = scale / parts.share * math.sin(turns[pair])
    return rows


def slow_elements(config):
    """Elements of a head whose RoPE pairs hardly turn, slowest first."""
    half = config.head_width // 2
    return torch.tensor([element for pair in range(half - 1, half * 3 // 8 - 1, -1) for element in (pair, pair + half)])


def place(attention, config, kv_head, query, key, content):
    """Writes a KV head with the same queries in all of its query heads; values read the content."""
    head, group = config.head_width, config.heads // config.kv_heads
    rows = slice(kv_head * head, (kv_head + 1) * head)
    attention.k_proj.weight[rows] = key
    attention.v_proj.weight[rows] = 0
    count = min(head, len(content))
    attention.v_proj.weight[kv_head * head + torch.arange(count), content[:count]] = 1
    for number in range(kv_head * group, (kv_head + 1) * group):
        attention.q_proj.weight[number * head:(number + 1) * head] = query


def write(attention, config, query_head, places, scale):
    """Lets a query head write element i of its values to coordinate places[i]."""
    count = min(config.head_width, len(places))
    attention.o_proj.weight[places[:count], query_head * config.head_width + torch.arange(count)] = scale


def previous_token(attention, config, parts):
    scale = math.sqrt(PREVIOUS_SCORE)
    query = distance_rows(config, parts, (0, FAST_PAIRS), scale)
    key = distance_rows(config, parts, (0, FAST_PAIRS), scale, turned=1.0)
    place(attention, config, 0, query, key, parts.content)
    write(attention, config, 0, parts.previous, EMBEDDING_SPREAD * COMMON_SHARE * PREVIOUS_WRITE)


def window(attention, config, parts):
    rows = distance_rows(config, parts, WINDOW_PAIRS, math.sqrt(WINDOW_SCORE))
    place(attention, config, 1, rows, rows, parts.content)
    first = config.heads // config.kv_heads
    write(attention, config, first, parts.window, EMBEDDING_SPREAD * COMMON_SHARE * WINDOW_WRITE)


def induction(attention, config, parts):
    slow = slow_elements(config)
    count = min(len(slow), len(parts.previous))
    query, key = torch.zeros(config.head_width, config.width), torch.zeros(config.head_width, config.width)
    query[slow[:count], parts.content[:count]] = MATCH
    key[slow[:count], parts.previous[:count]] = MATCH
    place(attention, config, 0, query, key, parts.content)
    for number in range(config.heads // config.kv_heads):
        write(attention, config, number, parts.content, COPY_WRITE)


def binding(attention, config, parts):
    slow, group = slow_elements(config), config.heads // config.kv_heads
    count = min(len(slow) // 2, len(parts.window))
    scale = math.sqrt(LOCAL_SCORE)
    query = -distance_rows(config, parts, LOCAL_PAIRS, scale)
    key = distance_rows(config, parts, LOCAL_PAIRS, scale)
    query[slow[:count], parts.window[:count]] = BIND_WINDOW
    key[slow[:count], parts.window[:count]] = BIND_WINDOW
    query[slow[count:2 * count], parts.content[:count]] = BIND_PREVIOUS
    key[slow[count:2 * count], parts.previous[:count]] = BIND_PREVIOUS
    place(attention, config, 1, query, key, parts.content)
    for number in range(group, 2 * group):
        write(attention, config, number, parts.content, COPY_WRITE)


@torch.no_grad()
def upcycled(model, dense, seed, noise=0.02):
    """Fills a model with experts from a dense one of the same shape: every expert starts as a copy of the MLP.

    The shares of the chosen experts add up to 1, so before `noise` (relative, per matrix) the function is the dense
    one's. Sparse upcycling, A. Komatsuzaki et al., 2022 (arXiv 2212.05055).
    """
    generator = torch.Generator().manual_seed(seed)
    own = model.state_dict()
    for name, value in own.items():
        source = name
        if ".block_sparse_moe.experts." in name:
            layer, matrix = name.split(".block_sparse_moe.")[0], name.split(".")[-2]
            source = f"{layer}.mlp.{matrix}.weight"
        elif ".block_sparse_moe.gate." in name:
            continue
        start = dense[source]
        if start.shape != value.shape:
            raise ValueError(f"{name} {tuple(value.shape)} cannot start as {source} {tuple(start.shape)}")
        value.copy_(start)
        if source != name:
            value.add_(torch.randn(value.shape, generator=generator) * (noise * start.std()))
