"""The page in a real Chromium: by mouse, by keys, on a phone, reloaded half-way, by two at once, and with hostile answers."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from curate.rank.votes import last_votes, read_votes
from tests.rank.page.serving import campaign, serving

HOSTILE = (
    "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'> [a](javascript:window.hacked=1)",
    "![](http://127.0.0.1:9/x.png) <style>body { display: none }</style> \u202eneddih\u202c \x00\x1b[2J",
    "<iframe srcdoc='<script>parent.hacked = 1</script>'></iframe>\n\n```html\n<svg onload=\"window.hacked=1\">\n```\n"
    + "x " * 40_000,
)


@pytest.fixture
def person(browser):
    """A page of a person of their own, on a link; what went wrong on it fails the test."""
    contexts = []

    def opened(link, **settings):
        context = browser.new_context(**{"viewport": {"width": 1200, "height": 800}, **settings})
        context.set_default_timeout(15_000)
        page = context.new_page()
        contexts.append((context, wrong := []))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda line: wrong.append(line.text) if "Content Security Policy" in line.text else None)
        page.goto(link)
        return page

    yield opened
    for context, wrong in contexts:
        context.close()
        assert wrong == []


def settled(page, done):
    """Wait until the page counts so many tasks done."""
    page.locator("#count", has_text=f"{done} done,").wait_for()


def votes(folder, server):
    server.stop()
    return last_votes(read_votes(folder / "votes.jsonl"))


def name_of(page, letter):
    """The name that votes have for the answer shown under this letter."""
    return page.locator(".card", has=page.locator(".letter", has_text=letter)).get_attribute("data-answer")


def drag(page, what, rank):
    start = page.locator(what).bounding_box()
    lane = page.locator(f".lane[data-rank='{rank}']").bounding_box()
    page.mouse.move(start["x"] + start["width"] / 2, start["y"] + start["height"] / 2)
    page.mouse.down()
    page.mouse.move(lane["x"] + 20, lane["y"] + 20, steps=5)
    page.mouse.move(lane["x"] + lane["width"] / 2, lane["y"] + lane["height"] / 2, steps=5)
    page.mouse.up()


def test_rank_by_mouse(person, tmp_path):
    with serving(campaign(tmp_path)) as server:
        page = person(server.links["ada"])
        settled(page, 0)
        assert page.locator("#submit").is_disabled()
        drag(page, ".chip:text-is('A')", 2)
        drag(page, ".card:nth-child(2) .letter", 1)
        drag(page, ".chip:text-is('C')", 3)
        drag(page, ".chip:text-is('C')", 2)
        assert page.locator("#live").text_content() == "Answer C: rank 2. 3 of 3 ranked."
        assert page.locator(".lane[data-rank='2']").get_attribute("aria-label") == "Rank 2: A, C"
        expected = {name_of(page, "B"): 1, name_of(page, "A"): 2, name_of(page, "C"): 2}
        page.click("#submit")
        settled(page, 1)
        page.click("#skip")
        settled(page, 2)
        page.click("#bad")
        page.click("#submit")
        settled(page, 3)
        first, second, third = sorted(votes(tmp_path, server), key=lambda vote: vote.at)
    assert (first.ranks, first.source, first.annotator, sorted(first.shown)) == (expected, "page", "ada", ["a", "b", "c"])
    assert second.ranks is None
    assert third.all_bad
    assert set(third.ranks.values()) == {1}
    assert len({first.task, second.task, third.task}) == 3


def test_rank_by_keys_alone(person, tmp_path):
    with serving(campaign(tmp_path, criteria=("helpful", "honest"))) as server:
        page = person(server.links["ada"])
        settled(page, 0)
        a, b, c = (name_of(page, letter) for letter in "ABC")
        page.keyboard.press("3")
        page.keyboard.press("2")
        page.keyboard.press("1")
        page.keyboard.press("u")
        assert page.locator("#live").text_content() == "Undone. 2 of 3 ranked."
        page.keyboard.press("t")
        page.keyboard.press("Enter")  # the other criterion has no ranks
        assert page.locator("#count").text_content().startswith("0 done")
        page.keyboard.press("n")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("1")
        page.keyboard.press("c")
        page.keyboard.type("1 is right")
        page.keyboard.press("Control+Enter")  # one rank says nothing
        assert page.locator("#submit").is_disabled()
        page.keyboard.press("Escape")
        page.keyboard.press("2")
        page.keyboard.press("0")
        page.keyboard.press("3")
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("2")
        page.keyboard.press("Enter")
        settled(page, 1)
        # Tab reaches the letters below, and arrow keys move them; then the numbers on the answers.
        page.focus(".chip:text-is('A')")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        assert page.locator(".lane[data-rank='2']").get_attribute("aria-label") == "Rank 2: A"
        assert page.evaluate("document.activeElement.textContent") == "A"
        page.focus("[aria-label='Answer B: rank 1 best']")
        page.keyboard.press("Space")
        assert page.locator("[aria-label='Answer B: rank 1 best']").get_attribute("aria-pressed") == "true"
        helpful, honest = votes(tmp_path, server)
    assert (helpful.criterion, helpful.ranks, helpful.comment) == ("helpful", {a: 2, b: 1, c: 3}, "1 is right")
    assert (honest.criterion, honest.ranks) == ("honest", {a: 2, b: 1, c: 2})


def test_single_keys_can_be_turned_off(person, tmp_path):
    with serving(campaign(tmp_path)) as server:
        page = person(server.links["ada"])
        settled(page, 0)
        page.click("#help-open")
        page.uncheck("#keys")
        page.click("dialog button")
        page.keyboard.press("s")
        page.keyboard.press("1")
        assert page.locator(".lane[data-rank='0']").get_attribute("aria-label") == "No rank yet: A, B, C"
        settled(page, 0)


def test_rank_on_a_phone(person, tmp_path):
    phone = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True, "device_scale_factor": 2}
    with serving(campaign(tmp_path, texts=tuple("abcdefghi"))) as server:
        page = person(server.links["ada"], **phone)
        settled(page, 0)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        for number in range(1, 10):
            page.locator(f".card:nth-child({number}) .ranks button:nth-child({10 - number})").tap()
        for button in page.locator("button:visible").all():
            box = button.bounding_box()
            assert min(box["width"], box["height"]) >= 24
        page.locator("#submit").tap()
        settled(page, 1)
        (vote,) = votes(tmp_path, server)
    assert vote.ranks == {name: 9 - place for place, name in enumerate(vote.shown)}


def test_a_reload_and_a_killed_server_lose_nothing(person, tmp_path):
    with serving(campaign(tmp_path)) as server:
        port = server.base.rpartition(":")[2]
        page = person(server.links["ada"])
        settled(page, 0)
        page.keyboard.press("2")
        page.keyboard.press("1")
        page.fill("#comment", "half-way")
        said = page.locator(".lane[data-rank='1']").get_attribute("aria-label")
        page.reload()
        settled(page, 0)
        assert page.locator(".lane[data-rank='1']").get_attribute("aria-label") == said == "Rank 1 best: B"
        assert page.input_value("#comment") == "half-way"
        server.kill()
        page.click(".card:nth-child(3) .ranks button:nth-child(3)")
        page.click("#submit")
        page.locator("#trouble", has_text="trying again").wait_for()
    with serving(tmp_path, "--port", port) as server:
        settled(page, 1)
        assert page.locator("#trouble").is_hidden()
        # Another browser, without what this one may have kept, goes on where the first was.
        page.keyboard.press("3")
        page.locator("#saved", has_text="Draft saved").wait_for()
        again = person(server.links["ada"])
        settled(again, 1)
        assert again.locator(".lane[data-rank='3']").get_attribute("aria-label") == "Rank 3 worst: A"
        (vote,) = votes(tmp_path, server)
    assert (vote.comment, [vote.ranks[name] for name in vote.shown]) == ("half-way", [2, 1, 3])


def test_two_at_once_and_a_change_of_mind(person, tmp_path):
    with serving(campaign(tmp_path, tasks=4, overlap=1)) as server:
        ada, bob = person(server.links["ada"]), person(server.links["bob"])
        for page in (ada, bob):
            settled(page, 0)
        for done in (1, 2):
            for page in (ada, bob):
                page.keyboard.press("1")
                page.keyboard.press("t")
                page.keyboard.press("Enter")
                settled(page, done)
        for page in (ada, bob):
            page.locator("#end-title").wait_for()
        ada.keyboard.press("p")
        ada.locator("#submit", has_text="change").wait_for()
        assert ada.locator(".lane[data-rank='1']").get_attribute("aria-label") == "Rank 1 best: A"
        ada.keyboard.press("b")
        ada.keyboard.press("Enter")
        ada.locator("#end-title").wait_for()
        found = votes(tmp_path, server)
    assert sorted((vote.annotator, vote.all_bad) for vote in found) == [
        ("ada", False),
        ("ada", True),
        ("bob", False),
        ("bob", False),
    ]
    assert sorted(vote.task for vote in found) == ["t0", "t1", "t2", "t3"]
    assert len(read_votes(tmp_path / "votes.jsonl")) == 5


def test_hostile_answers_do_nothing(person, tmp_path):
    with serving(campaign(tmp_path, texts=HOSTILE, instructions="<script>window.hacked = 1</script>")) as server:
        page = person(server.links["ada"])
        settled(page, 0)
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        page.wait_for_timeout(500)
        assert page.evaluate("window.hacked") is None
        assert page.locator("#answers").locator("script, img, iframe, style, a, svg, object").count() == 0
        text = page.locator("#answers").text_content()
        for shown in (
            "<script>window.hacked = 1</script>",
            "<iframe srcdoc=",
            "U+202E",
            "U+001B",
            "http://127.0.0.1:9/x.png",
            "x x x",
        ):
            assert shown in text
        assert not [url for url in asked if not url.startswith(server.base)]


def test_admin_page(person, tmp_path):
    with serving(campaign(tmp_path, tasks=4, gold=1)) as server:
        page = person(server.links["admin"])
        page.fill("#name", "<b>cleo</b>")
        page.click("#add button")
        link = page.locator("#made code").text_content()
        cleo = person(link)
        settled(cleo, 0)
        for done in (1, 2, 3, 4):
            cleo.keyboard.press("1")
            cleo.keyboard.press("2")
            cleo.keyboard.press("3")
            cleo.keyboard.press("Enter")
            settled(cleo, done)
        page.click("#export")
        page.locator("#said", has_text="votes added").wait_for()
        exported = len(read_votes(tmp_path / "votes.jsonl"))
        with page.expect_download() as download:
            page.click("#votes")
        assert len(download.value.path().read_text().splitlines()) == exported == 4
        page.set_viewport_size({"width": 360, "height": 700})
        page.reload()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        row = page.locator("tbody tr", has_text="<b>cleo</b>").locator("td").all_text_contents()
        assert row[0] == str(exported)
        assert "of 3" in row[4]
        assert "%" in row[5], "how often the longer answer won"
        assert "0 votes added" in server.stop()


def axe(folder):
    """The source of axe-core: AXE names the file, else npm gets it."""
    if given := os.environ.get("AXE"):
        return Path(given).read_text(encoding="utf-8")
    if shutil.which("npm") is None:
        pytest.skip("axe-core is not here, and there is no npm to get it with; AXE names its axe.min.js")
    done = subprocess.run(["npm", "pack", "axe-core@4"], cwd=folder, capture_output=True, timeout=60, check=False)
    if done.returncode:
        pytest.skip("npm could not get axe-core; AXE names its axe.min.js")
    shutil.unpack_archive(next(folder.glob("axe-core-*.tgz")), folder / "axe")
    return (folder / "axe" / "package" / "axe.min.js").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(person, tmp_path, scheme):
    source = axe(tmp_path)
    text = "# Title\n\n`code` [link](http://example.org)\n\n```c\nx\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n> quote\u202e"
    folder = campaign(
        tmp_path / "campaign", texts=(text, text + text), criteria=("helpful", "honest"), instructions="Do *this*."
    )
    with serving(folder, "--open-signup") as server:
        for place, width in (("ada", 1200), ("ada", 360), ("admin", 1200), ("front", 1200)):
            page = person(server.links.get(place, server.base), color_scheme=scheme, viewport={"width": width, "height": 800})
            page.wait_for_timeout(500)
            if place == "ada":
                page.keyboard.press("1")
            page.evaluate(source)
            tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
            found = page.evaluate("tags => axe.run(document, { runOnly: tags })", tags)
            assert len(found["passes"]) > 10
            assert [(one["id"], one["nodes"][0]["html"]) for one in found["violations"]] == [], json.dumps(found["violations"])[
                :2000
            ]
