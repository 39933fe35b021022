"""Texts that constraints must accept or refuse, judged by Python's re and jsonschema.

Writes constraints.json: a list of {kind, source, accept: [...], refuse: [...]}. For JSON schemas a text is to be accepted
only if it is an instance AND keeps the bounded spelling (order of members, white space): those are written by hand or by
json.dumps; a text is to be refused only if it is no JSON or no instance. Run: python constraints.py
"""
import json
import pathlib
import random
import re

import jsonschema

random.seed(20240607)
out = []

# --- regular expressions: random texts over small alphabets, judged by re.fullmatch
patterns = [
    (r"[a-c]+", "abcd"), (r"(a|b)*abb", "ab"), (r"a{2,4}b?", "ab"), (r"a{0}b", "ab"), (r"x{3}", "x"),
    (r"(?:ab|cd){1,2}e*?", "abcde"), (r"\d{3}-\d{4}", "0129-a"), (r"^\w+\s?\w+$", "aZ_9 -"), (r"[^abc]{2}", "abcdé"),
    (r".{1,3}", "a\nü"), (r"(?s).{1,3}", "a\nü"), (r"(?i)aBc|x", "aAbBcCxX"), (r"[\]\-x]+", "]-x\\"), (r"\u00e9|\x41", "éA"),
    (r"[а-я]+", "абяz"), (r"(a?){3}", "a"), (r"(a*)*b", "ab"), (r"((a|ab)(c|bcd))(d*)", "abcd"), (r"", "a"), (r"a||b", "ab"),
    (r"[^\d\s]+", "a1 "), (r"\$\{\w+\}", "${}ab"), (r"(?P<year>20\d\d)(?:-(?:0[1-9]|1[0-2]))?", "2014-"), (r"a{,2}b", "ab"),
    (r"\S+@\S+\.com", "ab@.com "), (r"[a\-z]+", "a-zb"), (r"a{x}", "a{x}"), (r"[😀-😂]x", "😀😁😃x"), (r"\D\W", "1a -"),
]
for source, alphabet in patterns:
    compiled = re.compile(source, re.ASCII)
    accept, refuse = set(), set()
    for _ in range(4000):
        text = "".join(random.choice(alphabet) for _ in range(random.randint(0, 9)))
        (accept if compiled.fullmatch(text) else refuse).add(text)
    out.append({"kind": "regex", "source": source, "accept": sorted(accept)[:12] + sorted(accept)[-6:], "refuse": sorted(refuse)[:8] + sorted(refuse)[-8:]})
for source, samples in [(r"\d{3}-\d{4}", ["555-0199"]), (r"\S+@\S+\.com", ["a.b@c.d.com"]), (r"(?P<year>20\d\d)(?:-(?:0[1-9]|1[0-2]))?", ["2024-12", "2024"]),
                        (r"\$\{\w+\}", ["${abc}"])]:
    assert all(re.compile(source, re.ASCII).fullmatch(s) for s in samples)
    out.append({"kind": "regex", "source": source, "accept": samples, "refuse": ["", "x"]})

# --- JSON schemas
def no_constant(text):
    raise ValueError(text)  # Python reads NaN and Infinity, JSON does not


def schema(s, accept, refuse):
    check = jsonschema.Draft202012Validator(s, format_checker=jsonschema.FormatChecker())
    for text in accept:
        check.validate(json.loads(text))
    for text in refuse:
        try:
            legal = check.is_valid(json.loads(text, parse_constant=no_constant))
        except ValueError:
            legal = False
        assert not legal, (s, text)
    out.append({"kind": "schema", "source": json.dumps(s), "accept": accept, "refuse": refuse})


def dumps(*values):
    return [json.dumps(v, ensure_ascii=False) for v in values] + [json.dumps(v, separators=(",", ":")) for v in values]


person = {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}, "tags": {"type": "array", "items": {"type": "string"}}},
          "required": ["name"], "additionalProperties": False}
schema(person, dumps({"name": "Ann"}, {"name": "é\n\"\\😀", "age": -3}, {"name": "", "age": 0, "tags": []}, {"name": "x", "tags": ["a", "b"]}),
       ["{}", '{"age":1}', '{"name":1}', '{"name":"x","age":1.5}', '{"name":"x","extra":1}', '{"name":"x"', '{"name":"x"}}', "[]", '{"name":"x",}', '{"name":"x","age":01}',
        '{"name":"a\nb"}', '{"name":"\\x"}', ""])
schema({"type": "object", "properties": {"a": {}, "b": {"type": "null"}}, "additionalProperties": {"type": "integer"}},
       dumps({}, {"a": [1, {"x": None}]}, {"b": None, "c": 4}, {"a": 1, "aa": 2, "": 3, "ab": 7}), ['{"c":"x"}', '{"aa":true}', '{"b":1}'])
