"""Generated conversations: facts are told, changed and asked for again.

Every conversation draws its own facts, so a value can only be known from the
context. Questions are drawn independently and with replacement over the facts
told so far.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from . import attributes as words
from . import lists, smalltalk
from .conversation import (ANSWER, CONTEXT, REPLY, TURN_OVERHEAD, Conversation, Question, Turn,
                           capital, cost, plain_turn, sentence)


@dataclass
class Options:
    """Shares are of exchanges, unless said otherwise."""

    min_facts: int = 4
    max_facts: int = 60
    tokens_per_fact: int = 64
    question_share: float = 0.62
    update_share: float = 0.05
    unknown_share: float = 0.06      # of questions
    pair_share: float = 0.12         # of questions
    short_share: float = 0.25        # of single answers
    distractor_share: float = 0.10
    restate_share: float = 0.7       # of acknowledgements
    fresh_share: float = 0.0         # of questions: about a fact that was not asked for before, if there is one
    system_share: float = 0.25       # of conversations
    heldout_wording_share: float = 0.3   # of wordings, in the held-out split
    plain: bool = False              # one wording only: "{phrase} is {V}."
    passages: tuple = ()             # plain text for distractors
    pieces: tuple = ()               # of a vocabulary, for strange words (lists.strange)
    strange_share: float = 0.0       # of the words that are drawn
    rush: float = 1.3                # how much faster facts are told than the conversation goes on

    def draw(self, rng, kind, split):
        """One value of a kind."""
        return lists.draw(rng, kind, split, self.pieces, self.strange_share)


@dataclass
class Fact:
    """A fact; mentions lists (turn, first piece, end piece) of every statement of it."""

    entity: words.Entity
    attribute: words.Attribute
    value: str
    turn: int = -1
    piece: int = 0
    end: int = 0
    heldout: bool = False
    asked: bool = False
    old: list = field(default_factory=list)
    mentions: list = field(default_factory=list)


@lru_cache(maxsize=None)
def _shared(wordings):
    return words.split_wordings(wordings)


@lru_cache(maxsize=200_000)
def _fill(wording, entity, by_user, attribute=None):
    """A wording with everything but the value filled in."""
    form = "third" if entity.third else ("first" if by_user else "second")
    text = words.inflect(wording, form, by_user)
    if attribute is not None:
        text = text.replace("{phrase}", attribute.phrase).replace("{of}", words.of_phrase(attribute))
    if by_user:
        text = text.replace("{S}", entity.user).replace("{P}", entity.user_possessive)
    else:
        text = text.replace("{S}", entity.assistant).replace("{P}", entity.assistant_possessive)
    return text


class Writer:
    """Chooses wordings of one conversation."""

    def __init__(self, rng, split, options):
        self.rng, self.split, self.options = rng, split, options

    def choose(self, wordings):
        """One wording and whether it is a held-out one."""
        shared, heldout = _shared(wordings)
        if (heldout and self.split == "heldout"
                and (not shared or self.rng.random() < self.options.heldout_wording_share)):
            return self.rng.choice(heldout), True
        return self.rng.choice(shared), False

    def either(self, special, general, fact):
        """A wording from one of two lists: half each if both have some."""
        if self.options.plain:
            return general[0], False
        shared, _ = _shared(special)
        if shared and self.rng.random() < 0.6:
            return self.choose(special)
        while True:
            found = self.choose(general)
            if words.suits(found[0], fact.entity, fact.attribute):
                return found

    def statement(self, fact):
        text, heldout = self.either(fact.attribute.statements, words.GENERAL_STATEMENTS, fact)
        return _fill(text, fact.entity, True, fact.attribute), heldout

    def update(self, fact):
        text, heldout = self.either(fact.attribute.updates, words.GENERAL_UPDATES, fact)
        return _fill(text, fact.entity, True, fact.attribute), heldout

    def question(self, fact):
        text, heldout = self.either(fact.attribute.questions, words.GENERAL_QUESTIONS, fact)
        return _fill(text, fact.entity, True, fact.attribute), heldout

    def restated(self, fact):
        """The fact as the assistant says it."""
        shared, _ = _shared(fact.attribute.statements)
        if self.options.plain or not shared or self.rng.random() < 0.5:
            wording = "{phrase} is {V}."
        else:
            wording = self.rng.choice(shared)
        return _fill(wording, fact.entity, False, fact.attribute)

    def short(self, fact):
        return self.rng.choice(fact.attribute.shorts)

    def phrase(self, entity, attribute, by_user):
        return _fill("{phrase}", entity, by_user, attribute)


def draw_facts(rng, split, count, draw=lists.draw):
    """(facts, unknown pairs): facts in blocks of entities by attributes of one group."""
    facts, unknown, seen = [], [], set()
    while len(facts) < count:
        group = rng.choice(words.GROUPS)
        attributes = words.BY_GROUP[group]
        chosen = rng.sample(attributes, min(len(attributes), rng.randrange(1, 5)))
        for _ in range(rng.randrange(2, 7)):
            entity = words.entity(rng, group, split, draw)
            for attribute in chosen:
                key = (entity.key, attribute.name)
                if key in seen:
                    continue
                seen.add(key)
                if rng.random() < 0.15:
                    unknown.append((entity, attribute))
                else:
                    facts.append(Fact(entity, attribute, draw(rng, attribute.value, split)))
    rng.shuffle(facts)
    unknown += [(f.entity, f.attribute) for f in facts[count:]]
    return facts[:count], unknown


class Builder:
    """Builds one conversation exchange by exchange."""

    def __init__(self, rng, count_tokens, split, options):
        self.rng, self.count, self.split, self.options = rng, count_tokens, split, options
        self.writer = Writer(rng, split, options)
        self.known, self.waiting, self.unknown = [], [], []
        self.reserved = set()
        self.talk = Conversation()

    def cost(self, turns):
        return cost(turns, self.count)

    def add(self, turns, questions=()):
        self.talk.turns += turns
        self.talk.questions += questions
        self.talk.tokens += self.cost(turns)

    # Exchanges return (turns, questions, commit).

    def tell(self, facts, update=False, acknowledge=None):
        """The user states facts; the assistant acknowledges."""
        rng, here = self.rng, len(self.talk.turns)
        pieces, heard = [], []
        marks = []
        for fact, value in facts:
            text, heldout = (self.writer.update if update else self.writer.statement)(fact)
            start = len(pieces)
            pieces += sentence(capital(text), value, CONTEXT, CONTEXT, not pieces)
            marks.append((fact, value, start, len(pieces), heldout))
        restate = rng.random() < self.options.restate_share if acknowledge is None else acknowledge
        if restate:
            opening = rng.choice(("Noted: ", "Got it: ", "OK, ", "I see, ", "") if not update
                                 else ("Updated: ", "Noted: ", "OK, ", ""))
            for fact, value in facts:
                text = self.writer.restated(fact)
                if not heard and opening:
                    heard += sentence(opening + text, value, REPLY, ANSWER)
                else:
                    heard += sentence(capital(text), value, REPLY, ANSWER, not heard)
        else:
            heard = [(rng.choice(smalltalk.BARE_ACKNOWLEDGEMENTS), REPLY)]

        def commit():
            for fact, value, start, end, heldout in marks:
                if update:
                    fact.old.append(fact.value)
                    fact.value = value
                else:
                    self.known.append(fact)
                    self.talk.facts.append(fact)
                fact.turn, fact.piece, fact.end, fact.heldout = here, start, end, heldout
                fact.mentions = [here] + ([here + 1] if restate else [])

        return [Turn("user", pieces), Turn("assistant", heard)], [], commit

    def ask(self, fact):
        """A question about one fact."""
        text, heldout = self.writer.question(fact)
        here = len(self.talk.turns)
        if not self.options.plain and self.rng.random() < self.options.short_share:
            answer = self.writer.short(fact)
        else:
            answer = capital(self.writer.restated(fact))
        if text.startswith("Do you remember") and self.rng.random() < 0.5:
            pieces = sentence("Yes, " + answer[:1].lower() + answer[1:], fact.value, REPLY, ANSWER)
        else:
            pieces = sentence(answer, fact.value, REPLY, ANSWER)
        kind = "update" if fact.old else "single"
        question = Question(here, kind, [fact.value], [fact], heldout or fact.heldout, capital(text))
        return ([Turn("user", [(capital(text), CONTEXT)]), Turn("assistant", pieces)], [question],
                lambda: self.answered(here + 1, fact))

    def answered(self, turn, *asked):
        """Notes that a turn gave the values of some facts."""
        for fact in asked:
            fact.mentions.append(turn)
            fact.asked = True

    def ask_pair(self, one, two):
        """A question about two facts at once."""
        wording, heldout = self.writer.choose(words.PAIR_QUESTIONS)
        phrase = self.writer.phrase
        text = wording.format(one=phrase(one.entity, one.attribute, True),
                              two=phrase(two.entity, two.attribute, True))
        pieces = sentence(capital(phrase(one.entity, one.attribute, False)) + " is {V} and",
                          one.value, REPLY, ANSWER)
        pieces += sentence(phrase(two.entity, two.attribute, False) + " is {V}.",
                           two.value, REPLY, ANSWER, False)
        here = len(self.talk.turns)
        question = Question(here, "multi", [one.value, two.value], [one, two],
                            heldout or one.heldout or two.heldout, text)
        return ([Turn("user", [(text, CONTEXT)]), Turn("assistant", pieces)], [question],
                lambda: self.answered(here + 1, one, two))

    def ask_unknown(self, entity, attribute):
        """A question about something never told."""
        fact = Fact(entity, attribute, "")
        text, heldout = self.writer.question(fact)
        wording = self.rng.choice(words.UNKNOWN_ANSWERS).replace(
            "{phrase}", capital(self.writer.phrase(entity, attribute, False)))
        answer = sentence(wording, words.UNKNOWN_VALUE, REPLY, ANSWER)
        question = Question(len(self.talk.turns), "unknown", [], [], heldout, capital(text))
        return ([Turn("user", [(capital(text), CONTEXT)]), Turn("assistant", answer)],
                [question], lambda: None)

    def distract(self):
        """Small talk, a made-up sentence or a passage."""
        rng = self.rng
        if self.options.passages and rng.random() < 0.3:
            passage = rng.choice(self.options.passages)
            return ([plain_turn("user", passage),
                     plain_turn("assistant", rng.choice(smalltalk.PASSAGE_REPLIES))], [], lambda: None)
        if rng.random() < 0.5:
            asked, said = smalltalk.exchange(rng)
        else:
            asked, said = smalltalk.filler(rng), rng.choice(smalltalk.BARE_ACKNOWLEDGEMENTS)
        return [plain_turn("user", asked), plain_turn("assistant", said)], [], lambda: None

    def question(self):
        """A random question; facts are drawn with replacement."""
        rng, options = self.rng, self.options
        pick = rng.random()
        if pick < options.unknown_share and self.unknown:
            return self.ask_unknown(*rng.choice(self.unknown))
        pool = self.askable
        if options.fresh_share and rng.random() < options.fresh_share:
            pool = [fact for fact in pool if not fact.asked] or pool
        if pick > 1 - options.pair_share and len(pool) > 1:
            one, two = rng.choice(pool), rng.choice(pool)
            if one is not two:
                return self.ask_pair(one, two)
        return self.ask(rng.choice(pool))

    @property
    def askable(self):
        if not self.reserved:
            return self.known
        return [f for f in self.known if id(f) not in self.reserved]

    def next(self, progress):
        """One exchange, given the part of the conversation that is done."""
        rng, options = self.rng, self.options
        due = 1 - len(self.waiting) / max(1, self.total)
        if self.waiting and (not self.askable or due < options.rush * progress + 0.02):
            n = min(len(self.waiting), rng.choice((1, 1, 1, 2, 2, 3)))
            return self.tell([(f, f.value) for f in self._take(n)])
        pick = rng.random()
        if self.waiting and options.rush > 1.5:  # tell first, ask later: else fresh facts are asked for at once
            pick = 1.0 if pick > 0.25 else pick
        if pick < options.distractor_share:
            return self.distract()
        pick -= options.distractor_share
        if pick < options.update_share:
            fact = rng.choice(self.askable)
            for _ in range(8):
                value = options.draw(rng, fact.attribute.value, self.split)
                if value != fact.value:
                    return self.tell([(fact, value)], update=True)
        pick -= options.update_share
        if self.waiting and pick > options.question_share:
            n = min(len(self.waiting), rng.choice((1, 1, 2)))
            return self.tell([(f, f.value) for f in self._take(n)])
        return self.question()

    def _take(self, n):
        self.taken = self.waiting[:n]
        return self.taken

    def fill(self, target_tokens, total=None):
        """Add exchanges until the target is nearly reached (never exceeded).

        total is the planned length of the whole conversation, if it is more.
        """
        misses = 0
        while misses < 6:
            left = target_tokens - self.talk.tokens
            if left < 2 * TURN_OVERHEAD + 4:
                break
            self.taken = []
            turns, questions, commit = self.next(self.talk.tokens / (total or target_tokens))
            if self.cost(turns) > left:
                misses += 1
                continue
            self.add(turns, questions)
            if self.taken:
                self.waiting = self.waiting[len(self.taken):]
            commit()


def fact_count(rng, target_tokens, options):
    """How many facts a conversation of a length has."""
    n = int(target_tokens / options.tokens_per_fact * rng.uniform(0.4, 1.2))
    return max(options.min_facts, min(options.max_facts, n))


def conversation(rng, target_tokens, count_tokens, split="train", options=None):
    """A conversation of at most target_tokens tokens in ChatML, usually within 30 of it."""
    options = options or Options()
    builder = Builder(rng, count_tokens, split, options)
    builder.waiting, builder.unknown = draw_facts(
        rng, split, fact_count(rng, target_tokens, options), options.draw)
    builder.total = len(builder.waiting)
    if rng.random() < options.system_share and target_tokens > 200:
        builder.add([plain_turn("system", rng.choice(smalltalk.SYSTEM_PROMPTS))])
    builder.fill(target_tokens)
    return builder.talk
