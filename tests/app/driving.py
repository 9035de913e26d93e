"""Driving the app in tests: what stands on the screen, and waiting for it without guessing how long that takes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from textual.pilot import Pilot
from textual.widgets import Input

from aicmo.workspace import Workspace
from aicmo_tui.app import AicmoApp

TRIES, TRY_S = 250, 0.02
"""Five seconds at most; a passing test waits only as long as it has to."""


def app_on(workspace: Workspace) -> AicmoApp:
    """The app, looking only: nothing it shows is changed behind the test's back."""
    app = AicmoApp(workspace, sends=False)
    Input.cursor_blink = False
    return app


def text_of(app: AicmoApp) -> str:
    """The characters on the screen, line by line."""
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips(app.size))


async def until(pilot: Pilot[None], condition: Callable[[], object]) -> None:
    """Wait for ``condition``; fail with what was on the screen instead."""
    for _ in range(TRIES):
        await pilot.pause()
        if condition():
            return
        await asyncio.sleep(TRY_S)
    raise AssertionError(f"never came:\n{text_of(pilot.app)}")


async def reads(pilot: Pilot[None], *texts: str) -> None:
    """Wait until all of ``texts`` stand on the screen."""
    await until(pilot, lambda: all(text in text_of(pilot.app) for text in texts))


async def steady(pilot: Pilot[None]) -> None:
    """Wait until everything asked for has been answered and drawn: the same picture many times in a row."""
    app, same, before = pilot.app, 0, ""
    for _ in range(TRIES):
        await pilot.pause()
        picture = text_of(app)
        same = same + 1 if picture == before and "14:05" in picture else 0
        if same == 10:
            return
        before = picture
        await asyncio.sleep(TRY_S)
    raise AssertionError(f"never came to rest:\n{before}")
