"""The ledger keeps its promises whatever a sender, a crash or a person does: a state machine on a real database."""

from __future__ import annotations

import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from aicmo.crm import CRMRepository
from aicmo.errors import IllegalTransition, NotFound
from aicmo.store import Database, campaigns, claiming, contents, deliveries, open_database, suppressions
from aicmo.store.campaigns import CampaignStatus
from aicmo.store.claiming import Claimed, Refusal, Verdict
from aicmo.store.contents import Draft
from aicmo.store.deliveries import MOVES, State
from aicmo.store.suppressions import SuppressionReason

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
PEOPLE = [f"p{number}@acme.example" for number in range(6)]


def running_campaign(db: Database) -> int:
    crm = CRMRepository(db)
    for email in PEOPLE:
        crm.add(email)

    def begin(each):  # type: ignore[no-untyped-def]
        content_id = contents.create(each, "email", "News", Draft("Hi", "Hello"), NOW)
        campaign_id = campaigns.create(each, "News", content_id, "", NOW)
        campaigns.move(each, campaign_id, CampaignStatus.APPROVED)
        campaigns.move(each, campaign_id, CampaignStatus.RUNNING)
        deliveries.freeze(each, campaign_id, 1, "TRUE", (), NOW)
        return campaign_id

    return db.write(begin)


class Ledger(RuleBasedStateMachine):
    """Senders claim, let go, settle and die; a person pauses, cancels, retries, resolves and suppresses."""

    claimed = Bundle("claimed")
    gone = Bundle("gone")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.db = open_database(self.folder / "aicmo.db")
        self.now = NOW
        self.let_go: dict[int, int] = {}
        """Delivery -> how often its body was let go without a person asking for it again."""
        self.before: dict[int, str] = {}

    def teardown(self) -> None:
        self.db.close()
        shutil.rmtree(self.folder)

    @initialize()
    def start(self) -> None:
        self.campaign = running_campaign(self.db)
        self.before = self.states()

    def states(self) -> dict[int, str]:
        return dict(self.db.read(lambda db: db.execute("SELECT id, state FROM delivery").fetchall()))

    @rule(target=claimed, most=st.integers(1, 3))
    def claim(self, most: int):  # type: ignore[no-untyped-def]
        self.now += timedelta(seconds=1)
        return multiple(*self.db.write(lambda db: claiming.claim(db, self.campaign, self.now, most=most)).taken)

    @rule(target=gone, delivery=consumes(claimed))
    def let_body_go(self, delivery: Claimed):  # type: ignore[no-untyped-def]
        refusal = self.db.write(lambda db: self.try_to_let_go(db, delivery))
        if refusal is None:
            self.let_go[delivery.id] = self.let_go.get(delivery.id, 0) + 1
            return delivery
        return multiple()

    def try_to_let_go(self, db, delivery: Claimed) -> Refusal | None:  # type: ignore[no-untyped-def]
        try:
            refusal = claiming.let_go(db, delivery, "<id@x>", "smtp-a", {}, self.now)
            if refusal is not None:
                verdict = Verdict(State.SUPPRESSED if refusal.why == "suppressed" else State.QUEUED)
                claiming.settle(db, delivery, verdict, self.now)
        except IllegalTransition:
            assert not self.is_ours(db, delivery, "claimed")
            return Refusal("recovered", "another sender began meanwhile")
        return refusal

    def is_ours(self, db, delivery: Claimed, state: str) -> bool:  # type: ignore[no-untyped-def]
        """Whether it stands in that state by this very claim."""
        row = db.execute("SELECT state, claim FROM delivery WHERE id = ?", (delivery.id,)).fetchone()
        return (row["state"], row["claim"]) == (state, delivery.claim)

    @rule(delivery=consumes(gone), state=st.sampled_from([State.SENT, State.DEFERRED, State.FAILED, State.UNKNOWN]))
    def settle(self, delivery: Claimed, state: State) -> None:
        retry_at = self.now + timedelta(seconds=2) if state is State.DEFERRED else None
        verdict = Verdict(state, "smtp-a", "250", "told", retry_at=retry_at)
        ours = self.db.read(lambda db: self.is_ours(db, delivery, "sending"))
        try:
            self.db.write(lambda db: claiming.settle(db, delivery, verdict, self.now))
        except IllegalTransition:
            assert not ours
        else:
            if ours and state in (State.DEFERRED, State.FAILED):
                self.let_go[delivery.id] -= 1  # provably not delivered

    @rule()
    def crash_and_recover(self) -> None:
        self.db.write(lambda db: claiming.recover(db, self.now))
        assert not {"sending", "claimed"} & set(self.states().values())

    @rule(person=st.sampled_from(PEOPLE))
    def opt_out(self, person: str) -> None:
        self.db.write(lambda db: suppressions.add(db, person, SuppressionReason.UNSUBSCRIBED, "test", self.now))

    @rule(person=st.sampled_from(PEOPLE), to=st.sampled_from([State.SENT, State.FAILED, State.QUEUED]))
    def resolve(self, person: str, to: State) -> None:
        unknown = {
            row[0]
            for row in self.db.read(
                lambda db: db.execute(
                    "SELECT id FROM delivery WHERE state = 'unknown' AND address = ?", (person,)
                ).fetchall()
            )
        }
        try:
            self.db.write(lambda db: deliveries.resolve(db, self.campaign, person, to, self.now))
        except NotFound:
            assert not unknown
        for delivery in unknown:
            if to is not State.SENT:
                self.let_go[delivery] = 0  # the person took it on themselves

    @rule(person=st.sampled_from(PEOPLE), names=st.sampled_from(["<id@x>", "<other@x>"]))
    def find_evidence(self, person: str, names: str) -> None:
        found = "SELECT id, state FROM delivery WHERE address = ?"
        row = self.db.read(lambda db: db.execute(found, (person,)).fetchone())
        settled = self.db.write(
            lambda db: deliveries.settle_by_evidence(db, row["id"], names, "a copy in Sent", self.now)
        )
        assert settled == (row["state"] == "unknown" and names == "<id@x>")

    @rule()
    def retry_failed(self) -> None:
        self.db.write(lambda db: deliveries.retry_failed(db, self.campaign, self.now))

    @rule(to=st.sampled_from([CampaignStatus.PAUSED, CampaignStatus.RUNNING]))
    def pause_or_resume(self, to: CampaignStatus) -> None:
        try:
            self.db.write(lambda db: campaigns.move(db, self.campaign, to))
        except IllegalTransition:
            assert to not in MOVES

    @rule()
    def cancel_what_is_open(self) -> None:
        self.db.write(lambda db: deliveries.cancel_open(db, self.campaign, self.now))

    @invariant()
    def every_change_was_allowed(self) -> None:
        after = self.states()
        for delivery, state in after.items():
            before = self.before.get(delivery, state)
            assert before == state or reachable(State(before), State(state)), (delivery, before, state)
        self.before = after

    @invariant()
    def the_counts_add_up_to_the_audience(self) -> None:
        if not self.before:
            return
        counts = self.db.read(lambda db: deliveries.counts(db, self.campaign))
        parts = counts.as_dict()
        assert parts.pop("audience") == len(PEOPLE) == sum(parts.values())

    @invariant()
    def no_body_leaves_twice_without_a_word(self) -> None:
        assert all(times <= 1 for times in self.let_go.values()), self.let_go


