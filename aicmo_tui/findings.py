"""What a check found, as the composer and the campaigns show it: what is right in one breath, then what is not."""

from __future__ import annotations

from collections.abc import Iterable

from textual.content import Content

from aicmo.publishing import CheckReport
from aicmo.publishing.preflight import Problem
from aicmo_tui.hints import hint_in_app
from aicmo_tui.present import BAD, GOOD, MUTED, WARN, line, lines, number, people, value


def findings(report: CheckReport) -> Content:
    """Errors before warnings, each with what to do about it."""
    rows = []
    if report.audience:
        suppressed = f", {number(report.suppressed)} of them suppressed" if report.suppressed else ""
        rows.append(line(people(report.audience), (suppressed, MUTED)))
    rows += _looked_at(report)
    for problem in (*report.errors, *report.warnings):
        rows += _told(problem)
    return lines(rows)


def _looked_at(report: CheckReport) -> Iterable[Content]:
    """``✓ fields, links, SPF``; and what nobody could look at, by its reason."""
    good = [each.topic for each in report.topics if each.status == "ok"]
    if good:
        yield line(("✓ ", GOOD), ", ".join(good))
    skipped: dict[str, list[str]] = {}
    for each in report.topics:
        if each.status == "skipped":
            skipped.setdefault(each.says, []).append(each.topic)
    for why, topics in skipped.items():
        yield line(("○ ", MUTED), ", ".join(topics), (": ", MUTED), value(why, MUTED))


def _told(problem: Problem) -> Iterable[Content]:
    sign = ("✕ ", BAD) if problem.severity == "error" else ("◐ ", WARN)
    yield line(sign, value(problem.message))
    if problem.hint:
        yield line("  ", value(hint_in_app(problem.hint), MUTED))
