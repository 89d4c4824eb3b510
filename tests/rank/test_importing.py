import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import load_workbook

from curate.rank.campaign import shown_order
from curate.rank.importing import Came, Context, new_votes, read_file
from curate.rank.votes import Vote, last_votes
from tests.rank.sheets import back, fill_csv, fill_xlsx, made, ranks, task_of

TASKS = [task_of("x", "y", "z", prompt=f"q{i}") for i in range(3)]
ONE, TWO, THREE = (task.task for task in TASKS)


def told(came: Came) -> list[str]:
    return [str(refusal._replace(file=Path(refusal.file).name)) for refusal in came.refused]


def came_of(folder: Path, context: Context, content: Any, name: str = "votes.json") -> Came:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return read_file(path, context)


def test_csv_errors_are_told_by_row_and_column(tmp_path):
    context = made(tmp_path, TASKS, "csv")
    fill_csv(
        tmp_path / "sheets" / "csv" / "ada.csv",
        {ONE: {"a": "1-2", "b": "one"}, TWO: {"a": 4}, THREE: {"a": 1}},
        context.campaign,
    )
    came = back(tmp_path, "csv", context)
    shown = {
        name: dict(zip(shown_order(context.campaign, context.tasks[name], "ada"), "abc", strict=True)) for name in (ONE, TWO)
    }
    assert sorted(told(came)) == sorted(
        [
            f"ada.csv:2 rank_{shown[ONE]['a']}: '1-2': a date or time, which spreadsheets make of 1-2 or 1/2; type a whole "
            "number such as 1",
            f"ada.csv:2 rank_{shown[ONE]['b']}: 'one': a rank is a whole number from 1",
            f"ada.csv:3 rank_{shown[TWO]['a']}: rank 4: the task has 3 answers",
        ]
    )
    assert ranks(came.votes) == {THREE: {"a": 1}}


def test_xlsx_errors_are_told_by_cell(tmp_path):
    context = made(tmp_path, TASKS, "xlsx")
    path = tmp_path / "sheets" / "xlsx" / "ada.xlsx"
    book = load_workbook(path)
    sheet = book["ranking"]
    sheet["G2"] = "first"
    sheet["A3"], sheet["G3"] = "t_nothing", 1
    sheet["B4"], sheet["H4"] = "abx", 2
    book.save(path)
    came = back(tmp_path, "xlsx", context)
    assert "ada.xlsx [ranking]:G2: 'first': a rank is a whole number from 1" in told(came)
    assert "ada.xlsx [ranking]:A3: no task 't_nothing' in this campaign" in told(came)
    assert any(one.startswith("ada.xlsx [ranking]:B4: 'abx'") for one in told(came))


def test_one_task_twice_in_a_sheet_is_refused(tmp_path):
    context = made(tmp_path, TASKS[:1], "csv")
    path = tmp_path / "sheets" / "csv" / "ada.csv"
    fill_csv(path, {ONE: {"a": 1}}, context.campaign)
    path.write_bytes(path.read_bytes() + path.read_bytes().splitlines(keepends=True)[1])
    assert told(back(tmp_path, "csv", context)) == [
        f"ada.csv:3 annotator: ada ranked task {ONE} by overall in row 2 too: keep one"
    ]


def test_an_annotator_nobody_knows_is_refused_with_the_nearest(tmp_path):
    context = made(tmp_path, TASKS[:1], "csv")
    fill_csv(tmp_path / "sheets" / "csv" / "ada.csv", {ONE: {"a": 1, "annotator": "adda"}}, context.campaign)
    assert told(back(tmp_path, "csv", context)) == [
        "ada.csv:2 annotator: no annotator 'adda' in this campaign; did you mean 'ada'?"
    ]


def test_a_sheet_of_nobody_takes_the_name_that_is_written_in(tmp_path):
    context = made(tmp_path, TASKS[:2], "xlsx", annotator="")
    path = tmp_path / "sheets" / "xlsx" / "tasks.xlsx"
    fill_xlsx(path, {ONE: {"a": 1, "annotator": "eve"}, TWO: {"a": 2}}, context.campaign)
    came = back(tmp_path, "xlsx", context, "tasks")
    assert [(vote.task, vote.annotator) for vote in came.votes] == [(ONE, "eve")]
    assert "nobody is named" in told(came)[0]
    named = read_file(path, Context(context.campaign, context.tasks, "bob"))
    assert [(vote.task, vote.annotator) for vote in named.votes] == [(ONE, "eve"), (TWO, "bob")]


