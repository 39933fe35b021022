"""The web page in a real browser against a real server."""

import re
import time

import pytest
from looks import CONTRAST, cut_off

QUESTION = "Tell me a story about a small boat on a wide river, and about the people who lived near the weir."
IDLE = "document.getElementById('send').textContent === 'Send'"
ANSWERS = "document.querySelectorAll('#messages li.assistant')"

def ask(page, text=QUESTION, tokens=48):
    """Sends a message and waits for the whole answer."""
    start(page, text, tokens)
    page.until(IDLE)


def start(page, text, tokens):
    page.write("#max-tokens", str(tokens))
    page.write("#temperature", "0")
    page.write("#input", text)
    page.click("#send")


def number(text):
    found = re.search(r"[\d.]+", text)
    assert found, f"no number in {text!r}"
    return float(found.group())


@pytest.fixture(autouse=True)
def only_our_server(page, base_url):
    """No test may make the page ask anybody else."""
    yield
    page.evaluate("1")
    foreign = [url for url in page.requests if not url.startswith((base_url + "/", "data:", "about:"))]
    assert foreign == []


def test_the_page_loads_and_shows_the_server(page):
    page.until("document.getElementById('blocks').textContent !== '-'")
    assert "context" in page.text("#model")
    assert "threads" in page.text("#kernels")
    assert page.evaluate("document.activeElement.id") == "input"
    assert page.errors == []


def test_an_answer_streams_in_with_its_figures(page, picture):
    page.until("document.getElementById('blocks').textContent !== '-'")
    page.evaluate("""(() => { window.lengths = new Set(); new MutationObserver(() => {
        const item = document.querySelector('#messages li.assistant:last-child');
        if (item) window.lengths.add(item.textContent.length);
      }).observe(document.getElementById('messages'), { childList: true, subtree: true, characterData: true }); })()""")
    ask(page, tokens=1500)
    assert page.evaluate("window.lengths.size") > 3, "the answer did not come in pieces"
    assert page.evaluate(ANSWERS + "[0].firstChild.textContent.length") > 0
    assert number(page.text("#speed")) > 0
    assert number(page.text("#ttft")) >= 0 and page.text("#ttft").endswith(("ms", "s"))
    assert number(page.text("#prompt")) > 32
    assert "1500 tokens" in page.text("#messages small")
    # The state is read once a second: the finished prompt is in the pool then.
    page.until("/^0 \\+ [1-9]/.test(document.getElementById('blocks').textContent)")
    page.until("document.querySelector('#pool-bar .kept').getBoundingClientRect().width > 0")
    assert page.errors == []
    picture("answer")


def test_a_second_turn_reuses_the_first(page):
    ask(page, QUESTION + " Begin at the old mill.")
    ask(page, "And then?")
    assert page.evaluate(ANSWERS + ".length") == 2
    assert number(page.text("#cached")) > 0
    assert re.search(r"[1-9]\d* of \d+ prompt tokens from the cache", page.text("#messages li:last-child small"))
    page.click("#clear")
    assert page.text("#messages") == ""
    assert page.errors == []


def test_enter_sends_and_shift_enter_does_not(page):
    page.write("#max-tokens", "4")
    page.write("#input", "Hello")
    page.press_enter()
    page.until(ANSWERS + ".length === 1 && " + IDLE)
    assert page.evaluate("document.getElementById('input').value") == ""


