"""The page that runs one prompt through the full cache and a KV policy."""

import re

import pytest
from looks import CONTRAST, NAMELESS, cut_off, reached_by_tab

IDLE = "document.getElementById('run').textContent === 'Compare'"
TEXT = "The river ran past the old mill, and Anna carried bread to the boat. " * 12


@pytest.fixture
def policies(page, base_url):
    page.open(base_url + "/policies.html")
    page.until("document.getElementById('model').textContent.includes('context')")
    return page


def compare(page, policy="sink-recent", budget=25, tokens=24, text=TEXT):
    page.evaluate(f"document.getElementById('policy').value = '{policy}'")
    page.write("#budget", str(budget))
    page.write("#max-tokens", str(tokens))
    page.write("#input", text)
    page.click("#run")
    page.until(IDLE)


def figure(page, side, name):
    rows = page.text(f"#{side}-figures").split("\n")
    return rows[rows.index(name) + 1]


def test_both_sides_show_text_memory_and_speed(policies, picture):
    compare(policies)
    said = policies.text("#verdict")
    assert re.match(r"(All 24|The first \d+ of 24) tokens agree; sink-recent held \d+ % of the full cache's", said), said
    for side in ("full", "part"):
        assert policies.text(f"#{side}-text"), side
        assert "tokens/s" in figure(policies, side, "Decode")
        assert figure(policies, side, "Answer") == "24 tokens"
    kept = [float(figure(policies, side, "Slots kept a head").split()[0]) for side in ("full", "part")]
    assert kept[1] < kept[0] / 2, kept
    assert figure(policies, "full", "Dropped").startswith("0 slots")
    assert not figure(policies, "part", "Dropped").startswith("0 slots")
    assert policies.errors == []
    picture("policies")


def test_room_for_everything_agrees_with_the_full_cache(policies):
    compare(policies, "h2o", budget=100, tokens=12, text="Where is the boat?")
    policies.evaluate("document.getElementById('unit').value = 'slots'")
    compare(policies, "h2o", budget=4000, tokens=12, text="Where is the boat?")
    assert policies.text("#verdict").startswith("All 12 tokens agree"), policies.text("#verdict")
    assert policies.evaluate("document.querySelectorAll('mark').length") == 0


def test_the_second_answer_is_not_helped_by_the_first(policies):
    compare(policies)
    reuse = "fetch('/weir/state').then(r => r.json()).then(s => s.counters.cached_tokens)"
    before = policies.evaluate(reuse)
    compare(policies)
    assert policies.evaluate(reuse) == before


def test_a_refusal_is_said_in_the_servers_words(policies):
    policies.evaluate("document.getElementById('unit').value = 'slots'")
    compare(policies, "snapkv", budget=1, text="word " * 20_000)
    assert "token" in policies.text("#verdict")
    assert policies.evaluate("document.getElementById('verdict').className") == "bad"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read(policies, scheme, picture):
    policies.look(scheme)
    compare(policies, tokens=12)
    worst = policies.evaluate(CONTRAST)
    assert worst[0][1] >= 4.5, worst
    assert policies.evaluate(NAMELESS) == []
    picture("policies-" + scheme)


@pytest.mark.parametrize("width", [320, 700, 1200])
def test_every_width_works(policies, width, picture):
    policies.look("light", width, 700)
    compare(policies, tokens=8, text="averyveryverylongword" + "x" * 200)
    assert policies.evaluate("document.scrollingElement.scrollWidth") <= width
    assert cut_off(policies) == []
    picture(f"policies-{width}")


def test_the_keyboard_reaches_everything(policies):
    reached = reached_by_tab(policies)
    order = ["Chat", "KV policies", "input", "policy", "budget", "unit", "max-tokens", "key", "run"]
    assert [name for name in reached if name in order] == order, reached
