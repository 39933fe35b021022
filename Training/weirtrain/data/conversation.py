"""The parts of a generated conversation, and how sentences become weighted pieces."""

from __future__ import annotations

from dataclasses import dataclass, field

ANSWER, REPLY, CONTEXT = 1.0, 0.5, 0.1
TURN_OVERHEAD = 5
"""Tokens of ChatML around a turn: start, role, newline; end, newline."""


@dataclass
class Turn:
    """One message; pieces are (text, weight) and join to the content."""

    role: str
    pieces: list

    @property
    def text(self):
        return "".join(p[0] for p in self.pieces)


def cost(turns, count_tokens):
    """Tokens of turns in ChatML."""
    return sum(TURN_OVERHEAD + sum(count_tokens(p[0]) for p in turn.pieces) for turn in turns)


@dataclass
class Question:
    """A question asked in a turn, with the values its answer must contain."""

    turn: int
    kind: str
    answers: list
    facts: list
    heldout: bool = False
    text: str = ""


@dataclass
class Conversation:
    """Turns, the questions among them, and the facts stated."""

    turns: list = field(default_factory=list)
    questions: list = field(default_factory=list)
    facts: list = field(default_factory=list)
    tokens: int = 0
    full: bool = False


def capital(text):
    """The text with a capital first letter."""
    return text[:1].upper() + text[1:]


def sentence(text, value, weight, value_weight, first=True):
    """Pieces of one sentence; {V} in text marks the value."""
    lead = text if first else " " + text
    if value is None or "{V}" not in lead:
        return [(lead, weight)]
    before, after = lead.split("{V}", 1)
    pieces = []
    if before.endswith(" "):
        before, value = before[:-1], " " + value
    if before:
        pieces.append((before, weight))
    pieces.append((value, value_weight))
    if after:
        pieces.append((after, weight))
    return pieces


def plain_turn(role, text):
    """A turn without copied values."""
    return Turn(role, [(text, REPLY if role == "assistant" else CONTEXT)])
