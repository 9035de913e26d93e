"""The verbs of review notes: what is said about the words, beside them and never in them."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from aicmo.clock import SYSTEM_CLOCK, Clock
from aicmo.errors import InvalidInput
from aicmo.publishing.writing.contents import Contents
from aicmo.store import Database, review_notes
from aicmo.store.review_notes import ReviewNote
from aicmo.text import plain

LONGEST_NOTE = 4_000
"""Characters."""


@dataclass(frozen=True, slots=True)
class NoteAbout:
    """A note, and which words it is about."""

    note: ReviewNote
    number: int
    """Of the version; 0 when those words were written over since."""
    channel: str
    """Empty: the original."""


class Reviews:
    """The notes about content. All block: the caller chooses the thread."""

    def __init__(self, db: Database, contents: Contents, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._db = db
        self._contents = contents
        self._clock = clock

    def add(self, content_id: int, text: str, channel: str = "") -> ReviewNote:
        """A note about what the channel shows now. Raises ``NotFound``, or ``InvalidInput`` for an empty or too long
        one."""
        text, now = plain(text).strip(), self._clock.now()
        if not text:
            raise InvalidInput("The note is empty.", hint="Say what should be looked at.")
        if len(text) > LONGEST_NOTE:
            raise InvalidInput(f"The note is longer than {LONGEST_NOTE:,} characters.", hint="Shorten it.")
        about = self._contents.wording(content_id, channel).hash

        def add(db: sqlite3.Connection) -> ReviewNote:
            return review_notes.get(db, review_notes.add(db, content_id, about, text, now))

        return self._db.write(add)

    def list(self, content_id: int) -> tuple[NoteAbout, ...]:
        """The open ones first, then the latest. Raises ``NotFound``."""
        said = {
            version.hash: (version.number, channel)
            for channel in ("", *self._contents.channels(content_id))
            for version in (*self._contents.versions(content_id, channel), self._contents.wording(content_id, channel))
        }
        notes = self._db.read(lambda db: review_notes.listed(db, content_id))
        return tuple(NoteAbout(note, *said.get(note.hash, (0, ""))) for note in notes)

    def settle(self, note_id: int, *, again: bool = False) -> ReviewNote:
        """What it asks for is done; ``again`` opens it once more. Raises ``NotFound``."""
        at = None if again else self._clock.now()

        def settle(db: sqlite3.Connection) -> ReviewNote:
            review_notes.get(db, note_id)
            review_notes.settle(db, note_id, at)
            return review_notes.get(db, note_id)

        return self._db.write(settle)
