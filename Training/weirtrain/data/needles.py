"""Facts that must be found inside one long text, and lists that must be followed from entry to entry."""

from __future__ import annotations

from . import facts, lists, recall, smalltalk
from .conversation import CONTEXT, Conversation, Question, Turn, capital, cost, plain_turn, sentence

OPENING = "Here is a text."
READ = "I have read it."


def filler(rng, passages):
    """One to a few sentences without facts."""
    return rng.choice(passages) if passages and rng.random() < 0.4 else smalltalk.filler(rng)


def document(builder, drawn, depths, size, passages):
    """Adds the user's text of about `size` tokens with the facts at their depths (ascending, in 0 to 1), and its answer."""
    pieces, used, here, marks = [(OPENING, CONTEXT)], 12, len(builder.talk.turns), []
    waiting = list(zip(depths, drawn))
    while waiting or used < size:
        if waiting and (used >= size or used >= waiting[0][0] * size):
            fact = waiting.pop(0)[1]
            text, fact.heldout = builder.writer.statement(fact)
            more = sentence(capital(text), fact.value, CONTEXT, CONTEXT, False)
            marks.append((fact, len(pieces), len(pieces) + len(more)))
        else:
            more = [(" " + filler(builder.rng, passages), CONTEXT)]
        pieces += more
        used += sum(builder.count(p[0]) for p in more)
    for fact, fact.piece, fact.end in marks:
        fact.turn, fact.mentions = here, [here]
    builder.known += drawn
    builder.talk.facts += drawn
    builder.add([Turn("user", pieces), plain_turn("assistant", READ)])


def document_chat(rng, target_tokens, count_tokens, split="train", options=None):
    """A text with two to twelve facts in it, then questions about them."""
    options = options or facts.Options()
    builder = facts.Builder(rng, count_tokens, split, options)
    drawn, builder.unknown = facts.draw_facts(rng, split, rng.randint(2, 12), options.draw)
    builder.total = len(drawn)
    size = int(max(40, target_tokens - 60 - 15 * len(drawn)) * rng.uniform(0.5, 0.9))
    document(builder, drawn, sorted(rng.random() for _ in drawn), size, options.passages)
    builder.fill(target_tokens)
    return builder.talk


def chain_plan(rng, split, count, draw):
    """(pairs, chains): keys with values; a value that is another key is followed. chains: key -> the keys on its way."""
    left = rng.sample(recall.ADJECTIVES, min(len(recall.ADJECTIVES), max(2, int(count ** 0.5)) + 1))
    right = lists.distinct(rng, "word", split, count // len(left) + 2, draw)
    keys = [f"{a} {n}" for a in left for n in right]
    rng.shuffle(keys)
    keys = keys[:count]
    kind = rng.choice(("number3", "number4", "code", "city", "name", "invented"))
    values, chains = {}, {}
    for i, key in enumerate(keys):
        ends = [k for k in keys[:i] if len(chains[k]) < 3]
        if ends and rng.random() < 0.6:
            values[key] = rng.choice(ends)
            chains[key] = [key] + chains[values[key]]
        else:
            values[key], chains[key] = draw(rng, kind, split), [key]
    pairs = list(values.items())
    rng.shuffle(pairs)
    return pairs, chains


def chain_turns(key, values, chain):
    """The question that follows a key to its end, and its answer."""
    text = f"Follow {key}."
    return recall.asked(text, [(one, values[one]) for one in chain]), text


def chain_chat(rng, target_tokens, count_tokens, split="train", draw=lists.draw, told=0.5, most=6):
    """A list of "blue river = old candle" pairs whose values may be keys, small talk, then questions that follow keys.

    At most `most` keys are followed, each once: a chain that was said before need not be looked up.
    """
    talk = Conversation()
    count = max(4, min(48, int(target_tokens * told / 16 * rng.uniform(0.3, 1.0))))
    pairs, chains = chain_plan(rng, split, count, draw)
    values, waiting, chatty = dict(pairs), list(pairs), rng.random() < 0.5

    def add(turns):
        spent = cost(turns, count_tokens)
        if talk.tokens + spent > target_tokens:
            return False
        talk.turns += turns
        talk.tokens += spent
        return True

    def chat(share):
        if chatty and rng.random() < share:
            asked, said = smalltalk.exchange(rng)
            add([plain_turn("user", asked), plain_turn("assistant", said)])

    while waiting:
        taken, waiting = waiting[:8], waiting[8:]
        if not add(recall.told(taken)):
            return talk
        talk.facts += taken
        chat(0.3)
    while chatty and talk.tokens < target_tokens * told * 1.2 and rng.random() < 0.95:
        chat(1.0)
    for key, _ in rng.sample(pairs, min(len(pairs), most)):
        turns, text = chain_turns(key, values, chains[key])
        here = len(talk.turns)
        if not add(turns):
            return talk
        talk.questions.append(Question(here, "chain", [values[chains[key][-1]]], chains[key], False, text))
        chat(0.3)
    return talk
