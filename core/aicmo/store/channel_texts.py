"""What content says on a channel: the original's words, but for those that the channel has of its own.

A channel's versions are rows of their own numbering; a field that is NULL there follows the original as it changes. The
hash is of what the channel would show, so an approval ends when any of that changes, wherever it comes from.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime

from aicmo.clock import rfc3339
from aicmo.store import contents
from aicmo.store.contents import Draft, Version, hash_of

UNTITLED = frozenset({"linkedin", "x", "instagram", "bluesky"})
"""The channels that show a body alone, so that another subject changes nothing there."""


_TOP = "SELECT max(number) FROM channel_version WHERE content_id = ? AND channel = ?"
_LATEST = "SELECT * FROM channel_version WHERE content_id = ? AND channel = ? ORDER BY number DESC LIMIT 1"


@dataclass(frozen=True, slots=True)
class Own:
    """What a channel says in place of the original; ``None``: it follows that."""

    subject: str | None = None
    body: str | None = None
    format: str | None = None
    """Of the body; ``None`` where that is."""


def latest(db: sqlite3.Connection, content_id: int, channel: str) -> Version:
    """What the channel would show now; version 0 where it has nothing of its own yet. Raises ``NotFound``."""
    original = contents.get(db, content_id)
    row = db.execute(_LATEST, (content_id, channel)).fetchone()
    own = _own(row) if row else Own()
    draft = shown(channel, own, original.draft)
    hash = _hash(channel, draft)
    return Version(
        row["number"] if row else 0,
        draft,
        hash,
        row["created_at"] if row else "",
        contents.approved_at(db, hash),
        own=_names(own),
        original=original.number,
    )


def versions(db: sqlite3.Connection, content_id: int, channel: str) -> list[Version]:
    """All that were saved, the latest first, each as it stood over the original of its time."""
    originals = {version.number: version.draft for version in contents.versions(db, content_id)}
    rows = db.execute(
        """SELECT v.*, coalesce(approved_at, '') AS approved_at
           FROM channel_version AS v LEFT JOIN approval ON content_hash = hash
           WHERE content_id = ? AND channel = ? ORDER BY number DESC""",
        (content_id, channel),
    )
    return [
        Version(
            row["number"],
            shown(channel, _own(row), originals[row["original"]]),
            row["hash"],
            row["created_at"],
            row["approved_at"],
            own=_names(_own(row)),
            original=row["original"],
        )
        for row in rows
    ]


def own_of(db: sqlite3.Connection, content_id: int, channel: str) -> Own:
    """What the channel has of its own now."""
    row = db.execute(_LATEST, (content_id, channel)).fetchone()
    return _own(row) if row else Own()


def save(
    db: sqlite3.Connection, content_id: int, channel: str, own: Own, now: datetime, *, amend: bool = False
) -> Version:
    """Keep ``own`` as the channel's next version, unless that is what it says already; what it then shows.

    ``amend`` replaces the latest one where nobody approved that, as in ``contents.save``. Raises ``NotFound``.
    """
    if own != own_of(db, content_id, channel):
        saved = versions(db, content_id, channel)
        _keep(db, content_id, channel, own, now, instead_of_latest=amend and bool(saved) and not saved[0].approved_at)
    return latest(db, content_id, channel)


def approve(db: sqlite3.Connection, content_id: int, channel: str, now: datetime) -> Version:
    """Approve what the channel shows now. That becomes a version where the original has changed since the last one, so
    that it can be looked up later what was approved. Raises ``NotFound``."""
    shows = latest(db, content_id, channel)
    saved = versions(db, content_id, channel)
    if not saved or saved[0].hash != shows.hash:
        _keep(db, content_id, channel, own_of(db, content_id, channel), now)
    contents.approve(db, shows.hash, now)
    return latest(db, content_id, channel)


def _keep(
    db: sqlite3.Connection, content_id: int, channel: str, own: Own, now: datetime, *, instead_of_latest: bool = False
) -> None:
    original = contents.get(db, content_id)
    hash = _hash(channel, shown(channel, own, original.draft))
    values = (original.number, own.subject, own.body, own.format, hash, rfc3339(now), content_id, channel)
    if instead_of_latest:
        db.execute(
            f"""UPDATE channel_version SET original = ?, subject = ?, body = ?, format = ?, hash = ?, created_at = ?
                WHERE content_id = ? AND channel = ? AND number = ({_TOP})""",
            (*values, content_id, channel),
        )
    else:
        db.execute(
            f"""INSERT INTO channel_version (original, subject, body, format, hash, created_at, content_id, channel,
                                             number)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, coalesce(({_TOP}), 0) + 1)""",
            (*values, content_id, channel),
        )


def shown(channel: str, own: Own, original: Draft) -> Draft:
    """What the channel shows: its own words, and the original's in place of those it has not."""
    subject = "" if channel in UNTITLED else original.subject if own.subject is None else own.subject
    if own.body is None:
        return Draft(subject, original.body, format=original.format)
    return Draft(subject, own.body, format=own.format or original.format)


def _hash(channel: str, draft: Draft) -> str:
    return hash_of(channel, draft.subject, draft.body, draft.format)


def _own(row: sqlite3.Row) -> Own:
    return Own(row["subject"], row["body"], row["format"])


def _names(own: Own) -> tuple[str, ...]:
    return tuple(name for name, words in (("subject", own.subject), ("body", own.body)) if words is not None)
