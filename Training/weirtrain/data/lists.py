"""Value lists of the generated data, and how they are split.

Lists of at least 24 words are divided: two thirds belong to "train", every
third word to "heldout". Shorter lists (months, days, colours) are shared.
Made-up words and codes are divided by a checksum of their letters.
"""

from __future__ import annotations

import zlib

NAMES = """Anna Ben Clara David Emma Felix Greta Henry Ida Jack Karen Leo Maria Nils Olga Peter
Rosa Simon Tina Victor Wanda Xavier Yara Zoe Alice Bruno Cecil Dora Edgar Fiona George Hanna
Igor Julia Kevin Laura Martin Nora Oscar Paula Quentin Rita Sven Teresa Ursula Vera Walter
Amir Bella Carlos Diana Erik Flora Gustav Helen Isaac Jonas Kira Linda Mona Nathan Olivia
Pablo Rachel Samuel Thomas Uma Vincent Wendy Adam Boris Carmen Dennis Elsa Frank Gloria Hugo
Irene Jakob Lucy Marcus Nadia Otto Priya Robert Sarah Tobias Agnes Albert Beatrice Colin
Daisy Edwin Esther Fatima Gerald Heidi Ivan Jasmin Keith Lena Miguel Naomi Oliver Patrick
Ruth Stefan Tamara Ulrich Valerie William Yusuf Zara Arthur Bridget Conrad Dolores Ernest
Frida Gavin Harriet Ingrid Jerome Katrin Louis Miriam Noah Ophelia Philip Regina Sofia
Tristan Viola Winston Yvonne Aaron Bianca Cyril Delia Elias Florence Gordon Hilda Jasper
Kamal Lydia Mario Nina Omar Pearl Ralph Selma Theodor Vivian Wilma Andrea Basil Claire Dario
Eva Fabian Gemma Hector Iris Joel Klara Lorenz Mabel Nico Odette Pierre Rosalind Sergio
Tilda Urban Violet Wesley""".split()

CITIES = """Lisbon Oslo Madrid Paris Berlin Vienna Rome Prague Dublin London Athens Warsaw
Helsinki Stockholm Budapest Brussels Amsterdam Copenhagen Zurich Geneva Milan Naples Venice
Turin Hamburg Munich Cologne Dresden Leipzig Bremen Lyon Nice Bordeaux Toulouse Seville
Valencia Porto Bilbao Granada Krakow Sofia Belgrade Zagreb Riga Tallinn Vilnius Kiev Moscow
Istanbul Ankara Cairo Tunis Algiers Nairobi Lagos Accra Dakar Delhi Mumbai Calcutta Tokyo
Osaka Kyoto Seoul Beijing Shanghai Hanoi Bangkok Manila Jakarta Sydney Melbourne Perth
Auckland Toronto Montreal Vancouver Chicago Boston Denver Seattle Houston Dallas Atlanta
Detroit Phoenix Memphis Portland Lima Quito Bogota Caracas Santiago Havana Bergen Malmo
Aarhus Turku Graz Linz Basel Bern Ghent Bruges Utrecht Leeds Bristol York Oxford Cardiff
Glasgow Edinburgh Aberdeen Belfast Cork Galway""".split()

COUNTRIES = """France Spain Italy Greece Norway Sweden Finland Denmark Poland Hungary Austria
Germany Belgium Ireland Scotland Portugal Turkey Egypt Morocco Kenya Ghana India Japan China
Korea Vietnam Thailand Canada Mexico Brazil Peru Chile Cuba Iceland Croatia Serbia Latvia
Russia Jordan Nepal Iran Israel""".split()

JOBS = """teacher doctor baker nurse lawyer painter driver farmer pilot singer writer dentist
gardener plumber carpenter chemist librarian tailor waiter barber butcher sailor soldier
reporter lecturer translator mechanic florist jeweller judge cook clerk builder dancer
designer programmer postman fisherman policeman shepherd potter weaver banker cashier
porter miner musician sculptor vet surgeon""".split()

FOODS = """pizza pasta soup rice bread cheese salad sushi curry fish chicken cake chocolate
pancakes noodles potatoes beans lentils mushrooms tomatoes apples bananas cherries grapes
oranges pears plums strawberries honey yoghurt porridge dumplings stew pie sausages eggs
toast butter jam olives spinach carrots onions peas corn pumpkin biscuits pudding
waffles""".split()