def test_lines_of_votes_keep_their_history_and_say_what_is_wrong(tmp_path):
    context = made(tmp_path, TASKS)
    vote: dict[str, Any] = {"task": ONE, "annotator": "ada", "criterion": "overall", "at": "2026-01-01T00:00:00Z"}
    lines = [
        {**vote, "ranks": {"a": 1, "b": 2}},
        {**vote, "ranks": {"a": 2, "b": 1}, "at": "2026-01-01T02:00:00+01:00", "seconds": 3.5},
        {**vote, "ranks": {"a": 1, "b": 2}},
        {**vote, "ranks": {"a": 2, "b": 2}},
        {**vote, "ranks": {"d": 1}, "at": "2026-01-02T00:00:00Z"},
        {**vote, "ranks": {"a": 4}, "at": "2026-01-03T00:00:00Z"},
        {**vote, "task": "none", "ranks": {"a": 1}},
        {**vote, "criterion": "overal", "ranks": {"a": 1}},
        {**vote, "ranks": {"a": 1}, "at": "yesterday"},
        {**vote, "ranks": {"a": 1}, "more": 1},
        {**vote, "task": TWO, "skipped": True},
    ]
    came = came_of(tmp_path, context, "\n".join(map(json.dumps, lines)) + "\nbroken\n", "votes.jsonl")
    assert [(v.task, v.ranks, v.at[11:13]) for v in came.votes] == [
        (ONE, {"a": 1, "b": 2}, "00"),
        (ONE, {"a": 2, "b": 1}, "01"),
        (TWO, None, "00"),
    ]
    wrong = {one.split(":")[1]: one for one in told(came)}
    assert set(wrong) == {"4", "5", "6", "7", "8", "9", "10", "12"}
    for line, word in (
        ("4", "same time"),
        ("5", "no answer 'd'"),
        ("6", "3 answers"),
        ("7", "no task"),
        ("8", "mean 'overall'"),
    ):
        assert word in wrong[line]
    assert last_votes(came.votes)[0].ranks == ({"a": 2, "b": 1} if ONE < TWO else None)


def test_label_studio_comes_back(tmp_path):
    context = made(tmp_path, TASKS, "label-studio", criteria=("helpful", "honest"))
    tasks = json.loads((tmp_path / "sheets" / "label-studio" / "ada.json").read_text())
    ranker = {"type": "ranker", "from_name": "rank-1", "to_name": "items-1"}
    bad = {"type": "choices", "from_name": "all_bad", "value": {"choices": ["all bad"]}}
    said = {"type": "textarea", "from_name": "comment", "value": {"text": ["hm"]}}
    results: list[list[dict[str, Any]]] = [
        [{**ranker, "value": {"ranker": {"rank_1": ["c", "a"], "rank_3": ["b"], "_": []}}}, said],
        [
            {**ranker, "from_name": "rank-2", "value": {"ranker": {"rank_1-2": ["b"], "rank_2-2": ["a"], "rank_3-2": ["c"]}}},
            bad,
        ],
        [],
    ]
    for task, result in zip(tasks, results, strict=True):
        one = {"completed_by": 3, "updated_at": "2026-01-01T00:00:00.5Z", "lead_time": 2.5, "result": result}
        task["annotations"] = [{**one, "was_cancelled": not result}]
    came = came_of(tmp_path, context, tasks)
    assert came.refused == []
    by = {(vote.task, vote.criterion): vote for vote in came.votes}
    assert {key: vote.ranks for key, vote in by.items()} == {
        (ONE, "helpful"): {"c": 1, "a": 1, "b": 3},
        (TWO, "helpful"): {"a": 1, "b": 1, "c": 1},
        (TWO, "honest"): {"b": 1, "a": 2, "c": 3},
        (THREE, "helpful"): None,
        (THREE, "honest"): None,
    }
    assert by[ONE, "helpful"].comment == "hm"
    assert by[TWO, "honest"].all_bad
    assert {(v.annotator, v.seconds, v.at) for v in came.votes} == {("ada", 2.5, "2026-01-01T00:00:00.500000Z")}


