"""Tool-call conversations: arguments are copied from what the user said."""

from __future__ import annotations

import json
from dataclasses import dataclass

from . import lists
from .conversation import ANSWER, CONTEXT, REPLY, TURN_OVERHEAD, Conversation, Question, Turn, cost, sentence


@dataclass(frozen=True)
class Tool:
    """A function: parameters are (name, JSON type, value kind); the result has one field."""

    name: str
    about: str
    parameters: tuple
    asks: tuple
    result: str
    result_kind: str
    answer: str


TOOLS = (
    Tool("get_weather", "Get the temperature of a city", (("city", "string", "city"),),
         ("What is the weather in {0}?", "How warm is it in {0}?"), "degrees", "number2",
         "It is {V} degrees in {0}."),
    Tool("get_time", "Get the time of a city", (("city", "string", "city"),),
         ("What time is it in {0}?", "Tell me the time in {0}."), "time", "time", "In {0} it is {V}."),
    Tool("find_phone", "Find the phone number of a person", (("name", "string", "name"),),
         ("What is the phone number of {0}?", "How can I call {0}?"), "number", "number4",
         "The number of {0} is {V}."),
    Tool("book_room", "Book a hotel room", (("city", "string", "city"), ("nights", "integer", "number1")),
         ("Book a room in {0} for {1} nights.", "I need a hotel in {0} for {1} nights."), "room", "number3",
         "You have room {V} in {0}."),
    Tool("book_train", "Book a train ticket", (("start", "string", "city"), ("goal", "string", "city")),
         ("Book a train from {0} to {1}.", "I want to go from {0} to {1} by train."), "seat", "number2",
         "Your seat to {1} is {V}."),
    Tool("send_message", "Send a message to a person", (("name", "string", "name"), ("text", "string", "word")),
         ("Send {0} the message {1}.", "Write the word {1} to {0}."), "status", "status",
         "The message to {0} is {V}."),
    Tool("add_numbers", "Add two numbers", (("a", "integer", "number2"), ("b", "integer", "number2")),
         ("What is {0} plus {1}?", "Add {0} and {1}."), "sum", "sum", "The sum is {V}."),
    Tool("get_price", "Get the price of a product", (("product", "string", "word"),),
         ("How much is the {0}?", "What does the {0} cost?"), "price", "price", "It costs {V} dollars."),
    Tool("set_alarm", "Set an alarm", (("time", "string", "time"),),
         ("Wake me at {0}.", "Set an alarm for {0}."), "status", "status", "The alarm is {V}."),
    Tool("find_order", "Find an order by its code", (("code", "string", "code"),),
         ("Where is my order {0}?", "Find the order {0}."), "city", "city", "Your order is in {V}."),
)


def _value(rng, kind, split, arguments, draw):
    if kind == "number1":
        return str(rng.randrange(1, 10))
    if kind == "status":
        return "done"
    if kind == "sum":
        return str(sum(int(a) for a in arguments))
    return draw(rng, kind, split)


def declaration(tool):
    """The tool as one line of JSON."""
    properties = {n: {"type": t} for n, t, _ in tool.parameters}
    return json.dumps({"type": "function", "function": {
        "name": tool.name, "description": tool.about,
        "parameters": {"type": "object", "properties": properties,
                       "required": [n for n, _, _ in tool.parameters]}}})


def system_text(tools):
    """The system prompt that lists tools (the usual form for this call syntax)."""
    return ("You are a helpful assistant.\n\n# Tools\n\nYou may call one or more functions to assist "
            "with the user query.\n\n<tools>\n" + "\n".join(declaration(t) for t in tools)
            + "\n</tools>\n\nFor each function call, return a json object with function name and "
            "arguments within <tool_call></tool_call> tags.")


def call_pieces(tool, values):
    """Pieces of a call; argument values are the copied parts."""
    pieces = [('<tool_call>\n{"name": "', REPLY), (tool.name, ANSWER), ('", "arguments":', REPLY)]
    closing = " {"
    for i, ((name, kind, _), value) in enumerate(zip(tool.parameters, values)):
        quote = '"' if kind == "string" else ""
        lead = closing + (", " if i else "")
        pieces += [(f'{lead}"{name}": {quote}', REPLY), (value, ANSWER)]
        closing = quote
    return pieces + [(closing + "}}\n</tool_call>", REPLY)]


def exchange(rng, tool, split, start, draw=lists.draw):
    """(turns, questions) of one call, its result and the answer."""
    values = []
    for _, _, kind in tool.parameters:
        values.append(_value(rng, kind, split, values, draw))
    asked = rng.choice(tool.asks).format(*values)
    result = _value(rng, tool.result_kind, split, values, draw)
    known = int(result) if result.isdigit() else result
    turns = [Turn("user", [(asked, CONTEXT)]), Turn("assistant", call_pieces(tool, values)),
             Turn("tool", [(json.dumps({tool.result: known}), CONTEXT)]),
             Turn("assistant", sentence(tool.answer.format(*values, V="{V}"), result, REPLY, ANSWER))]
    call = Question(start, "call", [tool.name] + values, [], False, asked)
    final = Question(start + 2, "result", [result], [], False, turns[2].text)
    return turns, [call, final]


def tool_chat(rng, target_tokens, count_tokens, split="train", draw=lists.draw):
    """A system prompt with one to three tools, then calls."""
    talk = Conversation()
    tools = rng.sample(TOOLS, rng.choice((1, 2, 2, 3)))
    system = Turn("system", [(system_text(tools), CONTEXT)])
    talk.turns.append(system)
    talk.tokens = TURN_OVERHEAD + count_tokens(system.text)
    while True:
        turns, questions = exchange(rng, rng.choice(tools), split, len(talk.turns), draw)
        spent = cost(turns, count_tokens)
        if talk.tokens + spent > target_tokens:
            return talk
        talk.turns += turns
        talk.questions += questions
        talk.tokens += spent
