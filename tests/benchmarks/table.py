"""The table that `make bench` prints, and the same as JSON. Pure: figures in, text out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from statistics import median
from typing import Any

from .measure import OURS, Answer, Limit, Probe, Results, Row, Side, middle, show

HEAD = ("work", "ours: median (min-max)", "floor", "others: median (ours)", "must", "want")
WIDTHS = (34, 26, 24, 46, 26, 26)


def figure_text(answer: Answer, row: Row) -> str:
    """Median, and from where to where; or why there is none."""
    values = answer.of(row.figure)
    if not values:
        return answer.words or "not measured"
    text = show(median(values), row.unit)
    if len(values) > 1:
        least, most = (show(value, "").strip() for value in (values[0], values[-1]))
        text += f" ({least}-{most})"
    return text


def ratio_text(ours: float, theirs: float, row: Row) -> str:
    """How many times better ours is."""
    better = ours / theirs if row.more_is_better else theirs / ours if ours else float("inf")
    return f"x {show(better, '').strip()}"


def verdict(row: Row, limits: Sequence[Limit], probe: Probe, answers: Mapping[str, Answer]) -> str:
    """Met, not met, or not measured: ours, and the sides that are held to the same limits."""
    judged = [OURS, *(name for name, side in probe.sides.items() if side.is_judged)]
    figures = [middle(answers.get(name), row.figure) for name in judged]
    if figures[0] is None:
        return "not measured"
    for figure in figures:
        for limit in limits:
            theirs = middle(answers.get(limit.peer), row.figure) if limit.peer else None
            if figure is not None and not limit.holds(
                figure, theirs, more_is_better=row.more_is_better
            ):
                return "NOT MET"
    return "met"


def limits_text(
    row: Row, limits: Sequence[Limit], probe: Probe, answers: Mapping[str, Answer]
) -> list[str]:
    """What is asked for, and whether it was reached."""
    if not limits:
        return []
    says = [limit.says(row) for limit in limits]
    return [", ".join(says), verdict(row, limits, probe, answers)]


def cells(row: Row, probe: Probe, answers: Mapping[str, Answer]) -> list[list[str]]:
    """One list of lines per column."""
    floors: list[str] = []
    others: list[str] = []
    ours = middle(answers.get(OURS), row.figure)
    for name, side in probe.sides.items():
        answer = answers.get(name)
        if name == OURS or answer is None:
            continue
        theirs = middle(answer, row.figure)
        if theirs is None and not answer.words:
            continue
        line = (
            f"{name} {figure_text(answer, row)}"
            if theirs is None
            else (f"{name} {show(theirs, row.unit)}")
        )
        if theirs is not None and ours is not None:
            line += f" ({ratio_text(ours, theirs, row)})"
        (floors if side.is_floor else others).append(line)
    return [
        [row.work],
        [figure_text(answers.get(OURS, Answer()), row)],
        floors,
        others,
        limits_text(row, row.must, probe, answers),
        limits_text(row, row.want, probe, answers),
    ]


def _wrapped(lines: Iterable[str], width: int) -> list[str]:
    out: list[str] = []
    for line in lines:
        current = ""
        for word in line.split(" "):
            if current and len(current) + 1 + len(word) > width:
                out.append(current)
                current = f"  {word}"
            else:
                current = f"{current} {word}" if current else word
        out.append(current)
    return out


def _line(texts: Sequence[str]) -> str:
    return "  ".join(text.ljust(width) for text, width in zip(texts, WIDTHS, strict=True)).rstrip()


def size_of(probe: Probe, side: Side, *, quick: bool) -> int:
    """How many jobs this side does in the table's own sample."""
    return side.size or (probe.quick_size if quick else probe.size)


def answers_of(results: Results, probe: Probe, *, quick: bool) -> dict[str, Answer]:
    """What was measured at the size that the table is about."""
    found = {}
    for name, side in probe.sides.items():
        answer = results.get((probe.name, name, size_of(probe, side, quick=quick)))
        if answer is not None:
            found[name] = answer
    return found


def growth(rows: Sequence[Row], probes: Mapping[str, Probe], results: Results) -> list[str]:
    """How each cost grows with the number of pending jobs, and its complexity."""
    growing = [row for row in rows if row.grows]
    sizes = sorted({n for row in growing for probe, _, n in results if probe == row.probe})
    if len(sizes) < 2:
        return []
    head = ["pending jobs".ljust(36), *(f"{size:>12,}" for size in sizes), "  complexity"]
    lines = ["", "How cost grows", "", "".join(head)]
    for row in growing:
        for name in probes[row.probe].sides:
            found = [middle(results.get((row.probe, name, size)), row.figure) for size in sizes]
            if not any(value is not None for value in found):
                continue
            texts = [f"{'-' if v is None else show(v, row.unit):>12}" for v in found]
            known = row.grows if name != "reference" else ""
            lines.append("".join([f"{row.name}, {name}".ljust(36), *texts, f"  {known}"]).rstrip())
    return lines


def render(
    rows: Sequence[Row], probes: Mapping[str, Probe], results: Results, *, quick: bool
) -> str:
    """The whole text: the table, why what was missed, and how cost grows."""
    rule = _line(["-" * width for width in WIDTHS])
    lines = [_line(HEAD), rule]
    missed = []
    for row in rows:
        probe = probes[row.probe]
        answers = answers_of(results, probe, quick=quick)
        columns = [
            _wrapped(cell, width)
            for cell, width in zip(cells(row, probe, answers), WIDTHS, strict=True)
        ]
        lines += [_line(texts) for texts in zip_longest(*columns, fillvalue="")]
        lines.append(rule)
        if "NOT MET" in (verdict(row, limits, probe, answers) for limits in (row.must, row.want)):
            missed.append(f"{row.name}: {row.analysis or 'no analysis yet'}")
    if missed:
        lines += ["", "What is not reached, and where the time goes", "", *missed]
    if not quick:
        lines += growth(rows, probes, results)
    return "\n".join(lines)


def as_json(
    rows: Sequence[Row], probes: Mapping[str, Probe], results: Results, *, quick: bool
) -> list[dict[str, Any]]:
    """Every sample of every row, with the limits and whether they hold."""
    out = []
    for row in rows:
        probe = probes[row.probe]
        answers = answers_of(results, probe, quick=quick)
        samples = [
            {"side": side, "size": size, "values": answer.of(row.figure), "words": answer.words}
            for (name, side, size), answer in results.items()
            if name == row.probe
        ]
        out.append(
            {
                "row": row.name,
                "work": row.work,
                "unit": row.unit,
                "must": [limit.says(row) for limit in row.must],
                "must_verdict": verdict(row, row.must, probe, answers),
                "want": [limit.says(row) for limit in row.want],
                "want_verdict": verdict(row, row.want, probe, answers),
                "grows": row.grows,
                "analysis": row.analysis,
                "samples": samples,
            }
        )
    return out
