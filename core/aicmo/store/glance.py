"""The first contacts that a question finds, when it finds many: read off the first few thousand people.

A single letter in the filter box finds half of a million people, and the full text index would list all of them before
it named one. Whoever is found by many is found soon, though: among the first people there are, judged one by one, with
a full text index of just these. A question that finds few of them is left to the indexes, which are fast at that.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing

from aicmo.store.selection import SEARCHED, Selection

PEOPLE = 2_000
"""Judged at a time: their small index is made in some 10 ms."""
WORTH = 5
"""Going on is worth while as long as so many times as many would be enough."""
_COLUMNS = ", ".join(SEARCHED)
_TOKENIZER = "unicode61 remove_diacritics 2"
"""That of ``contact_fts``: the same words, the same answers."""


def first_ids(db: sqlite3.Connection, selection: Selection, limit: int) -> Sequence[int] | None:
    """The first ``limit`` ids of the selection, where so many are among the first people; ``None``: nothing is known.

    Fewer people than are judged at a time are left to the indexes, too.
    """
    found: list[int] = []
    after = -1
    while len(found) < limit:
        last = db.execute("SELECT id FROM contact WHERE id > ? ORDER BY id LIMIT 1 OFFSET ?", (after, PEOPLE - 1))
        row = last.fetchone()
        if row is None:
            return None
        among = _among(db, selection, after, row[0])
        if len(among) * WORTH < limit:
            return None
        found += among
        after = row[0]
    return found[:limit]


def _among(db: sqlite3.Connection, selection: Selection, after: int, last: int) -> list[int]:
    """Who of these people is selected, by id."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as small:
        indexed = False

        def search(expression: str) -> list[int]:
            nonlocal indexed
            if not indexed:
                _index(db, small, after, last)
                indexed = True
            return [row[0] for row in small.execute("SELECT rowid FROM near WHERE near MATCH ?", (expression,))]

        where, parameters = selection.where_each(search)
        sql = f"SELECT id FROM contact WHERE id > ? AND id <= ? AND ({where}) ORDER BY id"
        return [row[0] for row in db.execute(sql, (after, last, *parameters))]


def _index(db: sqlite3.Connection, small: sqlite3.Connection, after: int, last: int) -> None:
    small.execute(f"CREATE VIRTUAL TABLE near USING fts5 ({_COLUMNS}, content='', tokenize='{_TOKENIZER}')")
    people = db.execute(f"SELECT id, {_COLUMNS} FROM contact WHERE id > ? AND id <= ?", (after, last))
    small.execute("BEGIN")
    small.executemany(
        f"INSERT INTO near (rowid, {_COLUMNS}) VALUES (?, {', '.join('?' * len(SEARCHED))})", map(tuple, people)
    )
