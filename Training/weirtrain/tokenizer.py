"""Trains the byte-level BPE tokenizer of weir-chat, and encodes conversations with it.

python -m weirtrain.tokenizer --data ../../shared/data --out tokenizer
"""

from __future__ import annotations

import argparse
import json
import os
import random
from pathlib import Path

VOCABULARY = 4096
END, START, STOP, CALL, CALL_END = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<tool_call>",
                                    "</tool_call>")
RESERVED = [f"<|reserved_{i}|>" for i in range(11)]
SPECIALS = [END, START, STOP, CALL, CALL_END] + RESERVED
PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
           r"|\s*[\r\n]+|\s+(?!\S)|\s+")
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}")


def find_data(given=None):
    """The data root: as given, else ../../shared/data if it exists, else None."""
    path = Path(given) if given else Path(__file__).resolve().parents[2] / "../shared/data"
    return path.resolve() if path.is_dir() else None


def folder():
    """Where the trained tokenizer is kept."""
    return Path(__file__).resolve().parents[1] / "tokenizer"


def sample(data_root, seed=0, facts=2_000_000, other=400_000, text=3_000_000, dialogue=1_500_000):
    """Texts to train on, as (list of strings); sizes are in characters. Deterministic."""
    from .data import dialogue as dialogues
    from .data import facts as fact
    from .data import reading, recall, tools

    rng = random.Random(seed)

    def count(part):
        return len(part) // 4 + 1

    texts = []

    def take(size, make):
        while size > 0:
            for turn in make().turns:
                texts.append(turn.role)
                texts.append(turn.text)
                size -= len(turn.text)

    take(facts, lambda: fact.conversation(rng, 1024, count, "train"))
    take(other, lambda: recall.recall_chat(rng, 512, count, "train"))
    take(other, lambda: reading.reading_chat(rng, 512, count, "train"))
    take(other, lambda: tools.tool_chat(rng, 512, count, "train"))
    take(other // 2, lambda: dialogues.small_chat(rng, 512, count))
    if data_root:
        spoken = dialogues.read_dialogues(data_root, "train")
        if spoken:
            take(dialogue, lambda: dialogues.dialogue_chat(rng, 1024, count, spoken))
        found = dialogues.passages(dialogues.read_texts(data_root, "train"))
        while found and text > 0:
            texts.append(rng.choice(found))
            text -= len(texts[-1])
    return texts


def train(texts, vocabulary=VOCABULARY):
    """A byte-level BPE tokenizer of exactly so many entries."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(PATTERN), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=vocabulary, special_tokens=SPECIALS, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(texts, trainer)
    assert tokenizer.get_vocab_size() == vocabulary, tokenizer.get_vocab_size()
    return tokenizer


def save(tokenizer, out):
    """Write tokenizer.json and tokenizer_config.json."""
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(out / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": None, "eos_token": STOP,
              "pad_token": END, "unk_token": None, "add_bos_token": False, "add_prefix_space": False,
              "clean_up_tokenization_spaces": False, "model_max_length": 4096,
              "additional_special_tokens": [START, STOP], "chat_template": CHAT_TEMPLATE}
    (out / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")


class ChatTokenizer:
    """Encodes pieces with a cache; renders conversations as ChatML."""

    def __init__(self, tokenizer, limit=400_000):
        self.tokenizer, self.limit = tokenizer, limit
        self.cache = {}
        token = tokenizer.token_to_id
        self.end, self.start, self.stop = token(END), token(START), token(STOP)
        self.size = tokenizer.get_vocab_size()
        self.newline = tuple(self._encode("\n"))

    @classmethod
    def load(cls, path=None):
        from tokenizers import Tokenizer
        return cls(Tokenizer.from_file(str(Path(path or folder()) / "tokenizer.json")))

    def _encode(self, text):
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def encode(self, text):
        """Token ids of a piece; short pieces are cached."""
        ids = self.cache.get(text)
        if ids is None:
            ids = tuple(self._encode(text))
            if len(text) <= 200:
                if len(self.cache) >= self.limit:
                    self.cache.clear()
                self.cache[text] = ids
        return ids

    def count(self, text):
        return len(self.encode(text))

    def decode(self, ids):
        return self.tokenizer.decode(list(ids), skip_special_tokens=False)

    def render(self, turns, context_weight=0.1):
        """(ids, weights, spans): spans[turn][piece] is a token range.

        Weights are those of the pieces. The end mark of an assistant turn has
        weight 0.5; all other marks have context_weight.
        """
        ids, weights, spans = [], [], []
        for turn in turns:
            head = (self.start,) + self.encode(turn.role) + self.newline
            ids += head
            weights += [context_weight] * len(head)
            places = []
            for text, weight in turn.pieces:
                part = self.encode(text)
                places.append((len(ids), len(ids) + len(part)))
                ids += part
                weights += [weight] * len(part)
            spans.append(places)
            ids.append(self.stop)
            weights.append(0.5 if turn.role == "assistant" else context_weight)
            ids += self.newline
            weights += [context_weight] * len(self.newline)
        return ids, weights, spans


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="data root; default ../../shared/data if it exists")
    parser.add_argument("--out", default=str(folder()))
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    os.environ.setdefault("RAYON_NUM_THREADS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    data_root = find_data(arguments.data)
    if data_root is None:
        print("no data root: the tokenizer is trained on generated text only")
    texts = sample(data_root, arguments.seed)
    tokenizer = train(texts)
    save(tokenizer, arguments.out)
    characters = sum(map(len, texts[::50]))
    tokens = sum(len(e.ids) for e in tokenizer.encode_batch(texts[::50]))
    print(f"{tokenizer.get_vocab_size()} entries, {characters / tokens:.2f} characters a token")


if __name__ == "__main__":
    main()
