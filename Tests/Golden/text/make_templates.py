"""Golden outputs of chat templates, made by jinja2 with the settings of transformers.

usage: python make_templates.py   (writes templates.json and shared_templates.json beside this file)
Templates below are our own; those in ../shared/data are read, and of their outputs only length and hash are kept.
"""

import json
import pathlib

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

HERE = pathlib.Path(__file__).resolve().parent
SHARED = HERE.parents[3] / "shared/data/tokenizers/ggml-vocab/templates"


class Generation(jinja2.ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def environment():
    env = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
    )

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    return env


WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Weather of a place, e.g. \"Köln\" <now>",
        "parameters": {
            "type": "object",
            "properties": {
                "place": {"type": "string", "description": " where "},
                "days": {"type": "array", "items": {"type": "integer"}, "description": "which"},
                "scale": {"type": ["string", "null"], "description": "C or F"},
            },
            "required": ["place"],
        },
    },
}
CALL = {"id": "call12345", "type": "function", "function": {"name": "weather", "arguments": {"place": "Köln", "days": [1, 2.5]}}}
SUM = {
    "type": "function",
    "function": {
        "name": "sum",
        "description": "Adds",
        "parameters": {"type": "object", "properties": {"a": {"type": "number", "description": "one"}, "b": {"type": "object", "description": "two"}}},
    },
}
SUMMING = {"role": "assistant", "content": None, "tool_calls": [{"id": "call12346", "type": "function", "function": {"name": "sum", "arguments": {"a": "1", "b": "2"}}}]}
USER = {"role": "user", "content": " Hello there! "}
SYSTEM = {"role": "system", "content": "Be brief.\nAlways."}
ANSWER = {"role": "assistant", "content": "Hi <b>you</b> & 🦙"}
THINKING = {"role": "assistant", "content": "<think>\nhm, \"so\"\n</think>\n\nAnswer 42"}
CALLING = {"role": "assistant", "content": "", "tool_calls": [CALL]}
RESULT = {"role": "tool", "content": "{\"degrees\": 21.0}", "tool_call_id": "call12345", "name": "weather"}
PARTS = {"role": "user", "content": [{"type": "text", "text": "one"}, {"type": "image"}, {"type": "text", "text": "two"}]}


def variables(messages, tools=None, prompt=True, **extra):
    base = {"messages": messages, "tools": tools, "documents": None, "add_generation_prompt": prompt, "bos_token": "<s>", "eos_token": "</s>"}
    return {**base, **extra}


CONVERSATIONS = [
    variables([USER]),
    variables([SYSTEM, USER, ANSWER, USER]),
    variables([SYSTEM, USER, ANSWER], prompt=False),
    variables([USER], tools=[WEATHER]),
    variables([SYSTEM, USER], tools=[WEATHER, WEATHER]),
    variables([SYSTEM, USER, CALLING, RESULT, ANSWER, USER], tools=[WEATHER]),
    variables([USER, CALLING, RESULT, RESULT], tools=[WEATHER], enable_thinking=False),
    variables([USER, THINKING, USER, THINKING], enable_thinking=True),
    variables([PARTS]),
    variables([ANSWER, USER]),
    variables([USER], tools=[SUM]),
    variables([SYSTEM, USER, SUMMING, RESULT, ANSWER], tools=[SUM, SUM]),
    variables([USER, SUMMING, RESULT], tools=[SUM], prompt=False, builtin_tools=["sum", "code_interpreter"], tools_in_user_message=False),
]

