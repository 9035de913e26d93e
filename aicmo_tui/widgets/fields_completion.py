"""While one types ``{{``: the fields that could stand there, in a list at the cursor.

The list never takes the focus, and keeps no key but the few that choose from it; ``escape`` closes it until the next
``{{``. A screen yields one ``FieldsCompletion`` and tells it the fields there are; every ``FieldInput`` and
``FieldArea`` on that screen uses it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from textual import events
from textual.geometry import Offset
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from aicmo_tui.present import line
from aicmo_tui.widgets.inputs import PlainInput, PlainTextArea

_BEGUN = re.compile(r"\{\{\s*([\w.]*)$")
_REST = re.compile(r"([\w.]*\s*\}\})?")
"""What a chosen field takes the place of, on the right of the cursor: the rest of a mark, never of the text."""


class FieldsCompletion(OptionList, can_focus=False):
    DEFAULT_CSS = """
    FieldsCompletion {
        overlay: screen; constrain: inside inflect; position: absolute; display: none;
        width: 38; height: auto; max-height: 10; padding: 0 1; border: round $primary; background: $surface;
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self.fields: Sequence[str] = ()
        self._refused: int | None = None
        """Where on its line the mark begins for which the list was closed."""
        self.border_subtitle = "⏎ take · tab + default · esc"

    def follow(self, typing: FieldArea | FieldInput) -> None:
        """Open, narrow or close, as what stands before the cursor asks for."""
        before, _ = typing.around_cursor()
        found = _BEGUN.search(before)
        if found is None:
            self._refused = None
        fitting = self._fitting(found[1]) if found and found.start() != self._refused else []
        self.display = bool(fitting) and typing.has_focus
        if self.display:
            self.clear_options()
            self.add_options([Option(line(name), id=name) for name in fitting])
            self.highlighted = 0
            self.absolute_offset = typing.cursor_screen_offset + Offset(0, 1)

    def _fitting(self, begun: str) -> list[str]:
        """Those that begin so, then those that contain it."""
        begun = begun.casefold()
        first = [name for name in self.fields if name.casefold().startswith(begun)]
        return first + [name for name in self.fields if begun in name.casefold() and name not in first]

    def take(self, typing: FieldArea | FieldInput, *, default: bool = False) -> None:
        """Write the highlighted field into ``typing``; with ``default`` the cursor stands where that is typed."""
        before, after = typing.around_cursor()
        found, rest = _BEGUN.search(before), _REST.match(after)
        if found is None or rest is None or self.highlighted_option is None:
            return
        ends = '") }}' if default else " }}"
        words = f"{{{{ {self.highlighted_option.id}" + (' | default("' if default else "") + ends
        back = len(ends) if default else 0
        typing.put(words, len(before) - found.start(), rest.end(), back)
        self.display = False

    def refuse(self, typing: FieldArea | FieldInput) -> None:
        """Close, and stay closed until another mark is begun."""
        found = _BEGUN.search(typing.around_cursor()[0])
        self._refused = found.start() if found else None
        self.display = False

    def take_key(self, typing: FieldArea | FieldInput, event: events.Key) -> None:
        """A key that chooses from the open list; any other goes on to where one types."""
        if not self.display:
            return
        match event.key:
            case "up":
                self.action_cursor_up()
            case "down":
                self.action_cursor_down()
            case "enter":
                self.take(typing)
            case "tab":
                self.take(typing, default=True)
            case "escape":
                self.refuse(typing)
            case _:
                return
        event.stop()
        event.prevent_default()


class Offered:
    """What both kinds of field have in common: the offer follows the cursor, and takes the keys that are for it."""

    def on_key(self, event: events.Key) -> None:
        self.screen.query_one(FieldsCompletion).take_key(self, event)

    def on_blur(self) -> None:
        self._follow()

    def _follow(self) -> None:
        if self.is_attached:
            self.call_after_refresh(lambda: self.screen.query_one(FieldsCompletion).follow(self))


class FieldInput(Offered, PlainInput):
    """One line of a template."""

    def around_cursor(self) -> tuple[str, str]:
        """What stands before and after the cursor."""
        return self.value[: self.cursor_position], self.value[self.cursor_position :]

    def put(self, words: str, before: int, after: int, back: int) -> None:
        """Put ``words`` in place of so many characters around the cursor, which then stands ``back`` from its end."""
        at = self.cursor_position
        self.replace(words, at - before, at + after)
        self.cursor_position = at - before + len(words) - back

    def watch_cursor_position(self) -> None:
        self._follow()

    def on_input_changed(self) -> None:
        self._follow()


class FieldArea(Offered, PlainTextArea):
    """Many lines of one."""

    def around_cursor(self) -> tuple[str, str]:
        """What stands before and after the cursor, on its line."""
        row, column = self.cursor_location
        words = self.document.get_line(row)
        return words[:column], words[column:]

    def put(self, words: str, before: int, after: int, back: int) -> None:
        """As of ``FieldInput``."""
        row, column = self.cursor_location
        self.replace(words, (row, column - before), (row, column + after), maintain_selection_offset=False)
        self.move_cursor((row, column - before + len(words) - back))

    def on_text_area_selection_changed(self) -> None:
        self._follow()

    def on_text_area_changed(self) -> None:
        self._follow()
