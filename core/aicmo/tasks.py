"""Ending asyncio tasks, for certain."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

AGAIN_S = 0.2


async def cut_off(tasks: Collection[asyncio.Task[None]]) -> None:
    """Cancel the tasks until all have ended.

    Once is not enough: ``asyncio.wait_for`` before Python 3.12 loses a cancellation that comes as what it waits for is
    done, and the task goes on to whatever comes next, such as a server that never answers.
    """
    left = {task for task in tasks if not task.done()}
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=AGAIN_S)
