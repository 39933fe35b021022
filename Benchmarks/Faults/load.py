"""Clients that know the right tokens of every prompt and judge each answer."""

import collections
import http.client
import json
import random
import socket
import threading
import time
import urllib.parse

ANSWER_TOKENS = 24
TIMEOUT_SECONDS = 60
WORDS = ("the river ran past our old mill while Anna and Tom carried bread to Lisbon in a red cart and my sister lives "
         "near seven green hills with her dog called Rex who likes rain more than any sun that we ever saw").split()


class Answer:
    """What a client got: its kind, and a word on why."""

    def __init__(self, kind, why="", transfer=None):
        self.kind, self.why, self.transfer = kind, why, transfer


def make_prompts(seed, count, longest=360):
    """Prompts that differ from their first word on, of 60 to `longest` words."""
    chance = random.Random(seed)
    return [f"{number}: " + " ".join(chance.choice(WORDS) for _ in range(chance.randint(60, longest)))
            for number in range(count)]


def body(prompt, salt, stream=False):
    # A salt of its own keeps a request's KV out of every cache: each one is handed over.
    return {"prompt": prompt, "max_tokens": ANSWER_TOKENS, "temperature": 0, "ignore_eos": True, "stream": stream,
            "return_token_ids": True, "cache_salt": salt}


def connect(url, timeout=TIMEOUT_SECONDS):
    place = urllib.parse.urlsplit(url)
    return http.client.HTTPConnection(place.hostname, place.port, timeout=timeout)


def post(url, path, wanted):
    """Status, headers and JSON of an answer that comes whole."""
    connection = connect(url)
    try:
        connection.request("POST", path, json.dumps(wanted), {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, response.headers, json.loads(response.read())
    finally:
        connection.close()


def right_tokens(url, prompts):
    """What one process answers."""
    answers = []
    for number, prompt in enumerate(prompts):
        status, _, answer = post(url, "/v1/completions", body(prompt, f"right-{number}"))
        assert status == 200, answer
        answers.append(answer["choices"][0]["token_ids"])
        assert len(answers[-1]) == ANSWER_TOKENS, answer
    return answers


def retryable(status, headers, error):
    """Whether an error tells a client to come again, in the API's own form."""
    return status in (429, 503) and bool(error.get("code")) and bool(error.get("message")) and "retry-after" in headers


def judge(url, prompt, right, salt, stream):
    """Asks once. Kinds: right, retryable, lost (the connection), wrong, unclean."""
    try:
        connection = connect(url)
        try:
            connection.request("POST", "/v1/completions", json.dumps(body(prompt, salt, stream)),
                               {"Content-Type": "application/json"})
            response = connection.getresponse()
            if response.status == 200 and stream:
                return judge_stream(response, right)
            text = response.read()
        finally:
            connection.close()
    except (socket.timeout, TimeoutError):
        return Answer("unclean", f"no answer within {TIMEOUT_SECONDS} s")
    except (OSError, http.client.HTTPException) as error:
        return Answer("lost", type(error).__name__)
    try:
        answer = json.loads(text)
    except ValueError:
        return Answer("unclean", f"status {response.status} without JSON: {text[:100]!r}")
    if response.status != 200:
        error = answer.get("error") or {}
        kind = "retryable" if retryable(response.status, response.headers, error) else "unclean"
        return Answer(kind, f"{response.status} {error.get('code')}")
    tokens = answer["choices"][0]["token_ids"]
    if tokens != right:
        return Answer("wrong", f"{tokens} in place of {right}; {answer.get('weir')}")
    return Answer("right", transfer=(answer.get("weir") or {}).get("transfer"))


def judge_stream(response, right):
    """A stream must be the right tokens to its [DONE], or right up to an error event."""
    tokens, is_done, error = [], False, None
    try:
        for line in response:
            data = line.strip().removeprefix(b"data: ")
            if data == b"[DONE]":
                is_done = True
            elif line.startswith(b"data: "):
                event = json.loads(data)
                error = event.get("error") or error
                for choice in event.get("choices", []):
                    tokens += choice.get("token_ids") or []
    except (socket.timeout, TimeoutError):
        return Answer("unclean", f"a stream was silent for {TIMEOUT_SECONDS} s")
    except (OSError, http.client.HTTPException) as failure:
        error = error or {"lost": type(failure).__name__}
    if tokens != right[:len(tokens)]:
        return Answer("wrong", f"{tokens} in place of {right} in a stream")
    if error and "lost" in error:
        return Answer("lost", "in the middle of a stream")
    if error:
        return Answer("retryable" if error.get("code") and error.get("message") else "unclean", f"stream {error}")
    if not is_done:
        return Answer("lost", "a stream without an end")
    if tokens != right:
        return Answer("wrong", f"a stream ended after {len(tokens)} tokens")
    return Answer("right")


class Load:
    """Clients that ask all the time until they are told to pause."""

    def __init__(self, url, prompts, right, clients=4, seed=1):
        self.url, self.prompts, self.right = url, prompts, right
        self.counts = collections.Counter()
        self.bad, self.why = [], collections.Counter()
        self.lock = threading.Condition()
        self.is_paused, self.is_over, self.busy, self.asked = True, False, 0, 0
        self.threads = [threading.Thread(target=self.run, args=(seed * 1000 + number,), daemon=True)
                        for number in range(clients)]
        for thread in self.threads:
            thread.start()

    def run(self, seed):
        chance = random.Random(seed)
        while True:
            with self.lock:
                self.lock.wait_for(lambda: self.is_over or not self.is_paused)
                if self.is_over:
                    return
                self.busy += 1
                self.asked += 1
                salt = f"s{seed}-{self.asked}"
            number = chance.randrange(len(self.prompts))
            try:
                answer = judge(self.url, self.prompts[number], self.right[number], salt, chance.random() < 0.5)
            except Exception as error:  # a judge that fails must not look like a quiet client
                answer = Answer("unclean", f"judge: {error!r}")
            with self.lock:
                self.note(answer)
                self.busy -= 1
                self.lock.notify_all()
            if answer.kind == "lost":
                time.sleep(0.05)

    def note(self, answer):
        self.counts[answer.kind] += 1
        if answer.kind != "right":
            self.why[f"{answer.kind}: {answer.why[:120]}"] += 1
        if answer.kind in ("wrong", "unclean"):
            self.bad.append(f"{answer.kind}: {answer.why}")

    def resume(self):
        with self.lock:
            self.is_paused = False
            self.lock.notify_all()

    def pause(self):
        """Returns when the last answer is there."""
        with self.lock:
            self.is_paused = True
            self.lock.wait_for(lambda: self.busy == 0, TIMEOUT_SECONDS + 10)

    def close(self):
        with self.lock:
            self.is_over = True
            self.lock.notify_all()
        for thread in self.threads:
            thread.join(TIMEOUT_SECONDS)

    def probe(self, number, salt):
        """One answer that was handed over from node to node, or why not."""
        place = number % len(self.prompts)
        answer = judge(self.url, self.prompts[place], self.right[place], salt, False)
        with self.lock:
            if answer.kind in ("wrong", "unclean"):
                self.note(answer)
        return answer.kind == "right" and (answer.transfer or {}).get("received_tokens", 0) > 0
