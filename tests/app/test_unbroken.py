"""Whatever goes wrong inside the app: it says so in a sentence, writes the rest down without values, and goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from logging import LogRecord
from pathlib import Path

import pytest
from driving import TRIES, TRY_S, app_on, reads, text_of, until
from sample import fill_campaign
from test_sending import PEOPLE, open_with
from textual.pilot import Pilot

from aicmo.errors import ConfigInvalid
from aicmo.log import logging_to
from aicmo.sandbox import start_sandbox
from aicmo.workspace import Workspace
from aicmo_tui.app import AicmoApp
from aicmo_tui.cli.app import show
from aicmo_tui.screens.campaign import CampaignScreen
from aicmo_tui.screens.contacts import ContactsScreen
from aicmo_tui.screens.home import HomeScreen
from aicmo_tui.widgets.dialogs import Notice
from aicmo_tui.widgets.header import HeaderLine

Patch = pytest.MonkeyPatch


def boom(*_: object) -> None:
    wheel = "c4nary-s3cret"
    raise ZeroDivisionError(f"a wheel of {len(wheel)} came off")


async def boom_later() -> None:
    boom()


async def comes(condition: Callable[[], object]) -> None:
    """``until`` for the moment when a screen goes: Pilot's own waiting does not survive that."""
    for _ in range(TRIES):
        if condition():
            return
        await asyncio.sleep(TRY_S)
    raise AssertionError("never came")


async def in_a_key_of_a_screen(pilot: Pilot[None], patch: Patch) -> None:
    patch.setattr(HomeScreen, "key_z", boom, raising=False)
    pilot.app.screen.focused.blur()
    await pilot.press("z")


async def in_an_action_of_the_app(pilot: Pilot[None], patch: Patch) -> None:
    patch.setattr(AicmoApp, "action_toggle_help", boom)
    await pilot.press("f1")


async def in_a_worker(pilot: Pilot[None], patch: Patch) -> None:
    pilot.app.screen.run_worker(boom_later)


async def in_a_timer(pilot: Pilot[None], patch: Patch) -> None:
    pilot.app.screen.set_timer(0.01, boom)


async def after_a_refresh(pilot: Pilot[None], patch: Patch) -> None:
    pilot.app.screen.call_after_refresh(boom)


async def in_drawing(pilot: Pilot[None], patch: Patch) -> None:
    patch.setattr(HeaderLine, "render", boom)
    pilot.app.screen.query_one(HeaderLine).refresh()


async def in_laying_out(pilot: Pilot[None], patch: Patch) -> None:
    header = pilot.app.screen.query_one(HeaderLine)
    patch.setattr(HeaderLine, "get_content_height", boom)
    header.styles.height = "auto"


async def in_composing_a_pushed_screen(pilot: Pilot[None], patch: Patch) -> None:
    patch.setattr(CampaignScreen, "body", boom)
    pilot.app.push_screen(CampaignScreen(1))


async def in_mounting_a_pushed_screen(pilot: Pilot[None], patch: Patch) -> None:
    patch.setattr(CampaignScreen, "on_mount", boom)
    pilot.app.push_screen(CampaignScreen(1))


async def in_composing_a_screen_of_the_table(pilot: Pilot[None], patch: Patch) -> None:
    patch.setattr(ContactsScreen, "body", boom)
    pilot.app.action_show_screen("contacts")


WAYS: tuple[Callable[[Pilot[None], Patch], Awaitable[None]], ...] = (
    in_a_key_of_a_screen,
    in_an_action_of_the_app,
    in_a_worker,
    in_a_timer,
    after_a_refresh,
    in_drawing,
    in_laying_out,
    in_composing_a_pushed_screen,
    in_mounting_a_pushed_screen,
    in_composing_a_screen_of_the_table,
)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
async def test_an_exception_is_told_once_and_the_app_goes_on(
    way: Callable[[Pilot[None], Patch], Awaitable[None]],
    filled: Workspace,
    monkeypatch: Patch,
    unforeseen: list[LogRecord],
) -> None:
    app = app_on(filled)
    with logging_to(filled.paths.log_file):
        async with app.run_test(size=(100, 30)) as pilot:
            await reads(pilot, "Needs you", "14:05")
            await way(pilot, monkeypatch)
            await comes(lambda: isinstance(app.screen, Notice))
            await reads(pilot, "Something unforeseen", "ZeroDivisionError: a wheel", "It is written down")
            monkeypatch.undo()
            await pilot.press("escape")
            await until(pilot, lambda: len(app.screen_stack) == 1)
            assert app.current_mode == "home" and "Needs you" in text_of(app)
            for key, title in (("f4", "Contacts"), ("f3", "Health"), ("f2", "")):
                await pilot.press(key)
                await reads(pilot, "Jane Doe" if key == "f4" else title)
            assert not isinstance(app.screen, Notice)
    assert app.failure is None and not app.return_code
    assert ZeroDivisionError in {record.exc_info[0] for record in unforeseen}
    unforeseen.clear()
    written = filled.paths.log_file.read_text()
    assert "Traceback" in written and "in boom" in written and "c4nary" not in written


