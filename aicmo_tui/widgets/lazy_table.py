"""A table of any length that holds only what is near the eye.

It draws line by line (Textual's line API) from pages of rows that a ``Source`` reads off the event loop; a place
whose page is not there yet shows dots. The cursor and the selection stand on records, not on row numbers, so they
survive a refresh. What was asked for an older source is dropped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from rich.segment import Segment
from textual import events
from textual.app import RenderResult
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.worker import Worker

from aicmo.errors import Interrupted, InvalidInput
from aicmo_tui.keys import key
from aicmo_tui.present import MUTED, fit, line
from aicmo_tui.widgets.columns import Column, fitted
from aicmo_tui.widgets.rows import PAGE_ROWS, Abandonable, Pages, Rows, Source
from aicmo_tui.work import off_loop

R = TypeVar("R")

READING = line(("Reading ...", MUTED))
"""Stands in a table that is about to have its first rows."""
HEADER_ROWS = 1
REST_S = 0.15
"""Nothing new is asked for so long before rows are counted: who types waits for the rows, not for their number."""
MARK_CELLS = 2
"""Left of the first column: the cursor's arrow or the selection's mark."""


@dataclass
class _FromTable(Message):
    """What a table tells. ``@on`` can select by its id."""

    table: LazyTable[Any]

    @property
    def control(self) -> LazyTable[Any]:
        return self.table


class LazyTable(ScrollView, Generic[R], can_focus=True, inherit_bindings=False):
    """Rows of a source. ``key_of`` names a row's record; ``opens`` and ``selectable`` say what may be done with one."""

    BINDINGS = [
        key("table.up", "up,k", "move(-1)", "up", "One row up", show=False),
        key("table.down", "down,j", "move(1)", "down", "One row down", show=False),
        key("table.page_up", "pageup", "page(-1)", "page up", "One page up", show=False),
        key("table.page_down", "pagedown", "page(1)", "page down", "One page down", show=False),
        key("table.home", "home", "edge('top')", "top", "To the first row", show=False),
        key("table.end", "end", "edge('bottom')", "end", "To the last row", show=False),
        key("table.open", "enter", "open", "open", "Open what the cursor stands on"),
        key("table.select", "space", "select", "select", "Select it, or not"),
    ]
    COMPONENT_CLASSES = {"lazy-table--header", "lazy-table--cursor", "lazy-table--selected"}
    DEFAULT_CSS = """
    LazyTable {
        height: 1fr; overflow-x: hidden; overflow-y: auto; scrollbar-gutter: stable; scrollbar-size-vertical: 1;
        .lazy-table--header { color: $text-muted; text-style: bold; background: $panel; }
        .lazy-table--cursor { background: $panel; }
        .lazy-table--selected { color: $text-accent; }
        &:focus .lazy-table--cursor { background: $primary 35%; text-style: bold; }
    }
    """

    cursor = reactive(0, repaint=False)
    """Row number; 0 also when there is no row."""

    @dataclass
    class Moved(_FromTable):
        """The cursor stands on another record; ``None`` when there is none, or it is not read yet."""

        row: Any

    @dataclass
    class Opened(_FromTable):
        row: Any

    @dataclass
    class Counted(_FromTable):
        """How many rows there are. ``exact`` is false while only a first page is known."""

        total: int
        exact: bool

    @dataclass
    class Selected(_FromTable):
        """Which records are selected changed; ``table.selected`` holds their keys."""

    def __init__(
        self,
        columns: Sequence[Column[R]],
        *,
        key_of: Callable[[R], Hashable],
        opens: bool = True,
        selectable: bool = False,
        refused: Callable[[InvalidInput], object] | None = None,
        id: str | None = None,
    ) -> None:
        """``refused`` is told when a source cannot make anything of its question, else the app is; what was shown
        stays."""
        super().__init__(id=id)
        self.columns = columns
        self._refused = refused
        self.selected: set[Hashable] = set()
        self.all_selected = False
        """Every row is, however many there are; then ``selected`` does not matter."""
        self._key_of = key_of
        self._may = {"open": opens, "select": selectable}
        self._empty = Content("")
        self._source: Source[R] = Rows(())
        self._total = 0
        self._counted = False
        self._offered = False
        """Whether the footer names what may be done with a row."""
        self._pages: Pages[R] = Pages()
        self._generation = 0
        self._record: Hashable = None
        self._reader: Worker[None] | None = None
        self._reading = -1  # the page that is being read; -1 is none
        self._counter: Worker[None] | None = None
        self._uncounted = False
        self._replacing = False
        self._layout: tuple[int, list[tuple[Column[R], int]]] = (-1, [])

    # --- what is shown ----------------------------------------------------------------------------------------------

    @property
    def total(self) -> int:
        """Rows known of; see ``Counted.exact``."""
        return self._total

    @property
    def row(self) -> R | None:
        """The record under the cursor, if it has been read."""
        return self._row(self.cursor)

    def show(self, source: Source[R]) -> None:
        """Show another source from its top. What was shown stays until the first rows are there.

        The cursor stays on its record if that is on the new first page.
        """
        self._abandon()
        self._source = source
        self._generation += 1
        self._replacing = True
        self._counted = False
        self._pages.wanted = [0]
        self._read()

    def reload(self, source: Source[R] | None = None) -> None:
        """Read what is shown again, from ``source`` if given; cursor and scroll stay. It is drawn when it is there."""
        if self._replacing:
            return
        self._source = source or self._source
        self._pages.grow_stale()
        first = self.scroll_offset.y // PAGE_ROWS
        last = (self.scroll_offset.y + self._visible_rows) // PAGE_ROWS
        for page in range(first, last + 1):
            self._want(page)
        self._count()

    def select(self, records: Iterable[Hashable], *, everything: bool = False) -> None:
        """Select just these, or all rows."""
        self.selected, self.all_selected = set(records), everything
        self.post_message(self.Selected(self))
        self.refresh()

    @property
    def replacing(self) -> bool:
        """Whether another source was asked for, whose first rows are not there yet."""
        return self._replacing

    def on_unmount(self) -> None:
        self._abandon()

    def _abandon(self) -> None:
        if isinstance(self._source, Abandonable):
            self._source.abandon()

    def set_empty(self, what: Content) -> None:
        """What to say when there are no rows."""
        self._empty = what
        self.refresh()

    # --- moving -----------------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Without a row there is nothing to open or to select."""
        return self._may.get(action, True) and (self._total > 0 or action not in self._may)

    def action_move(self, rows: int) -> None:
        self._go(self.cursor + rows)

    def action_page(self, pages: int) -> None:
        self._go(self.cursor + pages * max(1, self._visible_rows - 1))

    def action_edge(self, edge: str) -> None:
        self._go(0 if edge == "top" else self._total - 1)

    def action_open(self) -> None:
        if self.row is not None:
            self.post_message(self.Opened(self, self.row))

    def action_select(self) -> None:
        if self.row is None or self.all_selected:
            return
        self.selected ^= {self._key_of(self.row)}
        self.post_message(self.Selected(self))
        self._go(self.cursor + 1)
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is None or offset.y < HEADER_ROWS:
            return
        clicked = offset.y - HEADER_ROWS + self.scroll_offset.y
        if clicked >= self._total:
            return
        if clicked == self.cursor and self._may["open"]:
            self.action_open()
        self._go(clicked)

    def on_resize(self) -> None:
        self._resize()
        self._keep_in_sight()

    def _go(self, row: int) -> None:
        before = self.cursor
        self.cursor = max(0, min(row, self._total - 1))
        self._keep_in_sight()
        if before != self.cursor:
            self._note_record()
        self.refresh()

    def _note_record(self) -> None:
        row = self.row
        record = None if row is None else self._key_of(row)
        self._record = record
        self.post_message(self.Moved(self, row))

    def _keep_in_sight(self) -> None:
        top, rows = self.scroll_offset.y, self._visible_rows
        if self.cursor < top:
            self.scroll_to(y=self.cursor, animate=False)
        elif self.cursor >= top + rows:
            self.scroll_to(y=self.cursor - rows + 1, animate=False)

    @property
    def _visible_rows(self) -> int:
        return max(1, self.scrollable_content_region.height - HEADER_ROWS)

    # --- reading ----------------------------------------------------------------------------------------------------

    def _row(self, number: int) -> R | None:
        page, place = divmod(number, PAGE_ROWS)
        if number >= self._total:
            return None
        if not self._pages.is_fresh(page):
            self._miss(page)
        rows = self._pages.look(page)
        return rows[place] if rows is not None and place < len(rows) else None

    def _miss(self, page: int) -> None:
        if not self._replacing and page != self._reading:
            self._want(page)

    def _want(self, page: int) -> None:
        """Ask for a page, and begin to read unless somebody reads already."""
        self._pages.want(page)
        if self.is_attached and (self._reader is None or self._reader.is_finished):
            self._read()

    def _read(self) -> None:
        """Read what is wanted, in place of what was being read."""
        self._reader = self.run_worker(
            self._read_wanted, group="pages", exclusive=True, exit_on_error=False, description="pages"
        )

    async def _read_wanted(self) -> None:
        try:
            while self._pages.wanted:
                self._reading, source = self._pages.wanted.pop(), self._source
                first = self._reading * PAGE_ROWS
                rows = await off_loop(self.app, lambda first=first, source=source: source.window(first, PAGE_ROWS))
                page, self._reading = self._reading, -1
                self._arrived(page, rows)
        except InvalidInput as error:
            self._reading, self._replacing = -1, False
            (self._refused or self.app.report)(error)
        except Exception as error:  # as in work.ask: told, and the app goes on
            self._reading, self._replacing = -1, False
            self.app.report(error)

    def _arrived(self, page: int, rows: Sequence[R]) -> None:
        if self._replacing:
            self._replacing = False
            self._pages.clear()
            self.cursor = 0
            self.scroll_to(y=0, animate=False)
            self._total = 0
        self._pages.keep(page, rows)
        self._learn_total(page * PAGE_ROWS + len(rows), last=len(rows) < PAGE_ROWS and bool(rows or page == 0))
        self._find_record(page, rows)
        self.refresh()

    def _find_record(self, page: int, rows: Sequence[R]) -> None:
        """The cursor follows its record: to its place on the page that has just been read."""
        first = page * PAGE_ROWS
        if not first <= self.cursor < first + PAGE_ROWS:
            return
        for place, row in enumerate(rows):
            if self._record is not None and self._key_of(row) == self._record:
                self.cursor = first + place
                self._keep_in_sight()
                self.post_message(self.Moved(self, row))
                return
        self._note_record()

    def _learn_total(self, at_least: int, *, last: bool) -> None:
        """What a page tells: its last row is a row, and a page that is not full is the last one."""
        if last or at_least > self._total:
            self._set_total(at_least, exact=last)
        if not self._counted:
            self._count()

    def _count(self) -> None:
        """Ask how many there are. One count at a time, however fast one types: slow ones must not take every thread."""
        self._uncounted = True
        if self.is_attached and (self._counter is None or self._counter.is_finished):
            self._counter = self.run_worker(
                self._count_until_known, group="count", exit_on_error=False, description="count"
            )

    async def _count_until_known(self) -> None:
        try:
            while self._uncounted:
                self._uncounted, generation = False, self._generation
                await asyncio.sleep(REST_S)
                if generation != self._generation:
                    self._uncounted = True
                    continue
                with suppress(Interrupted):  # it was abandoned: the next one is asked
                    total = await off_loop(self.app, self._source.count)
                    if generation == self._generation:
                        self._set_total(total, exact=True)
        except Exception as error:  # as above
            self.app.report(error)

    def _set_total(self, total: int, *, exact: bool) -> None:
        self._counted = exact
        self._total = total
        if bool(total) != self._offered:
            self._offered = bool(total)
            self.refresh_bindings()
        self._resize()
        if self.cursor >= total:
            self.cursor = max(0, total - 1)
            self._note_record()
        self.post_message(self.Counted(self, total, exact))

    # --- drawing ----------------------------------------------------------------------------------------------------

    def _resize(self) -> None:
        self.virtual_size = Size(self.scrollable_content_region.width, self._total + HEADER_ROWS)
        self.refresh()

    def render(self) -> RenderResult:
        return ""

    def render_line(self, y: int) -> Strip:
        width = self.scrollable_content_region.width
        if y == 0:
            titles = [fit(line(column.title), cells, right=column.right) for column, cells in self._fitted(width)]
            return self._draw(Content(" " * MARK_CELLS) + Content(" ").join(titles), width, "lazy-table--header")
        number = self.scroll_offset.y + y - HEADER_ROWS
        if number >= self._total:
            return self._blank(y - HEADER_ROWS, width)
        row = self._row(number)
        at_cursor = number == self.cursor
        if row is None:
            return self._draw(line((" ·  ·  ·", MUTED)), width, "lazy-table--cursor" if at_cursor else "")
        chosen = self.all_selected or self._key_of(row) in self.selected
        mark = "■ " if chosen else "▸ " if at_cursor else "  "
        cells = [fit(column.cell(row), cells, right=column.right) for column, cells in self._fitted(width)]
        look = "lazy-table--cursor" if at_cursor else "lazy-table--selected" if chosen else ""
        return self._draw(Content(mark) + Content(" ").join(cells), width, look)

    def _blank(self, y: int, width: int) -> Strip:
        """Below the last row; in an empty table, what to do about it, or that its first rows are on their way."""
        told = self._empty if self._counted else READING if self._replacing else Content("")
        rows = told.split("\n") if self._total == 0 else []
        content = Content("  ") + rows[y - 1] if 0 < y <= len(rows) else Content("")
        return self._draw(content, width, "")

    def _draw(self, content: Content, width: int, name: str) -> Strip:
        style = self.visual_style
        if name:
            style = style + self.get_visual_style(name)
        told = fit(content, width).render(style, "", parse_style=self.app.stylesheet.parse_style)
        return Strip([Segment(text, look.rich_style) for text, look in told], width)

    def _fitted(self, width: int) -> list[tuple[Column[R], int]]:
        """The columns that fit into ``width`` cells, each with its own width."""
        if self._layout[0] != width:
            self._layout = (width, fitted(self.columns, width - MARK_CELLS))
        return self._layout[1]
