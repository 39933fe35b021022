"""Entities, attributes and wordings of the generated facts.

A wording uses {S} (the entity), {P} (its possessive), {V} (the value) and verb
pairs such as {lives:live} (third person : otherwise) or {is}. The value never
begins a sentence and is never in quotes, so its tokens are the same wherever it
appears. A wording that begins with "~" occurs only in the held-out split.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from . import lists


@dataclass(frozen=True)
class Entity:
    """Something facts are told about; third is False for the user."""

    key: str
    user: str
    user_possessive: str
    assistant: str
    assistant_possessive: str
    group: str
    third: bool = True


@dataclass(frozen=True)
class Attribute:
    """A kind of fact with its wordings."""

    name: str
    group: str
    value: str
    phrase: str
    statements: tuple = ()
    questions: tuple = ()
    updates: tuple = ()
    shorts: tuple = ("It is {V}.",)


SELF = Entity("I", "I", "my", "you", "your", "person", False)

RELATIONS = """sister brother mother father aunt uncle cousin nephew niece grandmother grandfather
daughter son wife husband boss neighbour teacher doctor dentist landlord cook lawyer gardener
trainer partner secretary flatmate""".split()
ROLES = "friend colleague cousin neighbour student customer classmate".split()
PETS = "dog cat horse rabbit parrot hamster pony goldfish turtle canary goat donkey".split()
THINGS = """umbrella bicycle laptop camera suitcase watch guitar coat scarf hat lamp chair table
sofa clock mirror tent wallet kettle carpet helmet ladder bag ring radio vase boat kite desk
bed""".split()
EVENTS = """meeting concert wedding party lecture lesson exam picnic dinner interview match
workshop parade auction""".split()
STAYS = "hotel hostel cabin cottage villa campsite flat lodge".split()
TRIPS = "flight train bus ferry coach tram".split()
PROJECT_ROLES = "project team ship company club shop".split()


def entity(rng, group, split, draw=lists.draw):
    """A random entity of a group; draw(rng, kind, split) gives its name."""
    if group == "person":
        pick = rng.random()
        if pick < 0.1:
            return SELF
        if pick < 0.6:
            word = rng.choice(RELATIONS)
        else:
            word = rng.choice(ROLES) + " " + draw(rng, "name", split)
        return _owned(word, group)
    if group == "pet":
        return _owned(rng.choice(PETS), group)
    if group == "thing":
        return _owned(rng.choice(THINGS), group)
    if group == "event":
        return _plain("the " + rng.choice(EVENTS), group)
    if group == "stay":
        return _owned(rng.choice(STAYS), group, "our")
    if group == "trip":
        return _owned(rng.choice(TRIPS), group, rng.choice(("our", "my")))
    return _plain(f"the {rng.choice(PROJECT_ROLES)} {draw(rng, 'title', split)}", group)


def _owned(word, group, owner="my"):
    user, other = f"{owner} {word}", f"your {word}"
    return Entity(other, user, user + "'s", other, other + "'s", group)


def _plain(text, group):
    return Entity(text, text, text + "'s", text, text + "'s", group)


def _a(name, group, value, phrase, statements=(), questions=(), updates=(), shorts=None):
    return Attribute(name, group, value, phrase, tuple(statements), tuple(questions),
                     tuple(updates), tuple(shorts) if shorts else ("It is {V}.",))


ATTRIBUTES = (
    _a("name", "person", "name", "{P} first name",
       ["{S} {is} called {V}.", "{S} {has:have} the name {V}.", "{P} name is {V}.", "~people call {S} by the name {V}."],
       ["What {is} {S} called?", "What is {P} name?", "~By what name {is} {S} called?"]),
    _a("city", "person", "city", "{P} home city",
       ["{S} {lives:live} in {V}.", "{S} {has:have} a flat in {V}.", "~{P} flat is in {V}."],
       ["Where {does:do} {S} live?", "In which city {does:do} {S} live?", "What city {does:do} {S} live in?", "~In which city {is} {P} flat?"],
       ["{S} {has:have} moved to {V}.", "{S} now {lives:live} in {V}."], ["In {V}.", "It is {V}."]),
    _a("country", "person", "country", "{P} home country",
       ["{S} {comes:come} from {V}.", "{S} {was} born in {V}.", "~{S} {is} from {V}."],
       ["Where {does:do} {S} come from?", "Where {was} {S} born?", "~Which country {does:do} {S} come from?"],
       (), ["From {V}.", "It is {V}."]),
    _a("age", "person", "age", "{P} age",
       ["{S} {is} {V} years old.", "{S} {is} {V} now.", "~{S} {has:have} the age of {V} years."],
       ["How old {is} {S}?", "~How many years old {is} {S}?"],
       ["{S} {has:have} turned {V}."]),
    _a("job", "person", "job", "{P} job",
       ["{S} {works:work} as a {V}.", "{S} {is} a {V}.", "~{S} {has:have} a job as a {V}."],
       ["What {does:do} {S} do for a living?", "What {does:do} {S} work as?", "~What job {does:do} {S} do?"],
       ["{S} now {works:work} as a {V}.", "{S} {has:have} become a {V}."], ["A {V}.", "It is {V}."]),
    _a("birthday", "person", "month", "{P} birthday month",
       ["{P} birthday is in {V}.", "{S} {has:have} a birthday in {V}.", "~{S} {was} born in the month of {V}."],
       ["In which month is {P} birthday?", "When is {P} birthday?"], (), ["In {V}.", "It is {V}."]),
    _a("colour", "person", "colour", "{P} favourite colour",
       ["{S} {likes:like} the colour {V}.", "~{S} {likes:like} the colour {V} best."],
       ["Which colour {does:do} {S} like best?", "~Which colour {does:do} {S} like?"]),
    _a("food", "person", "food", "{P} favourite food",
       ["{S} {loves:love} to eat {V}.", "{S} {likes:like} eating {V}.", "~{S} {loves:love} eating {V}."],
       ["What {does:do} {S} love to eat?", "~What {does:do} {S} like eating?"]),
    _a("drink", "person", "drink", "{P} favourite drink",
       ["{S} always {drinks:drink} {V}.", "{S} {likes:like} to drink {V}."],
       ["What {does:do} {S} like to drink?", "~What {does:do} {S} always drink?"]),
    _a("sport", "person", "sport", "{P} favourite sport",
       ["{P} sport is {V}.", "{S} {is} good at {V}.", "~{S} {is} very good at {V}."],
       ["Which sport {does:do} {S} like?", "What sport {is} {S} good at?", "~Which sport {is} {S} good at?"]),
    _a("hobby", "person", "hobby", "{P} hobby",
       ["{P} hobby is {V}.", "{S} {enjoys:enjoy} {V}.", "{S} {spends:spend} the weekend with {V}."],
       ["What {does:do} {S} enjoy?", "What {does:do} {S} do at the weekend?"]),
    _a("language", "person", "language", "{P} new language",
       ["{S} {is} learning {V}.", "{S} {learns:learn} {V}.", "~{S} {is} learning to speak {V}."],
       ["Which language {is} {S} learning?", "What language {does:do} {S} learn?"]),
    _a("instrument", "person", "instrument", "{P} instrument",
       ["{S} {plays:play} the {V}.", "{S} {is} learning the {V}.", "~{S} {is} good at the {V}."],
       ["Which instrument {does:do} {S} play?", "What {does:do} {S} play?"], (),
       ["The {V}.", "It is the {V}."]),
    _a("fear", "person", "animal", "{P} greatest fear",
       ["{S} {is} afraid of {V}.", "{S} {fears:fear} {V}."],
       ["What {is} {S} afraid of?", "What {does:do} {S} fear?"]),
    _a("locker", "person", "number3", "{P} locker number",
       ["{S} {has:have} locker {V}.", "{S} {uses:use} locker {V}."],
       ["Which locker {does:do} {S} have?", "~Which locker {does:do} {S} use?"]),
    _a("phone", "person", "number4", "{P} phone code",
       ["{S} {uses:use} the phone code {V}.", "~{S} {has:have} the phone code {V}."],
       ["Which phone code {does:do} {S} use?"]),
    _a("password", "person", "secret", "{P} password",
       ["{S} {uses:use} the password {V}.", "~{S} {has:have} the password {V}."],
       ["Which password {does:do} {S} use?"], ["{S} now {uses:use} the password {V}."]),
    _a("street", "person", "street", "{P} street",
       ["{S} {lives:live} in {V} Street.", "{S} {has:have} a house in {V} Street.", "~{S} {has:have} a flat in {V} Street."],
       ["In which street {does:do} {S} live?"], ["{S} {has:have} moved to {V} Street."],
       ["In {V} Street.", "It is {V}."]),
    _a("holiday", "person", "month", "{P} holiday month",
       ["{S} {goes:go} on holiday in {V}.", "{S} {has:have} a holiday in {V}."],
       ["When {does:do} {S} go on holiday?", "~In which month {does:do} {S} go on holiday?"],
       (), ["In {V}.", "It is {V}."]),
    _a("pet name", "pet", "name", "{P} name",
       ["{S} is called {V}.", "{S} has the name {V}.", "{P} name is {V}."], ["What is {S} called?"]),
    _a("pet age", "pet", "age", "{P} age",
       ["{S} is {V} years old."], ["How old is {S}?", "~How many years old is {S}?"],
       ["{S} has turned {V}."]),
    _a("pet colour", "pet", "colour", "{P} colour",
       ["{S} is {V}."], ["What colour is {S}?", "~Which colour is {S}?"]),
    _a("pet food", "pet", "food", "{P} favourite food",
       ["{S} loves to eat {V}.", "{S} eats {V}."], ["What does {S} love to eat?", "What does {S} eat?"]),
    _a("pet place", "pet", "place", "{P} place to sleep",
       ["{S} sleeps in the {V}."], ["Where does {S} sleep?"],
       ["{S} now sleeps in the {V}."], ["In the {V}."]),
    _a("pet weight", "pet", "number2", "{P} weight",
       ["{S} weighs {V} pounds.", "~{S} now weighs {V} pounds."], ["How much does {S} weigh?"]),
    _a("thing place", "thing", "place", "{P} place",
       ["{S} is in the {V}.", "I put {S} in the {V}.", "~I have put {S} in the {V}."],
       ["Where is {S}?", "~Where did I put {S}?"],
       ["I moved {S} to the {V}.", "{S} is now in the {V}."], ["In the {V}.", "It is in the {V}."]),
    _a("thing colour", "thing", "colour", "{P} colour",
       ["{S} is {V}."], ["What colour is {S}?", "~Which colour is {S}?"]),
    _a("thing price", "thing", "price", "{P} price",
       ["{S} costs {V} dollars.", "I paid {V} dollars for {S}."],
       ["How much does {S} cost?", "How much did I pay for {S}?"]),
    _a("thing material", "thing", "material", "{P} material",
       ["{S} is made of {V}."], ["What is {S} made of?", "~Of what material is {S} made?"]),
    _a("thing number", "thing", "code", "{P} serial number",
       ["{S} has the serial number {V}.", "~the serial number of {S} is {V}."],
       ["Which serial number does {S} have?"]),
    _a("thing giver", "thing", "name", "{P} owner",
       ["{S} belongs to {V}.", "I gave {S} to {V}."], ["Who owns {S}?", "~Who has {S}?"],
       ["{S} now belongs to {V}."]),
    _a("event day", "event", "day", "{P} day",
       ["{S} is on {V}.", "{S} takes place on {V}."],
       ["On which day is {S}?", "~On which day does {S} take place?"],
       ["{S} has been moved to {V}."], ["On {V}.", "It is on {V}."]),
    _a("event time", "event", "time", "{P} starting time",
       ["{S} starts at {V}.", "{S} begins at {V}."],
       ["At what time does {S} start?", "When does {S} begin?", "~At what time does {S} begin?"],
       ["{S} now starts at {V}."], ["At {V}.", "It is {V}."]),
    _a("event room", "event", "number3", "{P} room number",
       ["{S} is in room {V}.", "{S} takes place in room {V}."],
       ["In which room is {S}?", "~In which room does {S} take place?"],
       ["{S} has been moved to room {V}."], ["In room {V}.", "It is {V}."]),
    _a("event topic", "event", "topic", "{P} topic",
       ["{S} is about {V}."], ["What is {S} about?"], (), ["It is about {V}.", "It is {V}."]),
    _a("event guest", "event", "name", "{P} main guest",
       ["the main guest at {S} is {V}.", "at {S} the main guest is {V}.", "~the guest at {S} is {V}."], ["Who is the main guest at {S}?"]),
    _a("event city", "event", "city", "{P} city",
       ["{S} takes place in {V}.", "{S} is in {V}."], ["In which city is {S}?", "~In which city does {S} take place?"],
       ["{S} has been moved to {V}."], ["In {V}.", "It is {V}."]),
    _a("stay name", "stay", "title", "{P} name",
       ["{S} is called {V}.", "{S} has the name {V}."], ["What is {S} called?"]),
    _a("stay room", "stay", "number3", "{P} room number",
       ["we have room {V} in {S}.", "~in {S} we have room {V}."],
       ["Which room do we have in {S}?"]),
    _a("stay price", "stay", "price", "{P} price",
       ["{S} costs {V} dollars a night.", "~{S} costs {V} dollars."],
       ["How much does {S} cost?"]),
    _a("stay city", "stay", "city", "{P} city",
       ["{S} is in {V}.", "we booked {S} in {V}."], ["In which city is {S}?"],
       (), ["In {V}.", "It is in {V}."]),
    _a("stay street", "stay", "street", "{P} street",
       ["{S} is in {V} Street."], ["In which street is {S}?"], (), ["In {V} Street.", "It is {V}."]),
    _a("stay network", "stay", "secret", "{P} network password",
       ["{S} has the network password {V}."], ["Which network password does {S} have?"]),
    _a("trip number", "trip", "code", "{P} number",
       ["{S} has the number {V}."], ["Which number does {S} have?"]),
    _a("trip time", "trip", "time", "{P} departure time",
       ["{S} leaves at {V}."], ["At what time does {S} leave?"],
       ["{S} now leaves at {V}."], ["At {V}.", "It is {V}."]),
    _a("trip seat", "trip", "number2", "{P} seat number",
       ["we have seat {V} on {S}.", "on {S} we have seat {V}."], ["Which seat do we have on {S}?"]),
    _a("trip city", "trip", "city", "{P} destination",
       ["{S} goes to {V}."], ["Where does {S} go?", "~To which city does {S} go?"], (), ["To {V}.", "It is {V}."]),
    _a("trip price", "trip", "price", "{P} price",
       ["{S} costs {V} dollars.", "~we paid {V} dollars for {S}."], ["How much does {S} cost?"]),
    _a("trip day", "trip", "day", "{P} day",
       ["{S} leaves on {V}.", "{S} is on {V}."], ["On which day does {S} leave?", "~On which day is {S}?"],
       ["{S} has been moved to {V}."], ["On {V}.", "It is {V}."]),
    _a("project leader", "project", "name", "{P} leader",
       ["{S} is led by {V}."], ["Who leads {S}?", "~By whom is {S} led?"], ["{S} is now led by {V}."]),
    _a("project city", "project", "city", "{P} home city",
       ["{S} is based in {V}."], ["Where is {S} based?", "~In which city is {S} based?"],
       ["{S} has moved to {V}."], ["In {V}.", "It is {V}."]),
    _a("project month", "project", "month", "{P} deadline",
       ["{S} must be ready in {V}."], ["When must {S} be ready?"], (), ["In {V}.", "It is {V}."]),
    _a("project budget", "project", "number4", "{P} budget",
       ["{S} has a budget of {V} dollars.", "there are {V} dollars in the budget of {S}."], ["How much money does {S} have?"]),
    _a("project word", "project", "secret", "{P} code word",
       ["{S} uses the code word {V}."], ["Which code word does {S} use?"]),
    _a("project colour", "project", "colour", "{P} colour",
       ["{S} uses the colour {V}."], ["Which colour does {S} use?"]),
    _a("project size", "project", "number2", "{P} number of people",
       ["{S} has {V} people.", "~there are {V} people in {S}."], ["How many people does {S} have?"]),
)

GROUPS = ("person", "person", "person", "person", "pet", "thing", "thing", "event", "stay", "trip", "project")
BY_GROUP = {g: [a for a in ATTRIBUTES if a.group == g] for g in set(GROUPS)}

GENERAL_STATEMENTS = ("{phrase} is {V}.", "Please remember that {phrase} is {V}.",
                      "You should know that {phrase} is {V}.", "Note that {phrase} is {V}.",
                      "By the way, {phrase} is {V}.", "I want to tell you that {phrase} is {V}.",
                      "For later: {phrase} is {V}.", "{of} is {V}.", "Note that {of} is {V}.",
                      "~Please note that {phrase} is {V}.")
GENERAL_UPDATES = ("{phrase} is now {V}.", "{phrase} has changed to {V}.",
                   "Correction: {phrase} is {V}.", "Actually, {phrase} is now {V}.",
                   "~Correction: {phrase} has changed to {V}.")
GENERAL_QUESTIONS = ("What is {phrase}?", "Tell me {phrase}.", "Do you remember {phrase}?",
                     "Can you remind me of {phrase}?", "I forgot {phrase}. What is it?",
                     "Do you know {phrase}?", "Please give me {phrase}.", "What was {phrase} again?",
                     "What is {of}?", "Tell me {of}.",
                     "~Can you tell me {phrase}?", "~I forgot {phrase}. Can you remind me of it?")
PAIR_QUESTIONS = ("What are {one} and {two}?", "Tell me {one} and {two}.",
                  "Do you remember {one} and {two}?", "Please give me {one} and {two}.", "~Can you tell me {one} and {two}?")
# They begin like a known answer: whether there is a value is decided where the value would stand, by looking for it.
UNKNOWN_ANSWERS = ("{phrase} is {V} you have not told me.", "{phrase} is {V} I do not know.")
UNKNOWN_VALUE = "something"


def of_phrase(attribute):
    """"the locker number of {S}" for "{P} locker number"."""
    return attribute.phrase.replace("{P} ", "the ") + " of {S}"


def suits(wording, entity, attribute):
    """Whether a general wording can be used: "the age of me" is no English, one "of" wording is held out."""
    return "{of}" not in wording or (entity.third and attribute.name != "thing number")


def split_wordings(wordings):
    """(shared, held-out) wordings, without the mark."""
    return ([w for w in wordings if not w.startswith("~")],
            [w[1:] for w in wordings if w.startswith("~")])


_BE = {"third": {"is": "is", "was": "was"}, "first": {"is": "am", "was": "was"},
       "second": {"is": "are", "was": "were"}}
_VERB = re.compile(r"\{(\w+):(\w+)\}")


_SPEAKER = re.compile(r"\b(I|we)\b")


def inflect(wording, form, spoken_by_user=True):
    """Put the verbs of a wording into a grammatical person."""
    if not spoken_by_user:
        wording = _SPEAKER.sub("you", wording)
    text = _VERB.sub(lambda m: m.group(1) if form == "third" else m.group(2), wording)
    for key, value in _BE[form].items():
        text = text.replace("{" + key + "}", value)
    return text