MISTRAL = r"""{%- if messages[0]["role"] == "system" %}
    {%- set preface = messages[0]["content"] %}
    {%- set turns = messages[1:] %}
{%- else %}
    {%- set turns = messages %}
{%- endif %}
{%- set tools = none if not tools is defined else tools %}
{%- set users = turns | selectattr("role", "equalto", "user") | list %}
{#- users and assistants must take turns #}
{%- set ns = namespace(count=0) %}
{%- for m in turns if not (m.role == "tool" or m.tool_calls is defined) %}
    {%- if (m["role"] == "user") != (ns.count % 2 == 0) %}
        {{- raise_exception("roles must alternate user/assistant/user/...") }}
    {%- endif %}
    {%- set ns.count = ns.count + 1 %}
{%- endfor %}
{{- bos_token }}
{%- for m in turns %}
    {%- if m.role == "user" %}
        {%- if tools is not none and m == users[-1] %}
            {{- "[AVAILABLE_TOOLS] [" }}
            {%- for tool in tools %}
                {%- set f = tool.function %}
                {{- '{"type": "function", "function": {' }}
                {%- for key, value in f.items() if key != "return" %}
                    {%- if value is string %}
                        {{- '"' + key + '": "' + value + '"' }}
                    {%- else %}
                        {{- '"' + key + '": ' + value | tojson }}
                    {%- endif %}
                    {%- if not loop.last %}{{- ", " }}{%- endif %}
                {%- endfor %}
                {{- "}}" if loop.last else "}}, " }}
            {%- endfor %}
            {{- "][/AVAILABLE_TOOLS]" }}
        {%- endif %}
        {%- if loop.last and preface is defined %}
            {{- "[INST] " + preface + "\n\n" + m.content + "[/INST]" }}
        {%- elif m.content is string %}
            {{- "[INST] " + m.content + "[/INST]" }}
        {%- else %}
            {{- "[INST] " ~ m.content | selectattr("type", "equalto", "text") | map(attribute="text") | join("+") ~ "[/INST]" }}
        {%- endif %}
    {%- elif m.tool_calls is defined and m.tool_calls %}
        {{- "[TOOL_CALLS] [" }}
        {%- for call in m.tool_calls %}
            {%- set out = call.function | tojson %}
            {{- out[:-1] }}
            {%- if call.id is not defined or call.id | length != 9 %}
                {{- raise_exception("ids must have nine characters") }}
            {%- endif %}
            {{- ', "id": "' + call.id + '"}' }}
            {{- ", " if not loop.last else "]" + eos_token }}
        {%- endfor %}
    {%- elif m.role == "assistant" %}
        {{- " " + m.content | trim + eos_token }}
    {%- elif m.role in ["tool", "tool_results"] %}
        {%- set content = m.content.content if m.content is mapping and m.content.content is defined else m.content %}
        {{- '[TOOL_RESULTS] {"content": ' + content | string + ", " }}
        {{- '"call_id": "' + m.tool_call_id + '"}[/TOOL_RESULTS]' }}
    {%- else %}
        {{- raise_exception("unknown role " + m.role) }}
    {%- endif %}
{%- endfor %}
"""

GEMMA = r"""{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% if messages[0]['content'] is string %}{% set prefix = messages[0]['content'] + '

' %}{% else %}{% set prefix = messages[0]['content'][0]['text'] %}{% endif %}{% set rest = messages[1:] %}{% else %}{% set prefix = '' %}{% set rest = messages %}{% endif %}
{% for message in rest %}
    {% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{ raise_exception("Conversation roles must alternate") }}
    {% endif %}
    {% if (message['role'] == 'assistant') %}
        {% set role = 'model' %}
    {% else %}
        {% set role = message['role'] %}
    {% endif %}
    {{ '<start_of_turn>' + role + '
' + (prefix if loop.first else '') }}
    {% if message['content'] is string %}
        {{ message['content'] | trim }}
    {% elif message['content'] is iterable %}
        {% for item in message['content'] %}
            {% if item['type'] == 'image' %}
                {{ '<image>' }}
            {% elif item['type'] == 'text' %}
                {{ item['text'] | trim }}
            {% endif %}
        {% endfor %}
    {% else %}
        {{ raise_exception("bad content") }}
    {% endif %}
    {{ '<end_of_turn>
' }}
{% endfor %}
{% if add_generation_prompt %}
    {{'<start_of_turn>model
'}}
{% endif %}
"""

