"""The table that holds only what is near the eye."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from driving import TRY_S, until
from textual.app import App, ComposeResult

from aicmo_tui.present import value
from aicmo_tui.widgets.columns import Column, fitted
from aicmo_tui.widgets.lazy_table import LazyTable
from aicmo_tui.widgets.rows import PAGE_ROWS, PAGES_KEPT, Rows

COLUMNS = [
    Column("Name", 10, lambda number: value(f"row {number}"), grow=1),
    Column("Double", 8, lambda number: value(str(2 * number)), right=True, priority=1),
]


class Numbers:
    """0, 1, 2 ...: as many as one likes, none of them held. Remembers what it was asked."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.asked: list[int] = []
        self.may_answer = threading.Event()
        self.may_answer.set()

    def count(self) -> int:
        return self.total

    def window(self, offset: int, limit: int) -> Sequence[int]:
        assert self.may_answer.wait(5)
        self.asked.append(offset)
        return range(offset, min(offset + limit, self.total))


class TableApp(App[None]):
    def __init__(self) -> None:
        super().__init__()
        self.threads = ThreadPoolExecutor(2)
        self.errors: list[Exception] = []
        self.opened: list[int] = []

    async def ready(self) -> None: ...

    def report(self, error: Exception) -> None:
        self.errors.append(error)

    def compose(self) -> ComposeResult:
        yield LazyTable(COLUMNS, key_of=lambda number: number, selectable=True)

    def on_lazy_table_opened(self, event: LazyTable.Opened) -> None:
        self.opened.append(event.row)

    def on_unmount(self) -> None:
        self.threads.shutdown()


def text_of(app: App[None]) -> str:
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips(app.size))


async def test_the_end_of_a_million_rows_is_one_page_away() -> None:
    app, numbers = TableApp(), Numbers(1_000_000)
    async with app.run_test(size=(60, 20)) as pilot:
        table = app.query_one(LazyTable)
        table.show(numbers)
        await until(pilot, lambda: "row 0 " in text_of(app) and table.total == 1_000_000)
        await pilot.press("end")
        await until(pilot, lambda: "row 999999" in text_of(app))
        assert table.row == 999_999
        assert len(numbers.asked) <= 3


async def test_it_holds_a_bounded_number_of_pages_however_far_one_reads() -> None:
    app, numbers = TableApp(), Numbers(100 * PAGE_ROWS)
    async with app.run_test(size=(60, 20)) as pilot:
        table = app.query_one(LazyTable)
        table.show(numbers)
        await until(pilot, lambda: table.total == 100 * PAGE_ROWS)
        for page in range(0, 100, 4):
            table._go(page * PAGE_ROWS)
            await until(pilot, lambda: table.row is not None)
        assert len(table._pages) <= PAGES_KEPT


async def test_the_cursor_stays_on_its_record_when_rows_come_before_it() -> None:
    app = TableApp()
    async with app.run_test(size=(60, 20)) as pilot:
        table = app.query_one(LazyTable)
        table.show(Rows([10, 20, 30]))
        await until(pilot, lambda: table.row == 10)
        await pilot.press("down")
        table.reload(Rows([5, 10, 15, 20, 30]))
        await until(pilot, lambda: table.cursor == 3)
        assert table.row == 20


async def test_after_a_reload_what_was_out_of_sight_is_read_again_when_it_is_looked_at() -> None:
    app, before, after = TableApp(), Numbers(3 * PAGE_ROWS), Numbers(3 * PAGE_ROWS)
    async with app.run_test(size=(60, 20)) as pilot:
        table = app.query_one(LazyTable)
        table.show(before)
        await until(pilot, lambda: table.row == 0 and table.total == before.total)
        await pilot.press("end")
        await until(pilot, lambda: table.row == before.total - 1)
        await pilot.press("home")
        table.reload(after)
        await until(pilot, lambda: after.asked)
        assert 2 * PAGE_ROWS not in after.asked
        await pilot.press("end")
        await until(pilot, lambda: 2 * PAGE_ROWS in after.asked)


async def test_an_answer_to_an_older_question_is_dropped() -> None:
    app, slow = TableApp(), Numbers(1_000)
    async with app.run_test(size=(60, 20)) as pilot:
        table = app.query_one(LazyTable)
        slow.may_answer.clear()
        table.show(slow)
        await pilot.pause(TRY_S)
        table.show(Rows([7]))
        slow.may_answer.set()
        await until(pilot, lambda: table.row == 7 and table.total == 1)
        await pilot.pause(3 * TRY_S)
        assert table.row == 7 and table.total == 1


async def test_what_was_shown_stays_until_the_next_rows_are_there() -> None:
    app, slow = TableApp(), Numbers(1_000)
    async with app.run_test(size=(60, 20)) as pilot:
        table = app.query_one(LazyTable)
        table.show(Rows([7]))
        await until(pilot, lambda: "row 7" in text_of(app))
        slow.may_answer.clear()
        table.show(slow)
        await pilot.pause(3 * TRY_S)
        assert "row 7" in text_of(app)
        slow.may_answer.set()
        await until(pilot, lambda: "row 0 " in text_of(app) and "row 7" in text_of(app))


async def test_space_selects_records_and_a_second_click_opens_one() -> None:
    app = TableApp()
    async with app.run_test(size=(60, 20)) as pilot:
        table = app.query_one(LazyTable)
        table.show(Rows([10, 20, 30]))
        await until(pilot, lambda: table.row == 10)
        await pilot.press("space", "space")
        assert table.selected == {10, 20}
        await pilot.click(table, offset=(4, 2))
        await pilot.click(table, offset=(4, 2))
        await until(pilot, lambda: app.opened == [20])


async def test_a_source_that_fails_is_told_and_the_table_goes_on() -> None:
    class Broken(Rows):
        def window(self, offset, limit):
            raise OSError("gone")

    app = TableApp()
    async with app.run_test(size=(60, 20)) as pilot:
        table = app.query_one(LazyTable)
        table.show(Broken([1]))
        await until(pilot, lambda: app.errors)
        table.show(Rows([7]))
        await until(pilot, lambda: table.row == 7)


def test_columns_leave_by_priority_and_the_rest_fills_the_width() -> None:
    wide = fitted(COLUMNS, 40)
    assert [column.title for column, _ in wide] == ["Name", "Double"]
    assert sum(cells for _, cells in wide) + 1 == 40
    assert [(column.title, cells) for column, cells in fitted(COLUMNS, 16)] == [("Name", 16)]
