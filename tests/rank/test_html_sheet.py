"""The HTML sheet in a real Chromium, from a file, without a server."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curate.rank.campaign import shown_order
from curate.rank.importing import Came, Context, read_file
from curate.rank.sheets.html import page
from tests.rank.page.test_in_browser import drag
from tests.rank.sheets import made, ranks, task_of

ATTACK = "<img src=x onerror=window.hacked=1></script><script>window.hacked=1</script><svg onload=window.hacked=1>"
HOSTILE = [
    ATTACK,
    f"```html\n{ATTACK}\n```",
    "\u202eright to left\u202c \u0645\u0631\u062d\u0628\u0627",
    "x" * 1_000_000,
    "{{data}}\u2028\x00]]>",
    "javascript:window.hacked=1",
]


class Sheet:
    """A sheet that is open in a browser. What the page logs as an error, or asks of the network, is kept."""

    def __init__(self, context: Any, file: Path) -> None:
        self.page = context.new_page()
        self.errors: list[str] = []
        self.asked: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda said: self.errors.append(said.text) if said.type == "error" else None)
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(file.as_uri())

    def votes(self, folder: Path, context: Context) -> Came:
        """What the sheet's download holds, as `curate rank import` reads it."""
        with self.page.expect_download() as download:
            self.page.get_by_role("button", name="Download votes").click()
        path = folder / download.value.suggested_filename
        download.value.save_as(path)
        return read_file(path, context)

    def settled(self, done: int) -> None:
        """Wait until the sheet counts so many tasks done."""
        self.page.locator("#count", has_text=f"{done} done,").wait_for()

    def press(self, keys: str) -> None:
        for key in keys.split():
            self.page.keyboard.press(key)


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Any:
    contexts = []

    def start(*, annotator: str = "ada", tasks: Any = None, **settings: Any) -> tuple[Sheet, Context, Callable[[], Sheet]]:
        tasks = tasks or [task_of("x", "y", "z", prompt=f"q{i}") for i in range(3)]
        context = made(tmp_path, tasks, "html", annotator=annotator, **settings)
        person = browser.new_context(accept_downloads=True)
        contexts.append(person)
        file = tmp_path / "sheets" / "html" / f"{annotator or 'tasks'}.html"
        return Sheet(person, file), context, lambda: Sheet(person, file)

    yield start
    for person in contexts:
        person.close()


def test_keys_rank_and_work_outlives_the_tab(opened, tmp_path):
    sheet, context, again = opened()
    tasks = list(context.tasks.values())
    orders = [shown_order(context.campaign, task, "ada") for task in tasks]
    sheet.press("1 2 2")
    sheet.page.close()
    sheet = again()
    sheet.settled(0)
    assert sheet.page.locator(".lane[data-rank='2']").get_attribute("aria-label") == "Rank 2: B, C", "the draft is there"
    sheet.press("Enter")
    sheet.settled(1)
    sheet.press("t b Enter")
    sheet.settled(2)
    sheet.press("s")
    sheet.settled(3)
    sheet.page.close()
    sheet = again()
    sheet.settled(3)
    assert "give the file back" in sheet.page.locator("#end-text").inner_text()
    came = sheet.votes(tmp_path, context)
    assert came.refused == []
    votes = {vote.task: vote for vote in came.votes}
    assert votes[tasks[0].task].ranks == dict(zip(orders[0], (1, 2, 2), strict=True))
    assert votes[tasks[0].task].shown == orders[0]
    assert votes[tasks[1].task].ranks == dict.fromkeys("abc", 1)
    assert votes[tasks[1].task].all_bad
    assert votes[tasks[2].task].ranks is None
    assert {(vote.annotator, vote.source) for vote in came.votes} == {("ada", "html")}
    assert all(vote.seconds is not None and vote.seconds < 60 for vote in came.votes)
    assert sheet.errors == []


