"""Dialogue and plain text from the data root, and simple generated chat."""

from __future__ import annotations

import json
import re
from pathlib import Path

from . import smalltalk
from .conversation import TURN_OVERHEAD, Conversation, plain_turn

TEXT_FOLDERS = ("text/english-novels-100", "text/aesop", "text/childrens-public-domain")
_SKIPPED_NAMES = ("README", "SOURCE", "LICENSE")
_HELDOUT_EVERY = 20


def read_dialogues(data_root, split="train"):
    """SGD training dialogues as lists of (role, text); every 20th is held out."""
    path = Path(data_root) / "derived" / "sgd-train.jsonl"
    dialogues = []
    if not path.is_file():
        return dialogues
    with path.open(encoding="utf-8") as file:
        for i, line in enumerate(file):
            if (i % _HELDOUT_EVERY == 0) != (split == "heldout"):
                continue
            turns = [("user" if who == "USER" else "assistant", text.strip())
                     for who, text in json.loads(line)["turns"]]
            dialogues.append([t for t in turns if t[1]])
    return dialogues


def _tidy(text):
    text = text.replace("\r", "").replace("_", "")
    return re.sub(r"[ \t]+", " ", text)


def read_texts(data_root, split="train"):
    """Plain texts, one string a file; every 20th file is held out, and every 20th fable.

    The fables of a split are joined to one text.
    """
    texts, fables = [], []
    for folder in TEXT_FOLDERS:
        base = Path(data_root) / folder
        if not base.is_dir():
            continue
        for path in sorted(base.rglob("*.txt")):
            if not path.name.startswith(_SKIPPED_NAMES):
                texts.append(_tidy(path.read_text(encoding="utf-8", errors="replace")))
        for path in sorted(base.rglob("*.json")):
            fables += _fables(json.loads(path.read_text(encoding="utf-8")))
    def mine(items):
        return [t for i, t in enumerate(items) if (i % _HELDOUT_EVERY == 7) == (split == "heldout")]

    joined = "\n\n".join(mine(fables))
    return mine(texts) + ([joined] if joined else [])


def _fables(value):
    """All long strings of a JSON document."""
    if isinstance(value, str):
        return [_tidy(value)] if len(value) > 200 else []
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        joined = [v for v in value if isinstance(v, str)]
        if joined and len(joined) == len(value) and sum(map(len, joined)) > 200:
            return [_tidy(" ".join(joined))]
        return [t for v in value for t in _fables(v)]
    return []


def passages(texts, longest=400):
    """Paragraphs of at most so many characters, joined lines, cut at a sentence end."""
    found = []
    for text in texts:
        for paragraph in re.split(r"\n\s*\n", text):
            line = " ".join(paragraph.split())
            if len(line) < 60:
                continue
            while len(line) > longest:
                cut = line.rfind(". ", 60, longest)
                if cut < 0:
                    line = ""
                    break
                found.append(line[:cut + 1])
                line = line[cut + 2:]
            if len(line) >= 60 and line[-1] in ".!?":
                found.append(line)
    return found


def dialogue_chat(rng, target_tokens, count_tokens, dialogues):
    """Whole dialogues until the target is nearly reached; the last is cut at a turn."""
    talk = Conversation()
    while True:
        for role, text in rng.choice(dialogues):
            spent = TURN_OVERHEAD + count_tokens(text)
            if talk.tokens + spent > target_tokens:
                return talk
            talk.turns.append(plain_turn(role, text))
            talk.tokens += spent


def small_chat(rng, target_tokens, count_tokens):
    """A chat of random intents."""
    talk = Conversation()
    if rng.random() < 0.3:
        turn = plain_turn("system", rng.choice(smalltalk.SYSTEM_PROMPTS))
        talk.turns.append(turn)
        talk.tokens += TURN_OVERHEAD + count_tokens(turn.text)
    while True:
        asked, said = smalltalk.exchange(rng)
        spent = 2 * TURN_OVERHEAD + count_tokens(asked) + count_tokens(said)
        if talk.tokens + spent > target_tokens:
            return talk
        talk.turns += [plain_turn("user", asked), plain_turn("assistant", said)]
        talk.tokens += spent
