"""Agreement and leaderboards on the report page and in the terminal."""

from __future__ import annotations

import json

from curate.rank.campaign import read_key
from curate.rank.votes import Vote, append_votes, now
from curate.report.ranking import agreement_view, board_views
from tests.command import curate
from tests.rank.votes_of import campaign
from tests.report.test_page import EVIL, Page


def test_the_page_shows_plots_and_runs_nothing(tmp_path):
    campaign(tmp_path, tasks=25, gold_every=5)
    task = next(iter(read_key(tmp_path)))
    append_votes(
        tmp_path / "votes.jsonl", [Vote(task, EVIL, "overall", {"a": 1, "b": 2}, now(), shown=("b", "a"), source=EVIL)]
    )
    key = (tmp_path / "key.jsonl").read_text().replace('"m1"', json.dumps(EVIL))
    (tmp_path / "key.jsonl").write_text(key)
    for job, plots in (("agreement", 2), ("leaderboard", 2)):
        done = curate("rank", job, tmp_path, "-o", tmp_path / job)
        assert done.returncode == 0, done.stderr
        page = Page((tmp_path / job / "report.html").read_text())
        tags = [tag for tag, _ in page.tags]
        assert "script" not in tags
        assert tags.count("svg") == plots
        assert EVIL[:15] in page.text
        assert "NaN" not in page.text
    assert "best answers by place shown: 1: " in curate("rank", "agreement", tmp_path, "-o", tmp_path / "agreement").stdout


def test_views_of_little():
    nothing = {"alpha": None, "low": None, "high": None}
    figures = {
        "votes": 1, "pairs_compared": 0, "alpha": dict.fromkeys(("nominal", "ordinal", "interval"), nothing),
        "raw_agreement": None, "tie_rate": None, "fleiss_kappa": {"kappa": None}, "kendall_w": {"mean": None},
        "tau_b": {"mean": None},
    }  # fmt: skip
    found = {"over_all": figures, "criteria": {}, "sources": {}, "pairs": [], "annotators": []}
    view = agreement_view({**found, "position_bias": {"places": []}})
    assert view["pairs"] is None
    assert view["bias"] is None
    assert view["figures"] == [["all", "1", *["–"] * 8]]
    (board,) = board_views({"overall": {"models": [], "games": 0, "components": [], "one_way": False}})
    assert board["plot"] is board["ranks"] is None
