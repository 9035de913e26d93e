"""How people go through a sequence: looked at when their time has come, one step at most at each look.

What somebody does next is a function of the ledger, the events and the time (``next_move``); nothing else is
remembered, so it does not matter how often or in which order people are looked at, or where the program was killed.

The next step waits from the moment the one before it *went*. At the moment it is due, whoever answered, converted,
opted out, complained, or whose mail came back leaves for good; a machine's answer is none. As long as nobody knows
whether a step went, nothing follows it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from aicmo.crm.segments import select
from aicmo.errors import QueryInvalid
from aicmo.publishing.schedule import Newcomers, let_in, newcomers
from aicmo.store import campaigns, messages, sequences
from aicmo.store.campaigns import CampaignStatus
from aicmo.store.deliveries import State
from aicmo.store.messages import Message
from aicmo.store.sequences import Enrolment

AT_ONCE = 500
"""People looked at in one transaction; some tens of milliseconds, so that the sender's writes go on between."""
CONDITIONS = {"no_reply": "-replied:{}", "clicked": "clicked:{}", "not_clicked": "-clicked:{}"}
"""Conditions that have a name, as contact queries about this campaign; any other is a contact query itself."""
_OPEN = (State.QUEUED, State.CLAIMED, State.SENDING, State.DEFERRED)
_OPTED_OUT = {"manual": "suppressed"}
"""Reasons of the suppression list that are not causes of leaving by the same name."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing happens with them before then."""

    until: datetime | None
    """``None``: for the ledger."""


@dataclass(frozen=True, slots=True)
class Leave:
    """They get nothing more of it."""

    cause: str
    """One of ``sequences.STOPS``."""
    because: str
    """In words."""


@dataclass(frozen=True, slots=True)
class End:
    """They have had all of it."""


@dataclass(frozen=True, slots=True)
class Due:
    """The step is due to whom its condition holds for; whoever else is passed over, as of then."""

    message: Message
    since: datetime
    """When it became due, UTC."""


Move = Wait | Leave | End | Due


def condition(only_if: str, campaign_id: int) -> str:
    """A step's condition as a contact query."""
    return CONDITIONS[only_if].format(campaign_id) if only_if in CONDITIONS else only_if


def position(steps: Sequence[Message], number: int) -> int:
    """The place of a step that there is or was."""
    return next((each.position for each in steps if each.step == number), messages.FIRST_STEP)


def following(steps: Sequence[Message], last: int, had: frozenset[int] = frozenset()) -> Message | None:
    """The step after ``last`` that one who had ``had`` gets; ``steps`` are all but the first, removed ones too."""
    place = position(steps, last)
    return next(
        (each for each in steps if each.position > place and not each.removed and each.step not in had),
        None,
    )


def next_move(who: Enrolment, steps: Sequence[Message], had: frozenset[int], now: datetime) -> Move:
    """What becomes of somebody now. A Due step's condition is not looked at yet."""
    is_open = who.delivery in _OPEN
    if who.suppressed and is_open:
        return Wait(None)  # the sender finds out, and says so in the ledger
    if who.suppressed:
        cause = _OPTED_OUT.get(who.suppressed, who.suppressed)
        return Leave(cause, sequences.STOPS[cause])
    if who.event:
        return Leave(who.event.partition(" ")[0], sequences.told(who.event))
    if is_open or who.delivery == State.UNKNOWN:
        return Wait(None)
    if who.delivery in (State.FAILED, State.BOUNCED, State.SUPPRESSED, State.CANCELLED):
        return Leave(who.delivery, f"step {who.step}: {who.reason or who.delivery}")
    since = who.sent_at if who.delivery == State.SENT else who.passed_at
    if since is None:
        return Leave("cancelled", "the ledger knows of nothing that was sent to them")
    message = following(steps, who.step, had)
    if message is None:
        return End()
    due = since + timedelta(minutes=message.wait_minutes)
    return Wait(due) if due > now else Due(message, due)


def advance(db: sqlite3.Connection, now: datetime, come: Newcomers | None = None, *, most: int = AT_ONCE) -> None:
    """Look at those in running sequences whose time has come, ``most`` of each at most, and let in who has ``come``.

    ``None`` looks for newcomers here. A campaign whose condition or audience cannot be asked any more is paused, and
    says why.
    """
    come = newcomers(db, now) if come is None else come
    for campaign_id in sequences.running(db):
        try:
            if campaign_id in come:
                let_in(db, campaign_id, come[campaign_id], now)
            _advance(db, campaign_id, now, most)
        except QueryInvalid as error:
            campaigns.move(db, campaign_id, CampaignStatus.PAUSED, pause_reason=error.message)


def _advance(db: sqlite3.Connection, campaign_id: int, now: datetime, most: int) -> None:
    steps = messages.steps(db, campaign_id, removed=True)
    asked = {each.step: select(db, condition(each.only_if, campaign_id), now=now) for each in steps if each.only_if}
    looked = [
        (who, next_move(who, steps, sequences.had(db, campaign_id, who.contact_id), now))
        for who in sequences.due(db, campaign_id, now, most=most)
    ]
    left_out: dict[int, set[int]] = {}
    for step, selection in asked.items():
        waiting = {who.contact_id for who, move in looked if isinstance(move, Due) and move.message.step == step}
        left_out[step] = waiting - sequences.among(db, waiting, *selection.where()) if waiting else set()
    for who, move in looked:
        match move:
            case Wait(until):
                sequences.wait_until(db, campaign_id, who.contact_id, until)
            case Leave(cause, because):
                sequences.stop(db, campaign_id, who.contact_id, cause, because, now)
            case End():
                sequences.end(db, campaign_id, who.contact_id, now)
            case Due(message, since):
                left = who.contact_id in left_out.get(message.step, ())
                if left or not sequences.queue(db, campaign_id, who, message.step, now):
                    sequences.pass_over(db, campaign_id, who.contact_id, message.step, since, now)
