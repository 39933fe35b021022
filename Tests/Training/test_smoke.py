"""The whole recipe once and tiny: train, export, load in Weir, answer.

Run by scripts/train-smoke.sh, which sets WEIR_PROGRAM and WEIR_SMOKE_FOLDER."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TRAINING = ROOT / "Training"
PROGRAM = os.environ.get("WEIR_PROGRAM", str(ROOT / ".build/release/weir"))
PROMPTS = ("My cat is called", "<|im_start|>user\nHello!<|im_end|>\n<|im_start|>assistant\n", "river = 417; lake =")
TOKENS = 12


def python(*arguments):
    done = subprocess.run([sys.executable, "-m", *map(str, arguments)], cwd=TRAINING, capture_output=True, text=True,
                          timeout=540)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def completed(model, prompt, temperature):
    done = subprocess.run(
        [PROGRAM, "complete", str(model), "--prompt", prompt, "--max-tokens", str(TOKENS), "--temperature", temperature,
         "--sampling-seed", "1", "--kv-cache-dtype", "f32", "--json", "--quiet"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module", params=["chat", "moe"])
def exported(request, tmp_path_factory):
    """(name, folder) of a model trained here."""
    name, base = request.param, os.environ.get("WEIR_SMOKE_FOLDER")
    folder = Path(base) / name if base else tmp_path_factory.mktemp(name)
    began = time.monotonic()
    log = python("weirtrain.train", "--smoke", "--model", name, "--out", folder)
    assert {"chat": "stretch-4096 ", "moe": "talk-4096 "}[name] in log and "nan" not in log
    python("weirtrain.export", "--checkpoint", folder / "checkpoint.pt", "--out", folder, "--name", f"weir-{name}",
           "--types", "q8_0,f16,f32")
    print(f"{name}: trained and exported in {time.monotonic() - began:.0f} s")
    return name, folder


@pytest.mark.parametrize("kind", ["q8_0", "f16", "hf"])
def test_model_loads_and_answers(exported, kind):
    name, folder = exported
    model = folder / ("hf" if kind == "hf" else f"weir-{name}-{kind}.gguf")
    # Sampled: the likeliest token of so young a model may be a mark that is not shown.
    answers = [completed(model, prompt, "1") for prompt in PROMPTS]
    assert all(a["prompt_tokens"] > 0 for a in answers)
    assert any(a["text"].strip() and a["completion_tokens"] > 0 for a in answers)


def test_chat_answers(exported):
    name, folder = exported
    answers = ""
    for said in ("Hello!", "My cat is called Tom.", "What is my cat called?"):
        done = subprocess.run(
            [PROGRAM, "chat", str(folder / f"weir-{name}-q8_0.gguf"), "--temperature", "1", "--sampling-seed", "1",
             "--max-tokens", str(TOKENS)], input=said + "\n", capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        answers += done.stdout.strip()
    assert answers


def test_engine_says_what_pytorch_says(exported):
    """Greedy tokens of the float32 exports, up to a near tie or a special token in PyTorch's."""
    sys.path.insert(0, str(TRAINING))
    import torch

    from weirtrain import inference
    from weirtrain.tokenizer import SPECIALS

    name, folder = exported
    model, _ = inference.load_model(str(folder / "checkpoint.pt"))
    tokenizer = inference.load_tokenizer()
    for prompt in PROMPTS:
        ids = tokenizer.tokenizer.encode(prompt, add_special_tokens=False).ids
        cache, found = inference.Cache.empty(model.config, len(ids) + TOKENS), []
        with torch.no_grad():
            hidden = inference.extend(model, cache, ids)
            for _ in range(TOKENS):
                best = model.logits(hidden[-1]).topk(2)
                if best.values[0] - best.values[1] < 1e-3 or int(best.indices[0]) < len(SPECIALS):
                    break
                found.append(int(best.indices[0]))
                hidden = inference.extend(model, cache, found[-1:])
        expected = tokenizer.decode(found).rstrip("\ufffd")
        for model_file in (folder / f"weir-{name}-f32.gguf", folder / "hf"):
            assert completed(model_file, prompt, "0")["text"].startswith(expected), model_file
