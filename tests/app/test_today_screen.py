"""Today: what was planned, what is overdue, who was silent; ticked off, put off, opened, written down."""

from __future__ import annotations

from pathlib import Path

import pytest
from driving import app_on, reads, text_of, until
from textual.pilot import Pilot
from twins import add_plans

from aicmo.crm.today import Day, Today
from aicmo.errors import StoreLocked
from aicmo.workspace import Workspace

SIZES = [(80, 24), (118, 36)]


@pytest.fixture
def planned(empty: Workspace) -> Workspace:
    add_plans(empty)
    return empty


async def opened(pilot: Pilot[None]) -> None:
    await pilot.press("t")
    await reads(pilot, "AICMO · Today", "Omar")


async def test_home_says_how_many_wait_and_opens_them(planned: Workspace) -> None:
    app = app_on(planned)
    async with app.run_test(size=(80, 24)) as pilot:
        await reads(pilot, "☐ 2 people to get back to today", "⏎")
        row = next(y for y, line in enumerate(text_of(app).splitlines()) if "☐" in line)
        await pilot.click(offset=(10, row))
        await pilot.press("enter")
        await reads(pilot, "AICMO · Today")
        await pilot.press("escape")
        await reads(pilot, "AICMO · Home")


@pytest.mark.parametrize("size", SIZES)
async def test_overdue_due_and_silent_stand_in_that_order(planned: Workspace, size: tuple[int, int]) -> None:
    app = app_on(planned)
    async with app.run_test(size=size) as pilot:
        await opened(pilot)
        await reads(pilot, "1 overdue · 1 due today · 1 silent for 30 days or longer")
        shown = [line for line in text_of(app).splitlines() if any(name in line for name in ("Omar", "Lee", "Quinn"))]
        for line, words in zip(shown, ("▲ 3 d overdue", "● today", "○ silent 45 d"), strict=True):
            assert words in line
        assert "Zoë" not in text_of(app), "hers is still to come"


async def test_done_ticks_a_plan_off_with_a_note_and_undo_brings_it_back(planned: Workspace) -> None:
    app = app_on(planned)
    async with app.run_test(size=(118, 36), notifications=True) as pilot:
        await opened(pilot)
        await pilot.press("d")
        await reads(pilot, "0 overdue · 1 due today", "Done: call")
        omar = planned.crm.get("omar@plan.example")
        assert planned.today.next_action(omar.id) is None
        assert [item.text for item in planned.timeline.page(omar.id, kinds=["note"]).items] == ["Done: call"]
        await pilot.press("ctrl+z")
        await reads(pilot, "Undo: done with omar@plan.example")
        await pilot.press("right", "enter")
        await reads(pilot, "1 overdue · 1 due today")
        assert planned.timeline.page(omar.id, kinds=["note"]).items == ()


@pytest.mark.parametrize(
    ("answer", "due"), [("Tomorrow", "2026-11-23"), ("3 days", "2026-11-25"), ("Next week", "2026-11-29")]
)
async def test_a_plan_is_put_off(planned: Workspace, answer: str, due: str) -> None:
    app = app_on(planned)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await pilot.press("s")
        await reads(pilot, "Put off call with Omar?", "Leave it", "Next week", "A date")
        for _ in range(["Leave it", "Tomorrow", "3 days", "Next week"].index(answer)):
            await pilot.press("right")
        await pilot.press("enter")
        await reads(pilot, "0 overdue")
        assert planned.today.next_action(planned.crm.get("omar@plan.example").id).due.isoformat() == due


async def test_a_plan_is_put_off_to_a_date_and_a_word_that_is_none_is_refused(planned: Workspace) -> None:
    app = app_on(planned)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await pilot.press("s")
        await reads(pilot, "A date")
        await pilot.press("left", "enter")
        await reads(pilot, "Put it off until when?")
        await pilot.press(*"someday", "enter")
        await reads(pilot, "someday", "✕ “someday” is no day. Say tuesday")
        app.screen.query_one("Input").value = "2026-12-24"
        await pilot.press("enter")
        await reads(pilot, "0 overdue")
        assert planned.today.next_action(planned.crm.get("omar@plan.example").id).due.isoformat() == "2026-12-24"


async def test_with_who_was_silent_a_next_step_is_planned(planned: Workspace) -> None:
    app = app_on(planned)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await pilot.press("end")
        await until(pilot, lambda: app.screen.table.row.name == "Quinn")
        await pilot.press("d", "s")
        await reads(pilot, "AICMO · Today", "Quinn")
        await pilot.press("n")
        await reads(pilot, "What is next with Quinn?")
        await pilot.press(*"call", "enter")
        await reads(pilot, "on which day?")
        await pilot.press(*"today", "enter")
        await reads(pilot, "2 due today · 0 silent")


async def test_enter_opens_the_person(planned: Workspace) -> None:
    app = app_on(planned)
    async with app.run_test(size=(118, 36)) as pilot:
        await opened(pilot)
        await pilot.press("enter")
        await reads(pilot, "AICMO · Contacts", "omar@plan.example")


async def test_the_plans_are_written_as_a_calendar(planned: Workspace, tmp_path: Path) -> None:
    app = app_on(planned)
    async with app.run_test(size=(118, 36), notifications=True) as pilot:
        await opened(pilot)
        await pilot.press("x")
        await reads(pilot, "Write every plan as a calendar file")
        app.screen.query_one("Input").value = str(tmp_path / "plans.ics")
        await pilot.press("enter")
        await reads(pilot, "The plans are in")
        assert (tmp_path / "plans.ics").read_text().count("BEGIN:VEVENT") == 3


async def test_what_another_program_plans_or_does_shows(planned: Workspace) -> None:
    app = app_on(planned)
    async with app.run_test(size=(118, 36)) as pilot:
        await opened(pilot)
        planned.today.done(planned.crm.get("lee@plan.example"))
        await reads(pilot, "1 overdue · 0 due today")


async def test_a_free_day_is_said(empty: Workspace) -> None:
    app = app_on(empty)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("t")
        await reads(pilot, "Nothing is due, and nobody was silent for too long.")
        await pilot.press("d", "s", "n", "enter", "escape")
        await reads(pilot, "AICMO · Home")


async def test_a_day_that_cannot_be_read_is_no_free_day(planned: Workspace) -> None:
    class Locked(Today):
        def look(self, **others: object) -> Day:
            raise StoreLocked("The database is locked [/foo].")

    planned.today = Locked(planned.db, planned.clock)
    app = app_on(planned)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("t")
        await reads(pilot, "That could not be read.", "The database is locked [/foo].")