def test_drag_undo_comment_and_a_vote_that_is_changed(opened, tmp_path):
    sheet, context, _ = opened()
    first, second, _ = context.tasks.values()
    order = shown_order(context.campaign, first, "ada")
    drag(sheet.page, ".chip:text-is('A')", 2)
    drag(sheet.page, ".card:nth-child(2) .letter", 1)
    drag(sheet.page, ".chip:text-is('C')", 3)
    sheet.page.get_by_role("button", name="Undo").click()
    sheet.page.get_by_label("Comment").fill("both = 1 s x t")
    sheet.page.get_by_role("button", name="Submit 2 of 3").click()
    sheet.settled(1)
    came = sheet.votes(tmp_path, context)
    assert ranks(came.votes) == {first.task: {order[1]: 1, order[0]: 2}}
    assert came.votes[0].comment == "both = 1 s x t"
    sheet.press("1")
    sheet.page.get_by_role("button", name="Back").click()
    sheet.page.locator("#saved", has_text="You voted on this one").wait_for()
    assert sheet.page.get_by_label("Comment").input_value() == "both = 1 s x t"
    sheet.page.get_by_role("button", name="Answer C: rank 3 worst").click()
    sheet.page.get_by_role("button", name="Submit the change").click()
    sheet.page.locator("#live", has_text="Changed.").wait_for()
    came = sheet.votes(tmp_path, context)
    assert [(vote.task, vote.ranks) for vote in came.votes] == [
        (first.task, {order[1]: 1, order[0]: 2}),
        (first.task, {order[1]: 1, order[0]: 2, order[2]: 3}),
    ], "the last counts, and what was said before is kept"
    assert came.votes[0].at < came.votes[1].at
    assert "1 task is begun and not submitted" in sheet.page.get_by_role("alert").inner_text()
    assert second.task not in ranks(came.votes)
    assert sheet.errors == []


def test_criteria_are_ranked_each_by_itself(opened, tmp_path):
    sheet, context, _ = opened(criteria=("helpful", "harmless"))
    first = next(iter(context.tasks.values()))
    order = shown_order(context.campaign, first, "ada")
    sheet.press("1 2 3 n 3")
    assert sheet.page.locator("#submit").is_disabled()
    sheet.page.get_by_role("button", name="Answer B: rank 1 best").click()
    sheet.press("Control+Enter")
    sheet.settled(1)
    came = sheet.votes(tmp_path, context)
    assert {vote.criterion: vote.ranks for vote in came.votes} == {
        "helpful": dict(zip(order, (1, 2, 3), strict=True)),
        "harmless": {order[0]: 2, order[1]: 1},
    }


def test_markdown_is_rendered_as_on_the_page(opened):
    text = (
        "**so** and `x = 1`\n\n```python\nfor x in y:\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n\u0645\u0631\u062d\u0628\u0627"
    )
    sheet, _, _ = opened(tasks=[task_of(text, "plain", prompt="# *Why*?")], instructions="Rank by **truth**.")
    card = sheet.page.locator(".card", has=sheet.page.locator("pre"))
    assert card.locator("strong").inner_text() == "so"
    assert card.locator("pre").get_attribute("data-lang") == "python"
    assert card.locator("td").all_inner_texts() == ["1", "2"]
    assert card.locator("p").last.get_attribute("dir") == "auto"
    assert sheet.page.locator("#prompt h4 em").inner_text() == "Why"
    assert sheet.page.locator("#instructions strong").inner_text() == "truth"
    assert sheet.errors == []


def test_hostile_answers_are_shown_and_do_nothing(opened, tmp_path):
    tasks = [task_of(text, "plain", prompt=text) for text in HOSTILE]
    sheet, context, _ = opened(tasks=tasks, instructions=ATTACK)
    for done in range(len(tasks)):
        sheet.settled(done)
        assert sheet.page.locator("main img, main script, main svg, main a, main iframe").count() == 0
        assert sheet.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        if done == 0:
            assert ATTACK in sheet.page.locator("#answers").inner_text()
            assert ATTACK in sheet.page.locator("#instructions").inner_text()
        if done == 2:
            assert "U+202E" in sheet.page.locator("#answers").inner_text()
        if done == 3:
            assert "only the first 400,000 of 1,000,000 characters" in sheet.page.locator("#answers").inner_text()
        sheet.press("1 2 Enter")
    sheet.settled(len(tasks))
    assert sheet.page.evaluate("window.hacked") is None
    assert [url for url in sheet.asked if not url.startswith(("file:", "blob:"))] == []
    assert len(sheet.votes(tmp_path, context).votes) == len(tasks)
    assert sheet.errors == []


