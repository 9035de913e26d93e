"""A domain's cap in the ledger itself: who may be claimed, who takes which slot, and what a body still has to pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aicmo.clock import parse_rfc3339
from aicmo.crm import CRMRepository
from aicmo.store import Database, campaigns, claiming, contents, deliveries, open_database
from aicmo.store.campaigns import CampaignStatus
from aicmo.store.claiming import Claimed, Verdict
from aicmo.store.contents import Draft
from aicmo.store.deliveries import State
from aicmo.store.gates import Gates

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
A_MINUTE = timedelta(minutes=1)
TWO_A_MINUTE = Gates(domains={"acme.example": {"minute": 2}})


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(tmp_path / "aicmo.db")
    yield opened
    opened.close()


def running(db: Database, people: int) -> int:
    crm = CRMRepository(db)
    for number in range(people):
        crm.add(f"p{number}@acme.example")

    def begin(each):  # type: ignore[no-untyped-def]
        content_id = contents.create(each, "email", "News", Draft("Hi", "Hello"), NOW)
        campaign_id = campaigns.create(each, "News", content_id, "", NOW)
        campaigns.move(each, campaign_id, CampaignStatus.APPROVED)
        campaigns.move(each, campaign_id, CampaignStatus.RUNNING)
        deliveries.freeze(each, campaign_id, 1, "TRUE", (), NOW)
        return campaign_id

    return db.write(begin)


def claim(
    db: Database, campaign: int, now: datetime, gates: Gates | None = TWO_A_MINUTE, most: int = 9
) -> list[Claimed]:
    return db.write(lambda each: claiming.claim(each, campaign, now, most=most, gates=gates)).taken


def let_go(db: Database, claimed: Claimed, now: datetime) -> claiming.Refusal | None:
    return db.write(lambda each: claiming.let_go(each, claimed, f"<{claimed.id}@x>", "a", {}, now, TWO_A_MINUTE))


def waits(db: Database, campaign: int) -> list[float]:
    """Seconds from ``NOW``, of the deferred."""
    found = db.read(lambda each: deliveries.listed(each, campaign, state=State.DEFERRED))
    return sorted((parse_rfc3339(row.retry_at) - NOW).total_seconds() for row in found)


def test_who_is_claimed_and_not_yet_sent_takes_room_too(db: Database) -> None:
    campaign = running(db, 5)
    assert len(claim(db, campaign, NOW, most=1)) == 1
    assert len(claim(db, campaign, NOW)) == 1, "one is about to go"
    assert waits(db, campaign) == [60, 60, 120]


def test_whose_slot_has_come_goes_before_the_slots_ahead_or_takes_the_next_room(db: Database) -> None:
    campaign = running(db, 6)
    for claimed in claim(db, campaign, NOW):
        assert let_go(db, claimed, NOW + timedelta(seconds=1)) is None  # a second after what was reckoned with
    assert waits(db, campaign) == [60, 60, 120, 120]
    assert claim(db, campaign, NOW + A_MINUTE) == []
    assert waits(db, campaign) == [61, 61, 120, 120], "a second later, and not at the end of all slots"
    assert len(claim(db, campaign, NOW + timedelta(seconds=61))) == 2


def test_the_body_is_counted_once_more_and_nothing_is_held_against_the_person(db: Database) -> None:
    campaign = running(db, 3)
    first, second, third = claim(db, campaign, NOW, gates=None)  # as by a sender that knew of no cap
    assert let_go(db, first, NOW) is None and let_go(db, second, NOW) is None
    refusal = let_go(db, third, NOW)
    assert refusal is not None
    assert (refusal.why, refusal.until) == ("domain", NOW + A_MINUTE)
    assert refusal.detail == "2 a minute to acme.example reached"
    later = Verdict(State.DEFERRED, reason=refusal.detail, retry_at=refusal.until, cause="limit")
    db.write(lambda each: claiming.settle(each, third, later, NOW))
    (held,) = db.read(lambda each: deliveries.listed(each, campaign, state=State.DEFERRED))
    assert (held.attempts, held.cause) == (0, "limit")


@pytest.mark.parametrize("verdict", [Verdict(State.QUEUED), Verdict(State.DEFERRED, retry_at=NOW, cause="later")])
def test_what_comes_back_to_wait_in_a_cancelled_campaign_is_cancelled(db: Database, verdict: Verdict) -> None:
    campaign = running(db, 2)
    taken: Sequence[Claimed] = claim(db, campaign, NOW, gates=None)
    db.write(lambda each: campaigns.move(each, campaign, CampaignStatus.CANCELLED))
    db.write(lambda each: claiming.settle(each, taken[0], verdict, NOW))
    db.write(lambda each: claiming.recover(each, NOW))
    assert db.read(lambda each: deliveries.counts(each, campaign)) == deliveries.Counts(audience=2, cancelled=2)


def test_an_address_may_be_capped_by_its_own_domain_or_as_every_other(db: Database) -> None:
    gates = Gates(domains={"acme.example": {"minute": 9}, "*": {"day": 1}})
    assert gates.caps("acme.example") == {"minute": 9} and gates.caps("beta.example") == {"day": 1}
    assert not gates.open and Gates().open and Gates().caps("acme.example") == {}
