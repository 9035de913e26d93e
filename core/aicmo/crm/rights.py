"""What a person may ask of whoever keeps data about them: to see it, to have it erased, to agree, to change their mind.

Regulation (EU) 2016/679: articles 15 and 20, a copy that a machine can read; 17, erasure; 7, consent that can be shown
and withdrawn. Erasing somebody keeps one thing: that they must not be written to.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from aicmo.clock import SYSTEM_CLOCK, Clock, rfc3339
from aicmo.crm.repository import CRMRepository
from aicmo.errors import InvalidInput
from aicmo.store import Database, consents, erasure, people, suppressions
from aicmo.store.consents import Consent
from aicmo.store.suppressions import SuppressionReason
from aicmo.text import one_line

_READ_AT_ONCE = 1 << 20


@dataclass(frozen=True, slots=True)
class Erased:
    people: int
    addresses: int
    """That nobody is written to from now on; aliases are among them."""
    mentioned_in: tuple[str, ...]
    """Titles of content that names an address: its author decides."""
    remaining_in: tuple[Path, ...]
    """Files beside the database that still hold an address, such as the copy made before an upgrade, or a list of
    rejected rows."""


class Rights:
    """One person's rights over what is held about them."""

    def __init__(self, db: Database, crm: CRMRepository, data_dir: Path, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._db, self._crm, self._data_dir, self._clock = db, crm, data_dir, clock

    def about(self, email: str) -> dict[str, Any]:
        """Everything that is held about one person, by table, as it stands. Raises ``NotFound``."""
        contact = self._crm.get(email)

        def work(db: sqlite3.Connection) -> dict[str, Any]:
            row = dict(db.execute("SELECT * FROM contact WHERE id = ?", (contact.id,)).fetchone())
            row["fields"] = json.loads(row["fields"])
            held: dict[str, Any] = {"contact": row, "tags": list(contact.tags)}
            for reference, rows in people.rows_about(db, contact.id):
                if reference.table != "contact_tag":
                    held.setdefault(reference.table, []).extend(rows)
            steps = db.execute(
                """SELECT summary, actor, at, before, after FROM change_row JOIN change ON change.id = change_id
                   WHERE contact_id = ? ORDER BY change_id""",
                (contact.id,),
            )
            held["change"] = [
                {**dict(step), "before": _read(step["before"]), "after": _read(step["after"])} for step in steps
            ]
            held["suppressed"] = suppressions.reason_for(db, contact.address) or None
            return held

        return self._db.read(work)

    def erase(self, emails: Sequence[str]) -> Erased:
        """Erase people, and write the database anew without them. Cannot be undone.

        Raises ``NotFound`` before anybody is erased, and ``StoreLocked`` when everybody is erased but another program
        holds the file: then the bytes lie in it until ``erase`` is called again, with nobody if need be.
        """
        ids = [self._crm.get(email).id for email in emails]
        now = self._clock.now()

        def work(db: sqlite3.Connection) -> tuple[list[str], list[str]]:
            addresses = [address for each in ids for address in erasure.addresses_of(db, each)]
            named = erasure.mentions(db, addresses)
            for each in ids:
                erasure.erase(db, each, now)
            return addresses, named

        addresses, named = self._db.write(work)
        self._db.maintain(erasure.compact)
        distinct = {address.lower() for address in addresses}
        return Erased(len(ids), len(distinct), tuple(named), tuple(self._holding(distinct)))

    def consent(
        self, email: str, purpose: str, *, given: bool, source: str, wording: str = "", at: datetime | None = None
    ) -> None:
        """Write down that somebody agreed, or changed their mind; who withdraws is not written to any more.

        ``at`` is when they did, now unless it is said. Raises ``NotFound`` or ``InvalidInput``.
        """
        contact, now = self._crm.get(email), self._clock.now()
        purpose, source = one_line(purpose), one_line(source)
        if not purpose or not source:
            raise InvalidInput(
                "A consent has a purpose and a source.",
                hint="Say what for (newsletter) and where (the form on the site).",
            )
        if at is not None and at > now:
            raise InvalidInput(f"{rfc3339(at)} lies in the future.", hint="Say when they agreed.")
        word = consents.consent_at(purpose, given, source, wording.strip(), at or now)

        def work(db: sqlite3.Connection) -> None:
            consents.add(db, contact.id, word)
            if not given:
                said = f"consent withdrawn: {purpose}"
                suppressions.add(db, contact.address, SuppressionReason.UNSUBSCRIBED, said, now)

        self._db.write(work)

    def consents(self, email: str) -> list[Consent]:
        """Every word of a person on what they agree to, the oldest first. Raises ``NotFound``."""
        contact = self._crm.get(email)
        return self._db.read(lambda db: consents.history(db, contact.id))

    def _holding(self, addresses: set[str]) -> list[Path]:
        sought = [address.encode() for address in addresses]
        own = {self._db.path.with_name(self._db.path.name + end) for end in ("", "-wal", "-shm")}  # just written anew
        files = sorted(path for path in self._data_dir.rglob("*") if path.is_file() and path not in own)
        return [path for path in files if sought and _holds(path, sought)]


def _holds(path: Path, sought: Sequence[bytes]) -> bool:
    """Whether a file holds one of the words, in whatever case of ASCII letters."""
    overlap = max(map(len, sought))  # a word may lie across the border of two parts
    end = b""
    with path.open("rb") as file:
        while part := file.read(_READ_AT_ONCE):
            text = (end + part).lower()
            if any(word in text for word in sought):
                return True
            end = part[-overlap:]
    return False


def _read(text: str | None) -> Any:
    return None if text is None else json.loads(text)
