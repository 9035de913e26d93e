"""The contacts screen over a great many people: open, jump to the end, filter as one types; beside it a DataTable.

    python -m bench.table [--rows 1000000] [--peer-rows 20000]

The real app on a real store, driven without a terminal. A key is measured until its rows are drawn. DataTable holds
all its rows, so it is given a size at which it finishes.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.budget import Row, in_fresh_process, peak_rss_mb, print_rows

if TYPE_CHECKING:
    from aicmo_tui.app import AicmoApp
    from aicmo_tui.widgets.lazy_table import LazyTable

SIZE = (120, 40)
GIVES_UP_S = 20.0
TYPED = (
    "anna",
    "haddad",
    "acme 7",
    "p12345",
    "tag:trial",
    "müller company",
    "-tag:trial zoë",
    "(anna or jane) -company:12 tag:trial",
)
"""What is typed into the filter, key by key. Where it is no query yet, such as ``tag:``, nothing is asked."""

PEOPLE = """
INSERT INTO contact (id, address, email, first_name, last_name, company, title, domain, created_at, updated_at)
WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :rows),
first (i, name) AS (VALUES (0, 'Anna'), (1, 'Omar'), (2, 'Jane'), (3, 'Zoë'), (4, '小龍'), (5, 'Priya'), (6, 'Bohdan')),
last (i, name) AS (VALUES (0, 'Haddad'), (1, 'Müller'), (2, 'Doe'), (3, 'Kobayashi'), (4, 'Sharma'))
SELECT n.i + 1,
       'p' || n.i || '@acme-' || (n.i % 5000) || '.example',
       'p' || n.i || '@acme-' || (n.i % 5000) || '.example',
       first.name, last.name, 'Acme ' || (n.i % 5000), 'Head of ' || (n.i % 30), 'acme-' || (n.i % 5000) || '.example',
       '2026-11-22T14:05:00.000Z', '2026-11-22T14:05:00.000Z'
