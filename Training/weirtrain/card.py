"""Writes the card of a model from measured JSON files: no number in it is typed.

python -m weirtrain.card --name weir-chat --checkpoint runs/chat/checkpoint.pt --evaluation evaluation.json \\
  --swift eval-q8_0.json eval-f16.json --eviction eviction.json --attention attention.json --files Models/weir-chat-q8_0.gguf

--swift takes what `weir eval MODEL --tasks FILES --output FILE.json` wrote. Parts without a file are left out, and the
card says so.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os

import torch

from . import recipes, scores, train
from .evaluate import short
from .model import Decoder, ModelConfig

ABOUT = {
    "chat": "a small chat model (Llama architecture: grouped-query attention, RoPE, SwiGLU, RMSNorm, tied embeddings)",
    "moe": "a small mixture of experts (Mixtral architecture: grouped-query attention, RoPE, SwiGLU experts chosen by a "
           "router, tied embeddings)",
}
KINDS = {
    "facts": "generated conversations in which facts are told, changed and asked for again",
    "patterns": "key-value recall through sentence patterns over random tokens",
    "recall": "plain key-value recall, as random tokens and as chat text",
    "needles": "facts inside one long text, then questions about them",
    "chain": "lists whose values are keys, to be followed to the end",
    "few-shot": "words to be sorted by examples whose labels only the conversation gives",
    "reading": "generated reading tasks in the manner of bAbI",
    "babi": "bAbI's own training files",
    "tools": "generated tool calls with arguments copied from the context",
    "dialogue": "everyday dialogues",
    "text": "public-domain text",
    "smalltalk": "generated small talk",
}
CONTROL = {"shuffled": " (control: not above chance)", "deleted": " (control: not above chance)"}
LIMITS = """- It is tiny. It copies what it was told in the conversation; it knows next to nothing about the world, and what it
  says about the world is not to be trusted.
- English only, mostly generated English with a small set of wordings. Other wordings than those of its data work less
  well: compare `heldout` with `shared` below.
- The facts of training and of the held-out sets are invented; scores on them say how well the model uses its context,
  nothing else. They do not carry over to other models or to natural text.
