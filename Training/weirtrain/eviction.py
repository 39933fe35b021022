"""Recall after random eviction: what is lost when slots of the context are dropped before the question is known.

python -m weirtrain.eviction --model runs/chat/checkpoint.pt --tasks DIR/facts-*.jsonl --svg FILE.svg --output FILE.json

The whole context is computed first. Then every layer and KV head keeps its own random part of the slots, always with
the first 4 and the last 32; the question and its answer see only what is left. Smaller parts are subsets of larger
ones. Questions about facts that were never told are left out: without its cache a model is right to know nothing.
"""

from __future__ import annotations

import sys
import time
import zlib

import torch

from . import evalsets, evaluate, picture, scores

FRACTIONS = (1.0, 0.9, 0.75, 0.5, 0.25, 0.1)
SINKS, RECENT = 4, 32


def random_order(config, context, seed, name):
    """A random number a slot: [layers, kv heads, context]; slots that are always kept have infinity."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + zlib.crc32(name.encode()))
    order = torch.rand(config.layers, config.kv_heads, context, generator=generator)
    order[:, :, :SINKS] = float("inf")
    order[:, :, max(0, context - RECENT):] = float("inf")
    return order


def random_slots(order, fraction):
    """The slots to keep of each layer, [kv heads, n] ascending; n is the fraction of the context, rounded."""
    context = order.shape[2]
    count = max(min(context, SINKS + RECENT), round(fraction * context))
    return list(order.topk(count, dim=2).indices.sort(2).values)


def curve_of_item(reader, item, fractions, seed):
    """Whether each fraction gives a right answer."""
    cache, question = reader.open(item)
    order = random_order(reader.model.config, cache.length, seed, item["id"])
    return [evalsets.matches(reader.say(cache.kept(random_slots(order, f)), question, item), item) for f in fractions]


def measure(reader, sets, fractions, seed):
    """Scores by set and fraction."""
    results = {}
    for name, items in sets.items():
        rows = []
        for number, item in enumerate(items, 1):
            rows.append(curve_of_item(reader, item, fractions, seed))
            if sys.stderr.isatty():
                print(f"\r{name} {number}/{len(items)}   ", end="", file=sys.stderr, flush=True)
        kinds = sorted({i["tags"]["kind"] for i in items})
        results[name] = dict(
            chance=scores.mean_chance(items), kept=[scores.score(column) for column in zip(*rows)],
            by_kind={kind: [scores.score(column) for column in
                            zip(*(r for r, i in zip(rows, items) if i["tags"]["kind"] == kind))] for kind in kinds})
    return results


def draw(path, title, fractions, results):
    lines = [(name, [s["share"] for s in one["kept"]], False) for name, one in results.items()]
    chances = [one["chance"] for one in results.values() if one["chance"] is not None]
    if chances:
        lines.append(("chance (mean)", [sum(chances) / len(chances)] * len(fractions), True))
    picture.line_chart(path, title, "part of the context's KV slots that is kept", "right answers",
                       [(f"{f:.0%}", f) for f in fractions], lines)


def table(fractions, results):
    rows = [("set", "chance", *(f"{f:.0%} kept" for f in fractions))]
    for name, one in results.items():
        rows.append((name, scores.percent(one["chance"]), *(scores.percent(s["share"]) for s in one["kept"])))
    return scores.markdown(rows)


def main(argv=None):
    parser = evaluate.common_arguments(__doc__)
    parser.add_argument("--tasks", nargs="+", required=True)
    parser.add_argument("--limit", type=int, help="items a set")
    parser.add_argument("--fractions", nargs="+", type=float, default=list(FRACTIONS))
    parser.add_argument("--max-new", type=int, default=32)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--svg", help="picture of the curve")
    options = parser.parse_args(argv)
    model, tokenizer, trained = evaluate.start(options)
    reader, began = evaluate.Reader(model, tokenizer, options.max_new), time.monotonic()
    sets = evaluate.read_tasks(options.tasks, options.limit)
    sets = {name: [i for i in items if i["tags"]["kind"] != "unknown"] for name, items in sets.items()}
    results = measure(reader, sets, options.fractions, options.seed)
    evaluate.write(options.output, dict(
        command=evaluate.command("eviction", options), model=evaluate.short(options.model), trained=trained, seed=options.seed,
        machine=evaluate.machine(), seconds=time.monotonic() - began, fractions=options.fractions, sinks=SINKS,
        recent=RECENT, sets=results))
    if options.svg:
        draw(options.svg, f"Recall after random eviction (seed {options.seed})", options.fractions, results)
    print(f"random eviction, seed {options.seed}, first {SINKS} and last {RECENT} always kept")
    print(table(options.fractions, results))


if __name__ == "__main__":
    main()
