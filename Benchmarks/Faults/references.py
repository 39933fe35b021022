"""The cases of the field's worst complaint (vllm#52234): a decode node is shown references to KV that are wrong, stale,
used up or another's. Each must end in the right answer, computed here if need be, and the answer must say so."""

import time

from load import body, post

HAND_OVER = {"do_remote_decode": True, "do_remote_prefill": False}


def ticket(stage, number, salt):
    """What the prefill node says of a prompt's KV that it keeps."""
    wanted = body(stage.prompts[number], salt) | {"max_tokens": 1, "kv_transfer_params": HAND_OVER}
    status, _, answer = post(stage.prefill.url, "/v1/completions", wanted)
    assert status == 200 and answer["kv_transfer_params"], answer
    return answer["kv_transfer_params"]


def show(stage, number, salt, parameters):
    """The decode node's tokens for a prompt and a reference, and what it says of the transfer."""
    status, _, answer = post(
        stage.decode.url, "/v1/completions", body(stage.prompts[number], salt) | {"kv_transfer_params": parameters})
    assert status == 200, answer
    return answer["choices"][0]["token_ids"], answer["weir"]["transfer"]


def changed(**fields):
    return lambda stage, one, salt: ticket(stage, one, salt) | fields


def of_other_request(stage, one, salt):
    blocks = ticket(stage, (one + 1) % len(stage.prompts), salt)["remote_block_ids"]
    return ticket(stage, one, salt) | {"remote_block_ids": blocks}


def used_up(stage, one, salt):
    reference = ticket(stage, one, salt)
    show(stage, one, salt, reference)
    # Without what the first use has left in the prefix tree.
    post(stage.decode.url, "/reset_prefix_cache", {})
    return reference


def of_other_prompt(stage, one, salt):
    return ticket(stage, (one + 1) % len(stage.prompts), salt)


def of_other_tenant(stage, one, salt):
    return ticket(stage, one, salt + "-other")


def after_reuse(stage, one, salt):
    """The producer's lease has ended and its blocks hold another prompt."""
    reference = ticket(stage, one, salt)
    time.sleep(stage.lease_seconds + 0.3)
    post(stage.prefill.url, "/reset_prefix_cache", {})
    for number in range(1, 4):
        ticket(stage, (one + number) % len(stage.prompts), f"{salt}-{number}")
    return reference


def of_dead_producer(stage, one, salt):
    reference = ticket(stage, one, salt)
    stage.restart(stage.prefill)
    return reference


# Name, how the reference is made, reason that the answer must give (None: the KV is taken; "*": any reason).
CASES = [
    ("as it was given", changed(), None),
    ("block ids out of range", changed(remote_block_ids=[10**6, 2**31 - 1]), None),
    ("no block ids", changed(remote_block_ids=[]), None),
    ("block ids of another request", of_other_request, None),
    ("used a second time", used_up, "*"),
    ("of another prompt", of_other_prompt, "*"),
    ("of another tenant", of_other_tenant, "*"),
    ("after the producer re-used its blocks", after_reuse, "*"),
    ("of a producer that has died", of_dead_producer, "*"),
    ("another engine's name", changed(remote_engine_id="ab12"), "unsealed_ticket"),
    ("another request's name", changed(remote_request_id="cmpl-1"), "unsealed_ticket"),
    ("another handoff's number", changed(remote_handoff=1), "unsealed_ticket"),
    ("an address where nobody is", changed(remote_port=9), "unsealed_ticket"),
    ("fewer tokens than were computed", changed(remote_num_tokens=5), "unsealed_ticket"),
    ("without a seal", changed(remote_seal=""), "unsealed_ticket"),
]


def check(stage, run):
    """All cases once. Returns (answers, wrong ones as text)."""
    bad = []
    for place, (name, make, reason) in enumerate(CASES):
        one = (run * len(CASES) + place) % len(stage.prompts)
        salt = f"case-{run}-{place}"
        tokens, transfer = show(stage, one, salt, make(stage, one, salt))
        if tokens != stage.right[one]:
            bad.append(f"wrong: {name}: {tokens} in place of {stage.right[one]}")
        because = transfer["recomputed_because"]
        if (transfer["received_tokens"] > 0) != (reason is None) or reason not in (None, "*", because) \
                or (reason is not None and not because):
            bad.append(f"unclean: {name}: the answer says {transfer}")
    return len(CASES), bad
