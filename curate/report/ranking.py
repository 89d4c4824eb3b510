"""What people's votes came to, for the report page and the terminal: agreement, and leaderboards of models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from curate.rank.concord import flag_text
from curate.report.books import excerpt
from curate.report.tables import print_table

__all__ = ["agreement_view", "board_views", "print_ranking"]

CELL, LEFT = 46, 170
"""Size of a cell of the map of pairs, and the room for names beside a drawing."""

MOST = 24
"""Annotators that the map of pairs has room for."""

FIGURES = ["of", "votes", "alpha ordinal", "nominal", "interval", "raw", "ties", "Fleiss' kappa", "W", "tau-b"]
PEOPLE = ["annotator", "votes", "skipped", "ties", "median s", "gold", "look at"]
LENGTHS = ["of", "decided pairs", "longer one won", "better: characters", "worse: characters"]
BOARD = ["model", "games", "Bradley-Terry", "Plackett-Luce", "wins", "Borda", "majority", "Elo"]


def number(value: float | None, digits: int = 3) -> str:
    """A figure, or a dash where it is not defined."""
    return "–" if value is None else f"{value:.{digits}f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.0f} %"


def _within(value: float | None, low: float | None, high: float | None, digits: int = 3) -> str:
    """A figure with its interval."""
    if low is None or high is None:
        return number(value, digits)
    return f"{number(value, digits)} ({number(low, digits)} to {number(high, digits)})"


def _figures(name: str, found: dict[str, Any]) -> list[str]:
    alphas = found["alpha"]
    return [
        excerpt(name, 40),
        f"{found['votes']:,}",
        _within(**{"value": alphas["ordinal"]["alpha"], "low": alphas["ordinal"]["low"], "high": alphas["ordinal"]["high"]}),
        number(alphas["nominal"]["alpha"]),
        number(alphas["interval"]["alpha"]),
        number(found["raw_agreement"]),
        _percent(found["tie_rate"]),
        number(found["fleiss_kappa"]["kappa"]),
        number(found["kendall_w"]["mean"]),
        number(found["tau_b"]["mean"]),
    ]


def _all_figures(found: dict[str, Any]) -> list[list[str]]:
    lines = [_figures("all", found["over_all"])]
    for group in ("criteria", "sources"):
        if len(found[group]) > 1:
            lines += [_figures(name, figures) for name, figures in found[group].items()]
    return lines


def _people(found: dict[str, Any]) -> list[list[str]]:
    lines = []
    for one in found["annotators"]:
        gold = one["gold"]
        lines.append(
            [
                excerpt(one["annotator"], 40),
                f"{one['votes']:,}",
                f"{one['skipped']:,}",
                _percent(one["tie_rate"]),
                number(one["median_seconds"], 1),
                _within(gold["accuracy"], gold["low"], gold["high"], 2) if gold else "–",
                "; ".join(flag_text(flag) for flag in one["flags"]),
            ]
        )
    return lines


def agreement_view(found: dict[str, Any]) -> dict[str, Any]:
    """What the page shows of `rank agreement`: tables, the map of pairs, and the places of the best answers."""
    return {
        "header": FIGURES,
        "figures": _all_figures(found),
        "pairs": _map(found["pairs"]),
        "bias": _places(found["position_bias"]),
        "lengths": _lengths(found.get("length_bias")),
        "people_header": PEOPLE,
        "people": _people(found),
        "compared": found["over_all"]["pairs_compared"],
    }


def _map(pairs: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The map of pairs of annotators: cells with linear kappa, at most `MOST` annotators, those with the most comparisons."""
    weight: dict[str, int] = {}
    for pair in pairs:
        for who in pair["annotators"]:
            weight[who] = weight.get(who, 0) + pair["pairs"]
    names = sorted(sorted(weight, key=lambda who: (-weight[who], who))[:MOST])
    if not names:
        return None
    place = {who: i for i, who in enumerate(names)}
    cells = []
    for pair in pairs:
        first, second = pair["annotators"]
        if first not in place or second not in place:
            continue
        kappa = pair["kappa_linear"]
        alike = f"agree on {_percent(pair['raw_agreement'])} of {pair['pairs']:,} pairs"
        title = f"{first} and {second}: kappa {number(kappa)}, {alike}"
        for i, j in ((place[first], place[second]), (place[second], place[first])):
            cell = {"x": LEFT + j * CELL, "y": 24 + i * CELL, "text": number(kappa, 2), "title": title}
            cells.append({**cell, "low": kappa is not None and kappa < 0, "shade": f"{min(abs(kappa or 0), 1) * 0.8:.3f}"})
    rows = [
        {"y": 24 + (i + 0.5) * CELL, "x": LEFT + (i + 0.5) * CELL, "name": excerpt(who, 20), "number": i + 1}
        for i, who in enumerate(names)
    ]
    size = {"width": LEFT + len(names) * CELL, "height": 24 + len(names) * CELL}
    return {"cells": cells, "rows": rows, "more": len(weight) - len(names), "cell": CELL, "left": LEFT, **size}