async def test_what_fails_at_every_tick_is_told_once(
    filled: Workspace, monkeypatch: Patch, unforeseen: list[LogRecord]
) -> None:
    app, ticks = app_on(filled), []

    def tick() -> None:
        ticks.append(1)
        boom()

    async with app.run_test() as pilot:
        await reads(pilot, "Needs you")
        app.screen.set_interval(0.01, tick)
        await reads(pilot, "Something unforeseen")
        await pilot.press("escape")
        seen = len(ticks)
        await until(pilot, lambda: len(ticks) > seen + 5)
        assert not isinstance(app.screen, Notice)
    assert len(unforeseen) == 1
    unforeseen.clear()


async def test_a_send_under_way_does_not_notice(
    tmp_path: Path, monkeypatch: Patch, unforeseen: list[LogRecord]
) -> None:
    with start_sandbox(tmp_path / "sandbox") as sandbox:
        async with open_with(sandbox, tmp_path, per_second=50) as workspace:
            app = AicmoApp(workspace)
            async with app.run_test() as pilot:
                await until(pilot, lambda: workspace.publishing.counts(1).sent > 0)
                await in_drawing(pilot, monkeypatch)
                await in_a_worker(pilot, monkeypatch)
                await in_composing_a_screen_of_the_table(pilot, monkeypatch)
                await comes(lambda: workspace.publishing.counts(1).sent == PEOPLE)
    assert unforeseen
    unforeseen.clear()


# --- opening ----------------------------------------------------------------------------------------------------------


async def test_the_first_frame_stands_before_anything_is_opened(empty: Workspace) -> None:
    seen: list[str] = []

    async def opens() -> Workspace:
        seen.append(text_of(app))
        return empty

    app = AicmoApp(opens=opens, sends=False)
    async with app.run_test() as pilot:
        await reads(pilot, "Nobody is here yet")
        assert "AICMO · Home" in seen[0] and "Opening" in seen[0] and "no sender" not in seen[0]
        await pilot.press("ctrl+p")
        await reads(pilot, "Search for commands")


async def test_a_key_pressed_while_it_opens_is_not_lost(empty: Workspace) -> None:
    async def opens() -> Workspace:
        await pilot.press("f3", "ctrl+p", "f1", "f4")
        return empty

    app = AicmoApp(opens=opens, sends=False)
    async with app.run_test() as pilot:
        await reads(pilot, "AICMO · Contacts")
        assert app.failure is None


async def test_leaving_while_it_opens_leaves_nothing_open(empty: Workspace) -> None:
    opened: list[Workspace] = []

    async def opens() -> Workspace:
        app.exit()
        opened.append(empty)
        return empty

    app = AicmoApp(opens=opens)
    async with app.run_test() as pilot:
        await until(pilot, lambda: app._exit)
    assert opened and app.failure is None


async def test_what_cannot_be_opened_is_raised_when_the_screen_is_free_again(monkeypatch: Patch) -> None:
    async def without_a_terminal(app: AicmoApp) -> None:
        async with app.run_test() as pilot:
            await until(pilot, lambda: app._exit)

    def opens() -> Workspace:
        raise ConfigInvalid("The key is unknown.", hint="Remove it.")

    monkeypatch.setattr(AicmoApp, "run_async", without_a_terminal)
    with pytest.raises(ConfigInvalid):
        await show(opens)


async def test_the_workspace_is_closed_when_the_app_ends(filled: Workspace, monkeypatch: Patch) -> None:
    fill_campaign(filled, "Another", "paused")

    async def without_a_terminal(app: AicmoApp) -> None:
        async with app.run_test() as pilot:
            await reads(pilot, "Needs you")

    monkeypatch.setattr(AicmoApp, "run_async", without_a_terminal)
    await show(lambda: filled)
    with pytest.raises(Exception, match="closed"):
        filled.crm.add("late@acme.example")