def reachable(before: State, after: State) -> bool:
    """Within one rule a row may take several steps (a claim settles the suppressed on its way)."""
    seen, edge = {before}, [before]
    while edge:
        for following in MOVES[edge.pop()] - seen:
            seen.add(following)
            edge.append(following)
    return after in seen


Ledger.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None, print_blob=True)
TestLedger = Ledger.TestCase


@pytest.fixture
def db(tmp_path: Path):  # type: ignore[no-untyped-def]
    opened = open_database(tmp_path / "aicmo.db")
    yield opened
    opened.close()


def test_nobody_is_frozen_twice_and_the_suppressed_are_frozen_as_such(db: Database) -> None:
    suppressed = PEOPLE[0]
    db.write(lambda each: suppressions.add(each, suppressed, SuppressionReason.MANUAL, "test", NOW))
    campaign = running_campaign(db)
    assert db.write(lambda each: deliveries.freeze(each, campaign, 1, "TRUE", (), NOW)) == len(PEOPLE)
    listed = db.read(lambda each: deliveries.listed(each, campaign))
    assert [(each.email, each.state, each.reason) for each in listed] == [
        (email, State.SUPPRESSED if email == suppressed else State.QUEUED, "manual" if email == suppressed else "")
        for email in PEOPLE
    ]


def test_an_opt_out_holds_between_the_claim_and_the_body(db: Database) -> None:
    campaign = running_campaign(db)
    (claimed,) = db.write(lambda each: claiming.claim(each, campaign, NOW, most=1)).taken
    db.write(lambda each: suppressions.add(each, claimed.address, SuppressionReason.UNSUBSCRIBED, "test", NOW))
    refusal = db.write(lambda each: claiming.let_go(each, claimed, "<1@x>", "smtp-a", {}, NOW))
    assert refusal == Refusal("suppressed", "unsubscribed")


