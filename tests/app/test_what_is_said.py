"""What the contacts screen says: where a filter is wrong, which keys a dialog has, what was done and taken back."""

from __future__ import annotations

import threading

import pytest
from driving import app_on, reads, text_of, until
from rich.cells import cell_len
from sample import JANE
from test_contacts import answer, both_sizes, editing, field, opened

from aicmo.workspace import Workspace
from aicmo_tui.app import AicmoApp
from aicmo_tui.screens.found import Found


@both_sizes
async def test_what_cannot_be_read_in_a_filter_is_pointed_at(lived: Workspace, size: tuple[int, int]) -> None:
    app = app_on(lived)
    async with app.run_test(size=size) as pilot:
        screen = await opened(pilot)
        await pilot.press("slash")
        for typed, wrong in (("小龍 or (colour:red", "colour"), ("tag:vip " * 12 + "stage:wrong", "wrong")):
            screen.filter.value = typed
            await pilot.press("end")
            await reads(pilot, "^", "✕ ")
            await until(pilot, lambda wrong=wrong: wrong in pointed_at(app))
            assert pointed_at(app).startswith(wrong)
        screen.filter.value = "tag:vip"
        await until(pilot, lambda: "✕" not in text_of(app) and "^ " not in text_of(app))


def pointed_at(app: AicmoApp) -> str:
    """What stands above the caret and right of it."""
    rows = app.screen._compositor.render_strips(app.size)
    place = next((cell_len(row.text.split("^")[0]) for row in rows[2:] if row.text.strip() == "^"), None)
    return "" if place is None else rows[1].crop(place).text


async def test_the_footer_of_a_dialog_names_its_keys_alone(lived: Workspace) -> None:
    app = app_on(lived)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        for keys, footer in (
            ("N", "⏎ go on esc leave it F1 help"),
            ("w", "esc close F1 help"),
            ("b", "⏎ choose esc close / filter F1 help"),
        ):
            await pilot.press(keys)
            await until(pilot, lambda footer=footer: text_of(app).splitlines()[-1].strip() == footer)
            await pilot.press("escape")
            await until(pilot, lambda: len(app.screen_stack) == 1)


async def test_a_day_that_is_none_is_said_at_its_field_and_what_was_typed_before_stays(lived: Workspace) -> None:
    app = app_on(lived)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await opened(pilot)
        await pilot.press("down", "n")
        await reads(pilot, "What is next with Omar Haddad?")
        await answer(pilot, "send the offer")
        await reads(pilot, "send the offer: on which day?")
        await answer(pilot, "tuesay")
        await reads(pilot, "send the offer: on which day?", "tuesay", "✕ “tuesay” is no day.")
        app.screen.query_one("Input").value = "tuesday"
        await until(pilot, lambda: "✕" not in text_of(app))
        await pilot.press("enter")
        await reads(pilot, "Planned for Tue 24 Nov.")


async def test_help_leaves_header_and_footer_their_room(lived: Workspace) -> None:
    app = app_on(lived)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        first, *_, last = text_of(app).splitlines()
        await pilot.press("f1")
        await reads(pilot, "Type a filter after")
        assert (text_of(app).splitlines()[0], text_of(app).splitlines()[-1]) == (first, last)


async def test_escape_closes_the_help_before_it_does_anything_else(lived: Workspace) -> None:
    app = app_on(lived)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot)
        screen.filter.value = "jane"
        await reads(pilot, "/  jane")
        await pilot.press("f1")
        await reads(pilot, "Type a filter after")
        await pilot.press("escape")
        await until(pilot, lambda: "Type a filter after" not in text_of(app))
        assert screen.filter.value == "jane"
        await pilot.press("escape", "escape")
        await until(pilot, lambda: screen.filter.value == "")


async def test_a_note_is_taken_back_and_done_again(lived: Workspace) -> None:
    app = app_on(lived)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await opened(pilot)
        await pilot.press("N")
        await reads(pilot, "A note about Jane Doe")
        await answer(pilot, "wants a demo")
        jane = lived.crm.get(JANE)
        await until(pilot, lambda: lived.timeline.page(jane.id, search="demo").items and len(app.screen_stack) == 1)
        await pilot.press("ctrl+z")
        await reads(pilot, f"Undo: wrote a note about {JANE}: wants a demo,", "Consent and opt-outs are never undone")
        await pilot.press("right", "enter")
        await reads(pilot, "Undone: wrote a note about")
        assert not lived.timeline.page(jane.id, search="demo").items
        await pilot.press("ctrl+y")
        await reads(pilot, f"Do again: wrote a note about {JANE}: wants a demo?")
        await pilot.press("right", "enter")
        await reads(pilot, "Done again: wrote a note")
        assert lived.timeline.page(jane.id, search="demo").items


async def test_a_tag_that_nobody_has_is_said_not_to_be_there(lived: Workspace) -> None:
    app = app_on(lived)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await opened(pilot)
        await pilot.press("t")
        await answer(pilot, "-vpi")
        await reads(pilot, "0 of 1 person changed. Nobody", "“vpi”")


async def test_a_list_that_is_being_read_says_so(lived: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    read, may_read = Found.window, threading.Event()

    def slowly(found: Found, offset: int, limit: int) -> object:
        may_read.wait(10)
        return read(found, offset, limit)

    monkeypatch.setattr(Found, "window", slowly)
    async with app_on(lived).run_test(size=(80, 24)) as pilot:
        await pilot.press("f4")
        await reads(pilot, "Reading ...")
        may_read.set()
        await reads(pilot, "Jane Doe")
        await until(pilot, lambda: "Reading" not in text_of(pilot.app))


async def test_an_edit_offers_the_custom_fields_that_nobody_gave_a_type(lived: Workspace) -> None:
    async with app_on(lived).run_test(size=(80, 24)) as pilot:
        _, form = await editing(pilot)
        await reads(pilot, "city", "London")
        field(form, "field.city").value = "Paris"
        await pilot.press("enter")
        await until(pilot, lambda: lived.crm.get(JANE).fields == {"city": "Paris"})
