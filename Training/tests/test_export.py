"""What is exported computes what was trained: NumPy in float64 over the GGUF file against the trainer's own logits."""

import numpy as np
import pytest
import torch

from weirtrain import circuit, export, recipes, reference
from weirtrain.model import Decoder
from weirtrain.tokenizer import folder


@pytest.mark.parametrize("model", ["chat", "moe"])
@pytest.mark.parametrize("kind,tolerance", [("f32", 2e-4), ("f16", 2e-2), ("q8_0", 2e-1)])
def test_gguf_computes_the_trained_function(tmp_path, model, kind, tolerance):
    config = recipes.model_config(model, "smoke")
    decoder = Decoder(config, seed=3)
    circuit.start(decoder, 3)
    with torch.no_grad():
        for name, parameter in decoder.named_parameters():
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                parameter.add_(torch.randn_like(parameter) * 0.05)
    checkpoint = tmp_path / "checkpoint.pt"
    torch.save(dict(config=config.dictionary(), model=decoder.state_dict()), checkpoint)
    export.main(["--checkpoint", str(checkpoint), "--out", str(tmp_path), "--name", "x", "--types", kind,
                 "--tokenizer", str(folder())])
    ids = [(7 * i * i + 3 * i) % 4000 + 16 for i in range(40)]
    with torch.no_grad():
        expected = decoder(torch.tensor([ids]))[0].double().numpy()
    logits, _ = reference.forward(*reference.load(tmp_path / f"x-{kind}.gguf"), np.array(ids))
    # the median row: rounding may send a token that lies between two experts to the other one, and change its row
    errors = np.sqrt(((logits - expected) ** 2).mean(-1) / (expected**2).mean(-1))
    assert np.median(errors) < tolerance
    # a wrong permutation or a swapped matrix is off by much more than rounding
    assert np.corrcoef(logits.ravel(), expected.ravel())[0, 1] > 0.98