schema({"type": "object", "required": ["z", "y"], "properties": {"y": {"type": "boolean"}}}, dumps({"y": True, "z": [1]}), ['{"y":true}', '{"z":1}', "{}"])
schema({"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}, "c": {"type": "integer"}}, "required": ["b"], "additionalProperties": False},
       dumps({"b": 1}, {"a": 1, "b": 2}, {"b": 1, "c": 2}, {"a": 1, "b": 2, "c": 3}), ['{"a":1}', '{"a":1,"c":2}', '{,"b":1}', '{"b":1,}'])
schema({"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 4}, dumps([1, 2], [1, 2, 3, 4]), ["[]", "[1]", "[1,2,3,4,5]", '[1,"a"]', "[1,2"])
schema({"type": "array", "items": {"type": "integer"}, "maxItems": 0}, ["[]"], ["[1]"])
schema({"type": "array", "prefixItems": [{"type": "string"}, {"type": "boolean"}], "items": False}, dumps([], ["a"], ["a", True]), ['["a",true,1]', "[1]", '["a",1]'])
schema({"type": "array", "prefixItems": [{"type": "string"}], "items": {"type": "null"}, "minItems": 2, "maxItems": 3}, dumps(["a", None], ["a", None, None]), ['["a"]', '["a",null,null,null]', '["a",1]'])
schema({"enum": ["red", "green", "re", 3, None, {"k": [1, 2]}, "quo\"te"]}, dumps("red", "green", "re", 3, None, {"k": [1, 2]}, "quo\"te"), ['"r"', '"redd"', "4", '{"k":[1]}', "true"])
schema({"enum": ["a", 1, 2.5], "type": ["string", "integer"]}, dumps("a", 1), ["2.5", '"b"'])
schema({"const": {"a": [True, None]}}, dumps({"a": [True, None]}), ["{}", '{"a":[true]}'])
schema({"anyOf": [{"type": "integer"}, {"type": "string", "maxLength": 2}, {"type": "null"}]}, dumps(5, "ab", "", None), ['"abc"', "1.5", "true"])
schema({"type": "object", "properties": {"k": {"type": "string"}}, "required": ["k"], "anyOf": [{"properties": {"v": {"type": "integer"}}, "required": ["v"]}, {"properties": {"w": {"const": "x"}}, "required": ["w"]}]},
       dumps({"k": "a", "v": 1}, {"k": "b", "w": "x"}), ['{"k":"a"}', '{"v":1}', '{"k":"a","w":"y"}'])
schema({"allOf": [{"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}, {"properties": {"b": {"type": "string"}}, "required": ["b"]}]}, dumps({"a": 1, "b": "x"}), ['{"a":1}', '{"b":"x"}', '{"a":"1","b":"x"}'])
tree = {"$ref": "#/$defs/node", "$defs": {"node": {"type": "object", "properties": {"v": {"type": "integer"}, "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}}, "required": ["v", "next"], "additionalProperties": False}}}
nest = None
for i in range(40):
    nest = {"v": i, "next": nest}
schema(tree, dumps({"v": 1, "next": None}, nest), ["null", '{"v":1}', '{"v":1,"next":{}}'])
schema({"type": "object", "properties": {"children": {"type": "array", "items": {"$ref": "#"}}}, "additionalProperties": False}, dumps({}, {"children": [{}, {"children": [{}]}]}), ['{"children":{}}', '{"children":[1]}'])
schema({"type": "string", "minLength": 2, "maxLength": 3}, dumps("ab", "éé😀") + ['"\\n\\u00e9"', '"\\ud83d\\ude00x"'], ['"a"', '"abcd"', '"\\u00e9"', '"\\n"'])
schema({"type": "string", "pattern": "^[A-Z]{2}\\d+$"}, dumps("AB1", "ZZ09"), ['"A1"', '"AB"', '"xAB1"', '"AB1x"'])
schema({"type": "string", "pattern": "ab|^c"}, dumps("ab", "xxabyy", "c", "cx\t\"q"), ['"xc"', '"a b"', '""'])
schema({"type": "string", "pattern": "^[\"\\\\]{2}\\t?$"}, dumps('"\\', '\\\\\t', '""'), ['"a"', '"\\""'])
schema({"type": "string", "format": "date"}, dumps("2024-02-29", "1999-12-31", "2000-02-29", "2023-04-30"), ['"2023-02-29"', '"1900-02-29"', '"2024-13-01"', '"2024-04-31"', '"24-01-01"', '""'])
schema({"type": "string", "format": "ipv4"}, dumps("1.2.3.4", "255.255.255.255", "10.0.0.1"), ['"256.1.1.1"', '"1.2.3"', '"01.2.3.4"'])
schema({"type": "string", "format": "uuid"}, dumps("123e4567-e89b-12d3-a456-426614174000"), ['"123e4567e89b12d3a456426614174000"', '"x"'])
for low, high in [(0, 9), (5, 123), (-17, 8), (-250, -9), (100, 100), (0, None), (None, -1), (7, None), (-3, None), (None, 12), (99, 1001), (-1, 1), (0, 0)]:
    s = {"type": "integer"}
    if low is not None:
        s["minimum"] = low
    if high is not None:
        s["maximum"] = high
    numbers = list(range(-300, 1200)) + [10**6, -10**6, 10**12]
    legal = [n for n in numbers if (low is None or n >= low) and (high is None or n <= high)]
    other = [n for n in numbers if n not in set(legal)]
    pick = lambda v: random.sample(v, min(25, len(v)))
    edge = [n for n in legal if (n - 1) not in set(legal) or (n + 1) not in set(legal)]
    schema(s, [str(n) for n in sorted(set(pick(legal) + edge[:4]))], [str(n) for n in sorted(set(pick(other) + [n for b in (low, high) if b is not None for n in (b - 1, b + 1) if n in other]))])
schema({"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 10}, ["1", "9"], ["0", "10", "-1", "1.5"])
schema({"type": "number", "minimum": 0, "maximum": 1}, ["0", "1", "0.5", "0.0", "1.0", "0.999"], ["1.1", "-0.5", "2", "1.00001", "00.5", ".5"])
schema({"type": "number", "exclusiveMinimum": 0}, ["0.1", "1", "12.5", "0.001", "100"], ["0", "0.0", "-1", "-0.5"])
schema({"type": "number", "minimum": -2, "maximum": 3}, ["-2", "-1.5", "-0.25", "0", "2.75", "3.0", "-2.0"], ["-2.5", "3.1", "-3", "4"])
schema({"type": "number", "maximum": -1}, ["-1", "-1.5", "-20", "-1.0"], ["-0.5", "0", "1", "-0"])
schema({"type": "number"}, ["0", "-1.5", "1e5", "2.5E-3", "123456.75"], ["01", "1.", ".5", "+1", "--1", "1e", "NaN", "abc"])
schema({"type": ["string", "null"]}, ['"x"', "null"], ["1", "nul", "true"])
schema({"type": "boolean"}, ["true", "false"], ["True", "1", "tru"])
schema(True, dumps(1, "a", None, [1, {"a": []}], {"x": {"y": [1.5, True]}}), ["", "{", "[1,]", "{'a':1}", '{"a" 1}', "tru"])
schema({"type": "object"}, dumps({}, {"a": 1, "b": {"c": []}}), ["[]", "1", '{"a"}', "{1:2}"])

# --- GBNF, judged by an equivalent regular expression
def gbnf(source, equivalent, alphabet, samples=()):
    compiled = re.compile(equivalent, re.S)
    accept, refuse = set(samples), set()
    assert all(compiled.fullmatch(s) for s in samples)
    for _ in range(4000):
        text = "".join(random.choice(alphabet) for _ in range(random.randint(0, 8)))
        (accept if compiled.fullmatch(text) else refuse).add(text)
    out.append({"kind": "grammar", "source": source, "accept": sorted(accept)[:15] + list(samples), "refuse": sorted(refuse)[:10] + sorted(refuse)[-8:]})


gbnf('root ::= "yes" | "no"', "yes|no", ["yes", "no", "n", "o"])
gbnf('root ::= item ("," item)*  # a list\nitem ::= [a-c]+ ', "[a-c]+(,[a-c]+)*", "abc,d")
gbnf('# comment\nroot  ::= (\n  "a" |\n  b-rule{2,3}\n)\n\nb-rule ::= "b" [^x\\n]\n', "a|(b[^x\n]){2,3}", "abx\n", ["babb", "b\"bé"])
gbnf('root ::= "\\x41\\u00e9\\U0001F600"? [\\x41-\\x43\\]] .', "(Aé😀)?[A-C\\]].", "ABC]é😀", ["Aé😀B😀", "]\n"])
gbnf('root ::= a b*\na ::= "" | "x" a\nb ::= "y"{1,} | "z"{2}', "x*(y+|zz)*", "xyz")
gbnf('root ::= "a"{,2} "b"{0} "c"+ "d"?', "a{0,2}c+d?", "abcd")
gbnf('root ::= "a" ws "b"\nws ::= | " " | "\\n" [ \\t]{0,3}', "a(| |\n[ \t]{0,3})b", "ab \n\t", ["a\n \tb"])
expression = 'root ::= expr\nexpr ::= term ([-+] term)*\nterm ::= [0-9]+ | "(" expr ")"\n'
out.append({"kind": "grammar", "source": expression, "accept": ["1", "1+2-3", "(1)", "((12+3)-(4))", "(((((((((1)))))))))"], "refuse": ["", "1+", "(1", "1)", "()", "+1", "1++2"]})
out.append({"kind": "grammar", "source": 'root ::= "a" root "b" | ""', "accept": ["", "ab", "aabb", "a" * 100 + "b" * 100], "refuse": ["a", "b", "aab", "abb", "ba"]})

out.append({"kind": "choice", "source": ["a", "ab", "abc", "b", "été", "e\u0301", ""], "accept": ["a", "ab", "abc", "b", "été", "e\u0301", ""], "refuse": ["c", "abcd", "é", "ba"]})

# --- sources that must be refused, with the kind of error
bad = [
    ["regex", "(a", "invalid_regex"], ["regex", "a)", "invalid_regex"], ["regex", "[a", "invalid_regex"], ["regex", "*a", "invalid_regex"], ["regex", "a**", "invalid_regex"],
    ["regex", "(?=a)b", "unsupported_constraint"], ["regex", "(?<!a)b", "unsupported_constraint"], ["regex", "(a)\\1", "unsupported_constraint"], ["regex", "\\bword", "unsupported_constraint"],
    ["regex", "a{3,1}", "invalid_regex"], ["regex", "[z-a]", "invalid_regex"], ["regex", "\\", "invalid_regex"], ["regex", "a{999999}", "constraint_too_large"], ["regex", "((a{1000}){1000}){1000}", "constraint_too_large"],
    ["regex", "\\q", "invalid_regex"], ["regex", "[]", "invalid_regex"], ["regex", "\\p{L}", "unsupported_constraint"], ["regex", "a^b", "unsupported_constraint"], ["regex", "(" * 200 + ")" * 200, "constraint_too_large"],
    ["grammar", "", "invalid_grammar"], ["grammar", 'start ::= "a"', "invalid_grammar"], ["grammar", "root ::= missing", "invalid_grammar"], ["grammar", 'root ::= "a', "invalid_grammar"],
    ["grammar", 'root ::= root "a" | "b"', "invalid_grammar"], ["grammar", 'root ::= a\na ::= b "x"\nb ::= ""  a', "invalid_grammar"], ["grammar", 'root ::= "a" root', "invalid_grammar"],
    ["grammar", 'root ::= x? root "a" | "b"\nx ::= "x"*', "invalid_grammar"], ["grammar", 'root ::= ("a"', "invalid_grammar"], ["grammar", 'root ::= "a" )', "invalid_grammar"], ["grammar", 'root = "a"', "invalid_grammar"],
    ["grammar", 'root ::= "a"{2,1}', "invalid_grammar"], ["grammar", 'root ::= "a"\nroot ::= "b"', "invalid_grammar"], ["grammar", 'root ::= [z-a]', "invalid_grammar"], ["grammar", 'root ::= "\\q"', "invalid_grammar"], ["grammar", "root ::= []", "invalid_grammar"],
    ["schema", '{"type":"strin"}', "invalid_json_schema"], ["schema", '{"type":7}', "invalid_json_schema"], ["schema", "[]", "invalid_json_schema"], ["schema", '{"$ref":"#/nowhere"}', "invalid_json_schema"], ["schema", '{"$ref":"http://x/y"}', "unsupported_constraint"],
    ["schema", '{"not":{}}', "unsupported_constraint"], ["schema", '{"type":"array","uniqueItems":true}', "unsupported_constraint"], ["schema", '{"type":"integer","minimum":5,"maximum":4}', "invalid_json_schema"],
    ["schema", '{"enum":[]}', "invalid_json_schema"], ["schema", '{"anyOf":[]}', "invalid_json_schema"], ["schema", '{"$ref":"#"}', "invalid_grammar"], ["schema", '{"allOf":[{"$ref":"#"}]}', "invalid_json_schema"],
    ["schema", '{"type":"object","properties":{"a":{"$ref":"#"}},"required":["a"]}', "invalid_grammar"], ["schema", '{"type":"string","pattern":"(?=x)"}', "unsupported_constraint"], ["schema", '{"type":"string","minLength":3,"maxLength":1}', "invalid_json_schema"],
    ["schema", '{"type":"object","properties":[]}', "invalid_json_schema"], ["schema", '{"type":"object","required":["a"],"additionalProperties":false}', "invalid_json_schema"], ["schema", '{"type":"string","minLength":-1}', "invalid_json_schema"],
    ["schema", '{"type":"array","minItems":99999999}', "constraint_too_large"], ["schema", "false", "unsupported_constraint"], ["schema", '{"type":["string","integer"],"allOf":[{"type":"null"}]}', "invalid_json_schema"],
    ["choice", [], "invalid_grammar"],
]
path = pathlib.Path(__file__).with_name("constraints.json")
path.write_text(json.dumps({"cases": out, "bad": bad}, ensure_ascii=False) + "\n")
