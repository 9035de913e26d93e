"""How the contacts screen looks in its states. Look at a picture before you accept it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest
from driving import app_on, reads, steady, until
from sample import JANE
from test_contacts import answer, choose, editing, field, opened
from textual.pilot import Pilot

from aicmo.crm.portrait import Portrait
from aicmo.errors import StoreLocked
from aicmo.workspace import Workspace
from aicmo_tui.screens.conflict import Conflict
from aicmo_tui.widgets.dialogs import Working

SIZES = {"80x24": (80, 24), "118x36": (118, 36)}
both_sizes = pytest.mark.parametrize("size", SIZES)
Snap = Callable[..., bool]


@both_sizes
def test_a_person(size: str, lived: Workspace, snap_compare: Snap) -> None:
    async def go(pilot: Pilot[None]) -> None:
        await opened(pilot)
        await pilot.press("space", "up", "enter")
        await steady(pilot)

    assert snap_compare(app_on(lived), terminal_size=SIZES[size], run_before=go)


@both_sizes
def test_an_edit_with_something_wrong(size: str, lived: Workspace, snap_compare: Snap) -> None:
    async def go(pilot: Pilot[None]) -> None:
        _, form = await editing(pilot)
        field(form, "stage").value = "friend"
        field(form, "field.renewal").value = "soon"
        await steady(pilot)

    lived.fields.add("renewal", "date")
    lived.fields.add("plan", "select", ["free", "pro"])
    assert snap_compare(app_on(lived), terminal_size=SIZES[size], run_before=go)


@both_sizes
def test_a_conflict(size: str, lived: Workspace, snap_compare: Snap) -> None:
    async def go(pilot: Pilot[None]) -> None:
        _, form = await editing(pilot)
        field(form, "title").value = "Chief of Growth"
        field(form, "phone").value = "+44 20 7946 0000"
        lived.crm.edit_all(JANE, {"title": "Head of Everything", "phone": "+44 1"})
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, Conflict))
        await pilot.press("m")
        await steady(pilot)

    assert snap_compare(app_on(lived), terminal_size=SIZES[size], run_before=go)


@both_sizes
def test_a_change_of_many_is_agreed_to(size: str, lived: Workspace, snap_compare: Snap) -> None:
    async def go(pilot: Pilot[None]) -> None:
        screen = await opened(pilot)
        await pilot.press("a")
        await until(pilot, lambda: screen.table.all_selected)
        await choose(pilot, "tag or untag")
        await answer(pilot, "vip, -trial")
        await reads(pilot, "Cancel")
        await steady(pilot)

    assert snap_compare(app_on(lived), terminal_size=SIZES[size], run_before=go)


def test_a_filter_that_finds_no_one(lived: Workspace, snap_compare: Snap) -> None:
    async def go(pilot: Pilot[None]) -> None:
        screen = await opened(pilot)
        screen.filter.value = "tag:nowhere"
        await reads(pilot, "Nobody like that")
        await steady(pilot)

    assert snap_compare(app_on(lived), terminal_size=SIZES["118x36"], run_before=go)


def test_a_person_who_cannot_be_read(lived: Workspace, snap_compare: Snap, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(contact_id: int) -> Portrait:
        raise StoreLocked("The database is locked by another program.", hint="Try again when it has finished.")

    async def go(pilot: Pilot[None]) -> None:
        pilot.app.action_show_screen("contacts")
        await reads(pilot, "✕ The database is locked")
        await steady(pilot)

    monkeypatch.setattr(lived.crm, "portrait", locked)
    assert snap_compare(app_on(lived), terminal_size=SIZES["118x36"], run_before=go)


def test_a_change_that_takes_its_time(lived: Workspace, snap_compare: Snap) -> None:
    async def go(pilot: Pilot[None]) -> None:
        await opened(pilot)
        lived.db.submit(lambda db: done.wait(5))
        await pilot.press("space", "t")
        await answer(pilot, "vip")
        await until(pilot, lambda: isinstance(pilot.app.screen, Working))
        await steady(pilot)
        asyncio.get_running_loop().call_later(1.0, done.set)  # the picture has been taken by then

    done = threading.Event()
    assert snap_compare(app_on(lived), terminal_size=SIZES["80x24"], run_before=go)
    done.set()