DRINKS = """tea coffee milk water lemonade cider beer wine juice cocoa soda whisky rum gin
punch ale port sherry""".split()

SPORTS = """tennis football golf rugby hockey cricket swimming running cycling rowing sailing
skiing skating boxing fencing wrestling climbing surfing archery judo karate badminton
basketball volleyball baseball handball gymnastics diving riding bowling squash polo curling
canoeing hiking""".split()

HOBBIES = """knitting painting reading cooking chess gardening fishing singing dancing pottery
photography sewing baking drawing hunting birdwatching camping writing juggling carpentry
astronomy origami travelling acting puzzles weaving cards darts poetry magic""".split()

ANIMALS = """cats dogs horses rabbits lions tigers bears wolves foxes owls eagles parrots
snakes spiders bees ants mice rats bats frogs turtles sharks whales dolphins geese ducks hens
goats sheep cows pigs monkeys elephants camels zebras penguins swans hedgehogs squirrels
beetles""".split()

INSTRUMENTS = """piano violin guitar flute trumpet drum harp cello clarinet banjo oboe organ
saxophone accordion trombone fiddle viola tuba mandolin whistle bassoon lute bagpipe
horn""".split()

LANGUAGES = """French Spanish Italian Greek Norwegian Swedish Finnish Danish Polish Hungarian
German Dutch Irish Portuguese Turkish Arabic Hindi Japanese Chinese Korean Russian Latin
Czech Hebrew Persian Thai Welsh Basque""".split()

COLOURS = """red blue green yellow white black brown grey pink purple orange silver gold
violet""".split()

MONTHS = """January February March April May June July August September October November
December""".split()

DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()

PLACES = """kitchen garden cellar attic garage bathroom bedroom hallway office library drawer
cupboard wardrobe basket box suitcase shed barn basement corridor pantry study lounge balcony
porch chest locker cabinet backpack car""".split()

STREETS = """Oak Elm Maple Cedar Pine Birch Willow Mill Church School Station Market Castle
Bridge River Hill Lake Forest Park Garden King Queen Prince Duke Bishop Abbey Temple Tower
Harbour Ocean Sunset Meadow Orchard Victoria Albert Nelson Baker Fisher Potter Weaver Miller
Smith""".split()

TOPICS = """money safety travel training history weather music health energy water traffic
housing farming fashion science sport art food law language research marketing design
insurance transport education security tourism shipping banking publishing
forestry""".split()

MATERIALS = """wood steel glass paper leather cotton wool silk stone brick copper iron plastic
rubber clay marble straw bamboo velvet linen brass tin""".split()

WORDS = """anchor apple arrow autumn bamboo banner basin beacon bell berry blanket bottle
branch bridge bronze bucket button candle canyon carpet castle cave chain chalk cherry circle
cliff cloud clover coal comet copper coral corner cotton cradle crown crystal curtain dagger
desert diamond dragon eagle echo ember engine falcon feather fern fiddle flame forest fossil
fountain galaxy garnet glacier glove granite hammer harbour harvest hazel helmet hollow honey
island ivory ivy jacket jasmine jewel jungle kettle kite ladder lagoon lantern laurel lemon
lily lizard lotus magnet maple marble meadow melon mirror monsoon mountain needle nest nickel
nutmeg oasis ocean olive onyx opal orchard otter oyster paddle palace panther parade pearl
pebble pepper pigeon pillow pine planet plaza pocket pond poppy prairie prism pumpkin quarry
quartz rabbit raven ribbon ridge ripple river robin rocket rose ruby saddle saffron sail
salmon sandal sapphire shadow shell shield silver sparrow spiral spring spruce statue stone
storm sugar summit sunset swallow tablet temple thistle thunder timber topaz torch tower
tulip tunnel turtle umbrella valley vanilla velvet violet violin walnut water wheel willow
window winter wizard wolf zebra""".split()

_LISTS = {
    "name": NAMES, "city": CITIES, "country": COUNTRIES, "job": JOBS, "food": FOODS,
    "drink": DRINKS, "sport": SPORTS, "hobby": HOBBIES, "animal": ANIMALS,
    "instrument": INSTRUMENTS, "language": LANGUAGES, "colour": COLOURS, "month": MONTHS,
    "day": DAYS, "place": PLACES, "street": STREETS, "topic": TOPICS, "material": MATERIALS,
    "word": WORDS,
}