def test_stop_ends_the_answer_and_frees_the_server(page):
    generated = "fetch('/weir/state').then(r => r.json()).then(s => s.counters.generated_tokens)"
    before = page.evaluate(generated)
    # The small model of these tests is fast: the page itself presses Stop at the first piece of text.
    page.evaluate("""new MutationObserver((_, observer) => {
        if (!document.querySelector('#messages li.assistant')?.textContent) return;
        window.label = document.getElementById('send').textContent;
        document.getElementById('send').click(); observer.disconnect();
      }).observe(document.getElementById('messages'), { childList: true, subtree: true, characterData: true })""")
    start(page, "Count as far as you can.", 1500)
    page.until("window.label && " + IDLE)
    assert page.evaluate("window.label") == "Stop"
    page.until("fetch('/weir/state').then(r => r.json()).then(s => s.load.running === 0)", 5)
    assert page.evaluate(generated) - before < 1500
    kept = page.text("#messages li.assistant")
    time.sleep(0.3)
    assert page.text("#messages li.assistant") == kept, "the answer went on after Stop"
    assert kept.endswith(", stopped")
    assert page.evaluate("document.querySelectorAll('li.failed').length") == 0
    ask(page, "Hello again.", 4)
    assert page.evaluate(ANSWERS + ".length") == 2
    assert page.errors == []


def test_a_refusal_is_shown_and_the_conversation_goes_on(page, picture):
    ask(page, "word " * 20_000, 8)
    failed = page.text("#messages li.failed")
    assert "token" in failed, failed
    assert page.evaluate("document.querySelectorAll('li.assistant').length") == 0, "an empty answer was left"
    picture("refusal")
    # What was refused must not be sent along with the next message.
    ask(page, "Hello.", 4)
    assert page.evaluate(ANSWERS + ".length") == 1
    assert page.evaluate("document.querySelectorAll('li.failed').length") == 1


def test_an_answer_is_asked_for_only_as_long_as_the_context_allows(page):
    # Short answers do here: what the page asks for is noted, and 4 tokens are asked of the server.
    page.evaluate("""(() => { const real = window.fetch; window.asked = []; window.fetch = (url, options) => {
        if (url !== '/v1/chat/completions') return real(url, options);
        const body = JSON.parse(options.body); window.asked.push(body.max_tokens);
        return real(url, { ...options, body: JSON.stringify({ ...body, max_tokens: 4 }) }); }; })()""")
    context = page.evaluate("fetch('/weir/state').then(r => r.json()).then(s => s.model.context_length)")
    ask(page, tokens=7)
    ask(page, tokens=context)
    first, second = page.evaluate("window.asked")
    assert first == 7
    assert second == context - number(page.text("#prompt"))
    assert page.errors == []


def test_a_server_that_is_away_is_said(page):
    page.until("document.getElementById('blocks').textContent !== '-'")
    page.command("Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=-1,
                 uploadThroughput=-1)
    page.until("document.getElementById('model').textContent.includes('does not answer')", 5)
    ask(page, "Hello?", 4)
    assert "server" in page.text("#messages li.failed").lower()
    page.command("Network.emulateNetworkConditions", offline=False, latency=0, downloadThroughput=-1,
                 uploadThroughput=-1)
    page.until("document.getElementById('model').textContent.includes('context')", 5)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read(page, scheme, picture):
    page.look(scheme)
    ask(page, tokens=32)
    ask(page, "word " * 20_000, 8)
    ask(page, "Once upon a time", 96)
    page.until("/\\+ [1-9]/.test(document.getElementById('blocks').textContent)")
    worst = page.evaluate(CONTRAST)
    assert len(worst) == 10
    assert worst[0][1] >= 4.5, worst
    # The graph has a line once the state came twice.
    page.until("document.getElementById('rate').textContent !== '-'")
    grounds = {page.evaluate("getComputedStyle(document.body).backgroundColor")}
    page.look("light" if scheme == "dark" else "dark")
    grounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(grounds) == 2, "light and dark look the same"
    page.look(scheme)
    page.evaluate("document.getElementById('messages').scrollTop = 1e6")
    picture(scheme)


@pytest.mark.parametrize("width", [320, 390, 768, 1024])
def test_every_width_works(page, width, picture):
    page.look("light", width, 700)
    page.until("document.getElementById('blocks').textContent !== '-'")
    ask(page, "A message with averyveryverylongwordthatdoesnotbreak" + "x" * 200, 24)
    assert page.evaluate("document.scrollingElement.scrollWidth") <= width
    assert cut_off(page) == []
    picture(f"width-{width}")