FROM n JOIN first ON first.i = n.i % 7 JOIN last ON last.i = n.i % 5
"""
TAGGED = (
    "INSERT INTO tag (name, key) VALUES ('trial', 'trial')",
    "INSERT INTO contact_tag SELECT (SELECT id FROM tag), id FROM contact WHERE id % 10 = 0",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--peer-rows", type=int, default=20_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder), given.rows)
        mine = in_fresh_process(measure_ours, folder)
        theirs = in_fresh_process(measure_peer, given.peer_rows)
    report(mine, theirs, given.rows, given.peer_rows)


def build(folder: Path, rows: int) -> None:
    from aicmo.store import open_database

    database = open_database(folder / "data" / "aicmo.db")
    try:
        database.write(lambda db: [db.execute(PEOPLE, {"rows": rows}), *map(db.execute, TAGGED)])
    finally:
        database.close()


def measure_ours(folder: str) -> dict[str, float]:
    return asyncio.run(ours(Path(folder)))


def measure_peer(rows: int) -> dict[str, float]:
    return asyncio.run(peer(rows))


async def ours(folder: Path) -> dict[str, float]:
    from aicmo.config import Config
    from aicmo.paths import Paths
    from aicmo.workspace import open_workspace
    from aicmo_tui.app import AicmoApp
    from aicmo_tui.widgets.lazy_table import LazyTable

    async with open_workspace(Paths(folder / "config.toml", folder / "data"), Config()) as workspace:
        app = AicmoApp(workspace, sends=False)
        async with app.run_test(size=SIZE) as pilot:
            await pilot.pause(0.5)  # the home screen has come to rest
            started = time.perf_counter()
            app.action_show_screen("contacts")
            await until(lambda: bool(app.screen.query(LazyTable)))
            table = app.screen.query_one(LazyTable)
            await until(lambda: table.row is not None and shown(app, table))
            opened_s = time.perf_counter() - started
            await until(lambda: table._counted)
            counted_s = time.perf_counter() - started

            started = time.perf_counter()
            table.action_edge("bottom")
            await until(lambda: table.row is not None and shown(app, table))
            end_s = time.perf_counter() - started

            keystrokes_s = []
            for words in TYPED:
                field = app.screen.query_one("#filter")
                field.value = ""
                await until(lambda: shown(app, table) and table._counted)
                for length in range(1, len(words) + 1):
                    asked = table._generation
                    started = time.perf_counter()
                    field.value = words[:length]
                    if not is_query(words[:length]):
                        await until(lambda: refused(app))
                        continue
                    await until(lambda: table._generation > asked and shown(app, table))  # noqa: B023
                    keystrokes_s.append(time.perf_counter() - started)
    return {
        "open_s": opened_s,
        "counted_s": counted_s,
        "end_s": end_s,
        "key_p50_s": statistics.median(keystrokes_s),
        "key_p95_s": statistics.quantiles(keystrokes_s, n=20)[-1],
        "memory_mb": peak_rss_mb(),
    }


def shown(app: AicmoApp, table: LazyTable[Any]) -> bool:
    """Whether the table has answered the last question and drawn it."""
    return (
        not (table.replacing or table._reading >= 0 or table._pages.wanted)
        and not app._batch_count
        and not table._repaint_required
        and not app.screen._dirty_widgets
    )


def is_query(words: str) -> bool:
    from aicmo.crm.query import check_query
    from aicmo.errors import QueryInvalid

    try:
        check_query(words)
    except QueryInvalid:
        return False
    return True


def refused(app: AicmoApp) -> bool:
    """Whether the screen says that what stands in the filter is no query; the list then stays."""
    return "✕" in app.screen.query_one("#found").content.plain


async def peer(rows: int) -> dict[str, float]:
    from rich.text import Text
    from textual.app import App, ComposeResult
    from textual.widgets import DataTable

    class Peer(App[None]):
        def compose(self) -> ComposeResult:
            yield DataTable(cursor_type="row")

    app = Peer()
    async with app.run_test(size=SIZE) as pilot:
        table = app.query_one(DataTable)
        started = time.perf_counter()
        table.add_columns("Name", "Address", "Company", "Stage")
        table.add_rows(
            [Text(f"Anna Haddad {i}"), Text(f"p{i}@acme.example"), Text(f"Acme {i}"), Text("NEW")] for i in range(rows)
        )
        await pilot.pause()
        opened_s = time.perf_counter() - started
        started = time.perf_counter()
        table.move_cursor(row=rows - 1)
        await pilot.pause()
        end_s = time.perf_counter() - started
    return {"open_s": opened_s, "end_s": end_s, "memory_mb": peak_rss_mb()}


async def until(condition: Callable[[], bool]) -> None:
    """Raises ``TimeoutError`` when it has not come after ``GIVES_UP_S``."""
    async with asyncio.timeout(GIVES_UP_S):
        while not condition():  # noqa: ASYNC110 - what is waited for is the app's own work, which tells nobody
            await asyncio.sleep(0.001)


def report(mine: dict[str, float], theirs: dict[str, float], rows: int, peer_rows: int) -> None:
    def row(what: str, name: str, unit: str = "s", budget: float | None = None) -> Row:
        digits = 0 if unit == "MB" else 3
        return Row(
            what,
            f"{mine[name]:.{digits}f} {unit}",
            f"DataTable {theirs[name]:.{digits}f} {unit}" if name in theirs else "",
            budget=f"<= {budget:g} {unit}" if budget else "",
            reached=mine[name] <= budget if budget else None,
        )

    print_rows(
        f"contacts screen, {rows:,} people; DataTable holds all its rows, so it is given {peer_rows:,}",
        [
            row("open: the first rows stand", "open_s", budget=0.3),
            row("open: their number is known", "counted_s"),
            row("jump to the end", "end_s", budget=0.1),
            row("a key in the filter, median", "key_p50_s"),
            row("a key in the filter, p95", "key_p95_s", budget=0.1),
            row("memory at most", "memory_mb", "MB", 150),
        ],
    )


if __name__ == "__main__":
    main()
