"""What the campaign screen draws: the ledger's columns, one recipient in full, and what stands in the way.

Nothing here reads the store or knows a widget.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from textual.content import Content

from aicmo.clock import parse_rfc3339
from aicmo.publishing.pipeline import PublishingPipeline
from aicmo.store.campaigns import MOVES, Campaign, CampaignStatus
from aicmo.store.deliveries import CAUSES, Counts, Delivery, State
from aicmo_tui.present import (
    ACCENT,
    MUTED,
    TITLE,
    WARN,
    clock_time,
    day_and_time,
    empty,
    exact_time,
    key_hint,
    line,
    lines,
    number,
    people,
    state,
    value,
)
from aicmo_tui.widgets.columns import Column
from aicmo_tui.widgets.facts import Fact

STATES: tuple[State | None, ...] = (None, *(state for state in State if state is not State.CLAIMED))
"""What ``s`` goes through, as far as anybody is there; ``None`` is all."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A campaign as the screen last read it."""

    campaign: Campaign
    counts: Counts
    at: datetime
    through: str = ""
    """The mail server that a message goes through now; empty when none can."""
    copied: bool = False
    """It was paused because the database was copied or restored."""
    compares: bool = False
    """It has variants, or a test."""
    unclear: bool = False
    """Its test has no clear winner and waits for a word."""
    opted_out: int = 0
    """People who asked to get nothing more, on what it said."""

    @property
    def status(self) -> CampaignStatus:
        return self.campaign.status

    @property
    def begun(self) -> bool:
        return self.counts.audience > 0

    @property
    def late(self) -> bool:
        return is_late(self.campaign, self.at, begun=self.begun)

    @property
    def planned_at(self) -> datetime | None:
        """The time that it was given, if that is still to come and it has not begun."""
        at = parse_rfc3339(self.campaign.scheduled_at) if self.campaign.scheduled_at else None
        return at if at and at > self.at and not self.begun else None

    @property
    def fixed(self) -> bool:
        """What it says first is settled: it was started or scheduled."""
        return self.campaign.started_at is not None

    @property
    def is_sequence(self) -> bool:
        return self.campaign.kind == "sequence"


def is_late(campaign: Campaign, now: datetime, *, begun: bool) -> bool:
    """Its time passed while nobody sent; it asks before it begins."""
    waits = campaign.status is CampaignStatus.PAUSED and not begun and campaign.scheduled_at is not None
    return waits and parse_rfc3339(campaign.scheduled_at) <= now


@dataclass(frozen=True, slots=True)
class Ledger:
    """Some deliveries of a campaign, as the table's source: those of one state, one cause, or part of an address."""

    publishing: PublishingPipeline
    campaign_id: int
    state: State | None = None
    cause: str = ""
    address: str = ""

    def count(self) -> int:
        if self.cause or self.address:
            return self.publishing.deliveries_count(
                self.campaign_id, state=self.state, cause=self.cause, address=self.address
            )
        counts = self.publishing.counts(self.campaign_id)
        return counts.as_dict()[self.state] if self.state else counts.audience

    def window(self, offset: int, limit: int) -> Sequence[Delivery]:
        return self.publishing.deliveries(
            self.campaign_id, state=self.state, cause=self.cause, address=self.address, offset=offset, limit=limit
        )

    @property
    def told(self) -> Content:
        """What is left out, for the list's title; empty when nothing is."""
        parts = [
            line(f"only {self.state}") if self.state else None,
            line(CAUSES[self.cause]) if self.cause else None,
            line("with ", value(self.address)) if self.address else None,
        ]
        return line(" · ").join(part for part in parts if part)


COLUMNS = [
    Column("State", 12, lambda delivery: state(delivery.state)),
    Column("Address", 22, lambda delivery: value(delivery.email), grow=2),
    Column("When", 8, lambda delivery: line((exact_time(parse_rfc3339(delivery.at)), MUTED)), priority=2),
    Column("Server", 10, lambda delivery: value(delivery.provider), priority=1),
    Column("Reply", 20, lambda delivery: reply(delivery), grow=4),
]