QWEN3 = r"""{%- if tools %}
    {{- '<|im_start|>system\n' }}
    {%- if messages[0].role == 'system' %}
        {{- messages[0].content + '\n\n' }}
    {%- endif %}
    {{- "# Functions\n\n<tools>" }}
    {%- for tool in tools %}
        {{- "\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "\n</tools>\nanswer with <tool_call>{\"name\": ..., \"arguments\": ...}</tool_call><|im_end|>\n" }}
{%- elif messages[0].role == 'system' %}
    {{- '<|im_start|>system\n' + messages[0].content + '<|im_end|>\n' }}
{%- endif %}
{%- set ns = namespace(multi_step=true, last_query=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step and message.role == "user" and message.content is string and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.multi_step = false %}
        {%- set ns.last_query = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.content is string %}
        {%- set content = message.content %}
    {%- else %}
        {%- set content = '' %}
    {%- endif %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\n' + content + '<|im_end|>' + '\n' }}
    {%- elif message.role == "assistant" %}
        {%- set reasoning = '' %}
        {%- if message.reasoning_content is string %}
            {%- set reasoning = message.reasoning_content %}
        {%- elif '</think>' in content %}
            {%- set reasoning = content.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\n') %}
        {%- endif %}
        {%- if loop.index0 > ns.last_query and (loop.last or (not loop.last and reasoning)) %}
            {{- '<|im_start|>' + message.role + '\n<think>\n' + reasoning.strip('\n') + '\n</think>\n\n' + content.lstrip('\n') }}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\n' + content }}
        {%- endif %}
        {%- if message.tool_calls %}
            {%- for tool_call in message.tool_calls %}
                {%- if (loop.first and content) or (not loop.first) %}{{- '\n' }}{%- endif %}
                {%- if tool_call.function %}{%- set tool_call = tool_call.function %}{%- endif %}
                {{- '<tool_call>\n{"name": "' }}
                {{- tool_call.name }}
                {{- '", "arguments": ' }}
                {%- if tool_call.arguments is string %}{{- tool_call.arguments }}{%- else %}{{- tool_call.arguments | tojson }}{%- endif %}
                {{- '}\n</tool_call>' }}
            {%- endfor %}
        {%- endif %}
        {{- '<|im_end|>\n' }}
    {%- elif message.role == "tool" %}
        {%- if loop.first or (messages[loop.index0 - 1].role != "tool") %}{{- '<|im_start|>user' }}{%- endif %}
        {{- '\n<tool_response>\n' + content + '\n</tool_response>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}{{- '<|im_end|>\n' }}{%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\n\n</think>\n\n' }}
    {%- endif %}
{%- endif %}
"""

