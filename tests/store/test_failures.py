"""When failures that each prove little condemn an address together."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aicmo.clock import rfc3339
from aicmo.crm import CRMRepository
from aicmo.store import Database, campaigns, contents, failures, open_database
from aicmo.store.contents import Draft

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
FULL, LATER = ("failed", "mailbox", "552 5.2.2"), ("failed", "later", "450")
DISABLED = ("failed", "mailbox", "550 5.2.1")
SENT, SPAM, TOO_BIG = ("sent", "", "250"), ("failed", "content", "554 5.7.1"), ("failed", "content", "552 5.3.4")
NO_SERVER = ("failed", "server", "")
BACK = ("bounced", "mailbox", "552 5.2.2")


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(tmp_path / "aicmo.db")
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("history", "condemned"),
    [
        ([FULL] * 4, False),
        ([FULL] * 5, True),
        ([FULL, LATER, BACK, LATER, FULL], True),
        ([FULL, FULL, SENT, FULL, FULL, FULL], False),
        ([FULL] * 4 + [SPAM, TOO_BIG, NO_SERVER], False),
        ([FULL, SPAM, FULL, TOO_BIG, FULL, FULL, NO_SERVER, FULL], True),
        ([SENT] + [FULL] * 5, True),
        ([DISABLED], False),
        ([DISABLED, DISABLED], True),
        ([DISABLED, SENT, DISABLED], False),
        ([DISABLED, FULL], False),
    ],
)
def test_a_history_condemns_or_does_not(db: Database, history: list[tuple[str, str, str]], condemned: bool) -> None:
    contact = CRMRepository(db).add("p@acme.example")

    def write(each):  # type: ignore[no-untyped-def]
        content = contents.create(each, "email", "N", Draft("Hi", "x"), NOW)
        last = 0
        for number, (state, cause, code) in enumerate(history):
            campaign = campaigns.create(each, "N", content, "", NOW)
            last = each.execute(
                """INSERT INTO delivery (campaign_id, address, contact_id, state, cause, code, at)
                   VALUES (?, 'p@acme.example', ?, ?, ?, ?, ?)""",
                (campaign, contact.id, state, cause, code, rfc3339(NOW + timedelta(days=number))),
            ).lastrowid
        return failures.condemned(each, last)

    assert bool(db.write(write)) is condemned
