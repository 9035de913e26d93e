"""Duplicates: found, seen side by side, merged or told apart, and all of it taken back."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from driving import app_on, reads, steady, text_of, until
from sample import NOW
from textual.pilot import Pilot
from textual.widgets import Button
from twins import add_twins

from aicmo.crm.duplicates import Duplicates
from aicmo.crm.similarity import SCORES, Pair
from aicmo.errors import StoreLocked
from aicmo.store import suppressions
from aicmo.store.suppressions import SuppressionReason
from aicmo.workspace import Workspace
from aicmo_tui.screens.duplicates import DuplicatesScreen
from aicmo_tui.screens.duplicates_view import SIGNS

SIZES = [(80, 24), (118, 36)]


@pytest.fixture
def twins(empty: Workspace) -> Workspace:
    add_twins(empty)
    return empty


async def opened(pilot: Pilot[None]) -> DuplicatesScreen:
    pilot.app.action_open_over("duplicates")
    await reads(pilot, "3 pairs")
    await settled(pilot)
    return pilot.app.screen


async def settled(pilot: Pilot[None]) -> None:
    """The two under the cursor are there to be merged."""
    await until(pilot, lambda: pilot.app.screen._plan is not None)


async def to_field(pilot: Pilot[None], name: str) -> None:
    fields = pilot.app.screen.fields
    fields.focus()
    await pilot.press("home")
    for _ in range(fields.total):
        if fields.row is not None and fields.row.key == name:
            return
        await pilot.press("down")
    raise AssertionError(f"no field {name}")


def test_every_sign_has_words() -> None:
    assert SIGNS.keys() == SCORES.keys()


@pytest.mark.parametrize("size", SIZES)
async def test_pairs_stand_the_surest_first_with_the_two_side_by_side(twins: Workspace, size: tuple[int, int]) -> None:
    app = app_on(twins)
    async with app.run_test(size=size) as pilot:
        screen = await opened(pilot)
        assert [pair.names[0] for pair in screen.pairs] == ["Bob Lee", "Jane Roe", "Katherine Johnson"]
        await reads(pilot, "3 pairs, 2 exact", "same mailbox", "bob@globex.example stays")
        await pilot.press("down")
        await reads(pilot, "gains phone, city, vip", "● Countess", "○ Analyst", "● +49 30")


@pytest.mark.parametrize("size", SIZES)
async def test_who_of_the_two_opted_out_is_said_before_they_are_merged(twins: Workspace, size: tuple[int, int]) -> None:
    twins.db.write(lambda db: suppressions.add(db, "bob+x@globex.example", SuppressionReason.MANUAL, "you", NOW))
    app = app_on(twins)
    async with app.run_test(size=size) as pilot:
        await opened(pilot)
        await reads(pilot, "suppressed", "manual", "an opt-out of either holds for both")


async def test_merging_goes_on_with_the_next_pair_and_undo_brings_the_two_back(twins: Workspace) -> None:
    app = app_on(twins)
    async with app.run_test(size=(118, 36), notifications=True) as pilot:
        screen = await opened(pilot)
        await pilot.press("m")
        await reads(pilot, "2 pairs", "Merged bob+x@globex.example into bob@globex.example")
        assert twins.crm.count("domain:globex.example") == 1
        await until(pilot, lambda: screen._plan is not None and screen.table.row.names[0] == "Jane Roe")
        await pilot.press("ctrl+z")
        await reads(pilot, "3 pairs")
        assert twins.crm.count("domain:globex.example") == 2


async def test_a_field_is_chosen_from_either_side_or_typed(twins: Workspace) -> None:
    app = app_on(twins)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await pilot.press("down")
        await reads(pilot, "● Countess")
        await to_field(pilot, "title")
        await pilot.press("right")
        await reads(pilot, "○ Countess", "● Analyst", "title will say: Analyst")
        await to_field(pilot, "field.city")
        await pilot.press("left")
        await to_field(pilot, "phone")
        await pilot.press("e")
        await reads(pilot, "What shall phone say?")
        await pilot.press(*"12345", "enter")
        await reads(pilot, "phone will say: 12345")
        await pilot.press("m")
        await reads(pilot, "2 pairs")
        jane = twins.crm.get("jane.roe@gmail.com")
        assert (jane.title, jane.phone, jane.fields, jane.tags) == ("Analyst", "12345", {}, ("trial", "vip"))


async def test_the_other_one_may_stay(twins: Workspace) -> None:
    app = app_on(twins)
    async with app.run_test(size=(118, 36)) as pilot:
        await opened(pilot)
        await reads(pilot, "bob@globex.example stays")
        await pilot.press("w")
        await reads(pilot, "bob+x@globex.example stays", "gains company")
        await pilot.press("m")
        await reads(pilot, "2 pairs")
        assert [each.email for each in twins.crm.list("domain:globex.example")] == ["bob+x@globex.example"]


async def test_two_people_stay_two_until_that_is_taken_back(twins: Workspace) -> None:
    app = app_on(twins)
    async with app.run_test(size=(118, 36)) as pilot:
        await opened(pilot)
        await pilot.press("d")
        await reads(pilot, "2 pairs")
        await pilot.press("r")
        await reads(pilot, "2 pairs, 1 exact")
        await pilot.press("ctrl+z", "r")
        await reads(pilot, "3 pairs")
        assert twins.crm.count() == 6


async def test_all_exact_ones_are_merged_after_a_count_and_are_one_step_of_undo(twins: Workspace) -> None:
    app = app_on(twins)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await pilot.press("a")
        await reads(pilot, "Merge 2 pairs that differ in spelling alone?", "aicmo contact merge --exact")
        assert isinstance(app.focused, Button) and app.focused.label.plain == "Cancel"
        await pilot.press("enter")
        assert twins.crm.count() == 6
        await pilot.press("a")
        await reads(pilot, "Merge 2 pairs")
        await pilot.press("right", "enter")
        await reads(pilot, "1 pair, 0 exact")
        assert twins.crm.count() == 4
        await pilot.press("ctrl+z")
        await reads(pilot, "3 pairs, 2 exact")
        assert twins.crm.count() == 6


async def test_what_another_program_merges_leaves_the_list(twins: Workspace) -> None:
    app = app_on(twins)
    async with app.run_test(size=(118, 36)) as pilot:
        await opened(pilot)
        change = twins.duplicates.merge("bob@globex.example", "bob+x@globex.example").change_id
        await reads(pilot, "2 pairs, 1 exact")
        twins.history.undo(change)
        await reads(pilot, "3 pairs, 2 exact")


async def test_choices_outlive_what_others_write(twins: Workspace) -> None:
    app = app_on(twins)
    async with app.run_test(size=(118, 36)) as pilot:
        await opened(pilot)
        await pilot.press("down")
        await reads(pilot, "● Countess")
        await to_field(pilot, "title")
        await pilot.press("right")
        await reads(pilot, "● Analyst")
        twins.crm.add("new@else.example", first_name="Nobody")
        twins.crm.edit_all("jane.roe@gmail.com", {"company": "Roe & Co"})
        await reads(pilot, "Roe & Co", "● Analyst", "jane.roe@gmail.com stays")


async def test_a_choice_is_made_for_one_pair_only(twins: Workspace) -> None:
    app = app_on(twins)
    async with app.run_test(size=(118, 36)) as pilot:
        screen = await opened(pilot)
        await pilot.press("down")
        await reads(pilot, "● Countess")
        await to_field(pilot, "title")
        await pilot.press("right")
        await reads(pilot, "● Analyst")
        screen.table.focus()
        await pilot.press("up")
        await reads(pilot, "bob@globex.example stays")
        await pilot.press("down")
        await reads(pilot, "● Countess")


async def test_nobody_twice_is_said(empty: Workspace) -> None:
    app = app_on(empty)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("f4", "u")
        await reads(pilot, "Nobody seems to be in the list twice.")
        await pilot.press("m", "d", "a", "w", "left", "e", "enter", "escape")
        await reads(pilot, "AICMO · Contacts")


class Waiting(Duplicates):
    """A search that is under way until it is stopped, or let on."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(workspace.db, workspace.crm, clock=workspace.clock)
        self.goes_on, self.stopped = threading.Event(), threading.Event()

    def find(self, *, progress: Callable[[float], None], cancelled: Callable[[], bool], **others: float) -> list[Pair]:
        progress(0.4)
        while not self.goes_on.wait(0.01):
            if cancelled():
                self.stopped.set()
                return []
        return super().find(progress=progress, cancelled=cancelled)


