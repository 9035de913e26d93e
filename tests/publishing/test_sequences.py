"""Sequences: each step after the one before it went, and nothing after an answer."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from aicmo.errors import IllegalTransition, InvalidInput, QueryInvalid
from aicmo.publishing import CampaignStatus, State, schedule
from aicmo.publishing.sequences.advancing import advance
from aicmo.publishing.sequences.editing import Add
from aicmo.store import segments, suppressions
from aicmo.store.suppressions import SuppressionReason

from .sequence_world import DAY, IN_A_DAY, World, a_world


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with a_world(tmp_path) as world:
        yield world


def test_a_step_is_due_its_wait_after_the_one_before_it_went_not_after_it_was_queued(world: World) -> None:
    world.people("ann")
    campaign = world.start(world.sequence(2 * IN_A_DAY))
    world.later(3 * DAY)
    assert world.send(campaign) == [("ann", 1)], "it went three days late"
    world.later(2 * DAY - timedelta(seconds=1))
    assert world.send(campaign) == []
    world.later(timedelta(seconds=1))
    assert world.send(campaign) == [("ann", 2)]
    world.tick()
    assert world.state(campaign, "ann") == ("done", "")
    assert world.publishing.campaign(campaign).status is CampaignStatus.FINISHED


def test_however_late_the_program_runs_nobody_gets_two_steps_at_once(world: World) -> None:
    world.people("ann")
    campaign = world.start(world.sequence(IN_A_DAY, IN_A_DAY, IN_A_DAY))
    world.send(campaign)
    for step in (2, 3, 4):
        world.later(30 * DAY)
        world.tick()
        world.tick()
        assert world.send(campaign) == [("ann", step)]


@pytest.mark.parametrize("kind", ["replied", "converted", "bounced", "unsubscribed", "complained"])
def test_nothing_follows_an_answer(world: World, kind: str) -> None:
    world.people("ann", "bob")
    campaign = world.start(world.sequence(IN_A_DAY))
    world.send(campaign)
    world.event("ann", kind, human=kind in ("replied", "converted"))
    world.later()
    assert world.send(campaign) == [("bob", 2)]
    assert world.state(campaign, "ann") == ("stopped", kind)
    assert "on 2026-03-02" in world.place(campaign, "ann").why


@pytest.mark.parametrize("stage", ["CONVERTED", "DISQUALIFIED"])
def test_nothing_follows_a_persons_word_that_they_converted_or_never_will(world: World, stage: str) -> None:
    world.people("ann", "bob", "cy")
    campaign = world.start(world.sequence(IN_A_DAY))
    world.send(campaign)
    for name in ("ann", "cy"):
        world.stage(name, stage)
    world.stage("cy", "ENGAGED")
    world.later()
    assert world.send(campaign) == [("bob", 2), ("cy", 2)]
    assert world.state(campaign, "ann") == ("stopped", stage.lower())


def test_a_sequence_for_customers_goes_to_customers(world: World) -> None:
    world.people("ann")
    world.stage("ann", "CONVERTED")
    world.clock.at += timedelta(seconds=1)
    campaign = world.start(world.sequence(IN_A_DAY))
    world.send(campaign)
    world.later()
    assert world.send(campaign) == [("ann", 2)]


@pytest.mark.parametrize(("kind", "human"), [("auto_replied", False), ("replied", False), ("opened", True)])
def test_what_is_no_persons_answer_stops_nobody(world: World, kind: str, human: bool) -> None:
    world.people("ann")
    campaign = world.start(world.sequence(IN_A_DAY))
    world.send(campaign)
    world.event("ann", kind, human=human)
    world.later()
    assert world.send(campaign) == [("ann", 2)]


def test_an_answer_from_before_somebody_entered_does_not_count(world: World) -> None:
    world.people("ann")
    world.event("ann", "converted")
    world.clock.at += timedelta(seconds=1)
    campaign = world.start(world.sequence(IN_A_DAY))
    world.send(campaign)
    world.later()
    assert world.send(campaign) == [("ann", 2)]


def test_an_answer_between_queueing_and_claiming_stops_what_is_queued(world: World) -> None:
    world.people("ann")
    campaign = world.start(world.sequence(IN_A_DAY))
    world.send(campaign)
    world.later()
    assert world.ledger(campaign)[-1] == ("ann", 2, "queued")
    world.event("ann", "replied")
    assert world.claim(campaign) == []
    stopped = world.publishing.deliveries(campaign, state=State.CANCELLED)
    assert [(each.cause, each.reason) for each in stopped] == [("stopped", "replied on 2026-03-03")]
    world.tick()
    assert world.state(campaign, "ann") == ("stopped", "replied")


def test_whoever_must_not_be_written_to_leaves_and_the_ledger_says_suppressed(world: World) -> None:
    world.people("ann", "bob")
    campaign = world.start(world.sequence(IN_A_DAY))
    world.send(campaign)
    world.later()
    for name, reason in (("ann", SuppressionReason.UNSUBSCRIBED), ("bob", SuppressionReason.MANUAL)):
        world.db.write(lambda db, n=name, r=reason: suppressions.add(db, f"{n}@acme.example", r, "me", world.clock.at))
    assert world.send(campaign) == []
    world.tick()
    assert world.state(campaign, "ann") == ("stopped", "unsubscribed")
    assert world.state(campaign, "bob") == ("stopped", "suppressed")
    assert [row for row in world.ledger(campaign) if row[1] == 2] == [
        ("ann", 2, "suppressed"),
        ("bob", 2, "suppressed"),
    ]


def test_nothing_follows_a_step_that_may_or_may_not_have_gone_until_that_is_resolved(world: World) -> None:
    world.people("ann", "bob")
    campaign = world.start(world.sequence(IN_A_DAY))
    assert world.send(campaign, State.UNKNOWN) == [("ann", 1), ("bob", 1)]
    world.event("ann", "replied", human=False)
    world.later(9 * DAY)
    assert world.send(campaign) == []
    assert "may or may not have gone" in world.place(campaign, "ann").why
    world.publishing.resolve(campaign, State.SENT, email="ann@acme.example")
    world.publishing.resolve(campaign, State.FAILED, email="bob@acme.example")
    world.tick()
    assert world.send(campaign) == [("ann", 2)], "its wait counts from when it went"
    assert world.state(campaign, "bob") == ("stopped", "failed")


def test_a_step_that_failed_ends_it_and_a_retry_brings_them_back(world: World) -> None:
    world.people("ann")
    campaign = world.start(world.sequence(IN_A_DAY))
    world.send(campaign, State.FAILED)
    world.later()
    assert world.state(campaign, "ann") == ("stopped", "failed")
    assert "so it was" in world.place(campaign, "ann").why
    assert world.publishing.retry(campaign) == 1
    assert world.send(campaign) == [("ann", 1)]
    world.later()
    assert world.send(campaign) == [("ann", 2)]


def test_a_mail_that_came_back_ends_it(world: World) -> None:
    world.people("ann")
    campaign = world.start(world.sequence(IN_A_DAY))
    world.send(campaign)
    world.db.write(lambda db: db.execute("UPDATE delivery SET state = 'bounced'"))
    world.later()
    assert world.send(campaign) == []
    assert world.state(campaign, "ann") == ("stopped", "bounced")


def test_a_paused_sequence_moves_nobody_and_a_cancelled_one_lets_all_go(world: World) -> None:
    world.people("ann")
    campaign = world.start(world.sequence(IN_A_DAY))
    world.send(campaign)
    world.publishing.pause(campaign)
    world.later(2 * DAY)
    assert world.ledger(campaign) == [("ann", 1, "sent")]
    world.publishing.resume(campaign)
    world.tick()
    assert world.ledger(campaign)[-1] == ("ann", 2, "queued")
    world.publishing.cancel(campaign)
    assert world.state(campaign, "ann") == ("stopped", "cancelled")
    assert world.ledger(campaign)[-1] == ("ann", 2, "cancelled")


# --- conditions ------------------------------------------------------------------------------------------------------


def test_whom_a_condition_leaves_out_goes_on_with_the_step_after_it(world: World) -> None:
    world.people("ann", "bob")
    campaign = world.campaign()
    world.sequences.edit(campaign, Add(world.content("Did you see?"), IN_A_DAY, "not_clicked"))
    world.sequences.edit(campaign, Add(world.content("Last call"), IN_A_DAY))
    world.start(campaign)
    world.send(campaign)
    world.event("ann", "clicked", campaign=campaign)
    world.event("bob", "clicked", human=False, campaign=campaign)
    world.later()
    assert world.send(campaign) == [("bob", 2)], "a scanner's click is none"
    world.later()
    assert world.send(campaign) == [("ann", 3), ("bob", 3)], "the next step waits from when the one before was due"


def test_a_condition_may_be_any_contact_query(world: World) -> None:
    world.people("ann", "bob")
    world.workspace.crm.tag([world.workspace.crm.get("ann@acme.example").id], add=["vip"])
    campaign = world.start(world.sequence(IN_A_DAY, only_if="tag:vip"))
    world.send(campaign)
    world.later()
    assert world.send(campaign) == [("ann", 2)]
    world.tick()
    assert world.state(campaign, "bob") == ("done", "")


def test_a_condition_that_is_no_query_is_refused_and_one_that_cannot_be_asked_any_more_pauses(world: World) -> None:
    world.people("ann")
    world.workspace.segments.create("VIP", "tag:vip")
    with pytest.raises(QueryInvalid):
        world.sequence(IN_A_DAY, only_if="stage:nowhere")
    campaign = world.start(world.sequence(IN_A_DAY, only_if="segment:vip"))
    world.send(campaign)
    world.db.write(lambda db: segments.delete(db, world.workspace.segments.get("VIP").segment.id))  # as a tool could
    world.later()
    paused = world.publishing.campaign(campaign)
    assert paused.status is CampaignStatus.PAUSED and "VIP" in paused.pause_reason.upper()


# --- who is in it ----------------------------------------------------------------------------------------------------


def test_whoever_comes_later_enters_only_where_newcomers_join_and_nobody_enters_twice(world: World) -> None:
    world.people("ann")
    closed, open_ = world.start(world.sequence(IN_A_DAY)), world.start(world.sequence(IN_A_DAY, joins=True))
    for campaign in (closed, open_):
        world.send(campaign)
    world.people("bob")
    world.later(timedelta(minutes=10))
    assert (world.send(closed), world.send(open_)) == ([], [("bob", 1)])
    world.later()
    assert world.send(open_) == [("ann", 2), ("bob", 2)]
    world.later()
    assert world.send(open_) == []
    assert world.publishing.campaign(open_).status is CampaignStatus.RUNNING, "somebody may come tomorrow"
    world.sequences.make(open_, joins=False)
    world.people("cy")
    world.later()
    assert world.send(open_) == []
    assert world.publishing.campaign(open_).status is CampaignStatus.FINISHED


def test_of_very_many_newcomers_some_enter_at_each_look_until_all_have(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "LET_IN_AT_ONCE", 2)
    world.people("zoe")
    campaign = world.start(world.sequence(IN_A_DAY, joins=True))
    world.send(campaign)
    world.people("ann", "bob", "cy", "di", "eve")
    world.later(timedelta(minutes=10))
    entered = [world.send(campaign)]
    for _ in range(3):
        world.tick()
        entered.append(world.send(campaign))
    assert entered == [[("ann", 1), ("bob", 1)], [("cy", 1), ("di", 1)], [("eve", 1)], []]


def test_a_newcomer_who_left_the_audience_before_being_let_in_stays_out(world: World) -> None:
    world.people("zoe")
    campaign = world.start(world.sequence(IN_A_DAY, audience="-tag:vip", joins=True))
    world.send(campaign)
    world.people("ann", "bob")
    world.clock.at += timedelta(minutes=10)
    found = world.db.read(lambda db: schedule.newcomers(db, world.clock.now()))
    ann = world.workspace.crm.get("ann@acme.example").id
    world.workspace.crm.tag([ann], add=["vip"])
    world.db.write(lambda db: advance(db, world.clock.now(), found))
    assert world.send(campaign) == [("bob", 1)]


def test_somebody_who_was_deleted_and_came_back_does_not_begin_anew(world: World) -> None:
    world.people("ann", "bob")
    campaign = world.start(world.sequence(IN_A_DAY, joins=True))
    world.send(campaign)
    world.workspace.crm.delete([world.workspace.crm.get("ann@acme.example").id])
    world.people("ann")
    world.later()
    assert world.send(campaign) == [("bob", 2)]


def test_the_suppressed_stand_in_the_ledger_and_never_enter(world: World) -> None:
    world.people("ann", "bob")
    world.db.write(lambda db: suppressions.add(db, "ann@acme.example", SuppressionReason.MANUAL, "me", world.clock.at))
    campaign = world.start(world.sequence(IN_A_DAY))
    assert [each.place.email for each in world.sequences.people(campaign)] == ["bob@acme.example"]
    assert world.publishing.counts(campaign).suppressed == 1


def test_the_counts_of_all_steps_add_up_to_the_deliveries(world: World) -> None:
    world.people("ann", "bob", "cy")
    campaign = world.start(world.sequence(IN_A_DAY))
    world.send(campaign)
    world.event("cy", "replied")
    world.later()
    counts = world.publishing.counts(campaign)
    assert (counts.audience, counts.sent, counts.queued) == (5, 3, 2)
    assert world.publishing.reached(campaign) == 3
    states = [each.counts for each in world.sequences.steps(campaign)]
    assert states == [{"sent": 3}, {"queued": 2}]
    places = world.sequences.places(campaign)
    assert (places.active, places.done, places.stopped) == ({2: 2}, 0, {"replied": 1})


def test_what_goes_once_and_has_begun_does_not_become_a_sequence(world: World) -> None:
    world.people("ann")
    campaign = world.start(world.campaign())
    with pytest.raises(IllegalTransition):
        world.sequences.edit(campaign, Add(world.content(), IN_A_DAY))
    with pytest.raises(InvalidInput):
        world.sequences.people(campaign, state="lost")


# --- what else happens to people -------------------------------------------------------------------------------------


def test_two_who_become_one_get_each_step_once_and_the_two_are_two_again_after_an_undo(world: World) -> None:
    world.people("ann", "ann.b")
    campaign = world.start(world.sequence(IN_A_DAY, IN_A_DAY))
    world.send(campaign)
    world.workspace.duplicates.merge("ann@acme.example", "ann.b@acme.example")
    assert [each.place.email for each in world.sequences.people(campaign)] == ["ann@acme.example"]
    world.later()
    assert world.send(campaign) == [("ann", 2)]
    world.workspace.history.undo()
    assert len(world.sequences.people(campaign)) == 2
    world.later()
    assert world.send(campaign) == [("ann", 3), ("ann.b", 2)]


def test_what_one_of_them_answered_ends_it_for_both(world: World) -> None:
    world.people("ann", "ann.b")
    campaign = world.start(world.sequence(IN_A_DAY))
    world.send(campaign)
    world.event("ann.b", "replied")
    world.workspace.duplicates.merge("ann@acme.example", "ann.b@acme.example")
    world.later()
    assert world.send(campaign) == []
    assert world.state(campaign, "ann") == ("stopped", "replied")


def test_the_place_in_a_sequence_is_in_the_copy_of_what_is_held_and_goes_with_an_erasure(world: World) -> None:
    world.people("ann", "bob")
    campaign = world.start(world.sequence(IN_A_DAY))
    world.send(campaign)
    held = world.workspace.rights.about("ann@acme.example")
    assert [each["campaign_id"] for each in held["enrolment"]] == [campaign]
    world.workspace.rights.erase(["ann@acme.example"])
    world.later()
    assert world.send(campaign) == [("bob", 2)]
    assert [each.place.email for each in world.sequences.people(campaign)] == ["bob@acme.example"]
