"""Segments from within a screen: give a filter a name, or take one that has a name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aicmo.crm.query import check_query
from aicmo.crm.segments import SegmentState
from aicmo_tui.present import TITLE, line, number, value
from aicmo_tui.widgets.dialogs import Ask
from aicmo_tui.widgets.picker import Picker
from aicmo_tui.work import off_loop

if TYPE_CHECKING:
    from aicmo_tui.app import AicmoApp


async def save_segment(app: AicmoApp, query: str) -> bool:
    """Ask for a name, and save ``query`` under it; whether it was saved.

    Raises ``QueryInvalid`` before it asks, ``InvalidInput`` for a name that is taken.
    """
    check_query(query)
    question = line(("Save this filter as a segment", TITLE), ": ", value(query or "everybody"))
    name = await app.push_screen_wait(Ask(question, "its name, such as Newcomers"))
    if not name:
        return False
    state = await off_loop(app, lambda: app.workspace.segments.create(name, query))
    app.tell(f"{state.segment.name}: {number(state.count)} now. Who joins and who leaves is counted from here.")
    return True


async def pick_segment(app: AicmoApp) -> str | None:
    """Let the person choose a segment; the query that asks for it, ``None`` when they chose none."""
    states = await off_loop(app, lambda: app.workspace.segments.list())
    if not states:
        app.tell("No segment yet: filter, then save the filter as one.")
        return None
    chosen = await app.push_screen_wait(Picker("Segments", [(told(each), each) for each in states]))
    return None if chosen is None else f'segment:"{chosen.segment.name}"'


def told(state: SegmentState) -> str:
    """``Newcomers · 140, 12 joined, 3 left``."""
    if state.problem:
        return f"{state.segment.name} · {state.problem}"
    moved = [f"{number(count)} {what}" for count, what in ((state.joined, "joined"), (state.left, "left")) if count]
    return f"{state.segment.name} · {', '.join([number(state.count), *moved])}"
