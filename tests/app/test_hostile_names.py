"""What strangers called themselves does nothing on any screen: it is neither an action, nor a crash, nor an escape."""

from __future__ import annotations

import re
from logging import LogRecord

import pytest
from driving import app_on, reads, steady, text_of
from sample import HOSTILE

from aicmo.workspace import Workspace
from aicmo_tui.screens import SCREENS
from aicmo_tui.widgets.lazy_table import LazyTable

STEERING = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@pytest.mark.parametrize("mode", SCREENS)
async def test_every_screen_shows_them_as_they_are_written(mode: str, filled: Workspace) -> None:
    app = app_on(filled)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        app.action_show_screen(mode)
        await steady(pilot)
        for table in app.screen.query(LazyTable):
            for line in range(1, min(8, table.total + 1)):
                await pilot.click(table, offset=(6, line + 1))
        await steady(pilot)
        assert not STEERING.search(text_of(app))
        assert app.is_running


async def test_a_name_that_is_markup_runs_no_action_when_it_is_clicked(filled: Workspace) -> None:
    app = app_on(filled)
    async with app.run_test(size=(200, 40)) as pilot:
        app.action_show_screen("contacts")
        await reads(pilot, "[@click=app.quit]")
        row = next(y for y, line in enumerate(text_of(app).splitlines()) if "[@click=app.quit]" in line)
        for _ in range(2):
            await pilot.click(offset=(8, row))
        await reads(pilot, HOSTILE[0])
        assert app.is_running


async def test_a_campaign_with_such_a_name_can_be_opened_and_asked_about(
    filled: Workspace, unforeseen: list[LogRecord]
) -> None:
    app = app_on(filled)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        app.open_campaign(2)
        await reads(pilot, "paused", "[/foo]")
        await pilot.press("d")
        await reads(pilot, "Cancel", HOSTILE[0], "Keep it")
        await pilot.press("escape")
        app.tell(HOSTILE[0] + HOSTILE[2])
        app.report(ValueError(HOSTILE[1] + HOSTILE[2]))
        await reads(pilot, "Something unforeseen", "oops [/foo]")
        unforeseen.clear()
        assert not STEERING.search(text_of(app))


async def test_pasted_control_codes_do_not_enter_a_field(filled: Workspace) -> None:
    app = app_on(filled)
    async with app.run_test(size=(120, 40)) as pilot:
        app.write_to("")
        await pilot.pause()
        app.screen.query_one("#subject").value = HOSTILE[2]
        app.screen.query_one("#body").insert(HOSTILE[2] + "\nnext")
        assert app.screen.query_one("#subject").value == "]52;c;ZXZpbA==Clip"
        assert app.screen.query_one("#body").text == "]52;c;ZXZpbA==Clip\nnext"
