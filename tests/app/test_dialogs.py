"""The dialogs: their answers stay in sight, and one that goes by itself takes no other with it."""

from __future__ import annotations

import pytest
from driving import app_on, reads, steady, text_of, until
from textual.widgets import Button

from aicmo.workspace import Workspace
from aicmo_tui.present import line, lines
from aicmo_tui.widgets.dialogs import Busy, Choose, Notice, Working
from aicmo_tui.widgets.picker import Picker


@pytest.mark.parametrize("size", [(80, 24), (118, 36)])
async def test_the_answers_stay_in_sight_however_much_is_told(size: tuple[int, int], empty: Workspace) -> None:
    app = app_on(empty)
    async with app.run_test(size=size) as pilot:
        await steady(pilot)
        told = lines([line(f"row {number}") for number in range(100)])
        app.push_screen(Choose(line("A question of two lines: " + "so it is " * 8), {"": "Cancel"}, details=told))
        await reads(pilot, "row 0", "Cancel")
        button = app.screen.query_one(Button).region
        assert button.bottom < size[1]
        shown = text_of(app)
        await pilot.press("pagedown")
        await until(pilot, lambda: "row 0" not in text_of(app))
        await pilot.press("pageup")
        await until(pilot, lambda: text_of(app) == shown)


@pytest.mark.parametrize("passing", [Busy, Working])
async def test_one_that_goes_by_itself_leaves_what_stands_over_it(passing: type, empty: Workspace) -> None:
    app = app_on(empty)
    async with app.run_test() as pilot:
        below = passing(line("Importing"))
        await app.push_screen(below)
        await app.push_screen(Notice("Something", "happened"))
        below.dismiss()
        await pilot.pause()
        assert isinstance(app.screen, Notice)
        await pilot.press("escape")
        await until(pilot, lambda: len(app.screen_stack) == 1)


async def test_a_share_that_nobody_knows_is_not_drawn_as_an_empty_bar(empty: Workspace) -> None:
    app = app_on(empty)
    async with app.run_test() as pilot:
        busy = Busy(line("Bringing both sides together"))
        await app.push_screen(busy)
        await reads(pilot, "░")
        busy.note(1_234, None)
        await reads(pilot, "1,234 so far")
        assert "░" not in text_of(app)


async def test_a_list_to_choose_from_has_its_title_once(empty: Workspace) -> None:
    app = app_on(empty)
    async with app.run_test() as pilot:
        app.push_screen(Picker("Which stage?", [("NEW", "NEW")]))
        await reads(pilot, "Which stage?", "NEW")
        assert text_of(app).count("Which stage?") == 1
