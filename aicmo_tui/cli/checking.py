"""What a check found, on the command line; and ``campaign check``. Content is checked by a verb of its own."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import click

from aicmo.errors import InvalidInput
from aicmo_tui.cli import output
from aicmo_tui.cli.verb import ROW_ID, Run, run_async, verb

if TYPE_CHECKING:
    from aicmo.publishing import CheckReport
    from aicmo.publishing.preflight import Problem

_SIGNS = {"ok": "✓", "warning": "◐", "error": "✕", "skipped": "○"}


@verb(name="check")
@click.argument("id_", metavar="ID", type=ROW_ID)
@click.option("--at", metavar="TIME", help="As if it were to begin then: 'tomorrow 9:00', +3h, 2026-12-01T09:00+01:00.")
@click.option("--links", is_flag=True, help="Ask every link whether it leads anywhere; their servers see that.")
def check_campaign(run: Run, id_: int, at: str | None, links: bool) -> int:
    """Everything that would stop it, or that you should know first. Exit code 6 when it may not start.

    The name servers are asked about the sender's domain; what they say, or do not, stops nothing.
    """

    from aicmo.publishing.moments import parse_moment

    async def look() -> CheckReport:
        async with run.open_workspace() as workspace:
            when = parse_moment(at, workspace.clock.now()) if at else None
            return await workspace.publishing.check_all(id_, at=when, links=links)

    report = run_async(look())
    output.document(report_record(report), run.form, report_told(report))
    return 0 if report.ok else InvalidInput.exit_code


def report_record(report: CheckReport) -> dict[str, Any]:
    return {
        "schema": "aicmo.campaign.check/1",
        "status": "ok" if report.ok else "refused",
        "audience": report.audience,
        "suppressed": report.suppressed,
        "problems": [_problem(each) for each in (*report.errors, *report.warnings)],
        "topics": [{"topic": each.topic, "status": each.status, "says": each.says or None} for each in report.topics],
    }


def _problem(problem: Problem) -> dict[str, Any]:
    return {
        "code": problem.code,
        "severity": problem.severity,
        "topic": problem.topic,
        "message": problem.message,
        "hint": problem.hint,
        "count": problem.count,
        "people": list(problem.people),
        "query": problem.query or None,
    }


def report_told(report: CheckReport, ready: str = "ready to start") -> list[str]:
    """Errors, warnings, then one line of what is right and what nobody looked at."""
    lines = []
    if report.audience:
        people = "1 person" if report.audience == 1 else f"{report.audience:,} people"
        lines.append(f"{people}, {report.suppressed:,} suppressed")
    for problem in (*report.errors, *report.warnings):
        lines.append(f"{_SIGNS[problem.severity]} {problem.message}")
        lines += [f"  {problem.hint}"] if problem.hint else []
        lines += [f"  They are: aicmo contact list {shlex.quote(problem.query)}"] if problem.query else []
    for status in ("ok", "skipped"):
        told = [
            f"{each.topic} ({each.says})" if each.says else each.topic
            for each in report.topics
            if each.status == status
        ]
        lines += [f"{_SIGNS[status]} {', '.join(told)}"] if told else []
    return [*lines, f"✓ {ready}" if report.ok else "✕ not ready"]