_SPLIT_FROM = 24


def divide(words, split):
    """The words of a list which belong to a split."""
    if len(words) < _SPLIT_FROM:
        return list(words)
    if split == "heldout":
        return [w for i, w in enumerate(words) if i % 3 == 2]
    return [w for i, w in enumerate(words) if i % 3 != 2]


VALUES = {s: {k: divide(v, s) for k, v in _LISTS.items()} for s in ("train", "heldout")}

_ONSETS = "b d f g k l m n p r s t v z br dr gr kl pl st tr sh".split()
_VOWELS = "a e i o u".split()
_ENDS = ["", "", "", "n", "r", "l", "s", "m", "t"]
_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"


def belongs(word, split):
    """Whether a made-up word belongs to a split (one third is held out)."""
    heldout = zlib.crc32(word.lower().encode()) % 3 == 0
    return heldout == (split == "heldout")


def invented(rng, split):
    """A made-up word of two or three syllables."""
    while True:
        n = 2 if rng.random() < 0.7 else 3
        word = "".join(rng.choice(_ONSETS) + rng.choice(_VOWELS) for _ in range(n))
        word += rng.choice(_ENDS)
        if belongs(word, split):
            return word


def number(rng, digits):
    """A number of exactly so many digits, as text."""
    return str(rng.randrange(10 ** (digits - 1), 10 ** digits))


def letter_code(rng, split):
    """A code such as KL482: two letters and two to four digits."""
    while True:
        letters = rng.choice(_LETTERS) + rng.choice(_LETTERS)
        if belongs(letters, split):
            return letters + number(rng, rng.randrange(2, 5))


_HELDOUT_WORDS = {w.lower() for words in VALUES["heldout"].values() for w in words}
_HELDOUT_WORDS -= {w.lower() for words in VALUES["train"].values() for w in words}


def strange(rng, pieces):
    """A word of one to three pieces of a vocabulary (lists of lower-case letters); never a held-out one.

    The listed values use few of a tokenizer's entries. A model trained on them alone learns to say those, not to copy
    what stands in the context.
    """
    while True:
        word = "".join(rng.choice(pieces) for _ in range(rng.choice((1, 2, 2, 3))))
        if 2 <= len(word) <= 12 and word not in _HELDOUT_WORDS and belongs(word, "train"):
            return word


_CAPITALISED = {"name", "city", "country", "street", "title", "language"}
_STRANGE_KINDS = _CAPITALISED | {"job", "food", "drink", "sport", "hobby", "animal", "instrument", "place", "topic",
                                 "material", "word", "secret", "invented"}


def draw(rng, kind, split, pieces=(), share=0.0):
    """One value of a kind, drawn with replacement; with `pieces` a share of the words are strange ones."""
    if pieces and kind in _STRANGE_KINDS and rng.random() < share:
        word = strange(rng, pieces)
        return word.capitalize() if kind in _CAPITALISED else word
    values = VALUES[split].get(kind)
    if values is not None:
        return rng.choice(values)
    if kind == "age":
        return str(rng.randrange(2, 96))
    if kind == "number2":
        return number(rng, 2)
    if kind == "number3":
        return number(rng, 3)
    if kind == "number4":
        return number(rng, 4)
    if kind == "price":
        return number(rng, rng.randrange(2, 4))
    if kind == "time":
        return f"{rng.randrange(6, 23)}:{rng.choice(('00', '15', '30', '45', '10', '20', '40', '50'))}"
    if kind == "code":
        return letter_code(rng, split)
    if kind == "invented":
        return invented(rng, split)
    if kind == "secret":
        return rng.choice(VALUES[split]["word"]) if rng.random() < 0.5 else invented(rng, split)
    if kind == "title":
        return rng.choice(VALUES[split]["word"]).capitalize() if rng.random() < 0.6 else invented(rng, split).capitalize()
    raise KeyError(kind)


def distinct(rng, kind, split, count, draw_one=draw):
    """So many different values of a kind, or as many as 20 draws for each give."""
    found = {}
    for _ in range(20 * count):
        found[draw_one(rng, kind, split)] = None
        if len(found) == count:
            break
    return list(found)
