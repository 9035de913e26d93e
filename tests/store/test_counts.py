"""The counts of campaigns: of one, and of all in one pass."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from aicmo.crm import CRMRepository
from aicmo.store import campaigns, contents, deliveries, open_database
from aicmo.store.contents import Draft
from aicmo.store.deliveries import Counts

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def test_counting_all_at_once_says_of_each_what_counting_it_says(tmp_path: Path) -> None:
    db = open_database(tmp_path / "aicmo.db")
    for number in range(5):
        CRMRepository(db).add(f"p{number}@acme.example")

    def fill(each):  # type: ignore[no-untyped-def]
        content = contents.create(each, "email", "News", Draft("Hi", "Hello"), NOW)
        begun, other, draft = (campaigns.create(each, name, content, "", NOW) for name in ("A", "B", "C"))
        deliveries.freeze(each, begun, 1, "TRUE", (), NOW)
        deliveries.freeze(each, other, 1, "id < 3", (), NOW)
        each.execute("UPDATE delivery SET state = 'claimed' WHERE campaign_id = ? AND contact_id < 3", (begun,))
        each.execute("UPDATE delivery SET state = 'cancelled' WHERE campaign_id = ?", (other,))
        return begun, other, draft

    begun, other, draft = db.write(fill)
    found = db.read(deliveries.counts_of_all)
    assert found == {number: db.read(lambda each, number=number: deliveries.counts(each, number)) for number in (1, 2)}
    assert found == {begun: Counts(audience=5, queued=5), other: Counts(audience=2, cancelled=2)}
    assert draft not in found
    db.close()


@pytest.mark.parametrize(
    ("counts", "done"),
    [
        (Counts(audience=10, queued=3, sending=1, deferred=1, sent=4, unknown=1), 5),
        (Counts(audience=10, sent=3, suppressed=1, cancelled=6), 4),
    ],
)
def test_whoever_was_cancelled_is_not_done(counts: Counts, done: int) -> None:
    assert counts.done == done
