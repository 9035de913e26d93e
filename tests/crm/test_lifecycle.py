"""Forward by what happened, back only on a person's word, and never without a receipt."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aicmo.crm import CRMRepository
from aicmo.crm.lifecycle import WEIGHTS, advance, is_forward, record_event, set_stage
from aicmo.crm.timeline import Timeline
from aicmo.errors import IllegalTransition, NotFound
from aicmo.store import Database, campaigns, contents, open_database, stages
from aicmo.store.contacts import STAGES
from aicmo.store.contents import Draft
from aicmo.store.events import KINDS, Event

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
HUMAN_SIGNALS = {("replied", True), ("replied", None), ("form", True), ("form", None), ("clicked", True)}


def receipts(db: Database, contact_id: int) -> list[tuple[str, str, str]]:
    history = db.read(lambda c: stages.history(c, contact_id))
    return [(each.from_stage, each.to_stage, each.cause) for each in history]


def happens(crm: CRMRepository, contact_id: int, kind: str, **known: Any) -> int | None:
    return crm.record_event(Event(contact_id, kind, NOW, **known))


@pytest.mark.parametrize(
    ("kind", "human", "stage"),
    [
        ("replied", True, "ENGAGED"),
        ("replied", None, "ENGAGED"),
        ("form", True, "ENGAGED"),
        ("clicked", True, "ENGAGED"),
        ("clicked", None, "NEW"),
        ("clicked", False, "NEW"),
        ("opened", False, "NEW"),
        ("opened", True, "NEW"),
        ("auto_replied", False, "NEW"),
        ("bounced", False, "NEW"),
        ("unsubscribed", True, "NEW"),
        ("call", True, "NEW"),
        ("converted", None, "CONVERTED"),
    ],
)
def test_only_what_a_person_did_engages_them(crm: CRMRepository, kind: str, human: bool | None, stage: str) -> None:
    ada = crm.add("ada@example.com")
    happens(crm, ada.id, kind, human=human)
    assert crm.get("ada@example.com").stage == stage


def test_the_receipt_names_the_campaign_and_the_event(crm: CRMRepository, db: Database) -> None:
    ada = crm.add("ada@example.com")

    def campaign(c: Any) -> int:
        content = contents.create(c, "T", "email", Draft("S", "B"), NOW)
        return campaigns.create(c, "Autumn news", content, "", NOW)

    event = happens(crm, ada.id, "replied", campaign_id=db.write(campaign))
    why = Timeline(db).why(ada.id)
    assert (why.first_stage, why.stage, why.arrival.what) == ("NEW", "ENGAGED", "added")
    assert [(step.cause, step.event_id) for step in why.steps] == [("replied to “Autumn news”", event)]


def test_what_is_heard_of_twice_moves_once(crm: CRMRepository, db: Database) -> None:
    ada = crm.add("ada@example.com")
    assert happens(crm, ada.id, "replied", origin="message 1") is not None
    crm.edit(crm.get("ada@example.com"), {"stage": "new"}, demote=True)
    assert happens(crm, ada.id, "replied", origin="message 1") is None
    assert crm.get("ada@example.com").stage == "NEW"


@pytest.mark.parametrize("from_stage", STAGES)
@pytest.mark.parametrize("to_stage", STAGES)
def test_who_may_take_which_step(crm: CRMRepository, db: Database, from_stage: str, to_stage: str) -> None:
    ada = crm.add("ada@example.com", stage=from_stage)
    forward = db.write(lambda c: advance(c, ada.id, to_stage, "x", "y", NOW))
    both = {from_stage, to_stage} <= WEIGHTS.keys()
    assert forward == (both and WEIGHTS[from_stage] < WEIGHTS[to_stage]) == is_forward(from_stage, to_stage)
    back = both and WEIGHTS[to_stage] < WEIGHTS[from_stage]
    if back:
        with pytest.raises(IllegalTransition) as refused:
            db.write(lambda c: set_stage(c, ada.id, to_stage, "x", "you", NOW))
        assert "--demote" in refused.value.hint
    db.write(lambda c: set_stage(c, ada.id, to_stage, "x", "you", NOW, demote=back))
    assert crm.get("ada@example.com").stage == to_stage
    assert len(receipts(db, ada.id)) == (from_stage != to_stage)


def test_nobody_is_moved_who_is_not_there(db: Database) -> None:
    with pytest.raises(NotFound):
        db.write(lambda c: advance(c, 7, "ENGAGED", "x", "y", NOW))


happenings = st.tuples(st.just("event"), st.sampled_from(sorted(KINDS)), st.sampled_from([True, False, None]))
programs = st.tuples(st.just("program"), st.sampled_from(STAGES), st.none())
words = st.tuples(st.just("person"), st.sampled_from(STAGES), st.booleans())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(happenings, happenings, programs, words), max_size=15))
def test_whatever_happens_programs_lead_forward_and_the_receipts_are_a_chain(
    tmp_path_factory: pytest.TempPathFactory, stream: list[tuple[str, str, Any]]
) -> None:
    db = open_database(tmp_path_factory.mktemp("life") / "aicmo.db")
    crm = CRMRepository(db)
    ada = crm.add("ada@example.com").id
    stage = "NEW"
    for number, (who, what, flag) in enumerate(stream):
        at = NOW + timedelta(minutes=number)
        if who == "event":
            db.write(lambda c, w=what, f=flag, at=at: record_event(c, Event(ada, w, at, human=f), at))
        elif who == "program" and what not in ("ENGAGED", "CONVERTED"):  # those two are what events bring about
            db.write(lambda c, w=what, at=at: advance(c, ada, w, "found out", "apollo", at))
        elif who == "person":
            try:
                db.write(lambda c, w=what, f=flag, at=at: set_stage(c, ada, w, "said so", "you", at, demote=f))
            except IllegalTransition:
                assert not flag and WEIGHTS[what] < WEIGHTS[stage]
        now = crm.get("ada@example.com").stage
        if who != "person":
            assert now == stage or is_forward(stage, now)
            if (what, flag) in HUMAN_SIGNALS and stage != "DISQUALIFIED":
                assert WEIGHTS[now] >= WEIGHTS["ENGAGED"]
            if now == "ENGAGED" != stage:
                assert (what, flag) in HUMAN_SIGNALS
        stage = now
    chain = receipts(db, ada)
    assert [step[0] for step in chain] == ["NEW", *(step[1] for step in chain)][: len(chain)]
    assert (chain[-1][1] if chain else "NEW") == stage
    assert all(before != after and cause for before, after, cause in chain)
    db.close()