SNIPPETS = [
    "a  {%- if true -%}  b  {%- endif -%}  c\n",
    "x\n  {% if true %}\n    y\n  {% endif %}\n  z\n\n",
    "  {{- 1 }}  {{ 2 -}}  \n {#- gone -#} \n3 {# c #}\n4{# d #}\n5",
    "{%+ if true %} a{% endif +%}\n b",
    "{% raw %}\n {{ no }} {% if %}{% endraw %}\nafter {%- raw -%}  {{x}}  {%- endraw %} end",
    "a\r\nb\rc\n{% set x = 'p\nq' %}{{ x }}",
    "{{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % 3 }} {{ -7 % 3 }} {{ 7 % -3 }} {{ 7 / 2 }} {{ 2 ** 10 }} {{ 2.5 * 2 }} {{ 1e20 }} {{ 1.5e-7 }} {{ 0.1 + 0.2 }} {{ 10 / 4 }} {{ 1e16 }} {{ 123456.789e3 }}",
    "{{ -2 ** 2 }} {{ 1 + 2 * 3 ~ 4 }} {{ 'a' ~ 1 + 2 }} {{ not true or true }} {{ 1 < 2 < 3 }} {{ 1 < 2 > 3 }} {{ 3 == 3.0 }} {{ true == 1 }}",
    "{{ [1, 'a', none, true, 1.0, (1,), {'k': \"it's\"}] }} {{ {} }} {{ [] }} {{ () }} {{ 'q\"q' }} {{ ['q\"\\'q', 'tab\\t\\n\\\\'] }}",
    "{{ 'abc'[1] }}{{ 'abc'[-1] }}{{ 'abcdef'[1:4] }}{{ 'abcdef'[::-1] }}{{ 'abcdef'[-3:] }}{{ 'abcdef'[:-2:2] }} {{ [1,2,3][1:] }} {{ [1,2,3][::-1] }} {{ [1,2,3][5:] }}",
    "{% for k, v in {'b': 1, 'a': [2]}.items() %}{{ loop.index }}/{{ loop.length }} {{ k }}={{ v }}{{ ', ' if not loop.last }}{% endfor %}",
    "{% for i in [] %}x{% else %}empty{% endfor %} {% for i in [1,2,3,4] if i is even %}{{ i }}{{ loop.revindex }}{{ loop.first }}{% endfor %}",
    "{% for i in range(10) %}{% if i == 2 %}{% continue %}{% endif %}{% if i > 4 %}{% break %}{% endif %}{{ i }}{% endfor %} {{ range(5, 0, -2) | list }}",
    "{% for a in 'xyz' %}{{ loop.previtem }}<{{ a }}>{{ loop.nextitem }}|{% endfor %}",
    "{% set x = 1 %}{% for i in [1,2] %}{% set x = x + i %}{{ x }},{% endfor %}{{ x }}{% if true %}{% set x = 9 %}{% endif %}{{ x }}",
    "{% set ns = namespace(a=1, b=[]) %}{% for i in [1,2] %}{% set ns.a = ns.a + i %}{% set ns.b = ns.b + [i] %}{% endfor %}{{ ns.a }} {{ ns.b }}",
    "{% set x %}  block {{ 1 + 1 }} {% endset %}[{{ x }}] {% set y | upper | trim %} ab {% endset %}[{{ y }}]",
    "{% macro m(a, b='B', c=none) %}({{ a }}{{ b }}{{ c }}{{ varargs }}{{ kwargs }}){% endmacro %}{{ m(1) }}{{ m(1, c=3) }}{{ m('x', 'y', 'z', 'w', k=1) }}{{ m() }}",
    "{% macro box(t) %}<{{ t }}>{{ caller(1) }}</{{ t }}>{% endmacro %}{% call(n) box('p') %}body {{ n }}{% endcall %}",
    "{% macro fib(n) %}{{ n if n < 2 else (fib(n - 1) | int) + (fib(n - 2) | int) }}{% endmacro %}{{ fib(9) }}",
    "{% filter upper | replace('B', '-') %}abc{{ 'b' }}{% endfilter %} {% with a = 1, b = 2 %}{{ a + b }}{% endwith %}{{ a }}",
    "{% set a, b = 1, [2, 3] %}{{ a }}{{ b }} {% for x, (y, z) in [(1, (2, 3))] %}{{ x }}{{ y }}{{ z }}{% endfor %}",
    "{{ u }}[{{ u | default('d') }}][{{ '' | default('e', true) }}][{{ none | d('n') }}]{{ u is defined }}{{ u is undefined }}{{ u | length }}{{ u == v }}{{ m.x is defined }}",
    "{{ none is none }}{{ 1 is number }}{{ 1.0 is float }}{{ true is boolean }}{{ true is number }}{{ true is integer }}{{ 'a' is string }}{{ {} is mapping }}{{ [] is sequence }}{{ 'a' is iterable }}{{ 3 is odd }}{{ 4 is divisibleby 2 }}{{ 'a' is in ['a'] }}{{ 2 is eq 2 }}{{ 2 is gt(1) }}{{ x is not defined }}{{ true is true }}{{ 1 is true }}{{ u is sequence }}{{ u is iterable }}{{ m is mapping }}{{ none is iterable }}",
    "{{ 'a' in 'abc' }}{{ 'z' not in ['a'] }}{{ 'k' in {'k': 1} }}{{ 'x' in u }}",
    "{{ '  pad ' | trim }}|{{ 'xxaxx' | trim('x') }}|{{ 'aBc' | upper }}{{ 'aBc' | lower }}{{ 'hello wORLD' | capitalize }}|{{ 'hello-big wORLD (it\\'s)' | title }}|{{ 'a b' | wordcount }}",
    "{{ [1,2,3] | join('-') }}{{ ['a','b'] | join }}{{ [{'n': 'x'}, {'n': 'y'}] | join(', ', attribute='n') }}{{ [3,1,2] | sort }}{{ ['b','A','c'] | sort }}{{ [3,1,2] | sort(reverse=true) }}{{ [1,2,1] | unique | list }}{{ [1,2] | reverse | list }}{{ 'abc' | reverse }}{{ [1,2,3] | sum }}{{ [1,5,3] | max }}{{ ['b','a'] | min }}",
    "{{ [{'a': 1, 'b': {'c': 5}}, {'a': 2}] | map(attribute='a') | list }}{{ [{'b': {'c': 5}}] | map(attribute='b.c') | first }}{{ [{}, {'a': 1}] | map(attribute='a', default='-') | list }}{{ ['a', 'b'] | map('upper') | list }}{{ [1,2,3] | select('odd') | list }}{{ [0,1,2] | reject('equalto', 1) | list }}{{ [{'x': 1}, {'x': 0}, {}] | selectattr('x') | list }}{{ [{'x': 1}, {'y': 0}] | rejectattr('x', 'defined') | list }}",
    "{{ '3' | int + 1 }}{{ 'x' | int }}{{ 'x' | int(7) }}{{ 3.9 | int }}{{ '3.7' | int }}{{ '2.5' | float }}{{ -3 | abs }}{{ 2.5 | round }}{{ 2.567 | round(2) }}{{ 2.1 | round(0, 'ceil') }}{{ 2.9 | round(method='floor') | int }}{{ 7 | string + '!' }}",
    "{{ 'a\nb\n\nc' | indent }}|{{ 'a\nb' | indent(2, true) }}|{{ 'a\n\nb' | indent(width=1, blank=true) }}|{{ 'a\nb' | indent('> ') }}",
    "{{ {'b': [1, 2.0, 'ü\\n\"', none, true], 'a': {}} | tojson }}{{ {'b': [1, {'x': []}], 'a': {}} | tojson(indent=2) }}{{ {'b': 1, 'a': 2} | tojson(sort_keys=true) }}{{ '</x>&' | tojson }}{{ [] | tojson(indent=4) }}{{ [1,{'a':2}] | tojson(separators=(',', ':')) }}",
    "{{ {'b': 2, 'a': 1} | items | list }}{{ {'b': 2, 'a': 1} | dictsort }}{{ {'a': 1}.get('a') }}{{ {'a': 1}.get('z') }}{{ {'a': 1}.get('z', 5) }}{{ {'a': 1}.keys() | list }}{{ {'a': 1}.values() | list }}{{ dict(a=1, b=2) }}{{ {'items': 3}['items'] }}",
    "{{ 'a,b,,c'.split(',') }}{{ ' a  b '.split() }}{{ 'a b c'.split(' ', 1) }}{{ 'a.b.c'.rsplit('.', 1) }}{{ 'xaax'.strip('x') }}{{ ' a'.lstrip() }}{{ 'a\n'.rstrip('\n') }}{{ 'abc'.startswith('ab') }}{{ 'abc'.endswith(('x', 'c')) }}{{ 'aXa'.replace('a', 'bb', 1) }}{{ 'it\\'s a tEst'.title() }}{{ ', '.join(['x', 'y']) }}{{ 'abcabc'.count('bc') }}{{ 'äbc'.find('c') }}{{ 'l1\nl2\r\nl3'.splitlines() }}{{ 'AbC'.upper is defined }}{{ 'pre-x'.removeprefix('pre-') }}",
    "{{ 'caf\\u00e9 \\x41 \\t|' }}{{ 'a' 'b' }}{{ \"d'q\" }}{{ '\\d' }}",
    "{{ '%s has %d of %.0f' | string }}{{ '%s-%d%%' % ('a', 3) }}{{ 'n %s' % 5 }}",
    "{{ 'x' if false }}|{{ 'a' if u else 'b' if true else 'c' }}|{{ (1, 2) }}|{{ 1, 2 }}",
    "{% generation %}in{% endgeneration %} {% if u %}a{% elif 1 %}b{% else %}c{% endif %}{% if not u and 1 in [1] or x.y %}d{% endif %}",
    "{{ [1, 2][0] }}{{ {'a': {'b': [5]}}.a.b[0] }}{{ {'a': {'b': [5]}}['a']['b'].0 }}{{ 'x'.y is defined }}{{ [1].z is defined }}",
    "{{ '<a href=\"x\">' | escape }}{{ 'b' | safe }}{{ 'ab' * 3 }}{{ [1] + [2] }}{{ (1,) + (2,) }}{{ 'ß' | upper }}{{ 'Ä' | lower }}{{ 'aß🦙' | length }}{{ 'a🦙b'[1] }}",
    "{{ [3, 1] | first }}{{ [3, 1] | last }}{{ [] | first }}{{ 'xy' | first }}{{ 'abc' | list }}{{ [[1, 2], [3]] | map('length') | list }}{{ [4,2] | sort | first }}{{ {'a': 1} | length }}{{ [none, 1] | select | list }}",
    "{{ undefined_thing.attribute }}", "{{ 1 + 'a' }}", "{{ u + 1 }}", "{{ raise_exception('no ' ~ 1) }}", "{{ [].append(1) }}",
    "{% for i in 5 %}{% endfor %}", "{{ nothing() }}", "{{ 1 / 0 }}", "{{ 'a' < 1 }}", "{{ x | nofilter }}", "{% if %}", "{{ 1 ", "{% for a %}", "{% endif %}", "{{ u | tojson }}",
]


