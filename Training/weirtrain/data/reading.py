"""Reading tasks in the manner of bAbI, generated, and bAbI's own training files, as chat."""

from __future__ import annotations

import re
from pathlib import Path

from . import lists
from .conversation import ANSWER, CONTEXT, REPLY, Conversation, Question, Turn, cost, sentence

_PLACES = "kitchen garden office hallway bathroom bedroom park school cinema library cellar attic garage shop station barn".split()
_OBJECTS = "apple ball book key lamp letter coin hat cup milk football ring box pen rope".split()
_GO = ("went to", "moved to", "travelled to", "walked to", "ran to", "went back to")
_TAKE = ("took", "picked up", "got", "grabbed")
_DROP = ("dropped", "put down", "left")
_COUNTS = ("none", "one", "two", "three", "four", "five")


class Story:
    """A small world; tell() adds a sentence, questions() asks about its state."""

    def __init__(self, rng, split, draw=lists.draw):
        self.rng = rng
        self.people = lists.distinct(rng, "name", split, rng.randrange(2, 5), draw)
        self.places = rng.sample(_PLACES, rng.randrange(3, 7))
        self.objects = rng.sample(_OBJECTS, rng.randrange(2, 6))
        self.where, self.absent, self.holder, self.lying = {}, {}, {}, {}
        self.giver = {}

    def held(self, person):
        return [o for o in self.objects if self.holder.get(o) == person]

    def tell(self):
        """One random event as a sentence."""
        rng = self.rng
        person = rng.choice(self.people)
        pick = rng.random()
        here = self.where.get(person)
        if pick < 0.45 or here is None:
            if here is not None and rng.random() < 0.12:
                self.absent[person] = here
                self.where[person] = None
                return f"{person} is no longer in the {here}."
            place = rng.choice([p for p in self.places if p != here])
            self.where[person] = place
            self.absent.pop(person, None)
            return f"{person} {rng.choice(_GO)} the {place}."
        mine = self.held(person)
        free = [o for o in self.objects if o not in self.holder and self.lying.get(o) in (None, here)]
        if free and (pick < 0.75 or not mine):
            item = rng.choice(free)
            self.holder[item] = person
            self.lying.pop(item, None)
            return f"{person} {rng.choice(_TAKE)} the {item}."
        if not mine:
            return self.tell()
        item = rng.choice(mine)
        others = [p for p in self.people if p != person and self.where.get(p) == here]
        if others and rng.random() < 0.6:
            other = rng.choice(others)
            self.holder[item] = other
            self.giver[item] = (person, other)
            return f"{person} gave the {item} to {other}."
        del self.holder[item]
        self.lying[item] = here
        return f"{person} {rng.choice(_DROP)} the {item}."

    def ask(self):
        """(kind, question, wording, answer) or None if nothing can be asked."""
        rng = self.rng
        kind = rng.choice(("where", "where", "yesno", "who", "object", "count", "give", "list"))
        person = rng.choice(self.people)
        item = rng.choice(self.objects)
        if kind == "where":
            if self.where.get(person) is None:
                return None
            return kind, f"Where is {person}?", f"Now {person} is in the {{V}}.", self.where[person]
        if kind == "yesno":
            here = self.where.get(person)
            if here is None and person not in self.absent:
                return None
            place = rng.choice(self.places + [here or self.absent.get(person)] * 3)
            if here is None and place != self.absent[person]:
                return None
            return kind, f"Is {person} in the {place}?", "The answer is {V}.", "yes" if here == place else "no"
        if kind == "who":
            if item not in self.holder:
                return None
            return kind, f"Who has the {item}?", f"The {item} is with {{V}}.", self.holder[item]
        if kind == "object":
            place = self.lying.get(item) or self.where.get(self.holder.get(item))
            if place is None:
                return None
            return kind, f"Where is the {item}?", f"The {item} is in the {{V}}.", place
        if kind == "count":
            n = len(self.held(person))
            return kind, f"How many things does {person} have?", f"The answer is {{V}}.", _COUNTS[min(n, 5)]
        if kind == "list":
            mine = self.held(person)
            if len(mine) != 1:
                return None
            return kind, f"What does {person} have?", "It is the {V}.", mine[0]
        if item not in self.giver:
            return None
        giver, taker = self.giver[item]
        if rng.random() < 0.5:
            return kind, f"Who gave the {item} to {taker}?", "It was {V}.", giver
        return kind, f"To whom did {giver} give the {item}?", "It was {V}.", taker


