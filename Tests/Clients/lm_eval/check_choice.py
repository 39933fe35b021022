"""Checks lm-eval's log-likelihoods of weir_choice against sums made without it: check_choice.py URL RESULTS [GGUF]

The sums come from the server's own echoed log-probabilities, cut by token counts here; with a GGUF file also from a
forward pass in NumPy (Tests/Golden/models/make_quantized.py). Fails when a sum or a choice differs.
"""

import json
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


def numpy_sum(model, context, whole):
    import numpy as np
    from make_quantized import forward

    logits = forward(*model, whole)
    peak = logits.max(-1, keepdims=True)
    logprobs = logits - peak - np.log(np.exp(logits - peak).sum(-1, keepdims=True))
    return float(sum(logprobs[i - 1, whole[i]] for i in range(context, len(whole))))


def main():
    url, results = sys.argv[1], pathlib.Path(sys.argv[2])
    model = None
    if len(sys.argv) > 3:
        sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "Golden" / "models"))
        from make_quantized import load

        model = load(sys.argv[3])
    samples = [json.loads(line) for path in results.rglob("samples_weir_choice_*.jsonl") for line in path.open()]
    assert samples, "no samples of weir_choice under " + str(results)
    worst, right, checked = {"server": 0.0, "numpy": 0.0}, 0, 0
    for sample in samples:
        sums = []
        for argument, (response,) in zip(sample["arguments"].values(), sample["resps"]):
            context, whole = tokens(url, argument["arg_0"]), tokens(url, argument["arg_0"] + argument["arg_1"])
            found = float(response[0])
            sums.append(found)
            worst["server"] = max(worst["server"], abs(found - server_sum(url, len(context), whole)))
            if model:
                worst["numpy"] = max(worst["numpy"], abs(found - numpy_sum(model, len(context), whole)))
            checked += 1
        right += sums[0] > sums[1]
    print(f"check_choice: {checked} sums, worst difference {worst}, {right} of {len(samples)} choices right")
    assert worst["server"] < 1e-3 and worst["numpy"] < 0.05, worst
    assert right / len(samples) == sum(sample["acc"] for sample in samples) / len(samples)


if __name__ == "__main__":
    main()