def test_two_sheets_of_one_browser_keep_apart(opened, tmp_path):
    one, context, _ = opened()
    one.press("1 2 3")
    other = Sheet(one.page.context, write_other(tmp_path, context))
    assert other.page.locator(".lane[data-rank='1']").get_attribute("aria-label") == "Rank 1 best: none"


def write_other(folder: Path, context: Context) -> Path:
    """The same tasks, handed to nobody: another sheet."""
    file = folder / "other.html"
    file.write_text(page(context.campaign, list(context.tasks.values()), ""))
    return file


def test_a_browser_that_keeps_nothing_says_so(opened, tmp_path):
    sheet, context, _ = opened()
    sheet.page.close()
    closed = sheet.page.context.new_page()
    closed.add_init_script("Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError') }")
    closed.goto((tmp_path / "sheets" / "html" / "ada.html").as_uri())
    sheet.page = closed
    sheet.press("1 2 3 Enter")
    sheet.settled(1)
    assert "does not keep your work" in closed.get_by_role("alert").inner_text()
    assert len(sheet.votes(tmp_path, context).votes) == 1


def test_the_policy_lets_nothing_else_run(opened):
    sheet, _, _ = opened()
    sheet.page.evaluate("""() => {
        const script = document.createElement('script');
        const ways = [
            () => { script.textContent = 'window.hacked = 1'; },
            () => { script.append('window.hacked = 1'); document.body.append(script); },
            () => document.body.insertAdjacentHTML('beforeend', '<img src=x onerror="window.hacked=1">'),
            () => { document.body.setAttribute('onclick', 'window.hacked = 1'); document.body.click(); },
        ];
        for (const way of ways) try { way(); } catch (error) { /* forbidden */ }
    }""")
    assert sheet.page.evaluate("window.hacked") is None
    assert sheet.page.evaluate("fetch('http://127.0.0.1:1/').then(() => 'sent', error => error.name)") == "TypeError"
    assert any("Content Security Policy" in error for error in sheet.errors)


def test_a_sheet_of_nobody_asks_for_a_name(opened, tmp_path):
    sheet, context, _ = opened(annotator="")
    sheet.page.get_by_role("button", name="Download votes").click()
    assert "name" in sheet.page.get_by_role("alert").inner_text()
    sheet.page.get_by_label("Your name").fill("eve s")
    sheet.page.get_by_role("button", name="Download votes").click()
    assert "no vote yet" in sheet.page.get_by_role("alert").inner_text()
    sheet.page.locator("#title").focus()
    sheet.press("1 2 Enter")
    sheet.settled(1)
    assert [vote.annotator for vote in sheet.votes(tmp_path, context).votes] == ["eve s"]


def test_a_phone_shows_all_of_it(opened):
    sheet, _, _ = opened(annotator="")
    sheet.page.set_viewport_size({"width": 360, "height": 640})
    assert sheet.page.evaluate("document.documentElement.scrollWidth") <= 360
    box = sheet.page.get_by_role("button", name="Answer A: rank 1 best").bounding_box()
    assert min(box["width"], box["height"]) >= 24
    drag(sheet.page, ".chip:text-is('A')", 1)
    assert sheet.page.locator(".lane[data-rank='1']").get_attribute("aria-label") == "Rank 1 best: A"


def test_the_file_names_nothing_outside_itself(tmp_path):
    context = made(tmp_path, [task_of("x", "y")], "html")
    text = page(context.campaign, list(context.tasks.values()), "ada")
    assert "http:" not in text
    assert "https:" not in text
    data = text.split('id="data">')[1].split("</script>")[0]
    assert json.loads(data)["annotator"] == "ada"