def reading_chat(rng, target_tokens, count_tokens, split="train", shortest=3, longest=10,
                 draw=lists.draw):
    """Stories, each told in one or more user turns with questions after each part."""
    talk = Conversation()

    def add(turns, question=None):
        spent = cost(turns, count_tokens)
        if talk.tokens + spent > target_tokens:
            return False
        talk.turns += turns
        talk.tokens += spent
        if question:
            talk.questions.append(question)
        return True

    while True:
        story = Story(rng, split, draw)
        for part in range(rng.randrange(1, 4)):
            text = " ".join(story.tell() for _ in range(rng.randrange(shortest, longest + 1)))
            opening = "Here is a story. " if part == 0 else "The story goes on. "
            if not add([Turn("user", [(opening + text, CONTEXT)]),
                        Turn("assistant", [(rng.choice(("I have read it.", "OK.", "I see.")), REPLY)])]):
                return talk
            for _ in range(rng.randrange(2, 7)):
                asked = story.ask()
                if asked is None:
                    continue
                kind, text, wording, answer = asked
                question = Question(len(talk.turns), kind, [answer], [], False, text)
                if not add([Turn("user", [(text, CONTEXT)]),
                            Turn("assistant", sentence(wording, answer, REPLY, ANSWER))], question):
                    return talk


_LINE = re.compile(r"^(\d+) (.*)$")


def read_babi(data_root, split="train"):
    """Stories of bAbI's training files: lists of ("told", text) and ("asked", task, text, answer).

    The last tenth of each file's stories is held out.
    """
    folder = Path(data_root) / "evals" / "babi" / "en-10k"
    stories = []
    for path in sorted(folder.glob("*_train.txt")):
        task = path.name.split("_")[0]
        mine, current = [], []
        with path.open(encoding="utf-8") as file:
            for line in file:
                found = _LINE.match(line.rstrip("\n"))
                if not found:
                    continue
                if found.group(1) == "1" and current:
                    mine.append(current)
                    current = []
                parts = found.group(2).split("\t")
                if len(parts) >= 2:
                    current.append(("asked", task, parts[0].strip(), parts[1].strip().replace(",", ", ")))
                else:
                    current.append(("told", parts[0].strip()))
        if current:
            mine.append(current)
        cut = len(mine) - len(mine) // 10
        stories += mine[:cut] if split == "train" else mine[cut:]
    return stories


def babi_story(story, count_tokens, target_tokens, talk=None):
    """One story in chat form (facts and the next question in one user turn), as far as it fits."""
    talk = talk or Conversation()
    waiting = []
    for item in story:
        if item[0] == "told":
            waiting.append(item[1])
            continue
        _, task, text, answer = item
        full = " ".join(waiting + [text])
        waiting = []
        turns = [Turn("user", [(full, CONTEXT)]),
                 Turn("assistant", sentence("The answer is {V}.", answer, REPLY, ANSWER))]
        spent = cost(turns, count_tokens)
        if talk.tokens + spent > target_tokens:
            talk.full = True
            return talk
        talk.questions.append(Question(len(talk.turns), task, [answer], [], False, text))
        talk.turns += turns
        talk.tokens += spent
    return talk


def babi_chat(rng, target_tokens, count_tokens, stories):
    """Random stories until the target is nearly reached."""
    talk = Conversation()
    while not talk.full:
        babi_story(rng.choice(stories), count_tokens, target_tokens, talk)
    return talk
