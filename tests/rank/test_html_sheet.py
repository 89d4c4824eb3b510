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
    sheet.press("1 2 2 Enter t x Enter s")
    sheet.page.close()
    sheet = again()
    assert sheet.page.locator("#count").inner_text() == "3 of 3 done"
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


def test_the_mouse_ranks_and_undo_and_comments_work(opened, tmp_path):
    sheet, context, _ = opened()
    first = next(iter(context.tasks.values()))
    order = shown_order(context.campaign, first, "ada")
    sheet.page.get_by_role("button", name="Answer B, rank 1").click()
    sheet.page.get_by_role("button", name="Answer A, rank 3").click()
    sheet.page.get_by_role("button", name="Answer C, rank 2").click()
    sheet.page.get_by_role("button", name="Undo").click()
    assert sheet.page.locator("#count").inner_text() == "0 of 3 done", "one answer has no rank"
    sheet.page.get_by_label("Comment").fill("both = 1 s x t")
    came = sheet.votes(tmp_path, context)
    assert ranks(came.votes) == {first.task: {order[1]: 1, order[0]: 3}}
    assert came.votes[0].comment == "both = 1 s x t"
    sheet.page.get_by_role("button", name="Answer B, rank 1").click()
    assert ranks(sheet.votes(tmp_path, context).votes) == {first.task: {order[0]: 3}}, "a rank that is pressed again goes"


def test_criteria_are_ranked_each_by_itself(opened, tmp_path):
    sheet, context, _ = opened(criteria=("helpful", "harmless"))
    first = next(iter(context.tasks.values()))
    order = shown_order(context.campaign, first, "ada")
    sheet.press("1 2 3 v 3")
    sheet.page.get_by_role("button", name="Answer B, rank 1, harmless").click()
    came = sheet.votes(tmp_path, context)
    assert {vote.criterion: vote.ranks for vote in came.votes} == {
        "helpful": dict(zip(order, (1, 2, 3), strict=True)),
        "harmless": {order[0]: 3, order[1]: 1},
    }


def test_answers_are_text_whatever_they_hold(opened, tmp_path):
    tasks = [task_of(text, "plain", prompt=text) for text in HOSTILE]
    sheet, context, _ = opened(tasks=tasks, instructions=ATTACK)
    for task in tasks:
        order = shown_order(context.campaign, task, "ada")
        shown = [one.text_content() for one in sheet.page.locator(".answer .said").all()]
        assert shown == [next(a.text for a in task.answers if a.answer == name) for name in order]
        assert sheet.page.locator("#task img, #task script, #task svg, #task a, #instructions *").count() == 0
        sheet.press("1 2 ArrowRight")
    assert sheet.page.evaluate("window.hacked") is None
    assert sheet.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert [url for url in sheet.asked if not url.startswith(("file:", "blob:"))] == []
    assert len(sheet.votes(tmp_path, context).votes) == len(tasks)
    assert sheet.errors == []


def test_the_policy_lets_nothing_else_run(opened):
    sheet, _, _ = opened()
    sheet.page.evaluate("""() => {
        const script = document.createElement('script'); script.textContent = 'window.hacked = 1'; document.body.append(script);
        const text = document.createElement('b'); text.setAttribute('onclick', 'window.hacked = 1'); document.body.append(text);
        text.click();
    }""")
    assert sheet.page.evaluate("window.hacked") is None
    assert sheet.page.evaluate("fetch('http://127.0.0.1:1/').then(() => 'sent', error => error.name)") == "TypeError"
    assert any("Content Security Policy" in error for error in sheet.errors)


def test_a_sheet_of_nobody_asks_for_a_name(opened, tmp_path):
    sheet, context, _ = opened(annotator="")
    sheet.press("1 2")
    sheet.page.get_by_role("button", name="Download votes").click()
    assert "name" in sheet.page.get_by_role("alert").inner_text()
    sheet.page.get_by_label("Annotator").fill("eve")
    assert [vote.annotator for vote in sheet.votes(tmp_path, context).votes] == ["eve"]


def test_a_phone_shows_all_of_it(opened):
    sheet, _, _ = opened()
    sheet.page.set_viewport_size({"width": 360, "height": 640})
    assert sheet.page.evaluate("document.documentElement.scrollWidth") <= 360
    box = sheet.page.get_by_role("button", name="Answer A, rank 1").bounding_box()
    assert min(box["width"], box["height"]) >= 24


def test_the_file_names_nothing_outside_itself(tmp_path):
    context = made(tmp_path, [task_of("x", "y")], "html")
    text = page(context.campaign, list(context.tasks.values()), "ada")
    assert "http:" not in text
    assert "https:" not in text
    data = text.split('id="data">')[1].split("</script>")[0]
    assert json.loads(data)["annotator"] == "ada"
