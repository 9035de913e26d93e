"""Blocking work, off the event loop.

``ask`` runs a core function on a named thread and hands its answer to a handler on the loop. A question has a name:
asking it again drops the earlier answer, so what is drawn is always the answer to the last question. Errors never end
the app.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from textual.dom import DOMNode

T = TypeVar("T")


class Asker(Protocol):
    """What ``ask`` needs of the app."""

    threads: Executor

    async def ready(self) -> None:
        """Returns when the workspace may be used from several threads."""
        ...

    def report(self, error: Exception) -> None:
        """Tell the person of an error; an unforeseen one is also logged."""
        ...


async def off_loop(app: Asker, work: Callable[[], T]) -> T:
    """The result of ``work``, run on one of the app's threads. Cancelled before its turn, it never runs."""
    await app.ready()
    return await asyncio.get_running_loop().run_in_executor(app.threads, work)


def ask(
    node: DOMNode,
    question: str,
    work: Callable[[], T],
    then: Callable[[T], object],
    *,
    otherwise: Callable[[Exception], object] | None = None,
    again: bool = True,
) -> None:
    """Run ``work`` off the loop, then ``then`` with its answer, or ``otherwise`` (the app's report) with its error.

    The answer is dropped when ``node`` is gone or has asked ``question`` again. With ``again=False`` a question that is
    still being answered is not asked anew, which is how a poll never overtakes itself.
    """
    group = f"ask:{question}"
    if not again and any(w.node is node and w.group == group and w.is_running for w in node.workers):
        return
    app: Asker = node.app  # type: ignore[assignment]

    async def answer() -> None:
        try:
            result = await off_loop(app, work)
            if node.is_attached:
                then(result)
        except Exception as error:  # the edge of the app: whatever a worker meets is told, and the app goes on
            if node.is_attached:
                (otherwise or app.report)(error)

    node.run_worker(answer, group=group, exclusive=True, exit_on_error=False, description=question)


def converse(node: DOMNode, conversation: Callable[[], Awaitable[object]]) -> None:
    """Run a question and what follows from its answer, one at a time; it may wait for dialogs."""
    app: Asker = node.app  # type: ignore[assignment]

    async def run() -> None:
        try:
            await conversation()
        except Exception as error:  # as above
            app.report(error)

    node.run_worker(run, group="conversation", exclusive=True, exit_on_error=False, description="conversation")
