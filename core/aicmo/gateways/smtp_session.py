"""An SMTP session that is ready for MAIL: what is said, what is answered, in order.

The client library connects, encrypts and logs in; then its connection is taken over here, because the library can wait
for one answer at a time only, and pipelining (RFC 2920) needs several commands in one write and each answer in its
turn. Every answer is owed by a command. One that nobody asked for ends the session: whoever goes on after it would take
each answer for that of the command before.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence

QUIT_PATIENCE_S = 2.0
LONGEST_ANSWER = 32 * 1024
"""Bytes of one answer, all of its lines together; a server that says more is not one."""


class GarbledAnswer(OSError):
    """What came is no SMTP (RFC 5321 4.2)."""


class SmtpSession(asyncio.Protocol):
    """``say`` something, then take each ``answer``. Not for two users at once."""

    def __init__(self, transport: asyncio.Transport, extensions: Mapping[str, str]) -> None:
        """``extensions`` is what EHLO told: lower-case keyword -> its parameters."""
        self.uses = 0
        self.pipelines = "pipelining" in extensions
        size = extensions.get("size", "").strip()
        self.most_bytes = int(size) if size.isdecimal() else 0
        """The server's limit to one message (RFC 1870); 0 when it names none."""
        self.takes_size = "size" in extensions
        self.takes_8bit = "8bitmime" in extensions
        self.takes_utf8 = "smtputf8" in extensions
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._owed = 0
        self._answers: deque[tuple[int, str]] = deque()
        self._part = b""
        self._lines: list[bytes] = []
        self._unread = 0
        self._held_back = False
        self._over: OSError | None = None
        self._news: asyncio.Future[None] | None = None
        transport.set_protocol(self)
        # Whatever the transport holds back pauses us: a body that is out leaves nothing behind for the dot to follow.
        transport.set_write_buffer_limits(high=0)

    # --- for whoever speaks -------------------------------------------------------------------------------------------

    @property
    def alive(self) -> bool:
        """Whether, as far as this side knows, a next command would be heard and its answer be its own."""
        return self._over is None and not self._owed and not self._transport.is_closing()

    def say(self, text: bytes, *, answers: int = 1) -> None:
        """Write ``text``, for which so many answers are owed. Raises ``ConnectionError`` on a session that is over."""
        if self._over is not None or self._transport.is_closing():
            raise self._over or ConnectionResetError("Connection lost")
        self._owed += answers
        self._transport.write(text)

    async def answer(self, within_s: float) -> tuple[int, str]:
        """The next one owed: its code, and its words, a line each.

        Raises ``TimeoutError``, ``GarbledAnswer``, or ``ConnectionError`` when it will never come.
        """
        if not self._answers:
            await self._until(lambda: bool(self._answers), within_s)
        if not self._answers:
            raise self._over or ConnectionResetError("Connection lost")
        return self._answers.popleft()

    async def deliver(
        self, body: bytes, before_dot: Callable[[], None], *, body_s: float, answer_s: float
    ) -> tuple[int, str]:
        """The body, then the dot alone; gives the answer. ``before_dot`` is called when nothing of the body is left.

        An answer that comes before the dot is a refusal, and then there is no dot. Raises as ``answer`` does.
        """
        self.say(body)
        if self._held_back:
            await self._until(lambda: not self._held_back or bool(self._answers), body_s)
        if self._answers or self._over is not None or self._transport.is_closing():
            return await self.answer(body_s)
        before_dot()
        self.say(b".\r\n", answers=0)
        self.uses += 1
        return await self.answer(answer_s)

    async def quit(self) -> None:
        """Take leave and close. Never raises; waits two seconds at most."""
        try:
            self.say(b"QUIT\r\n")
            await self.answer(QUIT_PATIENCE_S)
        except OSError:
            pass  # it was going anyway
        finally:
            self.abort()

    def abort(self) -> None:
        """Close at once; what is not yet written never leaves."""
        self._transport.abort()

    # --- for the event loop -------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        self._unread += len(data)
        *lines, self._part = (self._part + data).split(b"\n")
        for line in lines:
            if not _goes_on(self._lines, line):
                self._end(GarbledAnswer(f"Not an SMTP answer: {line[:80].decode('ascii', 'replace')}"))
                return
            self._lines.append(line)
            if line[3:4] == b"-":
                continue
            text = b"\n".join(each[4:].strip() for each in self._lines).decode("utf-8", "surrogateescape")
            self._unread, self._lines = len(self._part), []
            if not self._owed:
                self._end(ConnectionResetError(f"The server said what nobody had asked: {line[:3].decode()} {text}"))
                return
            self._owed -= 1
            self._answers.append((int(line[:3]), text))
        if self._unread > LONGEST_ANSWER:
            self._end(GarbledAnswer("The answer has no end."))
        elif self._answers:
            self._tell()

    def connection_lost(self, error: Exception | None) -> None:
        if self._over is None:
            self._over = ConnectionResetError("Connection lost")
            self._over.__cause__ = error
        self._tell()

    def pause_writing(self) -> None:
        self._held_back = True

    def resume_writing(self) -> None:
        self._held_back = False
        self._tell()

    # --- inside -------------------------------------------------------------------------------------------------------

    async def _until(self, something_is_so: Callable[[], bool], within_s: float) -> None:
        """Wait for it, or for the session's end. Raises ``TimeoutError``."""
        late = False

        def be_late() -> None:
            nonlocal late
            late = True
            self._tell()

        deadline = self._loop.call_later(within_s, be_late)
        try:
            while not something_is_so() and self._over is None:
                if late:
                    raise TimeoutError
                self._news = self._loop.create_future()
                await self._news
        finally:
            deadline.cancel()

    def _tell(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    def _end(self, error: OSError) -> None:
        """Nothing that comes from here on can be trusted."""
        self._over = error
        self._transport.abort()
        self._tell()


def _goes_on(lines: Sequence[bytes], line: bytes) -> bool:
    """Whether ``line`` may follow these in an answer. A yes that ends in a no is neither: all lines bear one code (RFC
    5321 4.2.1). A code of the same kind passes, because it changes nothing."""
    is_one = line[:3].isdigit() and line[3:4] in (b"", b" ", b"-", b"\r")
    return is_one and all(line[:1] == earlier[:1] for earlier in lines[-1:])
