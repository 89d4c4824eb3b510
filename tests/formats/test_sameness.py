from collections import defaultdict

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.formats.decode import Members
from curate.formats.findings import FIRST
from curate.formats.sameness import PARTITIONS, compare, held_out, keys, write_keys
from curate.formats.validity import Examined
from curate.io.rows import PLACE

FILES = ["train.jsonl", "more.jsonl", "valid.jsonl"]


def tallied(folder, rows):
    """What is found of rows (prompt, answer, rejected, file), in two shards; places as row numbers."""
    ends = [0, len(rows) // 2, len(rows)]
    for shard in range(2):
        some = list(enumerate(rows))[ends[shard] : ends[shard + 1]]
        texts = pl.DataFrame(
            [(row[0], row[1], row[2]) for _, row in some],
            schema={"prompt": pl.String, "answer": pl.String, "rejected": pl.String},
            orient="row",
        )
        places = pl.DataFrame(
            [(FILES[row[3]], 0, number) for number, row in some],
            schema=dict(zip(PLACE, (pl.String, pl.Int64, pl.Int64), strict=True)),
            orient="row",
        )
        examined = Examined(pl.DataFrame(), texts, Members(pl.Series([], dtype=pl.String), ("text",)))
        write_keys(folder, shard, [keys(examined, places, FILES)])
    found = defaultdict(list)
    counts = defaultdict(int)
    for part in range(PARTITIONS):
        tally = compare(folder, part, FILES)
        for name, count in tally.counts.items():
            counts[name] += count
            found[name] += [(entry["place"].line, entry["also"].line) for entry in tally.first[name]]
    return dict(counts), dict(found)


def naive(rows):
    """The same by comparing every row with every other."""
    counts = defaultdict(int)
    order = sorted(range(len(rows)), key=lambda i: (rows[i][3], i))
    for at, i in enumerate(order):
        prompt, answer, rejected, file = rows[i]
        before = [rows[j] for j in order[:at] if rows[j][0] == prompt]
        others = [rows[j] for j in order if rows[j][0] == prompt and rows[j][3] != file]
        counts["duplicate"] += rows[i] in before
        single = {row[1] for row in before if row[2] is None and row[1] is not None}
        counts["contradiction"] += rejected is None and answer is not None and bool(single) and answer not in single
        turned = [row for row in rows if row[0] == prompt and row[2] == answer and row[1] not in (None, row[2])]
        counts["preference_cycle"] += rejected is not None and answer is not None and answer != rejected and bool(turned)
        held = file == 2 or any(row[3] == 2 for row in others)
        counts["leakage"] += file == 2 and bool(others)
        counts["in_several_files"] += not held and bool(others) and file != min(row[3] for row in [*others, rows[i]])
    return {name: n for name, n in counts.items() if n}


words = st.sampled_from(["a", "b"])
row = st.tuples(st.sampled_from(["p", "q"]), words | st.none(), words | st.none(), st.integers(0, 2))


@settings(deadline=None, max_examples=60)
@given(st.lists(row, max_size=9))
def test_as_comparing_every_row_with_every_other(tmp_path_factory, rows):
    counts, found = tallied(tmp_path_factory.mktemp("keys"), rows)
    assert counts == naive(rows)
    for name, pairs in found.items():
        assert len(pairs) <= FIRST * PARTITIONS
        for this, other in pairs:
            assert this != other
            assert rows[this][0] == rows[other][0]
            assert name in ("leakage", "in_several_files") or name != "duplicate" or rows[this] == rows[other]


def test_white_space_around_texts_and_empty_texts_do_not_count(tmp_path):
    assert tallied(tmp_path, [("p ", "a", None, 0), ("p", " a\n", None, 0), (" ", "b", None, 0), ("", "b", None, 0)])[0] == {
        "duplicate": 1
    }


def test_names_of_files_that_are_held_out():
    for name in ("valid.jsonl", "my_test.jsonl", "data/dev-00000.jsonl", "x.validation.jsonl", "EVAL.jsonl"):
        assert held_out(name)
    for name in ("train.jsonl", "latest.jsonl", "contest.jsonl", "evaluated_answers.jsonl", "device.jsonl"):
        assert not held_out(name)
