"""Many at once, and the server killed among them."""

import pytest

from benchmarks.rank_load import run


def test_many_vote_at_once_and_the_server_is_killed(tmp_path):
    outcome = run(tmp_path, annotators=10, seconds=3, pause=0.02, kill=True, tasks=600)
    assert outcome.faults == []
    assert outcome.again > 0
    assert outcome.votes == len(outcome.acknowledged) > 20


@pytest.mark.slow
def test_fifty_for_longer(tmp_path):
    outcome = run(tmp_path, annotators=50, seconds=20, pause=0.3, kill=True)
    assert outcome.faults == []
    assert outcome.votes == len(outcome.acknowledged) > 100
