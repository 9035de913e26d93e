"""Room for many people at once: what is cheaper done for all of them than one by one.

The full text index takes in a batch by one statement, within the batch's own transaction: nobody ever finds somebody
missing from it. A first import also does without the index of domains, whose pages every batch would write anew, and
builds it as it ends; if it is killed before, the next program to open the store does. No answer depends on that index,
only how soon it comes.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping

_WIDE = {"cache_size": -65_536, "wal_autocheckpoint": 16_000}
"""64 MB of pages in memory, which hold the indexes of a million people, and as much in the log before it is copied into
the file: otherwise the same pages are written again and again."""
_DOMAINS = "CREATE INDEX IF NOT EXISTS contact_domain ON contact (domain)"
_WORDS = "email, first_name, last_name, company, title"
_MERGE_AT = 4
"""Parts of the full text index of about the same size that are merged as they come; FTS5's own choice."""


def widen(db: sqlite3.Connection) -> dict[str, int]:
    """Give the writing connection room; what ``narrow`` takes to put it back."""
    before = {name: int(db.execute(f"PRAGMA {name}").fetchone()[0]) for name in _WIDE}
    narrow(db, _WIDE)
    return before


def narrow(db: sqlite3.Connection, settings: Mapping[str, int]) -> None:
    for name, value in settings.items():
        db.execute(f"PRAGMA {name}={value:d}")


def set_domains_aside(db: sqlite3.Connection) -> None:
    """Do without the index of domains until ``complete``, if nobody is there yet."""
    if db.execute("SELECT NOT EXISTS (SELECT 1 FROM contact)").fetchone()[0]:
        db.execute("DROP INDEX IF EXISTS contact_domain")


def complete(db: sqlite3.Connection) -> None:
    """Build what was set aside; a second for a million people."""
    db.execute(_DOMAINS)


def complete_after_a_kill(db: sqlite3.Connection) -> None:
    """``complete`` for whoever opens the store; while somebody writes, it is left to the next."""
    if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'contact_domain'").fetchone() is None:
        db.execute("PRAGMA busy_timeout=0")
        with contextlib.suppress(sqlite3.OperationalError):
            complete(db)


@contextlib.contextmanager
def indexed_together(db: sqlite3.Connection, first_id: int) -> Iterator[None]:
    """Within, people are inserted with ids from ``first_id`` on; at the end they go into the full text index.

    The trigger that does it one by one steps aside. The transaction that this is in keeps that from everybody else, and
    from everybody if it comes to nothing.
    """
    trigger = db.execute("SELECT sql FROM sqlite_master WHERE name = 'contact_fts_insert'").fetchone()[0]
    db.execute("DROP TRIGGER contact_fts_insert")
    yield
    db.execute(trigger)
    _merge_parts_at(db, 0)
    db.execute(f"INSERT INTO contact_fts (rowid, {_WORDS}) SELECT id, {_WORDS} FROM contact WHERE id >= ?", (first_id,))
    _merge_parts_at(db, _MERGE_AT)


def _merge_parts_at(db: sqlite3.Connection, parts: int) -> None:
    """0: only when there are 16 of a size, which costs a million people a fifth less."""
    db.execute("INSERT INTO contact_fts (contact_fts, rank) VALUES ('automerge', ?)", (parts,))
