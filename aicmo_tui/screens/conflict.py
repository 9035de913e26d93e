"""Somebody else changed the same fields meanwhile: mine, theirs and what stood there, to choose from field by field."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from textual import on
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Button, Static

from aicmo_tui.keys import key
from aicmo_tui.present import ACCENT, MUTED, TITLE, line, value
from aicmo_tui.widgets.columns import Column
from aicmo_tui.widgets.dialogs import Dialog
from aicmo_tui.widgets.facts import Facts
from aicmo_tui.widgets.lazy_table import HEADER_ROWS, LazyTable
from aicmo_tui.widgets.rows import Rows

SIDES = ("mine", "theirs", "original")


@dataclass(frozen=True, slots=True)
class Dispute:
    """One field, and whose word is taken."""

    field: str
    says: Mapping[str, str]
    """A side -> its value."""
    taken: str


class Disputes(LazyTable[Dispute]):
    BINDINGS = [key("conflict.next", "enter", "open", "another one", "The next of the three")]


class Conflict(Dialog[dict[str, str] | None]):
    """Gives what each of the fields is to be, or ``None``: back to what was being edited, nothing is saved.

    Theirs is taken until the person says otherwise, so that agreeing at once overwrites nothing.
    """

    DEFAULT_CSS = """
    Conflict { align: center middle; background: $background 60%; }
    Conflict > Vertical {
        width: 100; max-width: 96%; height: auto; max-height: 90%; padding: 1 2;
        background: $surface; border: round $warning;
    }
    Conflict .told { height: auto; margin-bottom: 1; }
    Conflict LazyTable { max-height: 6; }
    Conflict Facts { margin-top: 1; max-height: 6; }
    Conflict Horizontal { height: auto; align-horizontal: right; margin-top: 1; }
    Conflict Button { margin-left: 2; width: auto; min-width: 10; }
    """
    AUTO_FOCUS = "LazyTable"
    HELP = """Whose word is kept, field by field. Theirs is, until you say otherwise: saving at once overwrites nothing.
Going back saves nothing, and what you typed stays in the form."""
    BINDINGS = [
        key("conflict.close", "escape", "close", "back", "Back to the form; nothing is saved"),
        key("conflict.mine", "m", "take('mine')", "mine", "Take what you typed"),
        key("conflict.theirs", "t", "take('theirs')", "theirs", "Take what they wrote"),
        key("conflict.original", "o", "take('original')", "original", "Take what stood there before"),
        key("conflict.save", "ctrl+g", "save", "save", "Save what is chosen"),
    ]

    def __init__(self, who: str, conflicts: Mapping[str, Mapping[str, str]]) -> None:
        """``conflicts`` as ``EditConflict`` has them."""
        super().__init__()
        self._who = who
        self._disputes = [Dispute(field, says, "theirs") for field, says in conflicts.items()]

    def body(self) -> Iterable[Widget]:
        columns = [
            Column("Field", 10, lambda dispute: value(named(dispute.field))),
            *(Column(side.capitalize(), 14, lambda dispute, side=side: word(dispute, side), grow=1) for side in SIDES),
        ]
        with Vertical():
            yield Static(
                line("Somebody else changed ", value(self._who, TITLE), " meanwhile. Whose word is it to be?"),
                classes="told",
            )
            table = Disputes(columns, key_of=lambda dispute: dispute.field, id="disputes")
            table.styles.height = len(self._disputes) + HEADER_ROWS
            yield table
            yield Facts()
            yield Static(line(("enter: another one · m mine · t theirs · o original", MUTED)))
            with Horizontal():
                yield Button(line("Back to the form"), id="back")
                yield Button(line("Save these"), id="save", variant="primary")

    def on_mount(self) -> None:
        self._show()

    @property
    def table(self) -> LazyTable[Dispute]:
        return self.query_one("#disputes", LazyTable)

    def _show(self) -> None:
        self.table.reload(Rows(tuple(self._disputes)))

    @on(LazyTable.Moved)
    def _in_full(self, event: LazyTable.Moved) -> None:
        """All three of the one under the cursor, however long they are."""
        dispute: Dispute | None = event.row
        if dispute is not None:
            self.query_one(Facts).show([(line((side, MUTED)), word(dispute, side)) for side in SIDES])

    @on(LazyTable.Opened)
    def _next_side(self, event: LazyTable.Opened) -> None:
        self.action_take(SIDES[(SIDES.index(event.row.taken) + 1) % len(SIDES)])

    def action_take(self, side: str) -> None:
        place = self.table.cursor
        old = self._disputes[place]
        self._disputes[place] = Dispute(old.field, old.says, side)
        self._show()

    @on(Button.Pressed, "#save")
    def action_save(self) -> None:
        self.dismiss({each.field: each.says[each.taken] for each in self._disputes})

    @on(Button.Pressed, "#back")
    def action_close(self) -> None:
        self.dismiss(None)


def named(field: str) -> str:
    """A key of ``changes.State`` as a person reads it: ``tag vip``, ``first name``."""
    return field.removeprefix("field.").replace(".", " ").replace("_", " ")


def word(dispute: Dispute, side: str) -> Content:
    mark = ("● ", ACCENT) if dispute.taken == side else ("○ ", MUTED)
    text = dispute.says[side]
    return line(mark, value(text) if text else line(("nothing", MUTED)))
