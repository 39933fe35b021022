"""Training examples of all kinds as token ids with loss weights."""

from __future__ import annotations

import re

from . import dialogue, facts, fewshot, needles, reading, recall, tools

KINDS = ("recall", "facts", "reading", "babi", "tools", "dialogue", "text", "smalltalk", "patterns",
         "needles", "chain", "few-shot")
DEFAULT_WEIGHTS = {"facts": 0.62, "recall": 0.1, "reading": 0.06, "babi": 0.04, "tools": 0.04,
                   "dialogue": 0.05, "text": 0.05, "smalltalk": 0.04}


class Mixture:
    """Makes examples of a split; without a data root only the generated kinds exist.

    tokenizer is a weirtrain.tokenizer.ChatTokenizer. The file kinds are read on
    first use.
    """

    def __init__(self, data_root, tokenizer, split="train", seed=0, options=None):
        self.data_root, self.tokenizer, self.split, self.seed = data_root, tokenizer, split, seed
        self.options = options or facts.Options()
        self.available = set(KINDS)
        if data_root is None:
            self.available -= {"babi", "dialogue", "text"}
            print("no data root: only generated examples (no bAbI files, dialogues or texts)")
        self._files, self._pieces = {}, None

    def _stories(self):
        if "babi" not in self._files:
            self._files["babi"] = reading.read_babi(self.data_root, self.split)
        return self._files["babi"]

    def _dialogues(self):
        if "dialogue" not in self._files:
            self._files["dialogue"] = dialogue.read_dialogues(self.data_root, self.split)
        return self._files["dialogue"]

    def _texts(self):
        if "text" not in self._files:
            texts = dialogue.read_texts(self.data_root, self.split)
            self._files["text"] = [" ".join(t.split()) for t in texts]
            self._files["passages"] = tuple(dialogue.passages(texts, 240))
        return self._files["text"]

    def _passages(self):
        if "text" not in self.available:
            return ()
        self._texts()
        return self._files["passages"]

    def pieces(self):
        """The tokenizer's entries of two to six lower-case letters, without their leading space."""
        if self._pieces is None:
            vocabulary = self.tokenizer.tokenizer.get_vocab()
            words = {entry.lstrip("\u0120") for entry in vocabulary}
            self._pieces = tuple(sorted(w for w in words if 2 <= len(w) <= 6 and re.fullmatch("[a-z]+", w)))
        return self._pieces

    def conversation(self, kind, rng, target_tokens):
        """A conversation of a chat kind."""
        count, split = self.tokenizer.count, self.split
        if kind == "facts":
            if not self.options.passages and self.options.distractor_share > 0:
                self.options.passages = self._passages()
            return facts.conversation(rng, target_tokens, count, split, self.options)
        if kind == "recall":
            return recall.recall_chat(rng, target_tokens, count, split, draw=self.options.draw, densest=2.4)
        if kind == "needles":
            if not self.options.passages:
                self.options.passages = self._passages()
            return needles.document_chat(rng, target_tokens, count, split, self.options)
        if kind == "chain":
            return needles.chain_chat(rng, target_tokens, count, split, self.options.draw)
        if kind == "few-shot":
            return fewshot.fewshot_chat(rng, target_tokens, count, split, self.options.draw)
        if kind == "reading":
            return reading.reading_chat(rng, target_tokens, count, split, draw=self.options.draw)
        if kind == "babi":
            return reading.babi_chat(rng, target_tokens, count, self._stories())
        if kind == "tools":
            return tools.tool_chat(rng, target_tokens, count, split, self.options.draw)
        if kind == "dialogue":
            return dialogue.dialogue_chat(rng, target_tokens, count, self._dialogues())
        if kind == "smalltalk":
            return dialogue.small_chat(rng, target_tokens, count)
        raise KeyError(kind)

    def example(self, kind, rng, target_tokens):
        """(ids, weights) of at most target_tokens tokens, ended by the end mark."""
        tokenizer = self.tokenizer
        if kind == "text":
            text = rng.choice(self._texts())
            size = int(5 * target_tokens)
            start = rng.randrange(max(1, len(text) - size))
            start = text.find(" ", start) + 1
            ids = list(tokenizer.encode(text[start:start + size]))[:target_tokens - 1]
            return ids + [tokenizer.end], [0.5] * (len(ids) + 1)
        if kind == "recall" and rng.random() < 0.2:
            keys = max(4, min(64, int(target_tokens / 12 * rng.uniform(0.3, 1.0))))
            ids, mask = recall.recall_ids(rng, target_tokens - 1, (16, tokenizer.size), keys)
            return ids + [tokenizer.end], [float(m) for m in mask] + [0.0]
        talk = self.conversation(kind, rng, target_tokens - 1)
        ids, weights, _ = tokenizer.render(talk.turns)
        return ids + [tokenizer.end], weights + [0.1]

    def pack(self, rng, length, mixture_weights=None):
        """(ids, weights) of exactly length tokens.

        A row holds only "patterns" with the probability of that weight. Else it is one fact conversation with the
        probability of the weight of "facts" (so that weights are shares of tokens); otherwise it is filled with
        examples of the other kinds. The last example may be cut.
        """
        if mixture_weights and rng.random() < mixture_weights.get("patterns", 0) / sum(mixture_weights.values()):
            keys = rng.randint(3, max(4, min(48, length // 24)))
            ids, mask = recall.pattern_ids(rng, length, (16, self.tokenizer.size), keys)
            return ids, [float(m) for m in mask]
        weights = {k: w for k, w in (mixture_weights or DEFAULT_WEIGHTS).items()
                   if w > 0 and k in self.available and k != "patterns"}
        total = sum(weights.values())
        ids, loss = [], []
        if rng.random() * total < weights.get("facts", 0):
            ids, loss = self.example("facts", rng, length)
            others = {"smalltalk": 1.0}
        else:
            others = {k: w for k, w in weights.items() if k != "facts"}
        kinds, shares = list(others), list(others.values())
        while len(ids) < length:
            kind = rng.choices(kinds, shares)[0]
            low, high = (40, 160) if kind == "smalltalk" else (160, 1024)
            target = min(rng.randrange(low, high), max(low, length - len(ids)))
            if kind == "tools":
                target = max(target, 700)
            if kind in ("recall", "needles", "chain", "few-shot") and rng.random() < 0.3:  # some as long as a row
                target = max(target, int((length - len(ids)) * rng.random()))
            more, their = self.example(kind, rng, target)
            ids += more
            loss += their
        return ids[:length], loss[:length]