@pytest.mark.parametrize("size", SIZES)
async def test_a_search_says_how_far_it_is_and_is_stopped_by_escape(twins: Workspace, size: tuple[int, int]) -> None:
    twins.duplicates = waiting = Waiting(twins)
    app = app_on(twins)
    async with app.run_test(size=size) as pilot:
        app.action_open_over("duplicates")
        await reads(pilot, "Looking for people who are in the list twice", "40%", "escape stops it")
        await pilot.press("escape")
        await reads(pilot, "Stopped.", "r look again")
        waiting.goes_on.set()
        await pilot.press("r")
        await reads(pilot, "3 pairs")


async def test_who_quits_does_not_wait_for_the_search(twins: Workspace) -> None:
    twins.duplicates = waiting = Waiting(twins)
    app = app_on(twins)
    async with app.run_test(size=(80, 24)) as pilot:
        app.action_open_over("duplicates")
        await reads(pilot, "40%")
        app.exit()
    assert waiting.stopped.is_set()


async def test_a_search_that_fails_says_why_and_can_be_repeated(twins: Workspace) -> None:
    class Locked(Duplicates):
        def find(self, **others: object) -> list[Pair]:
            twins.duplicates = Duplicates(twins.db, twins.crm)
            raise StoreLocked("The database is locked [/foo].")

    twins.duplicates = Locked(twins.db, twins.crm)
    app = app_on(twins)
    async with app.run_test(size=(80, 24)) as pilot:
        app.action_open_over("duplicates")
        await reads(pilot, "That could not be read.", "The database is locked [/foo].")
        await pilot.press("r")
        await reads(pilot, "3 pairs")


async def test_strangers_names_are_compared_and_merged_as_they_are_written(filled: Workspace) -> None:
    app = app_on(filled)
    async with app.run_test(size=(118, 36), notifications=True) as pilot:
        app.action_open_over("duplicates")
        await reads(pilot, "pairs", "[@click=")
        before = filled.crm.count()
        for _ in range(3):
            await until(pilot, lambda: app.screen._plan is not None)
            await pilot.press("tab", "right", "left", "shift+tab", "m")
            await steady(pilot)
        assert filled.crm.count() == before - 3
        assert "[@click=app.quit]Bob[/]" in text_of(app)
