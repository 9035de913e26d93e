"""Content, its versions, and what was approved.

A version that somebody relied on is never changed: saving makes the next one. An approval is bound to the hash of what
was read, so an edit withdraws it by itself, and taking the edit back brings it back.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from dataclasses import dataclass
from datetime import datetime

from aicmo.clock import rfc3339
from aicmo.errors import NotFound, VerbHint


@dataclass(frozen=True, slots=True)
class Draft:
    """What a message says, before it is saved: templates in Jinja2's syntax."""

    subject: str
    body: str
    preheader: str = ""
    """The line an inbox shows after the subject."""
    format: str = "markdown"
    """``markdown`` or ``html``: what the body is written in."""

    @property
    def hash(self) -> str:
        """What an approval is bound to: SHA-256 over all that a reader would see."""
        return hash_of(self.subject, self.preheader, self.body, self.format)


def hash_of(*seen: str) -> str:
    """SHA-256 over texts, in their order."""
    return hashlib.sha256(json.dumps(seen, ensure_ascii=False).encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class Content:
    """One piece of content with its latest version."""

    id: int
    type: str
    title: str
    version_id: int
    number: int
    """Of the version: 1, 2, 3 ..."""
    draft: Draft
    approved: bool
    updated_at: str


@dataclass(frozen=True, slots=True)
class Version:
    """What was said once, of the original or on a channel."""

    number: int
    """1, 2, 3 ...; 0 of a channel that has said nothing of its own yet."""
    draft: Draft
    """The whole of it, what it takes from the original included."""
    hash: str
    created_at: str
    """Empty where nothing was saved yet."""
    approved_at: str = ""
    """Empty: it is not approved."""
    sent: bool = False
    """Whether a campaign sends it."""
    own: tuple[str, ...] = ()
    """Of a channel's: ``subject``, ``body``, whichever it does not take from the original."""
    original: int = 0
    """Of a channel's: the number of the original's version that it stands on."""


_SELECT = """
SELECT content.id, content.type, content.title, v.id AS version_id, v.number, v.subject, v.preheader, v.body, v.format,
       v.created_at, EXISTS (SELECT 1 FROM approval WHERE content_hash = v.hash) AS approved
FROM content JOIN content_version AS v ON v.content_id = content.id
"""
_LATEST = "v.number = (SELECT max(number) FROM content_version WHERE content_id = content.id)"
_VERSIONS = """
SELECT v.*, coalesce(approval.approved_at, '') AS approved_at,
       EXISTS (SELECT 1 FROM campaign WHERE version_id = v.id)
       OR EXISTS (SELECT 1 FROM campaign_message WHERE version_id = v.id) AS sent
FROM content_version AS v LEFT JOIN approval ON approval.content_hash = v.hash
WHERE v.content_id = ?
"""


def create(db: sqlite3.Connection, type: str, title: str, draft: Draft, now: datetime) -> int:
    """Insert content with its first version; the new id."""
    cursor = db.execute("INSERT INTO content (type, title, created_at) VALUES (?, ?, ?)", (type, title, rfc3339(now)))
    content_id = cursor.lastrowid
    assert content_id is not None
    _insert_version(db, content_id, 1, draft, now)
    return content_id


def rename(db: sqlite3.Connection, content_id: int, title: str) -> None:
    """Another title; what it says is untouched, so an approval stands."""
    db.execute("UPDATE content SET title = ? WHERE id = ?", (title, content_id))


def save(db: sqlite3.Connection, content_id: int, draft: Draft, now: datetime, *, amend: bool = False) -> int:
    """Keep ``draft`` as the next version, unless it says what the latest says already; the version's number.

    With ``amend`` it replaces the latest version, where nobody relied on that: nobody has read it but its author, who
    is still writing. Raises ``NotFound``.
    """
    content, latest = get(db, content_id), versions(db, content_id)[0]
    if latest.draft == draft:
        return latest.number
    if amend and not (latest.approved_at or latest.sent or _stood_on(db, content_id, latest.number)):
        db.execute(
            """UPDATE content_version SET subject = ?, preheader = ?, body = ?, format = ?, hash = ?, created_at = ?
               WHERE id = ?""",
            (draft.subject, draft.preheader, draft.body, draft.format, draft.hash, rfc3339(now), content.version_id),
        )
        return latest.number
    _insert_version(db, content_id, latest.number + 1, draft, now)
    return latest.number + 1


def _stood_on(db: sqlite3.Connection, content_id: int, number: int) -> bool:
    """Whether a channel's text was approved that takes something from this version."""
    query = """SELECT EXISTS (SELECT 1 FROM channel_version JOIN approval ON content_hash = hash
                              WHERE content_id = ? AND original = ?)"""
    return bool(db.execute(query, (content_id, number)).fetchone()[0])


def _insert_version(db: sqlite3.Connection, content_id: int, number: int, draft: Draft, now: datetime) -> None:
    db.execute(
        """INSERT INTO content_version (content_id, number, subject, preheader, body, format, hash, created_at)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?)""",
        (content_id, number, draft.subject, draft.preheader, draft.body, draft.format, draft.hash, rfc3339(now)),
    )


def get(db: sqlite3.Connection, content_id: int) -> Content:
    """The content with its latest version. Raises ``NotFound``."""
    row = db.execute(f"{_SELECT} WHERE content.id = ? AND {_LATEST}", (content_id,)).fetchone()
    if row is None:
        raise NotFound(f"There is no content {content_id}.", hint=VerbHint("List them with", "content list"))
    return _content(row)


def get_version(db: sqlite3.Connection, version_id: int) -> Content:
    """The content as that version says it. Raises ``NotFound``."""
    row = db.execute(f"{_SELECT} WHERE v.id = ?", (version_id,)).fetchone()
    if row is None:
        raise NotFound(f"There is no content version {version_id}.")
    return _content(row)


def listed(db: sqlite3.Connection) -> list[Content]:
    """All content, the latest written first."""
    return [
        _content(row) for row in db.execute(f"{_SELECT} WHERE {_LATEST} ORDER BY v.created_at DESC, content.id DESC")
    ]


def versions(db: sqlite3.Connection, content_id: int) -> list[Version]:
    """All versions of the original, the latest first; empty where there is no such content."""
    return [
        Version(row["number"], _draft(row), row["hash"], row["created_at"], row["approved_at"], bool(row["sent"]))
        for row in db.execute(f"{_VERSIONS} ORDER BY v.number DESC", (content_id,))
    ]


def approve(db: sqlite3.Connection, content_hash: str, now: datetime) -> None:
    """Approve just these words; the first approval's time stays."""
    db.execute("INSERT INTO approval VALUES (?, ?) ON CONFLICT DO NOTHING", (content_hash, rfc3339(now)))


def approved_at(db: sqlite3.Connection, content_hash: str) -> str:
    """When; empty when it is not."""
    row = db.execute("SELECT approved_at FROM approval WHERE content_hash = ?", (content_hash,)).fetchone()
    return str(row[0]) if row else ""


def withdraw(db: sqlite3.Connection, content_hash: str) -> None:
    """Take an approval back; harmless where there is none."""
    db.execute("DELETE FROM approval WHERE content_hash = ?", (content_hash,))


def _draft(row: sqlite3.Row) -> Draft:
    return Draft(row["subject"], row["body"], row["preheader"], row["format"])


def _content(row: sqlite3.Row) -> Content:
    return Content(
        id=row["id"],
        type=row["type"],
        title=row["title"],
        version_id=row["version_id"],
        number=row["number"],
        draft=_draft(row),
        approved=bool(row["approved"]),
        updated_at=row["created_at"],
    )
