"""Tags: words that people are grouped by.

Two spellings that differ only in case are one tag; it is shown as it was first written.
"""

from __future__ import annotations

import re
import sqlite3
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from aicmo.errors import InvalidInput
from aicmo.text import one_line, shown

MAX_LENGTH = 100
"""Characters."""
_SEPARATORS = re.compile("[,;|]")


class TagCount(NamedTuple):
    name: str
    contacts: int


@lru_cache(maxsize=10_000)
def tag_key(name: str) -> str:
    """What two spellings of one tag have in common."""
    return unicodedata.normalize("NFC", one_line(name)).casefold()


def split_tags(text: str) -> tuple[str, ...]:
    """The tags in ``text``, separated by commas, semicolons or bars. Raises ``InvalidInput`` for a long one."""
    names = tuple(name for part in _SEPARATORS.split(text) if (name := one_line(part)))
    for name in names:
        if len(name) > MAX_LENGTH:
            raise InvalidInput(f"The tag {shown(name)} is longer than {MAX_LENGTH} characters.")
    return names


def listed(db: sqlite3.Connection) -> list[TagCount]:
    """Every tag that somebody has, with how many, by name."""
    rows = db.execute(
        """SELECT name, count(*) FROM tag JOIN contact_tag ON contact_tag.tag_id = tag.id
           GROUP BY tag.id ORDER BY key"""
    )
    return [TagCount(*row) for row in rows]


def spellings(db: sqlite3.Connection) -> dict[str, str]:
    """Every tag's key and name."""
    return {key: name for key, name in db.execute("SELECT key, name FROM tag")}


def spelling(db: sqlite3.Connection, name: str) -> str:
    """How the tag is shown: as it was first written. Raises ``InvalidInput`` for one that cannot be a tag."""
    names = split_tags(name)
    if len(names) != 1:
        raise InvalidInput(f"{shown(name)} is not a tag.", hint="A tag holds no comma, semicolon or bar.")
    row = db.execute("SELECT name FROM tag WHERE key = ?", (tag_key(name),)).fetchone()
    return str(row[0]) if row else names[0]


def is_used(db: sqlite3.Connection, key: str) -> bool:
    """Whether anybody has the tag with this ``tag_key``."""
    row = db.execute("SELECT 1 FROM tag JOIN contact_tag ON tag_id = tag.id WHERE key = ? LIMIT 1", (key,)).fetchone()
    return row is not None


def ensure(db: sqlite3.Connection, names: Iterable[str]) -> dict[str, int]:
    """The ids by name as given; what is not there yet is created."""
    keys = {name: tag_key(name) for name in names}
    db.executemany(
        "INSERT INTO tag (key, name) VALUES (?, ?) ON CONFLICT DO NOTHING", [(k, n) for n, k in keys.items()]
    )
    return {name: db.execute("SELECT id FROM tag WHERE key = ?", (key,)).fetchone()[0] for name, key in keys.items()}


def delete_unused(db: sqlite3.Connection) -> None:
    """Forget the tags that nobody has."""
    db.execute("DELETE FROM tag WHERE NOT EXISTS (SELECT 1 FROM contact_tag WHERE tag_id = tag.id)")