def test_what_comes_back_to_a_campaign_that_was_cancelled_is_told_to_be_cancelled(db: Database) -> None:
    campaign = running_campaign(db)
    (claimed,) = db.write(lambda each: claiming.claim(each, campaign, NOW, most=1)).taken
    db.write(lambda each: campaigns.move(each, campaign, CampaignStatus.CANCELLED))
    assert db.write(lambda each: claiming.settle(each, claimed, Verdict(State.QUEUED), NOW)) is State.CANCELLED
    assert db.read(lambda each: deliveries.counts(each, campaign)).cancelled == 1


def test_a_pause_holds_between_the_claim_and_the_body(db: Database) -> None:
    campaign = running_campaign(db)
    (claimed,) = db.write(lambda each: claiming.claim(each, campaign, NOW, most=1)).taken
    db.write(lambda each: campaigns.move(each, campaign, CampaignStatus.PAUSED))
    refusal = db.write(lambda each: claiming.let_go(each, claimed, "<1@x>", "smtp-a", {}, NOW))
    assert refusal and refusal.why == "stopped"
    assert db.write(lambda each: claiming.claim(each, campaign, NOW, most=1)).taken == []


@pytest.mark.parametrize(("window", "seconds"), [("second", 1), ("minute", 60), ("hour", 3600), ("day", 86400)])
def test_a_throttle_is_counted_from_the_ledger(db: Database, window: str, seconds: int) -> None:
    campaign = running_campaign(db)

    def send(now: datetime) -> Refusal | None:
        (claimed,) = db.write(lambda each: claiming.claim(each, campaign, now, most=1)).taken
        return db.write(lambda each: claiming.let_go(each, claimed, "<1@x>", "smtp-a", {window: 2}, now))

    assert send(NOW) is None
    assert send(NOW) is None
    refused = send(NOW + timedelta(seconds=seconds * 0.9))
    assert refused and refused.why == "limit"
    assert refused.until == NOW + timedelta(seconds=seconds)
    assert send(NOW + timedelta(seconds=seconds)) is None


def test_a_deleted_contact_is_not_written_to(db: Database) -> None:
    campaign = running_campaign(db)
    db.write(lambda each: each.execute("DELETE FROM contact WHERE address = ?", (PEOPLE[0],)))
    (claimed,) = db.write(lambda each: claiming.claim(each, campaign, NOW, most=1)).taken
    assert claimed.address == PEOPLE[1]
    first = db.read(lambda each: deliveries.listed(each, campaign, limit=1))[0]
    assert (first.state, first.reason) == (State.CANCELLED, "the contact was deleted")


def test_a_sender_that_was_thought_dead_can_neither_send_nor_settle(db: Database) -> None:
    campaign = running_campaign(db)
    (stale,) = db.write(lambda each: claiming.claim(each, campaign, NOW, most=1)).taken
    db.write(lambda each: claiming.recover(each, NOW))
    (fresh,) = db.write(lambda each: claiming.claim(each, campaign, NOW, most=1)).taken
    assert (stale.id, stale.claim) == (fresh.id, fresh.claim - 1)
    with pytest.raises(IllegalTransition):
        db.write(lambda each: claiming.let_go(each, stale, "<1@x>", "smtp-a", {}, NOW))
    assert db.write(lambda each: claiming.let_go(each, fresh, "<1@x>", "smtp-a", {}, NOW)) is None
    with pytest.raises(IllegalTransition):
        db.write(lambda each: claiming.settle(each, stale, Verdict(State.FAILED), NOW))


def test_what_was_taken_and_not_tried_is_no_attempt(db: Database) -> None:
    campaign = running_campaign(db)
    for _ in range(3):
        (claimed,) = db.write(lambda each: claiming.claim(each, campaign, NOW, most=1)).taken
        assert claimed.attempts == 0
        db.write(lambda each, one=claimed: claiming.settle(each, one, Verdict(State.QUEUED), NOW))
        (claimed,) = db.write(lambda each: claiming.claim(each, campaign, NOW, most=1)).taken
        assert claimed.attempts == 0
        db.write(lambda each: claiming.recover(each, NOW))


def test_a_server_that_is_away_for_an_evening_uses_up_no_patience(db: Database) -> None:
    campaign = running_campaign(db)
    db.write(lambda each: each.execute("DELETE FROM delivery WHERE id > 1"))
    causes = ["server"] * 20 + ["later", "server", "later"]
    before = []
    for cause in causes:
        (claimed,) = db.write(lambda each: claiming.claim(each, campaign, NOW, most=1)).taken
        before.append(claimed.attempts)
        verdict = Verdict(State.DEFERRED, retry_at=NOW, cause=cause)
        db.write(lambda each, one=claimed, told=verdict: claiming.settle(each, one, told, NOW))
    assert before == [0] * 21 + [1, 1]
