"""An app that outlives an exception of its own screens.

Left to itself, Textual ends the app at the first exception of any handler, timer or drawing, cutting off what it was
doing, and prints a traceback with the values of all variables: secrets among them. Here the person is told in a
sentence, the traceback goes to the log without values, and the app goes on: a handler is abandoned, a widget that
cannot be drawn is hidden, a screen that cannot be built is left. What runs beside, a send above all, never notices.
Only an app that has no screen at all ends.

This rests on three private methods of Textual, whose version is pinned; ``tests/app/test_unbroken.py`` holds each.
"""

from __future__ import annotations

import asyncio
import logging
from types import TracebackType
from typing import TYPE_CHECKING, Any

from textual.app import App
from textual.events import Mount
from textual.screen import Screen
from textual.widget import Widget
from textual.worker import WorkerFailed

from aicmo_tui.screens import FIRST

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterator

    from textual.dom import DOMNode
    from textual.message import Message
    from textual.message_pump import MessagePump

TOLD_AGAIN_AFTER_S = 10.0
"""What goes wrong at every tick of a timer is not told at every tick."""
_DRAWING = ("textual._compositor", "textual._styles_cache", "textual._arrange")

log = logging.getLogger("aicmo.app")


class UnbrokenApp(App[None]):
    """``failure`` is why the app ended by itself, for whoever ran it to tell; ``None`` when it did not."""

    def __init__(self, *, report: Callable[[Exception], object]) -> None:
        """``report`` tells the person of an error and writes it down."""
        super().__init__()
        self._report = report
        self.failure: Exception | None = None
        self._told: dict[tuple[type, str, int], float] = {}
        self._unbuilt: list[Screen[Any]] = []
        """Screens that could not be built, until they are left."""

    # --- where exceptions arrive ------------------------------------------------------------------------------------

    def _register_child(self, parent: DOMNode, child: Widget, before: int | None, after: int | None) -> None:
        """Each node gets its messages through a net: without one, the first exception would end its message loop."""
        if child not in self._registry:
            child._dispatch_message = self._netted(child, child._dispatch_message)  # type: ignore[method-assign]
        super()._register_child(parent, child, before, after)

    async def _dispatch_message(self, message: Message) -> None:
        await self._netted(self, super()._dispatch_message)(message)

    def _netted(
        self, node: MessagePump, dispatch: Callable[[Message], Awaitable[None]]
    ) -> Callable[[Message], Coroutine[Any, Any, None]]:
        async def dispatch_or_tell(message: Message) -> None:
            try:
                await dispatch(message)
            except Exception as error:  # the net: whatever a handler meets is told, and the app goes on
                if isinstance(message, Mount) and isinstance(node, Screen):
                    self._unbuilt.append(node)
                self._handle_exception(error)

        return dispatch_or_tell

    def _handle_exception(self, error: Exception) -> None:
        """The one place where all that nobody foresaw arrives; Textual itself calls it too."""
        if isinstance(error, WorkerFailed) and isinstance(error.error, Exception):
            error = error.error
        place, now_s = _place(error), asyncio.get_running_loop().time()
        if now_s < self._told.get(place, -TOLD_AGAIN_AFTER_S) + TOLD_AGAIN_AFTER_S:
            return
        self._told[place] = now_s
        if self._exit:
            log.error("unforeseen while the app ended", exc_info=error)
        elif not self._running or not self._screen_stack:
            self._end(error)
        else:
            self.call_later(self._go_on_after, error)  # not from within the pump that failed: it may have to be ended

    def _go_on_after(self, error: Exception) -> None:
        self._take_away(error)
        self._report(error)

    def _take_away(self, error: Exception) -> None:
        """What cannot be built or drawn would fail again at once: off the screen with it."""
        steps = list(_steps(error))
        self._unbuilt += [node for _, method, node in steps if method == "_compose" and isinstance(node, Screen)]
        while self._unbuilt:
            self._leave(self._unbuilt.pop())
        if any(module in _DRAWING for module, _, _ in steps):
            drawn = [node for _, _, node in steps if isinstance(node, Widget) and not isinstance(node, Screen)]
            if drawn:
                drawn[-1].display = False
            else:
                self._leave(self.screen)

    def _leave(self, screen: Screen[Any]) -> None:
        """Away from a screen that cannot be shown. The first of a mode is built anew at the next visit."""
        stack = self._screen_stack
        if screen not in stack:
            return
        if screen is not stack[0]:
            while screen in stack:
                self.pop_screen()
            return
        mode = self.current_mode
        if mode in (FIRST, self.DEFAULT_MODE):
            return  # it stays, as empty as it is: every other screen is a key away
        self.switch_mode(FIRST)
        again = self._modes[mode]
        self.remove_mode(mode)
        self.add_mode(mode, again)

    def _end(self, error: Exception) -> None:
        """Nothing can be shown: leave the terminal as it was, and let ``failure`` be told there."""
        log.error("the app ends", exc_info=error)
        self.failure = self.failure or error
        self.exit(return_code=1)


def _steps(error: BaseException) -> Iterator[tuple[str, str, object]]:
    """Module, function and ``self`` of each step on the way to the error, the outermost first."""
    step: TracebackType | None = error.__traceback__
    while step is not None:
        frame = step.tb_frame
        yield frame.f_globals.get("__name__", ""), frame.f_code.co_name, frame.f_locals.get("self")
        step = step.tb_next


def _place(error: BaseException) -> tuple[type, str, int]:
    """Where it was raised: what tells one fault from another."""
    step = error.__traceback__
    while step is not None and step.tb_next is not None:
        step = step.tb_next
    return (type(error), step.tb_frame.f_code.co_filename, step.tb_lineno) if step else (type(error), "", 0)
