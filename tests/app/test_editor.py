"""The person's own editor: it has the terminal, the app goes on behind it, and no way to leave it loses anything."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from driving import app_on, reads, until

from aicmo.errors import InvalidInput
from aicmo.workspace import Workspace
from aicmo_tui.app import AicmoApp
from aicmo_tui.editor import edited

BODY = "Hello {{ first_name }}"


@pytest.fixture
def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes one of what it does with ``$1``."""
    program = tmp_path / "editor"

    def make(does: str) -> None:
        program.write_text(f"#!/bin/sh\n{does}\n")
        program.chmod(0o700)
        monkeypatch.setenv("VISUAL", str(program))

    return make


class Terminal:
    """Given away, and taken back, as Textual does it: not at all when what ran meanwhile failed."""

    given_away = 0

    @contextmanager
    def suspend(self) -> Iterator[None]:
        self.given_away += 1
        yield
        self.given_away -= 1


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    terminal = Terminal()
    monkeypatch.setattr(AicmoApp, "suspend", lambda app: terminal.suspend())
    return terminal


@pytest.mark.parametrize(
    ("does", "left"),
    [
        ("exit 0", BODY),
        ('echo >> "$1"', BODY),
        ('printf "Dear {{ first_name }}\\n" > "$1"', "Dear {{ first_name }}"),
        ('printf "Dear\\n\\n" > "$1.new" && mv "$1.new" "$1"', "Dear\n"),
    ],
    ids=["nothing is done", "a line end is added", "it is changed", "it is saved under its name anew"],
)
def test_what_the_editor_left(does: str, left: str, editor: Callable[[str], None], tmp_path: Path) -> None:
    editor(does)
    assert edited(BODY, tmp_path) == left


@pytest.mark.parametrize("does", ["exit 3", ': > "$1"', 'rm "$1"', "kill -9 $$"])
def test_an_editor_that_leaves_no_text_changes_none(does: str, editor: Callable[[str], None], tmp_path: Path) -> None:
    editor(does)
    with pytest.raises(InvalidInput):
        edited(BODY, tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["editor"]


def test_an_editor_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VISUAL", "no-such-editor --wait")
    with pytest.raises(InvalidInput, match=r"no-such-editor.* cannot be started: No such file"):
        edited(BODY, tmp_path)


def test_an_editor_that_cannot_be_read_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VISUAL", "code '--wait")
    with pytest.raises(InvalidInput, match="lacks a quotation mark"):
        edited(BODY, tmp_path)


def test_an_editor_named_by_blanks_is_none(editor: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    editor('echo other > "$1"')
    monkeypatch.setenv("EDITOR", os.environ["VISUAL"])
    monkeypatch.setenv("VISUAL", "  ")
    assert edited(BODY, Path(os.environ["EDITOR"]).parent) == "other"


async def test_after_an_editor_that_failed_the_app_has_its_terminal_again(
    filled: Workspace, terminal: Terminal, editor: Callable[[str], None]
) -> None:
    editor("exit 3")
    app = app_on(filled)
    async with app.run_test(size=(118, 36)) as pilot:
        await pilot.press("f5")
        await until(pilot, lambda: app.screen.query("#body"))
        app.screen.query_one("#body").insert(BODY)
        await pilot.press("ctrl+o")
        await reads(pilot, "That did not work", "ended with status 3", "Nothing was taken over.")
        assert not terminal.given_away
        await pilot.press("escape")
        await until(pilot, lambda: len(app.screen_stack) == 1)
        assert app.screen.query_one("#body").text == BODY


async def test_what_stood_there_before_the_editor_is_a_version_of_its_own(
    filled: Workspace, terminal: Terminal, editor: Callable[[str], None]
) -> None:
    editor('echo "{% if %}" > "$1"')
    app = app_on(filled)
    async with app.run_test(size=(118, 36)) as pilot:
        await pilot.press("f5")
        await until(pilot, lambda: app.screen.query("#body"))
        app.screen.query_one("#body").insert(BODY)
        await pilot.press("ctrl+o")
        await until(pilot, lambda: app.screen.query_one("#body").text == "{% if %}")
        content = filled.contents.list()[0].id
        await until(pilot, lambda: len(filled.contents.versions(content)) == 2)
    assert [each.draft.body for each in filled.contents.versions(content)] == ["{% if %}", BODY]


async def test_the_app_goes_on_behind_the_editor_and_an_interrupt_is_the_editors(
    filled: Workspace, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    went_on = threading.Event()
    app = app_on(filled)

    def slow(text: str, folder: Path) -> str:
        os.kill(os.getpid(), signal.SIGINT)
        assert went_on.wait(10)
        return text + "!"

    monkeypatch.setattr("aicmo_tui.editor.edited", slow)
    async with app.run_test(size=(118, 36)) as pilot:
        await pilot.press("f5")
        await until(pilot, lambda: app.screen.query("#body"))
        app.screen.query_one("#body").insert(BODY)
        await pilot.press("ctrl+o")
        await until(pilot, lambda: terminal.given_away)
        app.set_timer(0.01, went_on.set)
        await until(pilot, lambda: app.screen.query_one("#body").text == BODY + "!")
    assert not terminal.given_away
