"""``aicmo campaign edit``, and the options that it shares with ``create``: who gets nothing, when, with what links."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from aicmo.errors import InvalidInput
from aicmo_tui.cli import output
from aicmo_tui.cli.verb import ROW_ID, Run, verb

if TYPE_CHECKING:
    from aicmo.publishing import PublishingCampaign

_ANY_TIME = "any"
_UTM = {"on": True, "off": False, "configured": None}


def choices(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--exclude``, ``--hours``, ``--days``, ``--zone``, ``--late-after``, ``--utm``."""
    for option in reversed(
        (
            click.option("--exclude", metavar="QUERY", help="Who gets nothing of it, although --to selects them."),
            click.option("--hours", metavar="SPAN", help="When it may go, such as 09:00-17:00; any: at all hours."),
            click.option("--days", metavar="DAYS", help="On which days, such as mon-fri; any: on every day."),
            click.option("--zone", metavar="WHOSE", help="By whose clock: recipient or business. [recipient]"),
            click.option("--late-after", metavar="SPAN", help="Begun later it asks first, such as 12h or 2d."),
            click.option("--utm", type=click.Choice(list(_UTM)), help="Campaign parameters on its links. [configured]"),
        )
    ):
        command = option(command)
    return command


def said_choices(
    hours: str | None, days: str | None, zone: str | None, late_after: str | None, utm: str | None
) -> dict[str, str | int | None]:
    """The fields of ``CampaignOptions`` that were said. Raises ``InvalidInput``."""
    from aicmo.publishing.spans import parse_span

    said: dict[str, str | int | None] = {
        name: "" if value == _ANY_TIME and name != "zone" else value.strip()
        for name, value in (("hours", hours), ("days", days), ("zone", zone))
        if value is not None
    }
    if late_after is not None:
        said["late_after_minutes"] = parse_span(late_after)
    if utm is not None:
        said["utm"] = _UTM[utm]
    return said


def choices_record(found: PublishingCampaign) -> dict[str, Any]:
    """What was chosen, for programs."""
    options = found.options
    return {
        "exclude": found.exclude or None,
        "hours": options.hours or None,
        "days": options.days or None,
        "zone": options.zone,
        "late_after_minutes": options.late_after_minutes,
        "utm": next(word for word, value in _UTM.items() if value is options.utm),
    }


def choices_told(record: dict[str, Any]) -> list[str]:
    """The same for people, where there is something to tell."""
    lines = []
    if record["exclude"]:
        lines.append(f"  not to {record['exclude']}")
    if record["hours"] or record["days"]:
        when = " ".join(filter(None, (record["hours"], record["days"])))
        lines.append(f"  {when}, by the {record['zone']}'s clock")
    if record["utm"] != "configured":
        lines.append(f"  campaign parameters on its links: {record['utm']}")
    return lines


@verb(None, "edit", changes=True)
@click.argument("id_", metavar="ID", type=ROW_ID)
@click.option("--name", help="What you call it.")
@click.option("--to", "audience", metavar="QUERY", help="Who gets it.")
@choices
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
    utm: str | None,
) -> None:
    """Change a campaign before it begins; its hours and days also while it runs. Its approval stays."""
    from aicmo.publishing.changing import CampaignChange

    options = said_choices(hours, days, zone, late_after, utm)
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
        **choices_record(found),
        "audience": reached.total,
        "suppressed": reached.suppressed,
    }
    told = [
        f"{found.name} · {found.status.value} · to {found.audience or 'everybody'}",
        *choices_told(record),
        f"  {reached.total:,} people now, {reached.suppressed:,} suppressed",
    ]
    output.document(record, run.form, [*told, "Nothing was changed."] if run.dry_run else told)