def test_what_label_studio_cannot_have_said_is_refused(tmp_path):
    context = made(tmp_path, TASKS, "label-studio")
    (task, *_) = json.loads((tmp_path / "sheets" / "label-studio" / "ada.json").read_text())
    values = [{"ranker": {"good": ["a"], "bad": ["b"]}}, {"ranker": ["q"]}, {"ranker": {"rank_9": ["a"]}}, {}, {"ranker": 1}]
    parts = [{"type": "ranker", "from_name": "rank-1", "value": value} for value in values]
    tasks = [{**task, "annotations": [{"completed_by": 1, "result": [part]}]} for part in parts]
    tasks += [{**task, "annotations": 1}, {**task, "annotations": [1]}, {**task, "annotations": [{"result": [1]}]}, {"data": 1}]
    came = came_of(tmp_path, context, tasks)
    assert came.votes == []
    assert len(came.refused) == 7


@pytest.mark.parametrize("by_user", [True, False])
def test_argilla_comes_back(tmp_path, by_user):
    context = made(tmp_path, TASKS, "argilla", annotator="")
    records = json.loads((tmp_path / "sheets" / "argilla" / "tasks.json").read_text())
    # A question has as many values as the largest task has answers: here one more than this.
    values = [{"value": "A", "rank": 2}, {"value": "B", "rank": 4}, {"value": "C", "rank": 4}, {"value": "D", "rank": 1}]
    for record, status in zip(records, ("submitted", "draft", "discarded"), strict=True):
        if by_user:
            said: Any = {"rank-1": {"value": values}, "comment": {"value": "hm"}}
            record["responses"] = [{"user_id": "u1", "status": status, "values": said, "updated_at": "2026-01-01T00:00:00"}]
        else:
            record["responses"] = {"rank-1": [{"value": values, "user_id": "u1", "status": status}]}
    came = came_of(tmp_path, context, records if by_user else {"records": records})
    assert came.refused == []
    order = records[0]["metadata"]["order"]
    assert ranks(came.votes) == {ONE: {order[0]: 1, order[1]: 2, order[2]: 2}, THREE: None}
    assert {vote.annotator for vote in came.votes} == {"u1"}
    assert came.blank == 1


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 12)
    | st.text(max_size=5)
    | st.sampled_from(["a", "A", "rank-1", "rank_1", "ranker"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["value", "rank", "ranker", "type", "text"]), inner)
    ),
)


@given(json_values, json_values, st.booleans())
def test_whatever_json_holds_is_votes_or_refused(tmp_path_factory, one, other, argilla):
    folder = tmp_path_factory.mktemp("json")
    context = made(folder, TASKS[:1])
    about = {"task": ONE, "order": "abc", "annotator": "ada"}
    if argilla:
        rows: list[Any] = [
            {"metadata": about, "responses": one},
            {"metadata": about, "responses": {"rank-1": [{"value": other}]}},
        ]
    else:
        result = [{"type": "ranker", "from_name": "rank-1", "value": {"ranker": other}}]
        rows = [{"data": about, "annotations": one}, {"data": about, "annotations": [{"completed_by": one, "result": result}]}]
    came = came_of(folder, context, rows)
    assert all(vote.task == ONE for vote in came.votes)
    for vote in came.votes:
        assert vote.ranks is None or (set(vote.ranks) <= set("abc") and all(1 <= rank <= 3 for rank in vote.ranks.values()))


def vote_at(hour: int, **ranks: int) -> Vote:
    return Vote("t", "ada", "overall", ranks, f"2026-01-01T{hour:02}:00:00.000000Z", source=f"s{hour}")


def test_only_what_is_new_is_added():
    there = [vote_at(1, a=1), vote_at(3, a=2)]
    assert new_votes(there, there) == []
    assert new_votes(there, [vote_at(5, a=2), vote_at(5, a=2)]) == [vote_at(5, a=2)]
    assert new_votes(there, [vote_at(2, a=3)]) == [vote_at(2, a=3)], "older: kept as history"
    assert new_votes([], [vote_at(2, a=3), vote_at(1, a=1)]) == [vote_at(1, a=1), vote_at(2, a=3)]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 3)), max_size=8), st.integers(0, 8))
def test_adding_twice_adds_once_and_the_last_counts(said, cut):
    votes = [vote_at(hour, a=rank) for hour, rank in dict(said).items()]
    there = new_votes([], votes[:cut])
    there += new_votes(there, votes[cut:])
    assert new_votes(there, votes) == []
    if votes:
        assert last_votes(there)[0].ranks == max(votes, key=lambda vote: vote.at).ranks
