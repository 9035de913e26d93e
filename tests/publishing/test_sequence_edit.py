"""An edit of a running sequence says beforehand what becomes of the people inside, and then just that happens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from aicmo.clock import rfc3339
from aicmo.errors import ApprovalNeeded, IllegalTransition, InvalidInput, NotFound
from aicmo.publishing import Draft
from aicmo.publishing.sequences.editing import Add, Change, Edit, Remove, Shift, consequences, edited
from aicmo.store import messages
from aicmo.store.messages import Message
from aicmo.store.sequences import Places

from .sequence_world import DAY, IN_A_DAY, NOON, World, a_world

STEPS = [Message(1, number, "", 10 + number, position=number, wait_minutes=IN_A_DAY) for number in (2, 3, 4)]
PLACES = Places({1: 12, 2: 40, 3: 7, 4: 5}, 3, {"replied": 2, "bounced": 1})
"""12 have had step 1 and wait for step 2; 5 have had step 4, the last."""


def told(edit: Edit, *, queued: int = 0, places: Places = PLACES) -> list[str]:
    after, number = edited(1, STEPS, edit)
    return [each.told for each in consequences(STEPS, after, edit, number, places, queued)]


ENDED = ["3 finished: they are not brought back", "3 gone early: they are not brought back"]

CASES: list[tuple[Edit, list[str]]] = [
    (
        Change(3, content_id=9),
        [
            "12 on the way to step 3: they get it in its turn, as it is then",
            "40 waiting for step 3: they get the new words",
            "7 past step 3: nothing changes for them",
            "5 past step 4, the last: nothing changes for them",
        ],
    ),
    (
        Change(4, wait_minutes=5 * IN_A_DAY, only_if="clicked"),
        [
            "52 on the way to step 4: they get it in its turn, as it is then",
            "7 waiting for step 4: it is due 5d after the step before it went, now if that is past, those get it whom"
            " clicked selects",
            "5 past step 4, the last: nothing changes for them",
        ],
    ),
    (
        Remove(3),
        [
            "12 on the way to step 3: they do not get it",
            "40 waiting for step 3: step 4 is next for them",
            "7 past step 3: nothing changes for them",
            "5 past step 4, the last: nothing changes for them",
        ],
    ),
    (
        Remove(4),
        [
            "52 on the way to step 4: they do not get it",
            "7 waiting for step 4: that was all for them",
            "5 past step 4, the last: nothing changes for them",
        ],
    ),
    (
        Add(9, IN_A_DAY),
        [
            "12 waiting for step 2: step 5 comes to them in its turn",
            "40 waiting for step 3: step 5 comes to them in its turn",
            "7 waiting for step 4: step 5 comes to them in its turn",
            "5 past step 4, the last: step 5 is next for them",
        ],
    ),
    (
        Add(9, IN_A_DAY, before=3),
        [
            "12 waiting for step 2: step 5 comes to them in its turn",
            "40 waiting for step 3: step 5 is next for them",
            "7 past step 5: nothing changes for them",
            "5 past step 4, the last: nothing changes for them",
        ],
    ),
    (
        Shift(4, before=2),
        [
            "12 waiting for step 2: step 4 is next for them",
            "40 on the way to step 4: they do not get it",
            "7 waiting for step 4: that was all for them",
            "5 past step 4, the last: nothing changes for them",
        ],
    ),
]


@pytest.mark.parametrize(("edit", "expected"), CASES, ids=lambda each: type(each).__name__)
def test_the_plan_says_what_becomes_of_whom(edit: Edit, expected: list[str]) -> None:
    assert told(edit) == expected + ENDED


def test_who_has_the_step_in_the_queue_gets_its_new_words_or_gets_it_all_the_same() -> None:
    places = Places({2: 6}, 0, {})
    assert (
        told(Change(2, content_id=9), queued=4, places=places)[0]
        == "4 with step 2 in the queue: they get the new words"
    )
    assert told(Remove(2), queued=4, places=places)[0] == "4 with step 2 in the queue: they get it all the same"


@pytest.mark.parametrize("seed", range(50))
def test_everybody_who_ever_entered_is_in_one_consequence(seed: int) -> None:
    chance = Random(seed)
    places = Places({step: chance.randint(0, 9) for step in (1, 2, 3, 4)}, chance.randint(0, 9), {"replied": 4})
    step, before = chance.choice((2, 3, 4)), chance.choice((2, 3, 4, None))
    edits = [Add(9, 0, before=before), Remove(step), Change(step, content_id=9)]
    edits += [Shift(step, before)] if step != before else []
    for edit in edits:
        after, number = edited(1, STEPS, edit)
        queued = chance.randint(0, places.active.get(number, 0))
        assert sum(each.count for each in consequences(STEPS, after, edit, number, places, queued)) == places.total


def test_a_step_keeps_its_number_for_good() -> None:
    after, _ = edited(1, STEPS, Remove(3))
    again, number = edited(1, after, Add(9, 0, before=2))
    assert number == 5
    assert [(each.step, each.position, each.removed) for each in again] == [
        (5, 2, False),
        (2, 3, False),
        (3, 4, True),
        (4, 5, False),
    ]


@pytest.mark.parametrize(
    ("edit", "error"),
    [
        (Remove(1), InvalidInput),
        (Shift(1), InvalidInput),
        (Shift(3, before=3), InvalidInput),
        (Add(9, 0, before=1), InvalidInput),
        (Change(1, wait_minutes=5), InvalidInput),
        (Remove(9), NotFound),
        (Change(9, content_id=1), NotFound),
    ],
)
def test_an_edit_that_makes_no_sense_is_refused(edit: Edit, error: type[Exception]) -> None:
    with pytest.raises(error):
        edited(1, STEPS, edit)


# --- and then just that happens --------------------------------------------------------------------------------------


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with a_world(tmp_path) as world:
        yield world


@pytest.fixture
def running(world: World) -> int:
    """A sequence of three steps; Ann waits for step 2, Bob for step 3, Cy has had all."""
    campaign = world.sequence(IN_A_DAY, IN_A_DAY, joins=True)
    world.people("cy")
    world.start(campaign)
    world.send(campaign)
    for name in ("bob", "ann"):
        world.later()
        world.people(name)
        world.later(DAY / 24)
        world.send(campaign)
    world.tick()
    assert [world.place(campaign, name).next_step for name in ("ann", "bob", "cy")] == [2, 3, None]
    return campaign


def test_the_new_words_need_to_be_approved_and_go_to_those_who_have_not_had_them(world: World, running: int) -> None:
    words = world.content("Better words")
    edit = Change(2, content_id=words)
    with pytest.raises(ApprovalNeeded):
        world.sequences.edit(running, edit)
    assert world.db.read(lambda db: messages.get(db, running, 2)).content_id != words, "nothing was changed"
    assert [each.told for each in world.sequences.plan(running, edit).consequences] == [
        "1 waiting for step 2: they get the new words",
        "1 past step 2: nothing changes for them",
        "1 finished: they are not brought back",
    ]
    world.sequences.edit(running, edit, approve=True)
    world.later()
    said = {(each.email, each.step): each.version_id for each in world.claim(running)}
    drafts = {who: world.db.read(lambda db, v=version: messages.contents.get_version(db, v)).draft.subject
              for who, version in said.items()}  # fmt: skip
    assert drafts == {("ann@acme.example", 2): "Better words", ("bob@acme.example", 3): "Step 3"}


def test_what_waits_in_the_queue_takes_the_new_words(world: World, running: int) -> None:
    world.later()
    before = world.db.read(lambda db: messages.get(db, running, 2)).version_id
    world.sequences.edit(running, Change(2, content_id=world.content("Better words")), approve=True)
    assert [each.version_id for each in world.claim(running) if each.step == 2] != [before]


def test_editing_the_content_alone_changes_nothing_that_is_sent(world: World, running: int) -> None:
    message = world.db.read(lambda db: messages.get(db, running, 2))
    world.workspace.contents.save(message.content_id, Draft("Other words", "Other words"))
    assert world.db.read(lambda db: messages.draft(db, messages.get(db, running, 2))).subject == "Step 2"
    world.sequences.edit(running, Change(2, content_id=message.content_id), approve=True)
    assert world.db.read(lambda db: messages.draft(db, messages.get(db, running, 2))).subject == "Other words"


def test_whoever_waited_for_a_removed_step_goes_on_with_the_next(world: World, running: int) -> None:
    world.sequences.edit(running, Remove(2))
    world.later()
    assert world.send(running) == [("ann", 3), ("bob", 3)]


def test_a_shorter_wait_makes_it_due_at_once_and_a_longer_one_later(world: World, running: int) -> None:
    world.sequences.edit(running, Change(2, wait_minutes=0))
    world.sequences.edit(running, Change(3, wait_minutes=3 * IN_A_DAY))
    world.tick()
    assert world.send(running) == [("ann", 2)]
    world.later()
    assert world.send(running) == []


def test_a_step_that_was_moved_never_goes_twice_to_the_same_person(world: World, running: int) -> None:
    world.sequences.edit(running, Shift(3, before=2))
    for _ in range(5):
        world.later()
        world.send(running)
    steps = [(name, step) for name, step, state in world.ledger(running) if state == "sent"]
    assert len(steps) == len(set(steps))
    assert {step for name, step in steps if name == "ann"} == {1, 2, 3}
    assert world.place(running, "cy").place.state == "done"


def test_a_step_that_is_added_reaches_those_who_are_not_past_it_and_nobody_who_was_done(
    world: World, running: int
) -> None:
    world.sequences.edit(running, Add(world.content("One more"), 0), approve=True)
    for _ in range(6):
        world.later()
        world.send(running)
    assert [name for name, step, _ in world.ledger(running) if step == 4] == ["ann", "bob"]


def test_words_that_cannot_be_filled_are_refused_before_anybody_gets_them(world: World, running: int) -> None:
    bad = world.workspace.contents.create("email", "Bad", Draft("Hi", "Your {{ shoe_size }}")).id
    with pytest.raises(InvalidInput):
        world.sequences.edit(running, Change(2, content_id=bad), approve=True)


def test_a_cancelled_sequence_is_not_edited(world: World, running: int) -> None:
    world.publishing.cancel(running)
    with pytest.raises(IllegalTransition):
        world.sequences.edit(running, Remove(2))


def test_every_steps_words_are_checked_and_approved_before_the_start(world: World) -> None:
    world.people("ann")
    campaign = world.sequence(IN_A_DAY)
    bad = world.workspace.contents.create("email", "Bad", Draft("Hi", "Your {{ shoe_size }}")).id
    world.sequences.edit(campaign, Change(2, content_id=bad))
    report = world.publishing.check(campaign)
    assert not report.ok and any(each.message.startswith("Step 2: shoe_size is missing") for each in report.problems)
    world.sequences.edit(campaign, Change(2, content_id=world.content("Fine")))
    world.publishing.approve(campaign)
    second = world.db.read(lambda db: messages.get(db, campaign, 2))
    world.workspace.contents.save(second.content_id, Draft("Changed since", "Changed since"))
    with pytest.raises(ApprovalNeeded):
        world.publishing.start(campaign)


def test_an_edit_says_at_once_when_everybody_inside_is_due(world: World) -> None:
    world.people("ada", "bob")
    campaign = world.start(world.sequence(3 * IN_A_DAY, IN_A_DAY))
    world.send(campaign)
    world.tick()

    def due() -> set[str]:
        return {each.place.due_at for each in world.sequences.people(campaign)}

    def after(days: int) -> set[str]:
        return {rfc3339(NOON + days * DAY)}

    assert due() == after(3)
    world.sequences.edit(campaign, Change(2, wait_minutes=5 * IN_A_DAY))
    assert due() == after(5)
    world.sequences.edit(campaign, Remove(2))
    assert due() == after(1), "the next one follows now"
    world.sequences.edit(campaign, Remove(3))
    assert due() == {""}, "nothing more comes: they are through at the next look"
    world.tick()
    assert {each.place.state for each in world.sequences.people(campaign)} == {"done"}