def _bars(shares: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Bars of shares with intervals, and marks where chance would have them.

    shares: `share`, `low`, `high`, `expected`, `text` below the bar, `title`.
    """
    high = max(max(one["high"], one["expected"]) for one in shares)
    tall, wide = 140.0, 64.0
    bars = []
    for i, one in enumerate(shares):
        y = {name: 10 + tall * (1 - one[name] / high) for name in ("share", "low", "high", "expected")}
        at = {"x": i * wide + 12, "middle": i * wide + 32, "height": f"{10 + tall - y['share']:.1f}"}
        told = {"text": one["text"], "percent": _percent(one["share"]), "title": one["title"]}
        bars.append({**{name: f"{value:.1f}" for name, value in y.items()}, **at, **told})
    return {"bars": bars, "width": len(bars) * wide + 8}


def _places(bias: dict[str, Any]) -> dict[str, Any] | None:
    """Bars of the share of best answers by place."""
    if not bias["places"]:
        return None
    shares = []
    for line in bias["places"]:
        chance = f"{_percent(line['share'])} (chance: {_percent(line['expected'])})"
        title = f"place {line['place']}: {line['best']:,} best answers, {chance}"
        shares.append({**line, "text": line["place"], "title": title})
    p = bias["p"]
    says = "no more uneven than chance may have it" if p >= 0.01 else "more uneven than chance would have it"
    told = "p < 0.0001" if p < 0.0001 else f"p = {p:.4f}"
    return {**_bars(shares), "votes": bias["votes"], "says": says, "p": told}


def _length_line(name: str, found: dict[str, Any]) -> list[str]:
    lengths = [f"{found[side]:,.0f}" for side in ("better_characters", "worse_characters")]
    won = f"{_percent(found['longer_won'])} ({_percent(found['low'])} to {_percent(found['high'])})"
    return [excerpt(name, 40), f"{found['pairs']:,}", won, *lengths]


def _lengths(bias: dict[str, Any] | None) -> dict[str, Any] | None:
    """How often the longer answer won: lines by annotator and criterion, and bars by how much longer it was."""
    if bias is None or not bias["over_all"]["pairs"]:
        return None
    rows = [_length_line("all", bias["over_all"])]
    several = len(bias["criteria"]) > 1
    if several:
        rows += [_length_line(f"all, {one['criterion']}", one) for one in bias["criteria"]]
    for one in bias["annotators"]:
        rows.append(_length_line(f"{one['annotator']}, {one['criterion']}" if several else one["annotator"], one))
    shares = []
    for one in bias["by_ratio"]:
        span = f"{one['from']:g} to {one['to']:g}" if one["to"] else f"{one['from']:g} or more"
        title = f"{span} times as long: won {_percent(one['longer_won'])} of {one['pairs']:,} pairs"
        shares.append({**one, "share": one["longer_won"], "expected": 0.5, "text": f"× {one['from']:g}", "title": title})
    return {**_bars(shares), "header": LENGTHS, "rows": rows, "pairs": bias["over_all"]["pairs"]}


def board_views(criteria: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What the page shows of `rank leaderboard`, for each criterion: table, scores with intervals, ranks."""
    for name, board in criteria.items():
        view = {"name": name, "header": BOARD, "rows": _board(board), "games": board["games"]}
        groups = board["components"] if len(board["components"]) > 1 else []
        yield {
            **view,
            "plot": _scores(board["models"]),
            "ranks": _ranks(board["models"]),
            "groups": groups,
            "one_way": board["one_way"],
            "voters": _voters(board),
        }


def _board(board: dict[str, Any]) -> list[list[str]]:
    rows = []
    for row in board["models"]:
        scores = [_within(f["score"], f.get("low"), f.get("high"), 2) for f in (row["bradley_terry"], row["plackett_luce"])]
        shares = [_percent(row[name]) for name in ("win_rate", "borda", "majority")]
        rows.append([excerpt(row["model"], 40), f"{row['games']:,}", *scores, *shares, f"{row['elo']:.0f}"])
    return rows


def _voters(board: dict[str, Any]) -> dict[str, Any] | None:
    """A column for people and for each model that voted: its score and place of every model."""
    voters = board.get("voters")
    if not voters:
        return None
    places = {voter: {m: i + 1 for i, m in enumerate(sorted(said, key=lambda m: -said[m]))} for voter, said in voters.items()}
    rows = []
    for row in board["models"]:
        name = row["model"]
        cells = [f"{number(said[name], 2)} ({places[voter][name]})" if name in said else "–" for voter, said in voters.items()]
        rows.append([excerpt(name, 40), *cells])
    return {"header": ["model", *(excerpt(voter, 40) for voter in voters)], "rows": rows}


def _scores(models: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """Dots with intervals on one scale."""
    if not models:
        return None
    kinds = ("bradley_terry", "plackett_luce")
    ends = [at for row in models for kind in kinds for at in row[kind].values()]
    low, high = min(*ends, 0.0), max(*ends, 0.0)
    span = (high - low) or 1.0
    wide = 480.0

    def x(value: float) -> str:
        return f"{LEFT + 10 + (value - low) / span * wide:.1f}"

    lines = []
    for i, row in enumerate(models):
        marks = []
        for k, kind in enumerate(kinds):
            found = row[kind]
            score = found["score"]
            title = f"{row['model']}, {kind.replace('_', '-')}: {_within(score, found.get('low'), found.get('high'), 2)}"
            mark = {"x": x(score), "low": x(found.get("low", score)), "high": x(found.get("high", score))}
            marks.append({**mark, "y": i * 34 + 18 + k * 10, "kind": kind, "title": title})
        lines.append({"name": excerpt(row["model"], 20), "y": i * 34 + 26, "marks": marks})
    step = next(s for s in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if span / s <= 8)
    first, last = int(low // step), int(high // step)
    ticks = [
        {"x": x(k * step), "text": f"{k * step:g}", "zero": k == 0} for k in range(first, last + 1) if low <= k * step <= high
    ]
    return {
        "lines": lines,
        "ticks": ticks,
        "width": LEFT + wide + 30,
        "bottom": len(models) * 34 + 12,
        "height": len(models) * 34 + 34,
    }


def _ranks(models: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """How often each model got each rank, as stacked bars."""
    most = max((len(row["ranks"]) for row in models), default=0)
    if not most:
        return None
    wide, lines = 480.0, []
    shades = [f"{1 - 0.85 * k / max(most - 1, 1):.2f}" for k in range(most)]
    for i, row in enumerate(models):
        total, at, parts = sum(row["ranks"]) or 1, LEFT + 10.0, []
        for k, times in enumerate(row["ranks"]):
            width = wide * times / total
            title = f"{row['model']}: rank {k + 1} {times:,} times, {_percent(times / total)}"
            parts.append({"x": f"{at:.1f}", "width": f"{width:.1f}", "shade": shades[k], "title": title})
            at += width
        lines.append({"name": excerpt(row["model"], 20), "y": i * 30 + 6, "parts": parts})
    legend = [{"x": LEFT + 10 + k * 46, "shade": shades[k], "rank": k + 1} for k in range(most)]
    return {
        "lines": lines,
        "legend": legend,
        "width": LEFT + wide + 30,
        "bottom": len(models) * 30 + 8,
        "height": len(models) * 30 + 34,
    }


def print_ranking(console: Any, results: dict[str, Any]) -> None:
    """Print the tables of `rank agreement` and `rank leaderboard`, where a job has them among its results."""
    if "over_all" in (found := results.get("agreement", {})):
        print_table(console, FIGURES, _all_figures(found))
        print_table(console, PEOPLE, _people(found))
        lengths = _lengths(found.get("length_bias"))
        if lengths:
            print_table(console, LENGTHS, lengths["rows"])
        bias = _places(found["position_bias"])
        if bias:
            shares = ", ".join(f"{bar['text']}: {bar['percent']}" for bar in bias["bars"])
            console.print(f"best answers by place shown: {shares} ({bias['says']}, {bias['p']})", markup=False)
    for view in board_views(results.get("leaderboard", {}).get("criteria", {})):
        console.print(f"{view['name']}: {view['games']:,} comparisons", markup=False)
        print_table(console, BOARD, view["rows"])
        if view["voters"]:
            console.print("Bradley-Terry (place) by who voted", markup=False)
            print_table(console, view["voters"]["header"], view["voters"]["rows"])
        if view["one_way"]:
            console.print("some models never lost, or never won: their scores lean on the prior", markup=False)
