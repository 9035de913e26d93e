"""Where somebody stands, and who may move them: NEW, ENRICHED, VERIFIED, ENGAGED, CONVERTED, or DISQUALIFIED.

A program moves people forward only, and never into DISQUALIFIED or out of it: that is a person's word, and so is every
step back. ENGAGED means that they did something themselves; what we send them and what machines do in their name (a
mail scanner's click, an automatic answer) moves nobody. Every step leaves a receipt with its cause.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime

from aicmo.errors import IllegalTransition, InvalidInput
from aicmo.store import events, stages
from aicmo.store.contacts import STAGES
from aicmo.store.events import Event
from aicmo.text import one_line, shown

WEIGHTS = {"NEW": 0, "ENRICHED": 1, "VERIFIED": 2, "ENGAGED": 3, "CONVERTED": 4}
"""Forward is towards the greater weight. DISQUALIFIED has none: it lies on no way that a program may take."""


def stage_named(text: str) -> str:
    """One of ``STAGES``, however it is written. Raises ``InvalidInput``."""
    stage = one_line(text).upper()
    if stage not in STAGES:
        raise InvalidInput(f"There is no stage {shown(text)}.", hint=f"There are: {', '.join(STAGES)}.")
    return stage


def is_forward(from_stage: str, to_stage: str) -> bool:
    """Whether a program may take that step."""
    return from_stage in WEIGHTS and to_stage in WEIGHTS and WEIGHTS[from_stage] < WEIGHTS[to_stage]


def is_demotion(from_stage: str, to_stage: str) -> bool:
    """Whether a person has to say that they mean it. Disqualifying, and taking that back, says so by itself."""
    return from_stage in WEIGHTS and to_stage in WEIGHTS and WEIGHTS[to_stage] < WEIGHTS[from_stage]


def advance(
    db: sqlite3.Connection,
    contact_id: int,
    to: str,
    cause: str,
    actor: str,
    now: datetime,
    *,
    event_id: int | None = None,
    change_id: int | None = None,
) -> bool:
    """Move somebody forward, on a program's word. False when they stand there already, further on, or disqualified.

    Raises ``NotFound`` when there is nobody with that id.
    """
    _, from_stage = stages.standing(db, contact_id)
    if not is_forward(from_stage, to):
        return False
    stages.move(db, contact_id, to, cause, actor, now, event_id=event_id, change_id=change_id)
    return True


def set_stage(
    db: sqlite3.Connection,
    contact_id: int,
    to: str,
    cause: str,
    actor: str,
    now: datetime,
    *,
    demote: bool = False,
    change_id: int | None = None,
) -> bool:
    """Put somebody into a stage, on a person's word. False when they stand there already.

    Raises ``IllegalTransition`` for a step back without ``demote``, ``NotFound`` when there is nobody with that id.
    """
    email, from_stage = stages.standing(db, contact_id)
    if from_stage == to:
        return False
    if is_demotion(from_stage, to) and not demote:
        raise IllegalTransition(
            f"{email} would step back from {from_stage} to {to}.",
            hint="The lifecycle goes back only on your word; if you mean it, say --demote.",
        )
    stages.move(db, contact_id, to, cause, actor, now, change_id=change_id)
    return True


def record_event(db: sqlite3.Connection, event: Event, now: datetime) -> int | None:
    """Write down what happened, and move the person where it puts them; the event's id.

    ``None`` when it is known already: then nothing is moved either.
    """
    event_id = events.add(db, event)
    if event_id is not None and (to := stage_after(event)) is not None:
        advance(db, event.contact_id, to, _cause(db, event), event.actor or event.channel or "aicmo", now,
                event_id=event_id)  # fmt: skip
    return event_id


def stage_after(event: Event) -> str | None:
    """Where an event puts somebody; ``None``: it moves nobody.

    A reply or a form is a person's, unless it is known to be a machine's. A click is a person's only if that is known:
    scanners click on every link of a mail before its reader sees it.
    """
    match event.kind:
        case "converted" if event.human is not False:
            return "CONVERTED"
        case "replied" | "form" if event.human is not False:
            return "ENGAGED"
        case "clicked" if event.human:
            return "ENGAGED"
        case _:
            return None


_CAUSES = {
    "replied": ("replied to {}", "replied"),
    "clicked": ("clicked a link in {}", "clicked a link"),
    "form": ("filled in a form after {}", "filled in a form"),
    "converted": ("converted after {}", "converted"),
}


def _cause(db: sqlite3.Connection, event: Event) -> str:
    """One phrase for the receipt: ``replied to “Autumn news”``."""
    with_campaign, alone = _CAUSES[event.kind]
    if campaign := events.campaign_name(db, event):
        return with_campaign.format(shown(campaign))
    return f"{alone}: {shown(event.text)}" if event.text else alone
