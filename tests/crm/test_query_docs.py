"""``docs/queries.md`` says what is true: each of its examples is read, each key stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from aicmo.crm.query import KEYS, SavedQuery, check_query, parse_query
from aicmo.store import Database, contacts
from aicmo.store.selection import EVERYBODY

PAGE = (Path(__file__).parents[2] / "docs" / "queries.md").read_text(encoding="utf-8")
ROWS = [row.split(" | ") for row in re.findall(r"^\| (?!write|key)(.*) \|$", PAGE, re.MULTILINE)]
KEY_ROWS = [row for row in ROWS if len(row) == 3]
EXAMPLES = [re.findall("`([^`]+)`", row[0])[0] for row in ROWS if len(row) == 2]
EXAMPLES += [example for row in KEY_ROWS for example in re.findall("`([^`]+)`", row[2])]
SAVED = {name.lower(): SavedQuery(name, "tag:vip") for name in ("Big ones", "newcomers")}


def test_every_key_has_a_row_and_an_example() -> None:
    assert [row[0].strip("`").rstrip(":") for row in KEY_ROWS] == [key.rstrip(":") for key in KEYS]
    for key, row in zip(KEYS, KEY_ROWS, strict=True):
        assert key in row[2]


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_can_be_asked(example: str, db: Database) -> None:
    check_query(example)
    selection = parse_query(example, segments=SAVED)
    assert selection != EVERYBODY
    assert db.read(lambda connection: contacts.count(connection, selection)) == 0


@pytest.mark.parametrize("key", KEYS)
def test_what_completion_offers_can_be_asked(key: str) -> None:
    assert KEYS[key].means
    for value in KEYS[key].values:
        check_query(f"{key}:{value}")
