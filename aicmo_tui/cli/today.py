"""``aicmo today``: what is due, what is overdue, who was silent for too long."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aicmo_tui.cli import output
from aicmo_tui.cli.verb import AT_MOST, Run, verb

if TYPE_CHECKING:
    from aicmo.store.next_actions import Planned
    from aicmo.store.touches import Quiet


@verb()
@click.option(
    "--days", type=click.IntRange(1, 3650), help="How long is too long; else no_touch_days of the configuration."
)
@click.option("--limit", type=AT_MOST, default=50, help="At most so many of the silent ones.")
@click.option("--ics", metavar="FILE", help="Write every plan as a calendar file.")
def today(run: Run, days: int | None, limit: int, ics: str | None) -> None:
    """What to do today: plans that are due or overdue, and people in touch with you who were silent for too long."""
    with run.open_workspace() as workspace:
        day = workspace.today.look(quiet_limit=limit, no_touch_days=days)
        if ics is not None:
            from aicmo.crm.icalendar import write_calendar

            write_calendar(Path(ics), workspace.today.calendar())
    record = {
        "today": day.today.isoformat(),
        "overdue": [_planned(each) for each in day.overdue],
        "due": [_planned(each) for each in day.due],
        "no_touch_days": day.no_touch_days,
        "quiet": [asdict(each) for each in day.quiet],
        "ics": ics,
    }
    text = [f"overdue  {each.due}  {each.text}  {_who(each)}" for each in day.overdue]
    text += [f"today    {each.text}  {_who(each)}" for each in day.due]
    text += [f"silent since {each.last_touch[:10]}  {_who(each)}  {each.company}".rstrip() for each in day.quiet]
    output.document(record, run.form, text or ["Nothing is due, and nobody was silent for too long."])
    if ics is not None:
        run.say(f"The plans are in {ics}.")


def _who(each: Planned | Quiet) -> str:
    return f"{each.name} <{each.email}>" if each.name else each.email


def _planned(planned: Planned) -> dict[str, Any]:
    return {**asdict(planned), "due": planned.due.isoformat()}