def reply(delivery: Delivery) -> Content:
    """What the server said, why it is where it is, and when it is tried again."""
    said = f"{delivery.code} {delivery.reason}".strip()
    cause = CAUSES.get(delivery.cause, delivery.cause)
    parts = [
        value(said) if said else None,
        line((cause, MUTED)) if cause and cause not in said else None,
        line((f"again {clock_time(parse_rfc3339(delivery.retry_at))}", MUTED)) if delivery.retry_at else None,
    ]
    return line((" · ", MUTED)).join(part for part in parts if part)


def whole(delivery: Delivery, shown: Shown) -> list[Fact]:
    """Everything the ledger says of one recipient."""
    tries = "1 attempt" if delivery.attempts == 1 else f"{delivery.attempts} attempts"
    again = f" · again {day_and_time(parse_rfc3339(delivery.retry_at))}" if delivery.retry_at else ""
    said = f"{delivery.code} {delivery.reason}".strip()
    cause = CAUSES.get(delivery.cause, delivery.cause)
    message = line(value(delivery.message_id or "not built yet"))
    if delivery.variant:
        message = line(f"variant {delivery.variant} · ", message)
    if shown.is_sequence:
        message = line(f"step {delivery.step} · ", message)
    at = day_and_time(parse_rfc3339(delivery.at))
    facts = [
        ("", line(value(delivery.email, TITLE), "  ", state(delivery.state), (f"  {tries}{again}", MUTED))),
        ("server", line(value(delivery.provider or "none yet"), (f" · {at}", MUTED))),
        ("reply", value(said or "none")),
        ("because", line(cause) if cause and cause != said else line("")),
        ("message", message),
    ]
    return [(line((label, MUTED)) if label else line(""), told) for label, told in facts if told.plain]


# --- what stands in the way, and what to do about it -----------------------------------------------------------------


def in_the_way(shown: Shown) -> Content:
    """Why it does not go on, or what it waits for, with the keys that resolve it. Empty when nothing is to be said."""
    campaign, rows = shown.campaign, []
    if shown.status is CampaignStatus.PAUSED:
        why = campaign.pause_reason or f"You paused it{_planned(shown)}"
        rows += [line(("▲ ", WARN), value(f"{why}.", WARN)), _keys(*_ways_on(shown))]
    elif shown.status is CampaignStatus.SCHEDULED and campaign.scheduled_at:
        at = day_and_time(parse_rfc3339(campaign.scheduled_at))
        rows.append(line((f"◐ It begins {at}.  ", ACCENT), _keys(("w", "another time"), ("g", "now"))))
    elif shown.status is CampaignStatus.RUNNING and shown.counts.open and not shown.through:
        rows.append(line(("▲ No mail server takes messages now.  ", WARN), key_hint("F3", "why")))
    if shown.unclear:
        rows.append(line(("? The test has no clear winner.  ", WARN), key_hint("v", "decide")))
    if shown.counts.unknown:
        told = f"? {people(shown.counts.unknown)} may or may not have got it.  "
        rows.append(line((told, WARN), _keys(("u", "decide"), ("s", "who"))))
    if shown.opted_out:
        told = f"○ {people(shown.opted_out)} asked to get nothing more.  "
        rows.append(line((told, MUTED), (f"unsubscribed:{campaign.id}", TITLE), (" in F4 is who", MUTED)))
    return lines(rows)


def _planned(shown: Shown) -> str:
    """The time that it had, if that is still to come."""
    return f"; it was to begin {day_and_time(shown.planned_at)}" if shown.planned_at else ""


def _ways_on(shown: Shown) -> list[tuple[str, str]]:
    if shown.copied:
        return [("space", "look in the mailboxes, then decide"), ("d", "cancel")]
    if shown.late:
        return [("w", "another time"), ("space", "begin now all the same"), ("d", "cancel")]
    if not shown.begun:
        begin = "begin then, or now" if shown.planned_at else "begin now"
        return [("space", begin), ("w", "another time"), ("o", "change it")]
    if shown.campaign.pause_reason:
        return [("f", "see why, by cause"), ("space", "go on"), ("d", "cancel")]
    return [("space", "go on"), ("d", "cancel")]


