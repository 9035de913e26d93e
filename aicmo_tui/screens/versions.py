"""The versions of a text: what each said, and what differs from the one that stands there now."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from textual.containers import Vertical, VerticalScroll
from textual.widget import Widget
from textual.widgets import Static

from aicmo.clock import parse_rfc3339
from aicmo.publishing import Contents
from aicmo.publishing.writing.comparing import IN, LEFT_OUT, OUT, REWORDED, Difference, Line
from aicmo.publishing.writing.contents import Comparison
from aicmo.store.contents import Version
from aicmo_tui.keys import key
from aicmo_tui.present import BAD, GOOD, MUTED, TITLE, Content, day_and_time, line, lines, prose, value
from aicmo_tui.widgets.columns import Column
from aicmo_tui.widgets.dialogs import Dialog
from aicmo_tui.widgets.lazy_table import LazyTable
from aicmo_tui.widgets.rows import Rows
from aicmo_tui.work import ask

COLUMNS = [
    Column("Version", 9, lambda version: line(f"{version.number:>7}")),
    Column("Saved", 17, lambda version: line((day_and_time(parse_rfc3339(version.created_at)), MUTED))),
    Column("", 12, lambda version: standing(version)),
    Column("Begins", 20, lambda version: value(version.draft.subject or version.draft.body, limit=80), grow=1),
]


class Older(LazyTable[Version]):
    BINDINGS = [key("versions.more", "enter", "open", "more", "More of what differs; after its end, from the top")]


class VersionsDialog(Dialog[int | None]):
    """Gives the number of the version that is wanted back, or ``None``."""

    DEFAULT_CSS = """
    VersionsDialog { align: center middle; background: $background 60%; }
    VersionsDialog > Vertical { width: 100; max-width: 96%; height: 90%; padding: 0 1; background: $surface;
        border: round $primary; }
    VersionsDialog LazyTable { height: 1fr; min-height: 4; max-height: 10; }
    VersionsDialog VerticalScroll { height: 2fr; border-top: solid $secondary; }
    VersionsDialog #difference { height: auto; }
    """
    AUTO_FOCUS = "LazyTable"
    HELP = """Every version that was saved here, the latest first, and what differs from what stands there now.
Saying one again makes a next version of it: nothing is lost, and what was sent stays as it was sent."""
    BINDINGS = [
        key("versions.restore", "r", "restore", "say it again", "As a next version, so nothing is lost"),
        key("versions.close", "escape", "close", "close", "Leave everything as it is"),
    ]

    def __init__(self, contents: Contents, content_id: int, channel: str) -> None:
        super().__init__()
        self._contents, self._content_id, self._channel = contents, content_id, channel
        self._chosen: Version | None = None

    def body(self) -> Iterable[Widget]:
        with Vertical() as box:
            box.border_title = "Versions"
            yield Older(COLUMNS, key_of=lambda version: version.number)
            with VerticalScroll(can_focus=False):
                yield Static(id="difference")

    def on_mount(self) -> None:
        ask(self, "versions", lambda: self._contents.versions(self._content_id, self._channel), self._show)

    def _show(self, versions: Sequence[Version]) -> None:
        table = self.query_one(LazyTable)
        table.set_empty(line(("Nothing of its own was saved here: it follows the original.", MUTED)))
        table.show(Rows(list(versions)))

    def on_lazy_table_moved(self, event: LazyTable.Moved) -> None:
        self._chosen = event.row
        if event.row is not None:
            number = event.row.number
            compare = lambda: self._contents.compare(self._content_id, number, channel=self._channel)  # noqa: E731
            ask(self, "difference", compare, self._show_difference)

    def _show_difference(self, found: Comparison) -> None:
        self.query_one("#difference", Static).update(drawn(found))

    def on_lazy_table_opened(self, event: LazyTable.Opened) -> None:
        """A page on in what differs; after its end, from the top."""
        box = self.query_one(VerticalScroll)
        if box.scroll_y >= box.max_scroll_y:
            box.scroll_home(animate=False)
        else:
            box.scroll_page_down(animate=False)

    def action_restore(self) -> None:
        self.dismiss(self._chosen.number if self._chosen else None)

    def action_close(self) -> None:
        self.dismiss(None)


def standing(version: Version) -> Content:
    if version.sent:
        return line(("● sent", GOOD))
    return line(("● approved", GOOD)) if version.approved_at else line(("○ draft", MUTED))


def drawn(found: Comparison) -> Content:
    """What was said then and is not now, what is said now and was not then."""
    if not found.differences:
        return lines([line(("This is what stands there now.", MUTED)), line(""), prose(found.before.draft.body)])
    head = line(("From this version to what stands there now:", MUTED))
    return lines([head, *(row for each in found.differences for row in _field(each))])


def _field(difference: Difference) -> list[Content]:
    return [line((difference.field, TITLE)), *(_line(each) for each in difference.lines)]


def _line(found: Line) -> Content:
    if found.mark == LEFT_OUT:
        return line((LEFT_OUT, MUTED))
    if found.mark != REWORDED:
        style = {OUT: BAD, IN: GOOD}.get(found.mark, MUTED)
        return line((f"{found.mark} ", style)) + prose(found.text, style)
    styles = {OUT: f"{BAD} strike", IN: f"{GOOD} bold"}
    pieces = [prose(piece.text, styles.get(piece.mark, "")) for piece in found.pieces]
    return line((f"{REWORDED} ", MUTED)) + Content("").join(pieces)
