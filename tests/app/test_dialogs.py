"""The dialogs: their answers stay in sight, and one that goes by itself takes no other with it."""

from __future__ import annotations

import pytest
from driving import app_on, reads, steady, text_of, until
from textual.widgets import Button
from textual.widgets._footer import FooterKey

from aicmo.workspace import Workspace
from aicmo_tui.present import line, lines
from aicmo_tui.screens import enriching, health_log, importing, versions  # noqa: F401 - for the walk over all dialogs
from aicmo_tui.screens.conflict import Conflict
from aicmo_tui.widgets.dialogs import Ask, Busy, Choose, Dialog, Help, Notice, Passing, Working, confirm
from aicmo_tui.widgets.form import Form, Line
from aicmo_tui.widgets.inputs import PlainInput
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


def subclasses(dialog: type) -> set[type]:
    return {dialog}.union(*(subclasses(each) for each in dialog.__subclasses__()))


@pytest.mark.parametrize("dialog", sorted(subclasses(Dialog) - {Dialog, Passing, Help}, key=lambda each: each.__name__))
def test_every_dialog_says_what_it_decides(dialog: type) -> None:
    assert dialog.HELP


async def test_help_tells_of_the_dialog_and_goes_without_it(empty: Workspace) -> None:
    app = app_on(empty)
    async with app.run_test(size=(80, 24)) as pilot:
        form = Form(line("Which variant is better?"), [Line("goal", "better by", str, example="clicks or replies")])
        await app.push_screen(form)
        await pilot.press(*"clicks?", "f1")
        await reads(
            pilot, "looked at before anything is kept", "better by  clicks or replies", "Keep what stands there"
        )
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is form)
        assert form.query_one(PlainInput).value == "clicks?"


async def test_the_arrows_go_from_line_to_line_of_a_form_that_does_not_fit(empty: Workspace) -> None:
    app = app_on(empty)
    async with app.run_test(size=(80, 24)) as pilot:
        form = Form(line("Much to ask"), [Line(str(number), f"line {number}", str) for number in range(30)])
        await app.push_screen(form)
        await until(pilot, lambda: isinstance(form.focused, PlainInput))
        await pilot.press("down", "down", "up")
        assert form.focused.id == "line-1"


async def test_where_nothing_is_typed_a_question_mark_tells_too(empty: Workspace) -> None:
    app = app_on(empty)
    async with app.run_test() as pilot:
        await app.push_screen(confirm(line("Send to 4 people?"), "Send"))
        await pilot.press("question_mark")
        await reads(pilot, "The first one changes")


FOOTERS = {
    "a question": (lambda: confirm(line("Send?"), "Send"), {"leave it", "help"}),
    "what is told": (lambda: Notice("That did not work", "It is full."), {"close", "copy", "help"}),
    "a list": (lambda: Picker("Which stage?", [("NEW", "NEW")]), {"choose", "close", "filter", "help"}),
    "what is typed": (lambda: Ask(line("When?"), "tomorrow"), {"go on", "leave it", "help"}),
    "whose word": (
        lambda: Conflict("Jane", {"title": {"mine": "a", "theirs": "b", "original": "c"}}),
        {"another one", "back", "mine", "theirs", "original", "save", "help"},
    ),
}


@pytest.mark.parametrize("case", FOOTERS)
async def test_a_footer_says_what_the_keys_do_here(case: str, empty: Workspace) -> None:
    build, says = FOOTERS[case]
    app = app_on(empty)
    async with app.run_test(size=(118, 36)) as pilot:
        await app.push_screen(build())

        def shown() -> list[str]:
            return [each.description for each in app.screen.query(FooterKey)]

        await until(pilot, lambda: set(shown()) == says)
        assert shown()[-1] == "help"


async def test_a_list_to_choose_from_has_its_title_once(empty: Workspace) -> None:
    app = app_on(empty)
    async with app.run_test() as pilot:
        app.push_screen(Picker("Which stage?", [("NEW", "NEW")]))
        await reads(pilot, "Which stage?", "NEW")
        assert text_of(app).count("Which stage?") == 1
