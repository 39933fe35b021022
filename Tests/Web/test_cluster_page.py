"""The page of a router: nodes, transfers, the way of each request."""

import json
import re
import urllib.request

import pytest
from looks import CONTRAST, NAMELESS, cut_off, reached_by_tab

TRANSFERS = "document.querySelectorAll('#transfers tr').length"


@pytest.fixture(scope="module")
def asked(cluster_url):
    """Answers that were handed over, one of them as a stream; their identifiers."""
    names = []
    for number in range(6):
        body = {"prompt": f"Story {number}: " + "once upon a time " * 40, "max_tokens": 24, "stream": number == 5,
                "ignore_eos": True, "cache_salt": f"page-{number}"}
        names.append(f"page-request-{number}")
        request = urllib.request.Request(
            cluster_url + "/v1/completions", json.dumps(body).encode(),
            {"Content-Type": "application/json", "X-Request-Id": names[-1]})
        with urllib.request.urlopen(request, timeout=60) as answer:
            answer.read()
    return names


def test_nodes_are_shown_with_their_roles(cluster_page):
    cluster_page.until("document.querySelectorAll('#nodes .badge').length === 2")
    assert "2 of 2 nodes up" in cluster_page.text("#model")
    said = cluster_page.text("#nodes")
    assert "prefill-1" in said and "decode, up" in said, said
    cluster_page.until("/in use, \\d+ cached, of [1-9]/.test(document.querySelector('#nodes .bar').ariaLabel)")
    assert "2 nodes" in cluster_page.evaluate("document.getElementById('map').getAttribute('aria-label')")
    assert cluster_page.errors == []


def test_transfers_are_shown_with_what_was_checked(cluster_page, asked):
    cluster_page.until(TRANSFERS + " >= 6")
    row = cluster_page.text("#transfers tr")
    assert re.search(r"ago\s+prefill-1\s+decode-1\s+\d+\s+[\d.]+ [KM]?i?B\s+[1-9]\d*\s+[\d.]+ .?s\s+verified", row), row
    assert cluster_page.text("#transfer-sum").endswith("0 refused and computed again.")
    assert cluster_page.evaluate("document.querySelectorAll('#timeline rect').length") >= 6
    assert cluster_page.errors == []
    cluster_page.picture("cluster")


def test_the_map_says_who_gave_what(cluster_page):
    cluster_page.until("document.querySelectorAll('#nodes li').length === 2")
    said = cluster_page.evaluate("""(showMap([{ id: 'p', role: 'prefill', state: 'up', running: 0 },
        { id: 'd', role: 'decode', state: 'up', running: 1 }], [{ from: 'p', to: 'd', bytes: 2048, seconds_ago: 1,
        refused_because: null }, { from: 'p', to: 'd', bytes: 9, seconds_ago: 11, refused_because: null }]),
        document.getElementById('map').getAttribute('aria-label'))""")
    assert said == "2 nodes. In the last ten seconds: p gave d 2.0 KiB in 1 transfers"


def test_a_request_is_followed_over_the_nodes_under_one_name(cluster_page, asked):
    for name in (asked[0], asked[-1]):
        item = f"[...document.querySelectorAll('#requests li')].find(e => e.innerText.startsWith('{name}'))"
        cluster_page.until(f"{item}?.querySelectorAll('.lane').length === 2", 10)
        said = cluster_page.evaluate(item + ".innerText")
        assert re.search(r"prefill-1\s+queue [\d.]+ .?s, prefill [\d.]+ .?s", said), said
        assert re.search(r"decode-1\s+transfer [\d.]+ .?s, prefill [\d.]+ .?s, decode [\d.]+ .?s", said), said
        # The two lanes follow each other: what the decode node does begins after the prefill.
        ends = cluster_page.evaluate(
            f"(lanes => [lanes[0].querySelector('.prefill'), lanes[1].querySelector('.decode')]"
            f".map(e => e.getBoundingClientRect().left))({item}.querySelectorAll('.lane'))")
        assert ends[0] < ends[1], ends


def test_the_page_stands_still_when_it_is_told_to(cluster_page):
    cluster_page.until("document.querySelectorAll('#nodes li').length === 2")
    cluster_page.click("#pause")
    assert cluster_page.evaluate("document.getElementById('pause').ariaPressed") == "true"
    cluster_page.evaluate("document.querySelector('#nodes li').dataset.old = 'yes'")
    before = len(cluster_page.requests)
    cluster_page.evaluate("new Promise(done => setTimeout(done, 1300))")
    assert cluster_page.evaluate("document.querySelector('#nodes li').dataset.old") == "yes"
    assert len(cluster_page.requests) <= before + 2
    cluster_page.click("#pause")
    cluster_page.until("document.querySelector('#nodes li').dataset.old === undefined")


def test_role_flips_are_shown_with_their_reasons(cluster_page):
    cluster_page.until("document.querySelectorAll('#nodes li').length === 2")
    cluster_page.click("#pause")
    cluster_page.evaluate("""showRoles({ models: [{ regime: 'prefill-overloaded', reason: 'Prefill waits.', prefill_score: 0.9,
        decode_score: 0.1 }], flips: [{ unix_seconds: Date.now() / 1000 - 5, node: 'decode-1', from: 'decode', to: 'prefill',
        outcome: 'followed', reason: 'prefill 0.90 over 0.80' }] }, [])""")
    assert "prefill-overloaded: Prefill waits." in cluster_page.text("#regime")
    assert re.search(r"5 s ago\s+decode-1\s+decode to prefill\s+followed\s+prefill 0.90", cluster_page.text("#flips"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read(cluster_page, asked, scheme):
    cluster_page.look(scheme)
    cluster_page.until(TRANSFERS + " >= 6")
    worst = cluster_page.evaluate(CONTRAST)
    assert worst[0][1] >= 4.5, worst
    assert cluster_page.evaluate(NAMELESS) == []
    cluster_page.picture("cluster-" + scheme)


@pytest.mark.parametrize("width", [320, 700, 1200])
def test_every_width_works(cluster_page, asked, width):
    cluster_page.look("light", width, 900)
    cluster_page.until(TRANSFERS + " >= 6")
    assert cluster_page.evaluate("document.scrollingElement.scrollWidth") <= width
    assert cut_off(cluster_page) == []
    cluster_page.picture(f"cluster-{width}")


def test_the_keyboard_reaches_everything(cluster_page):
    reached = reached_by_tab(cluster_page)
    order = ["Cluster", "metrics", "state", "pause", "scroll", "scroll"]
    assert [name for name in reached if name in order] == order, reached


def test_a_router_that_is_away_is_said(cluster_page):
    cluster_page.until("document.querySelectorAll('#nodes li').length === 2")
    cluster_page.command("Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=-1,
                         uploadThroughput=-1)
    cluster_page.until("document.getElementById('model').textContent.includes('does not answer')", 5)
