"""What can be changed of a campaign, as lines to type into: all of it until it begins, then only its hours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aicmo.hours import ZONES, parse_hours
from aicmo.publishing.changing import CampaignChange, campaign_name
from aicmo.publishing.spans import parse_span, told_span
from aicmo.store import campaign_options
from aicmo.store.campaign_options import CampaignOptions
from aicmo_tui.present import MUTED, TITLE, line, people, value
from aicmo_tui.screens.campaign_view import Shown
from aicmo_tui.widgets.form import Form, Line
from aicmo_tui.work import off_loop

if TYPE_CHECKING:
    from aicmo.publishing.pipeline import PublishingPipeline
    from aicmo_tui.app import AicmoApp

ALWAYS = ("hours", "days", "zone", "late")
"""What can be changed of one that has begun, too."""


async def change_settings(app: AicmoApp, shown: Shown) -> None:
    """Ask for all of it at once, and keep it. An approval stays, because it is of the words."""
    publishing, campaign = app.workspace.publishing, shown.campaign
    form = [each for each in lines_of(shown, publishing) if each.key in ALWAYS or not shown.begun]
    question = line(value(campaign.name, TITLE), (" · begun: its audience is frozen" if shown.begun else "", MUTED))
    said = await app.push_screen_wait(Form(question, form))
    if said is None:
        return
    change = CampaignChange(
        said.get("name"),
        said.get("to"),
        said.get("without"),
        {
            "hours": said["hours"],
            "days": said["days"],
            "zone": said["zone"] or CampaignOptions().zone,
            "late_after_minutes": _minutes(said["late"]),
        },
    )
    changed = await off_loop(app, lambda: publishing.edit_campaign(campaign.id, change))
    app.sending.look()
    if shown.begun:
        app.tell("Saved. Those who wait for their hours are looked at again.")
        return
    reached = await off_loop(app, lambda: publishing.audience(changed.audience, changed.exclude))
    app.tell(f"Saved. It is for {people(reached.total)} now, {reached.suppressed:,} of them suppressed.")


def lines_of(shown: Shown, publishing: PublishingPipeline) -> list[Line]:
    campaign, options = shown.campaign, shown.campaign.options
    late = options.late_after_minutes
    return [
        Line("name", "name", campaign_name, campaign.name),
        Line("to", "to", publishing.audience, campaign.audience, "a query, such as tag:trial; empty: everybody"),
        Line("without", "without", publishing.audience, campaign.exclude, "who gets nothing of it, such as sent:3"),
        Line("hours", "hours", lambda text: parse_hours(text, ""), options.hours, "such as 09:00-17:00; empty: always"),
        Line("days", "days", lambda text: parse_hours("", text), options.days, "such as mon-fri; empty: every day"),
        Line("zone", "by whose clock", _checked_zone, options.zone, " or ".join(ZONES), ZONES),
        Line(
            "late",
            "late after",
            _checked_late,
            "" if late is None else told_span(late),
            "such as 12h: begun later, it asks first",
        ),
    ]


def _minutes(text: str) -> int | None:
    return parse_span(text) if text else None


def _checked_zone(text: str) -> CampaignOptions:
    return campaign_options.checked(CampaignOptions(zone=text)) if text else CampaignOptions()


def _checked_late(text: str) -> CampaignOptions:
    return campaign_options.checked(CampaignOptions(late_after_minutes=_minutes(text)))
