"""Fields to type into that hold only plain text: what is pasted or loaded cannot steer the terminal it is drawn on."""

from __future__ import annotations

import dataclasses

from textual.document._document import EditResult
from textual.document._edit import Edit
from textual.widgets import Input, TextArea

from aicmo.text import plain


class PlainInput(Input):
    """One line."""

    def validate_value(self, value: str) -> str:
        return plain(value).replace("\n", " ").replace("\t", " ")

    def check_consume_key(self, key: str, character: str | None) -> bool:
        """A footer asks by the key's name alone, and Textual does not know that ``slash`` types something."""
        return super().check_consume_key(key, "/" if key == "slash" else character)


class PlainTextArea(TextArea):
    """Many lines."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """F6 and F7 go to a screen, as they do everywhere: selected instead, a line would be gone with the next key."""
        return action not in ("select_line", "select_all")

    def edit(self, edit: Edit) -> EditResult:
        return super().edit(dataclasses.replace(edit, text=plain(edit.text)))

    def load_text(self, text: str) -> None:
        super().load_text(plain(text))
