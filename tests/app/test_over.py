"""The screens that stand over others: reached, left, and harmless, each from its table; and how they look."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from driving import app_on, reads, steady, text_of
from test_hostile_names import STEERING
from textual.pilot import Pilot
from textual.widgets import Footer
from textual.widgets._footer import FooterKey
from twins import add_plans, add_twins

from aicmo.workspace import Workspace
from aicmo_tui.commands import system_commands
from aicmo_tui.screens import OVER, SCREENS, load
from aicmo_tui.widgets.lazy_table import LazyTable

SIZES = {"80x24": (80, 24), "118x36": (118, 36)}


@pytest.mark.parametrize("name", SCREENS | OVER)
async def test_the_footer_may_ask_what_a_key_does_before_the_screen_is_built(name: str, empty: Workspace) -> None:
    async with app_on(empty).run_test():  # a screen is made where an app runs
        screen = load(name)()
        for _, binding in screen._bindings:
            screen.check_action(binding.action, ())


@pytest.mark.parametrize("name", OVER)
async def test_home_and_the_palette_open_it_and_escape_comes_back(name: str, filled: Workspace) -> None:
    entry, app = OVER[name], app_on(filled)
    async with app.run_test(size=(80, 24)) as pilot:
        await reads(pilot, "AICMO · Home")
        await pilot.press(entry.key)
        await reads(pilot, f"AICMO · {entry.title}")
        await steady(pilot)
        await pilot.press("escape")
        await reads(pilot, "AICMO · Home")
        commands = {command.title: command for command in system_commands(app, app.screen)}
        commands[f"Go to {entry.title}"].callback()
        await reads(pilot, f"AICMO · {entry.title}")


@pytest.mark.parametrize("name", ["duplicates", "companies"])
async def test_contacts_open_it_and_escape_comes_back(name: str, filled: Workspace) -> None:
    app = app_on(filled)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("f4")
        await reads(pilot, "Jane Doe")
        await pilot.press(OVER[name].key)
        await reads(pilot, f"AICMO · {OVER[name].title}")
        await steady(pilot)
        await pilot.press("escape")
        await reads(pilot, "AICMO · Contacts")


async def test_a_person_is_shown_in_contacts_whatever_stands_over_them(filled: Workspace) -> None:
    app = app_on(filled)
    async with app.run_test(size=(118, 36)) as pilot:
        await pilot.press("f4", "o")
        await reads(pilot, "AICMO · Companies")
        app.show_contact("jane@acme.example")
        await reads(pilot, "AICMO · Contacts", "Jane Doe")


@pytest.mark.parametrize("name", OVER)
async def test_strangers_names_do_nothing_there(name: str, filled: Workspace) -> None:
    for contact in filled.crm.list("domain:stranger.example", limit=12):
        filled.today.plan(contact, "[@click=app.quit]call[/] [/foo]", "today")
    app = app_on(filled)
    async with app.run_test(size=(118, 36), notifications=True) as pilot:
        app.action_open_over(name)
        await steady(pilot)
        for table in app.screen.query(LazyTable):
            for row in range(1, min(8, table.total + 1)):
                await pilot.click(table, offset=(6, row + 1))
        await steady(pilot)
        assert not STEERING.search(text_of(app))
        assert app.is_running


@pytest.mark.parametrize("name", OVER)
async def test_its_keys_are_named_explained_and_few(name: str, empty: Workspace) -> None:
    add_twins(empty)
    add_plans(empty)
    app, seen = app_on(empty), {}
    async with app.run_test(size=(80, 24)) as pilot:
        app.action_open_over(name)
        await steady(pilot)
        for _, binding, _, _ in app.screen.active_bindings.values():
            if not binding.system and binding.action.partition(".")[0] != "scroll" and binding.id is not None:
                assert binding.description and binding.tooltip, binding
                assert seen.setdefault(binding.id, binding.action) == binding.action
        keys = app.screen.query_one(Footer).query(FooterKey)
        assert 2 <= len(keys) <= 7  # four to six, and the palette's own
        assert sum(key.region.width for key in keys) <= 80
        assert app.screen.HELP


def test_no_key_of_theirs_is_a_screens() -> None:
    assert not {entry.key for entry in OVER.values()} & {entry.key for entry in SCREENS.values()}


# --- how they look ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", OVER)
def test_with_somebody_in_it(name: str, size: str, empty: Workspace, snap_compare: Callable[..., bool]) -> None:
    add_twins(empty)
    add_plans(empty)

    async def go(pilot: Pilot[None]) -> None:
        pilot.app.action_open_over(name)
        await steady(pilot)
        await pilot.press("down")
        await steady(pilot)

    assert snap_compare(app_on(empty), terminal_size=SIZES[size], run_before=go)


@pytest.mark.parametrize("name", OVER)
def test_with_nobody_in_it(name: str, empty: Workspace, snap_compare: Callable[..., bool]) -> None:
    async def go(pilot: Pilot[None]) -> None:
        pilot.app.action_open_over(name)
        await steady(pilot)

    assert snap_compare(app_on(empty), terminal_size=SIZES["80x24"], run_before=go)


def test_a_choice_in_a_merge(empty: Workspace, snap_compare: Callable[..., bool]) -> None:
    add_twins(empty)

    async def go(pilot: Pilot[None]) -> None:
        pilot.app.action_open_over("duplicates")
        await steady(pilot)
        await pilot.press("down")
        await steady(pilot)
        await pilot.press("tab", "down", "down", "down", "right")
        await steady(pilot)

    assert snap_compare(app_on(empty), terminal_size=SIZES["80x24"], run_before=go)
