"""Checks lm-eval's log-likelihoods of weir_choice against sums made without it: check_choice.py URL RESULTS [GGUF]

The sums come from the server's own echoed log-probabilities, cut by token counts here; with a GGUF file also from a
forward pass in NumPy (Tests/Golden/models/make_quantized.py). Fails when a sum or a choice differs.

Tolerances. Against the server: none but the last bits of a double, for the engine's numbers depend neither on the batch
nor on the cache and both sides add the same floats. Against NumPy: what rounding explains, as in QuantizedGoldenTests:
quantised weights meet activations of 8 bits per 32 columns, an error of 2.1 / 127 / sqrt(12) of the values' root mean
square in each of a layer's four products and the output product; weights in f16 or f32 meet keys and values in f16,
2^-11. Errors are independent, so they add up as a random walk over products and over the n tokens of an end, once for
the token's logit and once for the sum under it; 2 allows for values that are not normal.
"""

import json
import math
import pathlib
import sys
import urllib.request


def post(url, path, body):
    request = urllib.request.Request(url + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    return json.load(urllib.request.urlopen(request))


def tokens(url, text):
    return post(url, "/tokenize", {"prompt": text, "add_special_tokens": False})["tokens"]


def server_sum(url, context, whole):
    answer = post(url, "/v1/completions", {"prompt": whole, "max_tokens": 0, "echo": True, "logprobs": 1})
    return sum(answer["choices"][0]["logprobs"]["token_logprobs"][context:])


class Reference:
    """The same model in NumPy, with the error of one log-probability that rounding explains."""

    def __init__(self, path):
        sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "Golden" / "models"))
        import gguf
        from make_quantized import load

        self.weights, self.fields = load(path)
        exact = {gguf.GGMLQuantizationType.F32, gguf.GGMLQuantizationType.F16}
        types = {tensor.tensor_type for tensor in gguf.GGUFReader(path).tensors}
        step = 2**-11 if types <= exact else 2.1 / 127 / math.sqrt(12)
        self.error = 2 * step * math.sqrt(4 * self.fields["llama.block_count"] + 1)

    def sum(self, context, whole):
        """The sum over the end, and how far off it may be."""
        import numpy as np
        from make_quantized import forward

        logits = forward(self.weights, self.fields, whole)
        peak = logits.max(-1, keepdims=True)
        logprobs = logits - peak - np.log(np.exp(logits - peak).sum(-1, keepdims=True))
        rms = float(np.sqrt((logits**2).mean()))
        total = float(sum(logprobs[i - 1, whole[i]] for i in range(context, len(whole))))
        return total, 2 * self.error * rms * math.sqrt(len(whole) - context)


def main():
    url, results = sys.argv[1], pathlib.Path(sys.argv[2])
    reference = Reference(sys.argv[3]) if len(sys.argv) > 3 else None
    samples = [json.loads(line) for path in results.rglob("samples_weir_choice_*.jsonl") for line in path.open()]
    assert samples, "no samples of weir_choice under " + str(results)
    server = numpy = share = 0.0
    right = checked = 0
    for sample in samples:
        sums = []
        for argument, (response,) in zip(sample["arguments"].values(), sample["resps"], strict=True):
            context, whole = tokens(url, argument["arg_0"]), tokens(url, argument["arg_0"] + argument["arg_1"])
            assert whole[: len(context)] == context, "the end changes the tokens of its context"
            found = float(response[0])
            sums.append(found)
            server = max(server, abs(found - server_sum(url, len(context), whole)))
            if reference:
                expected, allowed = reference.sum(len(context), whole)
                numpy, share = max(numpy, abs(found - expected)), max(share, abs(found - expected) / allowed)
            checked += 1
        right += sums[0] >= sums[1]
    against = f", {numpy:.4f} from NumPy's ({100 * share:.0f} % of what is allowed)" if reference else ""
    print(f"check_choice: {checked} sums, at most {server:.2g} nats from the server's own{against}; "
          f"{right} of {len(samples)} choices right")
    assert server < 1e-9 and share <= 1, "the sums differ"
    assert right == sum(sample["acc"] for sample in samples), "the choices differ"


if __name__ == "__main__":
    main()
