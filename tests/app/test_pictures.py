"""How every screen looks, empty and filled, in the two sizes that matter. Look at a picture before you accept it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from driving import app_on, reads, steady, until
from textual.pilot import Pilot
from textual.widgets import Static
from trouble import open_healthy, open_troubled

from aicmo.publishing import Draft
from aicmo.workspace import Workspace
from aicmo_tui.screens import SCREENS

SIZES = {"80x24": (80, 24), "120x40": (120, 40)}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("mode", SCREENS)
def test_filled(mode: str, size: str, filled: Workspace, snap_compare: Callable[..., bool]) -> None:
    async def go(pilot: Pilot[None]) -> None:
        pilot.app.action_show_screen(mode)
        await steady(pilot)

    assert snap_compare(app_on(filled), terminal_size=SIZES[size], run_before=go)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("mode", SCREENS)
def test_empty(mode: str, size: str, empty: Workspace, snap_compare: Callable[..., bool]) -> None:
    async def go(pilot: Pilot[None]) -> None:
        pilot.app.action_show_screen(mode)
        await steady(pilot)

    assert snap_compare(app_on(empty), terminal_size=SIZES[size], run_before=go)


@pytest.mark.parametrize("size", SIZES)
def test_one_campaign(size: str, filled: Workspace, snap_compare: Callable[..., bool]) -> None:
    async def go(pilot: Pilot[None]) -> None:
        pilot.app.open_campaign(1)
        await steady(pilot)
        await pilot.press("enter")
        await steady(pilot)

    assert snap_compare(app_on(filled), terminal_size=SIZES[size], run_before=go)


@pytest.mark.parametrize("size", SIZES)
def test_a_message_with_its_preview(size: str, filled: Workspace, snap_compare: Callable[..., bool]) -> None:
    async def go(pilot: Pilot[None]) -> None:
        pilot.app.write_to("tag:trial")
        await pilot.pause()
        await pilot.press(*"Hi")
        pilot.app.screen.query_one("#body").load_text("Hello {{ first_name }},\n\nthis *autumn* we ...")
        await reads(pilot, "version 1, draft, saved just now")
        found = pilot.app.screen.query_one("#findings", Static)
        await until(pilot, lambda: "no preheader" in str(found.content))
        await until(pilot, lambda: pilot.app.screen._names.topics)  # what follows the writing last
        await steady(pilot)
        if size == "80x24":
            await pilot.press("ctrl+r")
        await steady(pilot)

    assert snap_compare(app_on(filled), terminal_size=SIZES[size], run_before=go)


@pytest.mark.parametrize("size", SIZES)
def test_a_post_that_is_too_long(size: str, filled: Workspace, snap_compare: Callable[..., bool]) -> None:
    async def go(pilot: Pilot[None]) -> None:
        original = Draft("Why we moved", "We *moved* to [a new place](https://example.com).\n\n" + "Here is why. " * 24)
        content = filled.contents.create("blog", "Moving", original)
        filled.contents.approve(content.id)
        filled.contents.save(content.id, Draft("", "We moved! " * 30), channel="x")
        filled.reviews.add(content.id, "mind the tone", "x")
        pilot.app.edit(content, "")
        await reads(pilot, "● approved")
        await pilot.press("escape", "right", "right")
        await reads(pilot, "19 too long")
        await steady(pilot)

    assert snap_compare(app_on(filled), terminal_size=SIZES[size], run_before=go)


def test_what_differs_between_two_versions(filled: Workspace, snap_compare: Callable[..., bool]) -> None:
    async def go(pilot: Pilot[None]) -> None:
        content = filled.contents.create("email", "Moving", Draft("We moved", "Hello,\n\nwe moved on Monday.\n\nAda"))
        filled.contents.approve(content.id)
        filled.contents.save(content.id, Draft("We moved!", "Hello,\n\nwe moved on Friday, all of us.\n\nAda"))
        pilot.app.edit(content, "")
        await reads(pilot, "Composer · Moving")
        await pilot.press("escape", "v")
        await reads(pilot, "This is what stands there now.")
        await pilot.press("down")
        await steady(pilot)

    assert snap_compare(app_on(filled), terminal_size=SIZES["80x24"], run_before=go)


def test_a_confirmation(filled: Workspace, snap_compare: Callable[..., bool]) -> None:
    async def go(pilot: Pilot[None]) -> None:
        pilot.app.open_campaign(3)
        await steady(pilot)
        await pilot.press("a")
        await steady(pilot)

    assert snap_compare(app_on(filled), terminal_size=(80, 24), run_before=go)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("how", [open_healthy, open_troubled])
def test_health(how: Callable[[Path], Workspace], size: str, tmp_path: Path, snap_compare: Callable[..., bool]) -> None:
    async def go(pilot: Pilot[None]) -> None:
        pilot.app.action_show_screen("health")
        await steady(pilot)

    with how(tmp_path) as workspace:
        assert snap_compare(app_on(workspace), terminal_size=SIZES[size], run_before=go)


def test_disabling_asks(tmp_path: Path, snap_compare: Callable[..., bool]) -> None:
    async def go(pilot: Pilot[None]) -> None:
        pilot.app.action_show_screen("health")
        await steady(pilot)
        await pilot.press("d")
        await steady(pilot)

    with open_healthy(tmp_path) as workspace:
        assert snap_compare(app_on(workspace), terminal_size=SIZES["80x24"], run_before=go)
