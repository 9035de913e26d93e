"""``aicmo campaign edit``, and the options that it shares with ``campaign create``: who gets nothing, and when."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from aicmo.errors import InvalidInput
from aicmo_tui.cli import output
from aicmo_tui.cli.verb import ROW_ID, Run, verb

if TYPE_CHECKING:
    from aicmo.publishing import PublishingCampaign

_SPAN = re.compile(r"(\d{1,6})\s*([mhd])")
_UNIT_MINUTES = {"m": 1, "h": 60, "d": 24 * 60}
_ANY_TIME = "any"


def when_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--exclude``, ``--hours``, ``--days``, ``--zone``, ``--late-after``."""
    for option in reversed(
        (
            click.option("--exclude", metavar="QUERY", help="Who gets nothing of it, although --to selects them."),
            click.option("--hours", metavar="SPAN", help="When it may go, such as 09:00-17:00; any: at all hours."),
            click.option("--days", metavar="DAYS", help="On which days, such as mon-fri; any: on every day."),
            click.option("--zone", metavar="WHOSE", help="Whose hours: recipient (else so) or business."),
            click.option("--late-after", metavar="SPAN", help="Begun later it asks first, such as 12h or 2d."),
        )
    ):
        command = option(command)
    return command


def said_options(
    hours: str | None, days: str | None, zone: str | None, late_after: str | None
) -> dict[str, str | int | None]:
    """The fields of ``CampaignOptions`` that were said. Raises ``InvalidInput``."""
    said: dict[str, str | int | None] = {
        name: "" if value == _ANY_TIME else value.strip()
        for name, value in (("hours", hours), ("days", days), ("zone", zone))
        if value is not None
    }
    if late_after is not None:
        found = _SPAN.fullmatch(late_after.strip().lower())
        if not found:
            raise InvalidInput(f"{late_after} is no span of time.", hint="Write it like 90m, 12h or 2d.")
        said["late_after_minutes"] = int(found[1]) * _UNIT_MINUTES[found[2]]
    return said


def when_record(found: PublishingCampaign) -> dict[str, Any]:
    """When it may go, for programs."""
    options = found.options
    late = options.late_after_minutes
    return {
        "exclude": found.exclude or None,
        "hours": options.hours or None,
        "days": options.days or None,
        "zone": options.zone,
        "late_after_minutes": late,
    }


def when_told(record: dict[str, Any]) -> list[str]:
    """The same for people, where there is something to tell."""
    lines = []
    if record["exclude"]:
        lines.append(f"  not to {record['exclude']}")
    if record["hours"] or record["days"]:
        when = " ".join(filter(None, (record["hours"], record["days"])))
        lines.append(f"  {when}, by the {record['zone']}'s clock")
    return lines


@verb(None, "edit", changes=True)
@click.argument("id_", metavar="ID", type=ROW_ID)
@click.option("--name", help="What you call it.")
@click.option("--to", "audience", metavar="QUERY", help="Who gets it.")
@when_options
def edit(
    run: Run,
    id_: int,
    name: str | None,
    audience: str | None,
    exclude: str | None,
    hours: str | None,
    days: str | None,
    zone: str | None,
    late_after: str | None,
) -> None:
    """Change a campaign before it begins; its hours and days also while it runs. Its approval stays."""
    from aicmo.publishing.changing import CampaignChange

    options = said_options(hours, days, zone, late_after)
    change = CampaignChange(name, audience, exclude, options)
    if change == CampaignChange():
        raise InvalidInput("Nothing was said to change.", hint="Say --to, --exclude, --hours ...")
    with run.open_workspace() as workspace:
        found = workspace.publishing.edit_campaign(id_, change)
        reached = workspace.publishing.audience(found.audience, found.exclude)
    record = {
        "schema": "aicmo.campaign.edit/1",
        "status": "dry_run" if run.dry_run else found.status.value,
        "id": found.id,
        "name": found.name,
        "to": found.audience,
        **when_record(found),
        "audience": reached.total,
        "suppressed": reached.suppressed,
    }
    told = [
        f"{found.name} · {found.status.value} · to {found.audience or 'everybody'}",
        *when_told(record),
        f"  {reached.total:,} people now, {reached.suppressed:,} suppressed",
    ]
    output.document(record, run.form, [*told, "Nothing was changed."] if run.dry_run else told)