def _keys(*ways: tuple[str, str]) -> Content:
    return line("   ").join(key_hint(name, what) for name, what in ways)


def nobody(shown: Shown, ledger: Ledger) -> Content:
    """What stands in the empty table."""
    if shown.begun:
        return empty("None is like that.", ledger.told.plain, ("s", "another state"), ("f", "another cause"))
    campaign = shown.campaign
    step = {
        CampaignStatus.DRAFT: ("a", "approve it"),
        CampaignStatus.APPROVED: ("g", "start it, or w at a time"),
    }.get(campaign.status)
    without = f", without {campaign.exclude}" if campaign.exclude else ""
    return empty(
        "Nothing was sent yet.",
        f"It is for: {campaign.audience or 'everybody'}{without}{_hours(campaign)}",
        ("c", "check it"),
        *([step] if step else []),
        *(_choices(shown) if campaign.status in (CampaignStatus.DRAFT, CampaignStatus.APPROVED) else []),
    )


def _choices(shown: Shown) -> list[tuple[str, str]]:
    """What can be made of a campaign before it begins."""
    return [
        ("t", "send a test"),
        ("o", "whom it is for, and when"),
        ("n", "its steps" if shown.is_sequence else "other messages that follow it"),
        ("v", "its variants" if shown.compares else "other first messages, and which is better"),
    ]


def _hours(campaign: Campaign) -> str:
    options = campaign.options
    when = " ".join(filter(None, (options.hours, options.days)))
    return f" · {when}, by the {options.zone}'s clock" if when else ""


def retried(count: int, cause: str) -> Content:
    """``3 people whose message failed: the mailbox takes no more``."""
    because = f": {CAUSES[cause]}" if cause else ""
    return line(f"{people(count)} whose message failed{because}")


def cause_choices(causes: dict[str, int], every: str, count: int) -> list[tuple[str, str]]:
    """For a picker: all together, then each cause."""
    return [
        (f"{every} ({number(count)})", ""),
        *((f"{CAUSES.get(cause, cause)} ({number(of_it)})", cause) for cause, of_it in causes.items()),
    ]


# --- which verbs make sense ------------------------------------------------------------------------------------------

MAY: dict[str, Callable[[Shown], bool]] = {
    "approve": lambda shown: shown.status is CampaignStatus.DRAFT,
    "start": lambda shown: shown.status in (CampaignStatus.APPROVED, CampaignStatus.SCHEDULED),
    "schedule": lambda shown: (
        shown.status in (CampaignStatus.APPROVED, CampaignStatus.SCHEDULED)
        or (shown.status is CampaignStatus.PAUSED and not shown.begun)
    ),
    "pause": lambda shown: shown.status in (CampaignStatus.RUNNING, CampaignStatus.SCHEDULED),
    "resume": lambda shown: shown.status is CampaignStatus.PAUSED,
    "cancel": lambda shown: CampaignStatus.CANCELLED in MOVES[shown.status],
    "retry": lambda shown: shown.counts.failed > 0 and shown.status is not CampaignStatus.CANCELLED,
    "resolve": lambda shown: shown.counts.unknown > 0,
    "resolve_one": lambda shown: shown.counts.unknown > 0,
    "check": lambda shown: not shown.begun and shown.status is not CampaignStatus.CANCELLED,
    "edit": lambda shown: not shown.fixed and shown.status is not CampaignStatus.CANCELLED,
    "test": lambda shown: shown.status is not CampaignStatus.CANCELLED and (shown.is_sequence or not shown.begun),
    "settings": lambda shown: not shown.begun and shown.status is not CampaignStatus.CANCELLED,
    "hours": lambda shown: shown.begun and shown.status in (CampaignStatus.RUNNING, CampaignStatus.PAUSED),
    "steps": lambda shown: shown.is_sequence,
    "make_sequence": lambda shown: (
        not shown.is_sequence and not shown.fixed and shown.status is not CampaignStatus.CANCELLED
    ),
    "next_state": lambda shown: shown.begun,
    "cause": lambda shown: shown.begun,
    "find": lambda shown: shown.begun,
    "export": lambda shown: shown.begun,
}
"""When each verb makes sense; the others always do."""
