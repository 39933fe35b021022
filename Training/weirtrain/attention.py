"""Where a model's attention goes, on held-out conversations, by layer and head.

python -m weirtrain.attention --model runs/chat/checkpoint.pt --output FILE.json --svg FILE.svg

Exact softmax of every query in the second half of a context. Shares of the attention mass, mean over queries:
first    on the first 4 tokens
last     on the last 32 tokens, the query's own included
top      on the 10 % of the query's keys that get most from this query
heavy    on the 10 % of the keys that get most from all these queries together
uniform  what "first" and "last" would be if attention were spread evenly ("top" would be 10 %)
With experts: the share of (token, choice) pairs that each expert gets, by layer.
"""

from __future__ import annotations

import math
import random
import time

import torch
import torch.nn.functional as F

from . import evaluate, evalsets, picture, scores
from .data import dialogue, facts

SINKS, RECENT, TOP = 4, 32, 0.10
MEASURES = ("first", "last", "top", "heavy")
BLOCK = 128


def shares(q, k, first_query):
    """Mass by measure, {name: [h]}, of the queries from first_query on. q, k [h, t, e]."""
    heads, t, e = q.shape
    sums = {name: torch.zeros(heads, dtype=torch.float64) for name in (*MEASURES, "all")}
    received = torch.zeros(heads, t, dtype=torch.float64)
    for start in range(first_query, t, BLOCK):
        end = min(t, start + BLOCK)
        at = torch.arange(start, end)
        scored = q[:, start:end] @ k[:, :end].transpose(1, 2) * e ** -0.5
        scored.masked_fill_(torch.arange(end)[None] > at[:, None], float("-inf"))
        mass = scored.softmax(-1)
        sums["first"] += mass[:, :, :SINKS].sum((1, 2))
        near = torch.arange(end)[None] > at[:, None] - RECENT
        sums["last"] += (mass * near).sum((1, 2))
        counts = torch.ceil((at + 1) * TOP - 1e-9).long()
        best = mass.topk(int(counts.max()), -1).values.cumsum(-1)
        sums["top"] += best.gather(-1, (counts - 1)[None, :, None].expand(heads, -1, -1)).sum((1, 2))
        received[:, :end] += mass.sum(1)
    sums["heavy"] = received.topk(math.ceil(TOP * t - 1e-9), -1).values.sum(-1)
    queries = t - first_query
    return {name: sums[name] / queries for name in MEASURES}


def uniform(t, first_query):
    """What "first" and "last" are for evenly spread attention."""
    at = torch.arange(first_query, t, dtype=torch.float64) + 1
    return dict(first=float((SINKS / at).clamp(max=1).mean()), last=float((RECENT / at).clamp(max=1).mean()))


@torch.no_grad()
def of_tokens(model, ids):
    """{measure: [layers, h]} of one sequence, and the experts' shares [layers, experts] or None."""
    found, c = [], model.config

    def observer(q, k, v):
        found.append(shares(q[0], k[0], len(ids) // 2))
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)

    model.hidden_states(torch.tensor([ids]), [observer] * c.layers)
    routed = torch.stack([layer.block_sparse_moe.shares for layer in model.layers]) if c.experts else None
    return {name: torch.stack([one[name] for one in found]) for name in MEASURES}, routed


def conversations(tokenizer, length, count, seed, data_root=None):
    """Token ids of held-out conversations of exactly this length."""
    rng, found = random.Random(f"attention {seed} {length}"), []
    passages = tuple(dialogue.passages(dialogue.read_texts(data_root, evalsets.SPLIT), 240)) if data_root else ()
    while len(found) < count:
        talk = facts.conversation(rng, length + 64, tokenizer.count, evalsets.SPLIT, facts.Options(passages=passages))
        ids = tokenizer.render(talk.turns)[0]
        if len(ids) >= length:
            found.append(ids[:length])
    return found


def measure(model, sequences):
    """Means over sequences of one length."""
    total, routed = {name: 0.0 for name in MEASURES}, 0.0
    for ids in sequences:
        one, experts = of_tokens(model, ids)
        total = {name: total[name] + one[name] / len(sequences) for name in MEASURES}
        routed = routed + experts / len(sequences) if experts is not None else None
    length = len(sequences[0])
    result = dict(context=length, conversations=len(sequences), uniform=uniform(length, length // 2),
                  by_head={name: total[name].tolist() for name in MEASURES},
                  by_layer={name: total[name].mean(1).tolist() for name in MEASURES})
    if routed is not None:
        result["experts"] = routed.tolist()
    return result


def table(results):
    """By layer the mean over heads, then the lowest and the highest head."""
    rows = [("context", "layer", f"first {SINKS}", f"last {RECENT}", "top 10 %", "top 10 %, same keys for all queries")]
    for one in results:
        for layer in range(len(one["by_layer"]["top"])):
            cells = []
            for name in MEASURES:
                heads = one["by_head"][name][layer]
                cells.append(f"{one['by_layer'][name][layer]:.1%} ({min(heads):.1%} to {max(heads):.1%})")
            rows.append((one["context"], layer, *cells))
        even = one["uniform"]
        rows.append((one["context"], "even spread", f"{even['first']:.1%}", f"{even['last']:.1%}", "10.0%", "-"))
    text = scores.markdown(rows)
    if "experts" in results[0]:
        rows = [("context", "layer", "least used expert", "most used expert")]
        for one in results:
            rows += [(one["context"], layer, f"{min(experts):.1%}", f"{max(experts):.1%}")
                     for layer, experts in enumerate(one["experts"])]
        text += "\n\n" + scores.markdown(rows)
    return text


def draw(path, results):
    """The longest context by layer, mean over heads."""
    one = results[-1]
    layers = len(one["by_layer"]["top"])
    names = {"first": f"first {SINKS} tokens", "last": f"last {RECENT} tokens", "top": "top 10 % of keys",
             "heavy": "same 10 % for all"}
    lines = [(names[name], one["by_layer"][name], False) for name in MEASURES]
    lines += [(f"even: first {SINKS}", [one["uniform"]["first"]] * layers, True),
              (f"even: last {RECENT}", [one["uniform"]["last"]] * layers, True)]
    picture.line_chart(path, f"Attention mass by layer, {one['context']} tokens of context", "layer", "share of the mass",
                       [(str(i), i / max(1, layers - 1)) for i in range(layers)], lines)


def main(argv=None):
    parser = evaluate.common_arguments(__doc__)
    parser.add_argument("--lengths", nargs="+", type=int, default=[1024, 4096])
    parser.add_argument("--conversations", type=int, default=8, help="of each length")
    parser.add_argument("--data", help="data root, for passages as distractors")
    parser.add_argument("--seed", type=int, default=1000)
    parser.add_argument("--svg", help="picture of the longest context")
    options = parser.parse_args(argv)
    model, tokenizer, trained = evaluate.start(options)
    began = time.monotonic()
    results = [measure(model, conversations(tokenizer, length, options.conversations, options.seed, options.data))
               for length in sorted(options.lengths)]
    evaluate.write(options.output, dict(
        command=evaluate.command("attention", options), model=evaluate.short(options.model), trained=trained, seed=options.seed,
        machine=evaluate.machine(), seconds=time.monotonic() - began, contexts=results))
    if options.svg:
        draw(options.svg, results)
    print(table(results))


if __name__ == "__main__":
    main()
