"""The app as a whole: its screens, keys, help and palette, and how it tells of errors."""

from __future__ import annotations

from logging import LogRecord

import pytest
from driving import app_on, reads, steady, text_of, until
from textual.widgets import Footer
from textual.widgets._footer import FooterKey

from aicmo.errors import AicmoError, StoreLocked
from aicmo.workspace import Workspace
from aicmo_tui.screens import SCREENS


async def test_only_the_first_screen_is_built_at_the_start(empty: Workspace) -> None:
    app = app_on(empty)
    async with app.run_test() as pilot:
        await reads(pilot, "AICMO · Home")
        assert set(app._screen_stacks) == {"home"}


@pytest.mark.parametrize("mode", SCREENS)
async def test_a_screen_is_reached_by_its_key_and_holds_its_table_of_keys(mode: str, filled: Workspace) -> None:
    entry, app = SCREENS[mode], app_on(filled)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press(entry.key)
        await reads(pilot, f"AICMO · {entry.title}")
        await steady(pilot)
        for _, binding, _, _ in app.screen.active_bindings.values():
            if not binding.system and binding.action.partition(".")[0] != "scroll" and binding.id is not None:
                assert binding.description and binding.tooltip, binding
        keys = app.screen.query_one(Footer).query(FooterKey)
        assert 2 <= len(keys) <= 7  # four to six, and the palette's own
        assert sum(key.region.width for key in keys) <= 80
        assert app.screen.HELP


async def test_every_key_has_a_name_of_its_own(filled: Workspace) -> None:
    app, seen = app_on(filled), {}
    async with app.run_test(size=(80, 24)) as pilot:
        for mode in SCREENS:
            app.action_show_screen(mode)
            await reads(pilot, SCREENS[mode].title)
            for node in (app, app.screen, *app.screen.query("LazyTable")):
                for binding in type(node).BINDINGS:
                    if getattr(binding, "id", None):
                        assert seen.setdefault(binding.id, binding.action) == binding.action
    assert len(seen) > 25


async def test_digits_go_to_screens_but_not_while_one_types(filled: Workspace) -> None:
    app = app_on(filled)
    async with app.run_test() as pilot:
        await reads(pilot, "AICMO · Home")
        await pilot.press("4")
        await reads(pilot, "AICMO · Contacts")
        await pilot.press("slash", "3")
        assert app.screen.query_one("#filter").value == "3"
        assert app.current_mode == "contacts"
        await pilot.press("f3")
        await reads(pilot, "AICMO · Health")


async def test_the_footer_is_a_clickable_twin_of_the_keys(filled: Workspace) -> None:
    app = app_on(filled)
    async with app.run_test() as pilot:
        await steady(pilot)
        await pilot.click(next(key for key in app.screen.query(FooterKey) if key.description == "write"))
        await reads(pilot, "AICMO · Composer")


async def test_help_says_what_the_screen_is_for_and_what_its_keys_do(filled: Workspace) -> None:
    app = app_on(filled)
    async with app.run_test(size=(120, 40)) as pilot:
        await reads(pilot, "Needs you")
        await pilot.press("question_mark")
        await reads(pilot, "What needs you now", "Write a message")
        await pilot.press("f1")
        await until(pilot, lambda: not app.screen.query("HelpPanel"))


async def test_the_palette_finds_screens_verbs_and_people(filled: Workspace) -> None:
    app = app_on(filled)
    async with app.run_test(size=(100, 30)) as pilot:
        await reads(pilot, "Needs you")
        await pilot.press("ctrl+p", *"haddad")
        await reads(pilot, "Omar Haddad")
        await pilot.press("down", "enter")
        await reads(pilot, "AICMO · Contacts", "omar@haddad.example")
        await until(pilot, lambda: app.screen.query_one("#people").total == 1)


async def test_the_palette_offers_each_thing_once_and_nothing_of_the_toolkits_own(filled: Workspace) -> None:
    app = app_on(filled)
    async with app.run_test(size=(100, 30)) as pilot:
        await reads(pilot, "Needs you")
        for mode in ("home", "contacts"):
            app.action_show_screen(mode)
            await until(pilot, lambda mode=mode: app.current_mode == mode)
            said = [command.help for command in app.get_system_commands(app.screen)]
            assert {each for each in said if said.count(each) > 1} == set()
            titles = {command.title for command in app.get_system_commands(app.screen)}
            assert not {"Focus next", "Focus previous", "Copy selected text"} & titles


async def test_an_unforeseen_error_is_told_and_the_app_goes_on(filled: Workspace, unforeseen: list[LogRecord]) -> None:
    app = app_on(filled)
    async with app.run_test() as pilot:
        await reads(pilot, "Needs you")
        app.report(ZeroDivisionError("[/oops]"))
        await reads(pilot, "Something unforeseen", "ZeroDivisionError: [/oops]")
        await pilot.press("escape", "f4")
        await reads(pilot, "AICMO · Contacts")
    assert unforeseen.pop().exc_info[0] is ZeroDivisionError


async def test_an_error_of_ours_says_what_to_do(filled: Workspace) -> None:
    app = app_on(filled)
    async with app.run_test() as pilot:
        await reads(pilot, "Needs you")
        app.report(AicmoError("The thing failed.", hint="Try the other thing."))
        await reads(pilot, "The thing failed.", "Try the other thing.")


async def test_a_store_that_cannot_be_read_is_said_in_the_header_until_it_can(
    filled: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = app_on(filled)
    async with app.run_test(size=(120, 30)) as pilot:
        await reads(pilot, "Needs you")

        def locked() -> None:
            raise StoreLocked("The database is locked by another program.")

        with monkeypatch.context() as broken:
            broken.setattr(filled.publishing, "counted", locked)
            await reads(pilot, "✕ The database is locked")
        await until(pilot, lambda: "database is locked" not in text_of(app))


async def test_an_app_that_is_left_at_once_loads_nothing_ahead(empty: Workspace) -> None:
    app = app_on(empty)
    async with app.run_test():
        pass
    app._load_ahead()  # its timer may fire while the threads are being closed
