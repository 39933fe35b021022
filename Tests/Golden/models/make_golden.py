"""Writes golden.json: logits of tiny models of every decoder family, computed by Hugging Face transformers.

Usage: python make_golden.py   (requirements: ../requirements.txt, section models)
"""

import json
import pathlib
import tempfile

import numpy as np
import torch
import transformers
from safetensors.numpy import save_file

from families import VOCAB, families, gguf_metadata, gguf_tensors, head_dim, tensors
from numbers_by_name import uniform

PROMPT = [1] + [(7 * i * i + 3 * i + 5) % VOCAB for i in range(29)]
ROWS = [0, 4, 8, 9, 13, 19, 24, 29]


def weights(name, shape, gemma):
    u = uniform(name, int(np.prod(shape)))
    if "norm" in name:
        value = u * np.float32(0.25) if gemma else np.float32(1) + u * np.float32(0.25)
    elif "embed_tokens" in name:
        value = u
    else:
        value = u * np.float32(0.25)
    return value.reshape(shape)


def logits(folder, dtype):
    model, info = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, attn_implementation="eager", experts_implementation="eager", output_loading_info=True)
    wrong = {k: v for k, v in info.items() if v and k != "error_msgs"}
    assert not wrong, wrong
    model.eval()
    with torch.no_grad():
        out = model(torch.tensor([PROMPT]), output_hidden_states=True, use_cache=False)
    return out.logits[0].double().numpy(), out.hidden_states[-1][0].double().numpy()


def golden(name, known, config, arch, extra):
    gemma = config["model_type"].startswith("gemma")
    shapes = tensors(config)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder)
        path.joinpath("config.json").write_text(json.dumps(config))
        save_file({n: weights(n, s, gemma) for n, s in shapes.items()}, path / "model.safetensors",
                  metadata={"format": "pt"})
        single, _ = logits(folder, torch.float32)
        double, hidden = logits(folder, torch.float64)
    # What rounding alone moves in this model: the derived part of the tests' tolerance. It depends on the order in which
    # a machine adds: the value on file stays while it is of the same size.
    rounding = float(np.abs(single - double).max())
    if known and known / 2 < rounding < known * 2:
        rounding = known
    print(f"{name:14} rounding {rounding:.2e} largest {np.abs(double).max():.2f}")
    result = {"name": name, "config": config, "tensors": shapes, "rounding": rounding,
              "greedy": double.argmax(-1).tolist(),
              "logits": [[round(float(v), 6) for v in double[r]] for r in ROWS],
              "lastHidden": [round(float(v), 6) for v in hidden[-1]]}
    if arch:
        result["gguf"] = {"metadata": gguf_metadata(config, arch, extra), "tensors": gguf_tensors(config, arch)}
        factors = {}
        scaling = config.get("rope_scaling") or {}
        if scaling.get("rope_type") == "llama3":
            factors["rope_freqs.weight"] = llama3_factors(config)
        if scaling.get("type") == "longrope":
            factors["rope_factors_long.weight"] = scaling["long_factor"]
            factors["rope_factors_short.weight"] = scaling["short_factor"]
        result["gguf"]["factors"] = factors
    return result


def llama3_factors(config):
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
    parsed = transformers.AutoConfig.for_model(**config)
    scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](parsed, "cpu")
    d = head_dim(config)
    plain = 1 / config["rope_theta"] ** (np.arange(0, d, 2) / d)
    return [float(v) for v in np.float32(plain / scaled.double().numpy())]


def main():
    out = pathlib.Path(__file__).with_name("golden.json")
    known = {m["name"]: m["rounding"] for m in json.loads(out.read_text())["models"]} if out.exists() else {}
    models = [golden(n, known.get(n), *f) for n, f in families().items()]
    body = ",\n".join(json.dumps(m, separators=(",", ":")) for m in models)
    head = json.dumps({"prompt": PROMPT, "rows": ROWS, "transformers": transformers.__version__,
                       "torch": torch.__version__}, separators=(",", ":"))
    out.write_text(head[:-1] + ',"models":[\n' + body + "\n]}\n")
    print(out.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
