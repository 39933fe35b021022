"""Golden values for the tokenizers.

usage: python make_tokenizers.py   (writes splits.json, smollm2.json, tiny_*.json beside this file)
- splits.json: how the published pre-tokenizer patterns cut our test strings, by the PyPI module `regex`.
- tiny_bytelevel.json, tiny_metaspace.json: small tokenizers trained here on our own sentences with `tokenizers`, and
  tiny_values.json: what they make of the test strings.
- smollm2.json: ids that `tokenizers` gives for the test strings with ../shared's smollm2 (skipped when absent).
"""

import json
import pathlib
import random
import unicodedata

import regex
import tokenizers
from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers, processors, trainers

HERE = pathlib.Path(__file__).resolve().parent
SHARED = HERE.parents[3] / "shared/data/tokenizers"

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
SHORT = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
TAIL = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = SHORT + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}" + TAIL
QWEN2 = SHORT + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}" + TAIL
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
LEAD, SLASH = r"[^\r\n\p{L}\p{N}]?", r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
GPT4O = f"{LEAD}{UPPER}*{LOWER}+{SHORT}?|{LEAD}{UPPER}+{LOWER}*{SHORT}?|" + r"\p{N}{1,3}" + SLASH
U2, L2 = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}]", r"[\p{Ll}\p{Lm}\p{Lo}]"
TEKKEN = f"{LEAD}{U2}*{L2}+|{LEAD}{U2}+{L2}*|" + r"\p{N}" + SLASH
CASED = "A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af\u0370-\u0373\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f\u0531-\u0556\u10a0-\u10c5\u13a0-\u13f5\u13f8-\u13fd\u1c90-\u1cba\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77\u1d79-\u1d9a\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc\u2102\u2107\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d\u212f-\u2134\u2139\u213c-\u213f\u2145-\u2149\u214e\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4\u2ceb-\u2cee\u2cf2\u2cf3\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf\ufb00-\ufb06\ufb13-\ufb17\uff21-\uff3a\uff41-\uff5a\U00010400-\U0001044f\U000104b0-\U000104d3\U000104d8-\U000104fb\U00010c80-\U00010cb2\U00010cc0-\U00010cf2\U000118a0-\U000118df\U0001e900-\U0001e943"
HAN = "[一-龥ࠀ-一가-퟿]+"
PATTERNS = {
    "gpt-2": [GPT2],
    "llama-bpe": [LLAMA3],
    "qwen2": [QWEN2],
    "starcoder": [r"\p{N}", GPT2],
    "falcon": [r"[\p{P}\$\+<=>\^~\|`]+", GPT2, "[0-9][0-9][0-9]"],
    "default": [r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"],
    "deepseek-llm": [r"[\r\n]", rf"\s?[{CASED}]+", r"\s?[!-/:-~！-／：-～‘-‟　-。]+", r"\s+$", HAN, r"\p{N}+"],
    "deepseek-coder": [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", HAN, r"\p{N}"],
    "deepseek-v3": [
        r"\p{N}{1,3}", "[一-龥\u3040-ゟ゠-ヿ]+",
        r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+""",
    ],
    "gpt-4o": [GPT4O],
    "tekken": [TEKKEN],
    "bloom": [r" ?[^(\s|.,!?…。，、।۔،)]+"],
}

OWN = [
    "", " ", "  ", "   ", "\t", "\n", "\n\n", "\n\n\n", "\t\n", "Hello world", " Hello  world!", "I'll don't WE'VE he'S",
    "3 33 333 3333 33333", "1.5e-7, 0x1F", "a\u0301b\u0301", "ÀÉ Straße ΑΒΓ ǅ", "東京は晴れ。カタカナ ひらがな 한국어", "नमस्ते दुनिया",
    "🦙🏽‍♂️ 👩‍👩‍👧", "x = y+1;\r\n\treturn  z // done\n\n\n  end", "CamelCaseWord HTTPServer iPhone's", "<|im_start|>user\nHi<|im_end|>\n",
    "tail   ", "  \n  \n x", "«quoted» “text” — ok…", "a\u00a0b\u3000c\u2028d", "!!!???...''''```` \"\"", "'RE you sure? 'M not",
    "/path/to/file.txt\n/next", "ſ 'ſ ﬁ ½ ² Ⅷ ٣٤", "ab\u200dcd\ufe0fe", "   leading\n\n  and\ttabs\t\t",
]
SENTENCES = [
    "The river runs over the weir and the water falls.", "A weir is a low dam across a river.",
    "She counted 12 boats, 345 ducks and 6789 leaves.", "Über die Brücke gehen viele Leute.", "it's what we've said, isn't it?",
    "def fall(water):\n    return water * 2\n", "Le fleuve coule, l'eau tombe.", "река течёт через плотину", "the the the and and of of in in",
    "WATER water Water waters watering watered", "1234567890 0987654321", "  indented   text  with   spaces ",
]


def random_strings(count, seed):
    rng = random.Random(seed)
    old = unicodedata.ucd_3_2_0
    # Only characters whose class has not changed since Unicode 3.2, so that library versions do not matter.
    pool = [
        chr(c) for c in range(0x20000)
        if not 0xD800 <= c < 0xE000 and old.category(chr(c)) not in ("Cn", "Co")
        and old.category(chr(c)) == unicodedata.category(chr(c)) and not 0x1C <= c <= 0x1F and c != 0x180E
    ]
    common = [c for c in pool if ord(c) < 0x600]
    ascii_ = "".join(chr(c) for c in range(32, 127)) + "  \n\n\r\t'''" + "stmdrevl" * 2
    strings = []
    for _ in range(count):
        source = rng.choice([ascii_, ascii_, common, pool])
        strings.append("".join(rng.choice(rng.choice([source, ascii_])) for _ in range(rng.randint(1, 24))))
    return strings


def split(patterns, text):
    pieces = [text] if text else []
    for pattern in patterns:
        compiled = regex.compile(pattern.replace(r"\s", r"\p{White_Space}").replace(r"\S", r"\P{White_Space}"))
        new = []
        for piece in pieces:
            at = 0
            for match in compiled.finditer(piece):
                if match.start() > at:
                    new.append(piece[at:match.start()])
                if match.group():
                    new.append(match.group())
                at = match.end()
            if at < len(piece):
                new.append(piece[at:])
        pieces = new
    return pieces


def fnv(numbers):
    value = 0xCBF29CE484222325
    for number in numbers:
        value = (value ^ number) * 0x100000001B3 % 2**64
    return f"{value:016x}"


def lengths(pieces):
    return [len(piece.encode()) for piece in pieces]


def make_splits():
    strings = random_strings(2000, 7)
    names = list(PATTERNS)
    own = {name: [lengths(split(PATTERNS[name], text)) for text in OWN] for name in names}
    hashes = {name: "".join(fnv(lengths(split(PATTERNS[name], text)))[:4] for text in strings) for name in names}
    inp = SHARED / "ggml-vocab/ggml-vocab-gpt-2.gguf.inp"
    shared = {}
    if inp.exists():
        texts = inp.read_text().split("\n__ggml_vocab_test__\n")[:-1]
        shared = {name: [fnv(lengths(split(PATTERNS[name], text))) for text in texts] for name in names}
    data = {"own": OWN, "own_lengths": own, "random": strings, "random_hashes": hashes, "shared_hashes": shared}
    (HERE / "splits.json").write_text(json.dumps(data, ensure_ascii=False, separators=(",", ":")) + "\n")


def learned_model():
    special = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=480, special_tokens=special, limit_alphabet=40, show_progress=False)
    words = tokenizers.Tokenizer(models.BPE(unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Metaspace()
    words.train_from_iterator(SENTENCES * 4, trainer)
    learned = json.loads(words.to_str())["model"]
    merges = [tuple(m) if isinstance(m, list) else tuple(m.split(" ")) for m in learned["merges"]]
    return models.BPE(learned["vocab"], merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True)


def make_tiny():
    bytelevel = tokenizers.Tokenizer(models.BPE())
    bytelevel.normalizer = normalizers.NFC()
    bytelevel.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(tokenizers.Regex(QWEN2.replace(SHORT, "(?i:'s|'t|'re|'ve|'m|'ll|'d)")), "isolated"),
         pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    bytelevel.decoder = decoders.ByteLevel()
    bytelevel.train_from_iterator(
        SENTENCES * 4,
        trainers.BpeTrainer(vocab_size=460, special_tokens=["<|end|>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False),
    )
    bytelevel.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    bytelevel.add_tokens([AddedToken("<tool_call>", special=False), AddedToken("[MASK]", lstrip=True, rstrip=True), AddedToken("weir", single_word=True)])

    metaspace = tokenizers.Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    metaspace.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    metaspace.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    path = HERE / "tiny_metaspace.json"
    if path.exists():
        # Trained once: among letters of equal frequency the trainer keeps others in every run.
        metaspace.model = tokenizers.Tokenizer.from_file(str(path)).model
    else:
        metaspace.model = learned_model()
    metaspace.add_special_tokens(["<unk>", "<s>", "</s>"])
    metaspace.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", metaspace.token_to_id("<s>"))])

    texts = OWN + SENTENCES + [
        "a <|im_start|>b<|im_end|><|end|>", "x<tool_call>{}", "the [MASK] weir, weirs weir", "e\u0301 NFC Å", "\U0001F9D9 wizard",
    ] + random_strings(150, 11)
    values = {"texts": texts}
    for name, tokenizer in [("tiny_bytelevel", bytelevel), ("tiny_metaspace", metaspace)]:
        (HERE / f"{name}.json").write_text(tokenizer.to_str(pretty=False) + "\n")
        encodings = [tokenizer.encode(text, add_special_tokens=True).ids for text in texts]
        values[name] = {"ids": encodings, "decoded": [tokenizer.decode(ids, skip_special_tokens=True) for ids in encodings]}
    (HERE / "tiny_values.json").write_text(json.dumps(values, ensure_ascii=False, separators=(",", ":")) + "\n")


def make_smollm2():
    path = SHARED / "smollm2/tokenizer.json"
    if path.exists():
        tokenizer = tokenizers.Tokenizer.from_file(str(path))
        texts = OWN + SENTENCES + random_strings(100, 5)
        values = {"texts": texts, "ids": [tokenizer.encode(text).ids for text in texts]}
        (HERE / "smollm2.json").write_text(json.dumps(values, ensure_ascii=False, separators=(",", ":")) + "\n")


make_splits()
make_tiny()
make_smollm2()
