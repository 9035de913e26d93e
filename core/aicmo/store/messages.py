"""What a campaign says: its first message, the variants of that, and the later steps of a sequence.

The first message is the campaign's own content; the rows here are all the others. A step keeps its number for good, for
the ledger knows it by that; the order is in ``position``. What a running campaign says is fixed in ``version_id``.
"""

from __future__ import annotations

import dataclasses
import sqlite3
from dataclasses import dataclass

from aicmo.errors import NotFound, VerbHint
from aicmo.store import contents
from aicmo.store.contents import Draft

FIRST_STEP = 1


@dataclass(frozen=True, slots=True)
class Message:
    """One of the messages of a campaign."""

    campaign_id: int
    step: int
    """A name, not a place: 1, and then in the order in which steps were added."""
    variant: str
    """A, B ... of a first message that has variants; else empty."""
    content_id: int
    version_id: int | None = None
    """What is sent; ``None`` before the start."""
    subject: str = ""
    """In place of the content's own, unless empty."""
    position: int = FIRST_STEP
    wait_minutes: int = 0
    """Of a step: after the one before it went. Of a variant: after the start."""
    only_if: str = ""
    """Who gets this step: a named condition or a contact query; empty: everybody."""
    removed: bool = False
    """Nobody gets this step any more."""

    @property
    def name(self) -> str:
        """``Step 2``, ``Variant B``."""
        return f"Variant {self.variant}" if self.variant else f"Step {self.step}"


def of(db: sqlite3.Connection, campaign_id: int) -> list[Message]:
    """All of the campaign's messages, the removed ones not among them: variants by letter, then steps in their order.

    Raises ``NotFound``.
    """
    return [first(db, campaign_id), *_listed(db, campaign_id, "NOT removed")]


def first(db: sqlite3.Connection, campaign_id: int) -> Message:
    """The campaign's own message, which is variant A as soon as there is another. Raises ``NotFound``."""
    row = db.execute(
        """SELECT content_id, version_id,
                  EXISTS (SELECT 1 FROM campaign_message WHERE campaign_id = campaign.id AND variant <> '') AS varied
           FROM campaign WHERE id = ?""",
        (campaign_id,),
    ).fetchone()
    if row is None:
        raise NotFound(f"There is no campaign {campaign_id}.", hint=VerbHint("List them with", "campaign list"))
    return Message(campaign_id, FIRST_STEP, "A" if row["varied"] else "", row["content_id"], row["version_id"])


def variants(db: sqlite3.Connection, campaign_id: int) -> list[Message]:
    """Of the first message, A first; it alone when there are no others. Raises ``NotFound``."""
    return [each for each in of(db, campaign_id) if each.step == FIRST_STEP]


def steps(db: sqlite3.Connection, campaign_id: int, *, removed: bool = False) -> list[Message]:
    """The steps after the first, in their order."""
    return _listed(db, campaign_id, "step > 1" if removed else "step > 1 AND NOT removed")


def get(db: sqlite3.Connection, campaign_id: int, step: int, variant: str = "") -> Message:
    """Of a first message with variants, A without a ``variant``. Raises ``NotFound``."""
    for each in of(db, campaign_id):
        if each.step == step and (each.variant == variant or (not variant and each.variant == "A")):
            return each
    what = f"variant {variant}" if variant else f"step {step}"
    raise NotFound(f"Campaign {campaign_id} has no {what}.", hint=VerbHint("See", f"campaign show {campaign_id}"))


def claimed(db: sqlite3.Connection, campaign_id: int, step: int, variant: str, version_id: int) -> Message:
    """What a delivery that was claimed with that version says, also of a step that was removed since."""
    found = [*variants(db, campaign_id), *steps(db, campaign_id, removed=True)]
    subject = next((each.subject for each in found if (each.step, each.variant) == (step, variant)), "")
    return Message(campaign_id, step, variant, 0, version_id, subject)


def put(db: sqlite3.Connection, message: Message) -> None:
    """Add a message that is not the first, or change it."""
    names = [each.name for each in dataclasses.fields(message)]
    db.execute(
        f"INSERT OR REPLACE INTO campaign_message ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})",
        tuple(getattr(message, name) for name in names),
    )


def delete(db: sqlite3.Connection, message: Message) -> None:
    """Take one away that nobody got yet; harmless where there is none."""
    db.execute(
        "DELETE FROM campaign_message WHERE campaign_id = ? AND step = ? AND variant = ?",
        (message.campaign_id, message.step, message.variant),
    )


def draft(db: sqlite3.Connection, message: Message) -> Draft:
    """What it says: the fixed version, or before the start the latest, with the message's own subject."""
    if message.version_id is None:
        said = contents.get(db, message.content_id).draft
    else:
        said = contents.get_version(db, message.version_id).draft
    return dataclasses.replace(said, subject=message.subject or said.subject)


def fix(db: sqlite3.Connection, campaign_id: int) -> None:
    """From the start on, every message but the first (see ``campaigns.fix_what_is_sent``) says what it says now."""
    for each in _listed(db, campaign_id, "TRUE"):
        put(db, dataclasses.replace(each, version_id=contents.get(db, each.content_id).version_id))


def _listed(db: sqlite3.Connection, campaign_id: int, condition: str) -> list[Message]:
    names = [each.name for each in dataclasses.fields(Message)]
    rows = db.execute(
        f"""SELECT {", ".join(names)} FROM campaign_message WHERE campaign_id = ? AND {condition}
            ORDER BY position, variant""",
        (campaign_id,),
    )
    return [Message(**{**dict(row), "removed": bool(row["removed"])}) for row in rows]
