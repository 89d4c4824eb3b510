"""Near duplicates against brute force over Python's sets, on corpora whose similarities are known exactly."""

from __future__ import annotations

from pathlib import Path

import pytest

from curate.jobs.dedupe import Dedupe
from tests.grouping.corpora import dedupe, expected, jaccard, read_lines, shingles, versions


@pytest.mark.parametrize("threshold", [0.5, 0.8])
def test_quality_floor(tmp_path: Path, threshold: float) -> None:
    texts = versions(7, originals=60, copies=8)
    kept, folder = dedupe(tmp_path, [{"id": str(i), "text": text} for i, text in enumerate(texts)], threshold=threshold)
    found = {int(row["id"]) for row in kept}
    right = set(expected(texts, threshold))
    assert right <= found, "what resembles no row before it always stays"
    gone = len(texts) - len(right)
    assert len(found - right) <= 0.005 * gone
    sets = [shingles(text) for text in texts]
    for row in read_lines(folder / "dropped"):
        twin, _, rest = row["value"].partition(" (similarity ")
        similarity = rest.removesuffix(")") or "1.0"
        exact = jaccard(sets[int(row["id"])], sets[int(twin)])
        assert int(twin) < int(row["id"])
        assert exact >= threshold
        assert float(similarity) == round(exact, 3)


def test_book_of_clusters(tmp_path: Path) -> None:
    texts = versions(3, originals=12, copies=5)
    rows = [{"id": str(i), "text": text} for i, text in enumerate(texts)]
    kept, folder = dedupe(tmp_path, rows, count=True, threshold=0.7)
    book = read_lines(folder / "clusters")
    sets = [shingles(text) for text in texts]
    stays = {row["id"]: row for row in kept}
    assert [line["size"] for line in book] == sorted((line["size"] for line in book), reverse=True)
    seen: set[str] = set()
    for line in book:
        assert line["kept"] == [line["cluster"]]
        assert stays[line["cluster"]]["duplicates"] == line["size"] == len(line["members"])
        assert stays[line["cluster"]]["cluster"] == line["cluster"]
        ids = [member["id"] for member in line["members"]]
        assert ids == sorted(ids, key=int)
        assert not seen & set(ids)
        seen |= set(ids)
        for member in line["members"]:
            if member["id"] == line["cluster"]:
                assert member["tied_to"] is member["similarity"] is member["method"] is None
                continue
            assert member["tied_to"] in ids
            assert member["similarity"] == jaccard(sets[int(member["id"])], sets[int(member["tied_to"])])
            assert member["method"] == ("exact" if texts[int(member["id"])] == texts[int(member["tied_to"])] else "near")
    assert {row["id"] for row in rows} - set(stays) == seen - {line["cluster"] for line in book}
    assert all(row["duplicates"] == 1 and row.get("cluster") is None for row in kept if row["id"] not in seen)


def test_a_later_bridge_costs_nobody(tmp_path: Path) -> None:
    words = [f"w{i}" for i in range(120)]
    left, middle, right = words[:100], words[5:105], words[10:110]
    sets = [shingles(" ".join(text)) for text in (left, right, middle)]
    assert jaccard(sets[0], sets[1]) < 0.85 < min(jaccard(sets[0], sets[2]), jaccard(sets[1], sets[2]))
    rows = [{"id": name, "text": " ".join(text)} for name, text in (("left", left), ("right", right), ("middle", middle))]
    kept, _ = dedupe(tmp_path / "a", rows, threshold=0.85)
    assert [row["id"] for row in kept] == ["left", "right"]
    kept, _ = dedupe(tmp_path / "b", [rows[0], rows[2], rows[1]], threshold=0.85)
    assert [row["id"] for row in kept] == ["left"]


@pytest.mark.parametrize("unit", ["words", "characters"])
def test_short_and_empty_texts(tmp_path: Path, unit: str) -> None:
    texts = ["one two", "One, two!", "two one", "", "  ", "...", "one", "one two"]
    kept, _ = dedupe(tmp_path, [{"id": str(i), "text": text} for i, text in enumerate(texts)], methods=["near"], unit=unit)
    assert [row["id"] for row in kept] == [*"0", *([] if unit == "words" else "1"), *"23456"]


def test_characters_find_what_words_do_not(tmp_path: Path) -> None:
    text = "Thequickbrownfoxjumpsoverthelazydog" * 3
    rows = [{"id": "a", "text": text}, {"id": "b", "text": text + "s"}]
    assert len(dedupe(tmp_path / "w", rows)[0]) == 2
    assert len(dedupe(tmp_path / "c", rows, unit="characters")[0]) == 1


def test_all_equal(tmp_path: Path) -> None:
    rows = [{"id": "same", "text": f"All of these rows are the same text{'.' * (i % 3)}"} for i in range(3000)]
    kept, folder = dedupe(tmp_path, rows, count=True)
    assert [(row["id"], row["duplicates"]) for row in kept] == [("same", 3000)]
    assert [line["size"] for line in read_lines(folder / "clusters")] == [3000]


def test_bands_meet_at_the_threshold() -> None:
    for threshold in (0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0):
        for permutations in (64, 128, 256):
            bands, rows = Dedupe(threshold=threshold, permutations=permutations).banding()
            assert bands * rows <= permutations
            assert 1 - (1 - threshold**rows) ** bands >= 0.99


def test_few_permutations_are_banded_as_datasketch_does() -> None:
    from datasketch import MinHashLSH

    lsh = MinHashLSH(threshold=0.1, num_perm=16)
    assert Dedupe(threshold=0.1, permutations=16).banding() == (lsh.b, lsh.r)
