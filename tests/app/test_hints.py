"""What to do about an error: on a command line a verb, in the app the key that does the same."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import click
import pytest
from driving import app_on, reads, text_of

import aicmo
from aicmo.errors import NotFound, VerbHint
from aicmo.workspace import Workspace
from aicmo_tui.cli import NOUNS
from aicmo_tui.hints import KEYS, hint_in_app

CORE = Path(next(iter(aicmo.__path__)))
ONLY_THERE = {
    "change list",
    "contact timeline",
    "field change",
    "field list",
    "import list",
    "import undo",
    "segment edit",
}
"""Verbs that hints name and the app has no key for."""


def first_words(text: ast.expr) -> str:
    """What stands before the first thing that is filled in."""
    if isinstance(text, ast.JoinedStr):
        text = text.values[0]
    assert isinstance(text, ast.Constant)
    return str(text.value)


def verbs() -> Iterator[list[str]]:
    """The words of every verb that a hint of the core names."""
    for file in CORE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "VerbHint":
                yield first_words(node.args[1]).split()


def is_verb(words: list[str]) -> bool:
    if words[0] not in NOUNS:
        return False
    module, _, name = NOUNS[words[0]].partition(":")
    noun: click.Command = getattr(import_module(module), name)
    return len(words) == 1 or (isinstance(noun, click.Group) and words[1] in noun.commands)


def test_every_hint_that_names_a_verb_has_its_key_in_the_app() -> None:
    named = list(verbs())
    assert len(named) > 30
    for words in named:
        two, one = " ".join(words[:2]), words[0]
        assert two in KEYS or one in KEYS or two in ONLY_THERE, words
        assert is_verb(words[:2]) or is_verb(words[:1]), words


@pytest.mark.parametrize("verb", sorted(KEYS.keys() | ONLY_THERE))
def test_every_key_stands_for_a_verb_that_there_is(verb: str) -> None:
    assert is_verb(verb.split())


def test_a_hint_is_a_command_line_but_in_the_app() -> None:
    hint = VerbHint("Go on with", "campaign resume 3")
    assert NotFound("It is paused.", hint=hint).as_dict()["hint"] == "Go on with: aicmo campaign resume 3"
    assert hint_in_app(hint) == "Go on with: space, on the campaign (F6)."
    assert hint_in_app("Try again.") == "Try again."
    assert hint_in_app(VerbHint("See them with", "field list")) == "See them with: aicmo field list"


async def test_an_error_in_the_app_names_the_key_and_no_command_line(filled: Workspace) -> None:
    app = app_on(filled)
    async with app.run_test(size=(118, 36)) as pilot:
        await reads(pilot, "Needs you")
        try:
            filled.publishing.campaign(99)
        except NotFound as error:
            app.report(error)
        await reads(pilot, "There is no campaign 99.", "List them with: F6.")
        assert "aicmo campaign" not in text_of(app)