- Not for advice, not for decisions about people, not for anything that needs true answers.
- No safety training of any kind."""


def read(path):
    if path is None:
        return None
    with open(path) as file:
        return json.load(file)


def missing(what, command):
    return f"Not measured yet: {what} (`{command}`)."


def train_command(arguments):
    """The call that trains the model again, from the arguments in its checkpoint."""
    defaults, parts = vars(train.arguments(["--out", "runs/x"])), ["python -m weirtrain.train"]
    for name, value in arguments.items():
        flag = "--" + name.replace("_", "-")
        if name in ("data", "tokenizer", "resume", "threads", "workers", "save_minutes", "out"):
            continue
        if value != defaults.get(name) and value not in (None, False):
            parts.append(flag if value is True else f"{flag} {short(value)}")
    return " ".join(parts + [f"--out {short(arguments['out'])}"])


def duration(seconds):
    return f"{seconds / 3600:.1f} hours" if seconds >= 5400 else f"{seconds / 60:.0f} minutes"


def beginning(runs):
    """How the weights started, in words."""
    first = runs[0]["arguments"]
    if first.get("from_checkpoint"):
        which = "The first of these runs" if len(runs) > 1 else "The run"
        text = f"{which} began with the weights of `{short(first['from_checkpoint'])}`."
        if len(runs) == 1 and runs[0]["config"]["experts"]:
            text += (" Every expert began as a copy of the dense model's MLP, with a little noise; the tokens of the dense "
                     "model are not counted here.")
    elif first.get("plain_start"):
        text = "The weights began at random."
    else:
        text = ("The weights began at random, except for hand-made recall circuits in the first two layers "
                "(`weirtrain/circuit.py`), without which retrieval forms too late for the budget; nothing was frozen.")
    if any(run["arguments"].get("resume") for run in runs):
        text += " The run was broken off and resumed, so a new one gives a sibling of it, not the same bits."
    for before, after in zip(runs, runs[1:]):
        if after["config"]["experts"] and not before["config"]["experts"]:
            text += " Every expert began as a copy of the dense model's MLP, with a little noise."
    return text


def what_it_is(name, runs, machine):
    """Size, recipe, time."""
    state = runs[-1]
    config, kind = ModelConfig(**state["config"]), state["arguments"]["model"]
    parameters = sum(p.numel() for p in Decoder(config).parameters())
    rows = [("", ""), ("parameters", f"{parameters:,}"), ("layers", config.layers), ("width", config.width),
            ("query heads / KV heads", f"{config.heads} / {config.kv_heads} of {config.head_width}"),
            ("hidden width of the MLP", config.hidden)]
    if config.experts:
        active = parameters - 3 * config.width * config.hidden * config.layers * (config.experts - config.experts_per_token)
        rows += [("experts", f"{config.experts}, {config.experts_per_token} a token"), ("parameters a token", f"{active:,}")]
    threads = " and ".join(dict.fromkeys(f"{run['arguments']['threads']}" for run in runs))
    devices = " and ".join(dict.fromkeys(run["arguments"]["device"] for run in runs))
    rows += [("vocabulary", config.vocab), ("context", config.context), ("RoPE base", f"{config.rope_theta:g}"),
             ("KV cache a token", f"{2 * config.layers * config.kv_heads * config.head_width} values"),
             ("tokens trained on", f"{sum(run['tokens'] for run in runs):,}"),
             ("seed", ", ".join(dict.fromkeys(str(run["arguments"]["seed"]) for run in runs))),
             ("training time", f"{duration(sum(run['seconds'] for run in runs))}, threads: {threads}, device: {devices}"
              + (f", {machine}" if machine else ""))]
    return [f"# {name}", "", f"{name} is {ABOUT[kind]}, trained by the recipe in `Training/`. It is made for tests and for "
            "measuring KV caches: the answers of its held-out sets need the context.", "", scores.markdown(rows), "",
            "Made by:", "", "```", *(train_command(run["arguments"]) for run in runs), "```", "", beginning(runs)]


def data_and_recipe(runs):
    """Kinds of data with their shares, and the stages as they went."""
    stages = [("stage", "steps", "tokens so far", "loss", "answer tokens right")]
    shares, before = {}, 0
    for run in runs:
        scale = "smoke" if run["arguments"].get("smoke") else run["arguments"]["scale"]
        known = {stage.name: stage.mixture for stage in recipes.stages(run["arguments"]["model"], scale)}
        last = {entry["stage"]: entry for entry in run["log"]}
        for name, e in last.items():
            stages.append((name, e["step"], f"{before + e['tokens']:,}", f"{e['loss']:.3f}", f"{e['answers']:.1%}"))
            shares[name] = known.get(name, {})
        before += run["tokens"]
    mixed = [name for name, mixture in shares.items() if mixture]
    rows = [("data", *mixed)]
    for kind, words in KINDS.items():
        part = [shares[name].get(kind, 0) / sum(shares[name].values()) for name in mixed]
        if any(part):
            rows.append((words, *(f"{share:.0%}" for share in part)))
    text = ["", "## Data and recipe", "", "Shares of the data by stage.", "", scores.markdown(rows)] if mixed else ["", "## Data and recipe"]
    return text + ["", "Nothing of any evaluation's test files is in the data. Held-out sets are drawn with another seed; "
                   "their names, places and other long lists of values are not those of training (short lists such as "
                   "months are shared), and part of their wordings (`heldout`) does not occur in training.", "",
                   "Muon for the matrices in the layers, AdamW for the rest. A stage ends when its steps, or "
                   "its share of --minutes, are used up; the number in its name is the length of its rows.", "", scores.markdown(stages)]


def verdicts(swift):
    """{configuration: {item id: right}} of the files of `weir eval`."""
    found = {}
    for report in swift:
        for one in report.get("configurations", []):
            found[one["name"]] = {a["id"]: a["right"] for a in one.get("answers", [])}
    return found


def score_tables(evaluation, swift):
    """Exact match by set, then by set and kind, of PyTorch and of every configuration of `weir eval`."""
    engines, records = verdicts(swift), evaluation["answers"]
    head = ("PyTorch float32", *engines)

    def row(some):
        cells = [scores.shown(scores.score([r["right"] for r in some]))]
        for right in engines.values():
            mine = [right[r["id"]] for r in some if r["id"] in right]
            cells.append(scores.shown(scores.score(mine)) if mine else "-")
        return cells

    sets = [("set", "chance", *head)]
    kinds = [("set", "kind", *head)]
    for name, one in evaluation["sets"].items():
        some = [r for r in records if r["tags"]["set"] == name]
        sets.append((name + CONTROL.get(name, ""), scores.percent(one["chance"]), *row(some)))
        found = sorted({r["tags"]["kind"] for r in some})
        for kind in found if len(found) > 1 and name.startswith("facts") else ():
            kinds.append((name, kind, *row([r for r in some if r["tags"]["kind"] == kind])))
        worded = sorted({r["tags"].get("template") for r in some} - {None})
        for word in worded if len(worded) > 1 and name.startswith("facts") else ():
            kinds.append((name, f"{word} wording", *row([r for r in some if r["tags"].get("template") == word])))
    lines = [scores.markdown(sets), "", scores.markdown(kinds)]
    for name, right in engines.items():
        both = [r for r in records if r["id"] in right]
        if both:
            same = sum(r["right"] == right[r["id"]] for r in both)
            mean = sum(right[r["id"]] - r["right"] for r in both) / len(both)
            lines += ["", f"{name} and PyTorch judge {same} of {len(both)} items alike; the scores differ by "
                      f"{100 * mean:+.2f} points."]
    return lines


def distances(evaluation):
    """Exact match by the distance from fact to question, one column a set."""
    names = [n for n, one in evaluation["sets"].items() if one["by_tag"].get("fact_distance") and n not in ("shuffled",)]
    bins = {b: None for n in names for b in evaluation["sets"][n]["by_tag"]["fact_distance"]}
    if not bins:
        return []
    rows = [("tokens from fact to question", *names)]
    for label in sorted(bins, key=lambda b: int(b.split("-")[0])):
        rows.append((label, *(scores.shown(evaluation["sets"][n]["by_tag"]["fact_distance"].get(label)) for n in names)))
    return ["", scores.markdown(rows)]


def evaluation_part(evaluation, swift, swift_names):
    tool = "python -m weirtrain.evaluate --model CHECKPOINT --tasks FILES --output FILE.json"
    if evaluation is None:
        return ["", "## Scores", "", missing("scores", tool)]
    text = ["", "## Scores on held-out sets", "",
            "Greedy answers, exact match of the values with their counts. `chance` is what a reader scores who knows "
            "which values there are, but not whose they are.", "", *score_tables(evaluation, swift), *distances(evaluation),
            "", f"Made by (PyTorch, {evaluation['machine']}):", "", "```", evaluation["command"]]
    for report, name in zip(swift, swift_names):
        settings = report.get("eval", {})
        text.append(f"weir eval {settings.get('model', 'MODEL')} --tasks {' '.join(settings.get('tasks', []))} "
                    f"--output {short(name)}")
    text += ["```"]
    if not swift:
        text += ["", missing("the same by the engine", "weir eval MODEL --tasks FILES --output FILE.json")]
    gates = [("gate", "wanted", "measured", "holds")]
    for gate in evaluation["gates"]:
        word = {True: "yes", False: "FAILS", None: "not measured"}[gate["holds"]]
        gates.append((gate["name"], gate["wanted"], scores.percent(gate["measured"]), word))
    text += ["", "## Gates", "", "What must hold before policies are compared on this model. The oracle keep-set is the "
             "first 4 and the last 64 tokens of the context and the statements that the answer needs.", "",
             scores.markdown(gates)]
    oracle = [("set", "full cache", "oracle keep-set")]
    oracle += [(n, scores.shown(one["exact_match"]), scores.shown(one["oracle"]))
               for n, one in evaluation["sets"].items() if "oracle" in one]
    swapped = evaluation["sets"].get("shuffled", {}).get("swapped")
    if len(oracle) > 1:
        text += ["", scores.markdown(oracle)]
    if swapped:
        text += ["", f"With the values of the context exchanged, the model gives the exchanged ones: {scores.shown(swapped)}."]
    return text


def engine_part(swift):
    """Memory and perplexity where `weir eval` measured them; its rates are of separate calls and not comparable."""
    fields = (("peak_kv_bytes", "peak KV bytes", "{:,}"), ("kv_token_bytes", "KV bytes a token", "{:,}"),
              ("perplexity", "perplexity", "{:.2f}"), ("bits_per_byte", "bits per byte", "{:.3f}"))
    found = [one for report in swift for one in report.get("configurations", [])]
    used = [f for f in fields if any(f[0] in one for one in found)]
    if not used:
        return []
    rows = [("configuration", *(f[1] for f in used))]
    rows += [(one["name"], *(f[2].format(one[f[0]]) if f[0] in one else "-" for f in used)) for one in found]
    return ["", "## In the engine", "", scores.markdown(rows)]


def eviction_part(eviction, picture):
    if eviction is None:
        return ["", "## Random eviction", "", missing("the curve", "python -m weirtrain.eviction")]
    rows = [("set", "chance", *(f"{f:.0%} kept" for f in eviction["fractions"]))]
    for name, one in eviction["sets"].items():
        rows.append((name, scores.percent(one["chance"]), *(scores.shown(s) for s in one["kept"])))
    return ["", "## Random eviction", "", "After the context is computed and before the question is known, every layer "
            f"and KV head keeps a random part of its slots (seed {eviction['seed']}), always with the first "
            f"{eviction['sinks']} and the last {eviction['recent']}. Questions about facts that were never told are left "
            "out.", "", scores.markdown(rows), *picture, "", "Made by:", "", "```", eviction["command"], "```"]


def attention_part(attention, picture):
    if attention is None:
        return ["", "## Attention", "", missing("the shares", "python -m weirtrain.attention")]
    from .attention import table

    count = attention["contexts"][0]["conversations"]
    return ["", "## Attention", "", f"Shares of the attention mass by layer, mean over heads (lowest to highest head), "
            f"queries of the second half of {count} held-out conversations of each length.", "",
            table(attention["contexts"]), *picture, "", "Made by:", "", "```", attention["command"], "```"]


def files_part(paths):
    if not paths:
        return []
    rows = [("file", "bytes", "SHA-256")]
    for path in paths:
        with open(path, "rb") as file:
            digest = hashlib.sha256(file.read()).hexdigest()
        rows.append((f"`{os.path.basename(path)}`", f"{os.path.getsize(path):,}", f"`{digest}`"))
    return ["", "## Files", "", scores.markdown(rows)]


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", required=True)
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--earlier", nargs="*", default=[], help="checkpoints of the runs that this one went on from")
    parser.add_argument("--evaluation")
    parser.add_argument("--swift", nargs="*", default=[])
    parser.add_argument("--eviction")
    parser.add_argument("--attention")
    parser.add_argument("--files", nargs="*", default=[])
    parser.add_argument("--note", help="a sentence on how the data of the run differ from today's recipe")
    parser.add_argument("--machine", help="the machine of the training, in words")
    parser.add_argument("--curve", help="SVG of the training's loss")
    parser.add_argument("--eviction-svg")
    parser.add_argument("--attention-svg")
    parser.add_argument("--out", help="default: Models/NAME.md")
    options = parser.parse_args(argv)
    out = options.out or os.path.join(train.HERE, "..", "Models", options.name + ".md")

    def shown(path, alt):
        return ["", f"![{alt}]({os.path.relpath(path, os.path.dirname(out) or '.')})"] if path else []

    runs = [torch.load(path, map_location="cpu", weights_only=True) for path in [*options.earlier, options.checkpoint]]
    swift = [read(path) for path in options.swift]
    text = what_it_is(options.name, runs, options.machine) + ([options.note] if options.note else [])
    text += files_part(options.files)
    text += ["", "## Limits", "", LIMITS] + data_and_recipe(runs) + shown(options.curve, "loss by tokens")
    text += evaluation_part(read(options.evaluation), swift, options.swift) + engine_part(swift)
    text += eviction_part(read(options.eviction), shown(options.eviction_svg, "recall by kept part of the cache"))
    text += attention_part(read(options.attention), shown(options.attention_svg, "attention mass by layer"))
    os.makedirs(os.path.dirname(out) or ".", exist_ok=True)
    with open(out, "w") as file:
        file.write("\n".join(text) + "\n")
    print(out)


if __name__ == "__main__":
    main()
