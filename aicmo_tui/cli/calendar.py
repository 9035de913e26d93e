"""``aicmo calendar``: what goes out when, what went, what is late."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aicmo_tui.cli import output
from aicmo_tui.cli.verb import Run, verb

if TYPE_CHECKING:
    from aicmo.publishing.agenda import Entry


@verb()
@click.option("--from", "from_", metavar="DAY", default="", help="The first day, such as 2026-12-01; else today.")
@click.option("--days", type=click.IntRange(1, 3660), default=30, show_default=True, help="So many.")
@click.option("--ics", metavar="FILE", help="Write all that is to come within a year as a calendar file.")
def calendar(run: Run, from_: str, days: int, ics: str | None) -> None:
    """What goes out on which day, and people to get back to; what is late stands first."""
    from aicmo.crm.days import parse_day

    with run.open_workspace() as workspace:
        today = workspace.agenda.today()
        first = parse_day(from_, today) if from_ else today
        last = first + timedelta(days=days - 1)
        plan = workspace.agenda.look(first, last)
        if ics is not None:
            from aicmo.crm.icalendar import write_calendar

            write_calendar(Path(ics), workspace.agenda.calendar())
    coming = [each for day in sorted(plan.days) for each in plan.of(day)]
    record = {
        "today": plan.today.isoformat(),
        "from": first.isoformat(),
        "to": last.isoformat(),
        "late": [_record(each) for each in plan.late],
        "entries": [_record(each) for each in coming],
        "ics": ics,
    }
    text = [_told(each) for each in (*plan.late, *coming)]
    output.document(record, run.form, text or ["Nothing is due on these days, and nothing is late."])
    if ics is not None:
        run.say(f"The plans are in {ics}.")


def _record(entry: Entry) -> dict[str, Any]:
    from aicmo.clock import rfc3339

    return {
        "kind": entry.kind.value,
        "day": entry.day.isoformat(),
        "at": rfc3339(entry.at) if entry.at else None,
        "title": entry.title,
        "count": entry.count,
        "campaign_id": entry.campaign_id or None,
        "step": entry.step if entry.campaign_id else None,
        "email": entry.email or None,
        "cause": entry.cause or None,
    }


def _told(entry: Entry) -> str:
    from aicmo.publishing.agenda import summary

    time = f"{entry.at.astimezone():%H:%M}" if entry.at else "     "
    return f"{entry.day:%a %Y-%m-%d}  {time}  {summary(entry)}"
