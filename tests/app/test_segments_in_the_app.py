"""Segments in the contacts screen, and a table whose source is given up."""

from __future__ import annotations

import threading

import pytest
from driving import app_on, reads, until

from aicmo.errors import Interrupted
from aicmo.workspace import Workspace
from aicmo_tui.screens.found import Found
from aicmo_tui.widgets.inputs import PlainInput


async def test_a_filter_is_saved_as_a_segment_and_found_again(filled: Workspace) -> None:
    app = app_on(filled)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("f4")
        await reads(pilot, "Jane Doe")
        await pilot.press("slash", *"tag:trial", "enter", "s")
        await reads(pilot, "Save this filter as a segment", "tag:trial")
        await until(pilot, lambda: app.screen.query(PlainInput))
        await pilot.press(*"Triers", "enter")
        await until(pilot, lambda: [each.segment.name for each in filled.segments.list()] == ["Triers"])
        await pilot.press("escape", "g")
        await reads(pilot, "Segments", "Triers · 4")
        await pilot.press("enter")
        await until(pilot, lambda: app.screen.query("#filter"))
        assert app.screen.query_one("#filter").value == 'segment:"Triers"'
        await until(pilot, lambda: app.screen.query_one("#people").total == 4)


async def test_a_segment_that_is_not_there_is_said_and_the_list_stays(filled: Workspace) -> None:
    app = app_on(filled)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("f4")
        await reads(pilot, "Jane Doe")
        app.screen.query_one("#filter").value = "segment:nowhere"
        await reads(pilot, "✕ There is no segment", "Jane Doe")


def test_what_nobody_waits_for_is_not_read_to_its_end(filled: Workspace) -> None:
    found = Found(filled, "tag:trial")
    assert found.count() == 4
    begun = threading.Event()

    def endless(db: object) -> None:
        begun.set()
        db.execute("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n").fetchone()

    gives_up = threading.Thread(target=lambda: begun.wait() and found.abandon())
    gives_up.start()
    with pytest.raises(Interrupted):
        found._read(endless)
    gives_up.join()
    assert Found(filled, "tag:trial").count() == 4