def render(source, values):
    try:
        return {"expected": environment().from_string(source).render(**values)}
    except Exception as error:  # any failure: the test wants an error too
        raised = type(error) is jinja2.exceptions.TemplateError
        return {"error": "raised" if raised else "failed", "message": str(error) if raised else ""}


def fnv(text):
    value = 0xCBF29CE484222325
    for byte in text.encode():
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return f"{value:016x}"


def main():
    cases = []
    for name, source in [("mistral", MISTRAL), ("gemma", GEMMA), ("qwen3", QWEN3)]:
        results = [render(source, values) for values in CONVERSATIONS]
        cases.append({"name": name, "template": source, "results": results})
    for number, source in enumerate(SNIPPETS):
        values = {"x": "X", "m": {"k": [1]}}
        cases.append({"name": f"snippet {number}", "template": source, "results": [render(source, values)]})
    text = json.dumps({"conversations": CONVERSATIONS, "cases": cases}, ensure_ascii=False, indent=0)
    (HERE / "templates.json").write_text(text + "\n")
    shared = {}
    for path in sorted(SHARED.glob("*.jinja")):
        rows = []
        for values in CONVERSATIONS:
            result = render(path.read_text(), values)
            text = result.get("expected")
            rows.append(result if text is None else {"bytes": len(text.encode()), "fnv1a": fnv(text)})
        shared[path.name] = rows
    (HERE / "shared_templates.json").write_text(json.dumps(shared, indent=0) + "\n")


main()
