"""One conversation with an IMAP server (RFC 3501), as little of it as reading mail takes.

Every step ends: with the server's answer, when the connection is lost, when too little was heard for too long, or when
the server sends more than was asked for; what it sends is counted before it is kept. A conversation that broke off in
the middle of an answer is over. Only reading is offered here: a mailbox is opened with EXAMINE and mail fetched with
BODY.PEEK, so nothing is ever marked, moved or deleted. Nothing is logged: every line may be secret.
"""

from __future__ import annotations

import asyncio
import base64
import re
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import count
from typing import NamedTuple

from aicmo.gateways.sasl import xoauth2_message

LOGOUT_PATIENCE_S = 2.0
PIECE_BYTES = 64 * 1024
"""What has to arrive for the patience with a server to begin anew: with 30 s, some 2 kB a second are enough."""
LONGEST_TALK = 1024 * 1024
"""Bytes a server may say around what was asked for."""
LONGEST_LIST = 32 * 1024 * 1024
"""Bytes of a list of UIDs: some three million mails."""
LINE_COST = 32
"""Bytes that a line counts beside its own, for what it costs to keep; else empty lines would come cheap."""
LONGEST_HEADERS = 16 * 1024
"""Bytes of one mail's chosen header fields; the server is asked for no more."""
AT_ONCE = 100
"""UIDs in one command: its line stays far below the 8192 bytes that every server takes (RFC 7162 4)."""

_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
_STATUS = re.compile(rb"(\S+) (OK|NO|BAD|BYE|PREAUTH)(?: (.*))?", re.IGNORECASE | re.DOTALL)
_LITERAL_AHEAD = re.compile(rb"\{(\d{1,19})\}$")
_NUMBER = re.compile(rb"(?<!\S)\d{1,10}(?!\S)")
_UID_VALIDITY = re.compile(rb"\* OK \[UIDVALIDITY (\d{1,10})\]", re.IGNORECASE)
_FETCHED = re.compile(rb"\* \d{1,10} FETCH \(", re.IGNORECASE)
_LISTED = re.compile(rb'\* LIST \(([^()]*)\) (?:"\\?(.)"|NIL) (?:"((?:[^"\\]|\\.)*)"|(\S+))', re.IGNORECASE | re.DOTALL)
_ITEM = re.compile(
    rb'(?<=[( ])(UID|RFC822\.SIZE|INTERNALDATE|BODY\[\]) (?:(\d{1,19})(?!\d)|"((?:[^"\\]|\\.)*)")', re.IGNORECASE
)


class Refused(Exception):
    """The server said NO, BAD or BYE."""

    def __init__(self, word: str, text: str) -> None:
        super().__init__(f"{word} {text}")
        self.word = word
        self.text = text


@dataclass(frozen=True, slots=True)
class Found:
    """What a FETCH gave of one mail."""

    uid: int
    size_bytes: int
    received_at: datetime | None
    raw: bytes | None
    """``None`` when it was not asked for, or the server does not have it."""


class Mailbox(NamedTuple):
    """One of the account's mailboxes, as LIST names it."""

    name: str
    """All of it, decoded."""
    separator: str
    """Between the levels of ``name``; empty when there are none."""
    attributes: frozenset[str]
    """In lower case, such as ``\\sent`` (RFC 6154) or ``\\noselect``."""


class ImapSession:
    """Open it with ``open_session``. Every method raises ``Refused``, ``OSError`` or ``TimeoutError``."""

    def __init__(self, reader: asyncio.StreamReader, transport: asyncio.Transport, host: str, timeout_s: float) -> None:
        self._reader = reader
        self._transport = transport
        self._host = host
        self._timeout_s = timeout_s
        self._numbers = count(1)
        self._patience = asyncio.timeout(None)
        """With the step that is running."""
        self._heard = 0
        """Bytes read since the patience began anew."""
        self._allowed = 0
        """Bytes that may still be read in this step."""
        self._farewell: str | None = None

    async def greeting(self) -> None:
        """What the server says first, unasked."""
        async with self._step():
            response = await self._response()
        word, _, rest = response.text.removeprefix(b"* ").decode("utf-8", "replace").partition(" ")
        if word.upper() not in ("OK", "PREAUTH"):
            raise Refused("BYE" if word.upper() == "BYE" else "BAD", rest)

    async def offers(self) -> frozenset[str]:
        """The server's capabilities, in capitals."""
        heard = b" ".join(response.text for response in await self._run("CAPABILITY"))
        return frozenset(heard.decode("ascii", "replace").upper().split())

    async def start_tls(self, context: ssl.SSLContext) -> None:
        """From here on everything is encrypted; whatever was said before it is not heard."""
        await self._run("STARTTLS")
        self._reader.feed_eof()
        if not self._reader.at_eof():  # said before the encryption, to be heard after it
            raise ConnectionAbortedError("The server spoke on before the encryption began.")
        reader, protocol = _listening()
        async with asyncio.timeout(self._timeout_s):
            transport = await asyncio.get_running_loop().start_tls(
                self._transport, protocol, context, server_hostname=self._host
            )
        if transport is None:
            raise ConnectionResetError("The server closed the connection.")
        protocol.connection_made(transport)  # start_tls leaves that to its caller
        self._reader, self._transport = reader, transport

    async def log_in(self, username: str, password: str) -> None:
        await self._run(f"LOGIN {quoted(username)} {quoted(password)}")

    async def log_in_with_token(self, username: str, token: str, *, at_once: bool) -> None:
        """XOAUTH2; ``at_once`` puts the token in the command, which takes the capability SASL-IR (RFC 4959)."""
        shown = base64.b64encode(xoauth2_message(username, token)).decode()
        # A refused token is explained first; the NO follows on an empty line.
        if at_once:
            await self._run(f"AUTHENTICATE XOAUTH2 {shown}", "")
        else:
            await self._run("AUTHENTICATE XOAUTH2", shown, "")

    async def noop(self) -> None:
        await self._run("NOOP")

    async def examine(self, mailbox: str) -> int:
        """Open ``mailbox`` for reading only; gives its UIDVALIDITY."""
        for response in await self._run(f"EXAMINE {mailbox_name(mailbox)}"):
            if found := _UID_VALIDITY.match(response.text):
                return int(found[1])
        raise Refused("NO", "The server names no UIDVALIDITY, so its numbers mean nothing.")

    async def mailboxes(self, *, selected_by: str = "") -> list[Mailbox]:
        """The account's mailboxes; ``selected_by`` is a selection option such as ``SPECIAL-USE`` (RFC 5258 3.1)."""
        heard = await self._run(f'LIST ({selected_by}) "" "*"' if selected_by else 'LIST "" "*"')
        return [_listed(found, response) for response in heard if (found := _LISTED.match(response.text))]

    async def uids_after(self, uid: int) -> list[int]:
        """UIDs above ``uid``, ascending. ``N:*`` names the last mail even when it is older (RFC 3501 6.4.8)."""
        return [number for number in await self._search(f"UID {uid + 1}:*") if number > uid]

    async def uids_since(self, day: date, criteria: str = "") -> list[int]:
        """UIDs of what the server took in on ``day`` or later, in its own zone, ascending.

        ``criteria`` are more search keys (RFC 3501 6.4.4). A server may find more than they say: many match parts of
        words.
        """
        return await self._search(f"SINCE {day.day}-{_MONTHS[day.month - 1]}-{day.year:04} {criteria}".rstrip())

    async def sizes(self, uids: Sequence[int]) -> dict[int, int]:
        """UID -> bytes, of those that are still there."""
        sizes: dict[int, int] = {}
        for start in range(0, len(uids), AT_ONCE):
            found = await self._fetch(uids[start : start + AT_ONCE], "(UID RFC822.SIZE)", 0)
            sizes |= {each.uid: each.size_bytes for each in found if each.size_bytes}
        return sizes

    async def mails(self, uids: Sequence[int], size_bytes: int) -> list[Found]:
        """The mails themselves, at most a hundred and ``size_bytes`` in all; those that are gone are left out."""
        # The announced sizes are estimates on some servers; a quarter more is still bounded.
        return await self._fetch(uids, "(UID INTERNALDATE BODY.PEEK[])", size_bytes + size_bytes // 4)

    async def headers(self, uids: Sequence[int], names: Sequence[str]) -> dict[int, bytes]:
        """UID -> the header fields of these names, as they stand there but for what exceeds ``LONGEST_HEADERS``; those
        that are gone are left out."""
        item = f"BODY.PEEK[HEADER.FIELDS ({' '.join(names)})]<0.{LONGEST_HEADERS}>"
        headers: dict[int, bytes] = {}
        for start in range(0, len(uids), AT_ONCE):
            part = uids[start : start + AT_ONCE]
            found = await self._fetch(part, f"(UID {item})", len(part) * LONGEST_HEADERS)
            headers |= {each.uid: each.raw for each in found if each.raw}
        return headers

    async def log_out(self) -> None:
        """Take leave. Never raises; bounded in time."""
        with suppress(Refused, OSError):
            async with asyncio.timeout(LOGOUT_PATIENCE_S):
                await self._run("LOGOUT")
        self.abort()

    def abort(self) -> None:
        self._transport.abort()

    # --- inside -------------------------------------------------------------------------------------------------------

    async def _search(self, criteria: str) -> list[int]:
        heard = await self._run(f"UID SEARCH {criteria}", at_most=LONGEST_LIST)
        lists = [response.text for response in heard if response.text[:8].upper() == b"* SEARCH"]
        return sorted({int(number) for each in lists for number in _NUMBER.findall(each)})

    async def _fetch(self, uids: Sequence[int], items: str, at_most: int) -> list[Found]:
        heard = await self._run(f"UID FETCH {','.join(map(str, uids))} {items}", at_most=at_most)
        wanted = set(uids)
        found = (_found(response) for response in heard if _FETCHED.match(response.text))
        return [each for each in found if each is not None and each.uid in wanted]

    @asynccontextmanager
    async def _step(self, at_most: int = 0) -> AsyncIterator[None]:
        """Bounded in time, and to ``at_most`` bytes and a little talk. When it breaks off, the conversation is over."""
        self._allowed, self._heard = at_most + LONGEST_TALK, 0
        try:
            async with asyncio.timeout(self._timeout_s) as self._patience:
                yield
        except asyncio.CancelledError:
            self.abort()
            raise
        except (OSError, asyncio.IncompleteReadError) as error:
            self.abort()
            if self._farewell is not None:
                raise Refused("BYE", self._farewell) from error
            if isinstance(error, OSError):
                raise
            raise ConnectionResetError("The server closed the connection.") from error

    async def _run(self, command: str, *answers: str, at_most: int = 0) -> list[_Response]:
        """What the server says until it is done. ``answers`` are given to its questions, one to each."""
        async with self._step(at_most):
            tag = f"A{next(self._numbers)}"
            self._say(f"{tag} {command}")
            return await self._answered(tag.encode(), list(answers))

    async def _answered(self, tag: bytes, answers: list[str]) -> list[_Response]:
        heard: list[_Response] = []
        asked = ""
        while True:
            response = await self._response()
            status = _STATUS.fullmatch(response.text)
            text = (status[3] or b"").decode("utf-8", "replace") if status else ""
            if response.text.startswith(b"* "):
                heard.append(response)
                if status and status[2].upper() == b"BYE":
                    self._farewell = text
            elif response.text.startswith(b"+") and answers:
                asked += _decoded(response.text[1:])
                self._say(answers.pop(0))
            elif status is None or status[1] != tag:
                raise ConnectionAbortedError("The server’s answer cannot be read.")
            elif (word := status[2].decode().upper()) != "OK":
                raise Refused(word, f"{text} {asked}".strip())
            else:
                return heard

    def _say(self, line: str) -> None:
        self._transport.write(line.encode() + b"\r\n")

    async def _response(self) -> _Response:
        """The next response, with all its literals."""
        lines: list[bytes] = []
        literals: list[bytes] = []
        while True:
            line = await self._line()
            lines.append(line)
            ahead = _LITERAL_AHEAD.search(line)
            # The text of a status may end like that too, and means nothing by it.
            if ahead is None or not lines[0].startswith(b"* ") or _STATUS.match(lines[0]):
                return _Response(b" ".join(lines), tuple(literals))
            literals.append(await self._literal(int(ahead[1])))

    async def _line(self) -> bytes:
        self._allow(LINE_COST)
        pieces: list[bytes] = []
        while not (pieces and pieces[-1].endswith(b"\n")):
            try:
                pieces.append(await self._reader.readuntil(b"\n"))
            except asyncio.LimitOverrunError as more:
                pieces.append(await self._reader.readexactly(more.consumed))
            self._allow(len(pieces[-1]))
            self._arrived(len(pieces[-1]))
        return b"".join(pieces).rstrip(b"\r\n")

    async def _literal(self, size_bytes: int) -> bytes:
        self._allow(size_bytes)
        pieces: list[bytes] = []
        for start in range(0, size_bytes, PIECE_BYTES):
            pieces.append(await self._reader.readexactly(min(PIECE_BYTES, size_bytes - start)))
            self._arrived(len(pieces[-1]))
        return b"".join(pieces)

    def _allow(self, size_bytes: int) -> None:
        self._allowed -= size_bytes
        if self._allowed < 0:
            raise ConnectionAbortedError("The server sends more than it was asked for.")

    def _arrived(self, size_bytes: int) -> None:
        self._heard += size_bytes
        if self._heard >= PIECE_BYTES:
            self._heard = 0
            self._patience.reschedule(asyncio.get_running_loop().time() + self._timeout_s)


class _Response(NamedTuple):
    """One response of the server: its text without the line breaks, and the literals that were announced in it."""

    text: bytes
    literals: tuple[bytes, ...]


async def open_session(host: str, port: int, *, tls: ssl.SSLContext | None, timeout_s: float) -> ImapSession:
    """Connect, encrypted from the first byte with ``tls``, and hear the greeting."""
    reader, protocol = _listening()
    async with asyncio.timeout(timeout_s):
        transport, _ = await asyncio.get_running_loop().create_connection(lambda: protocol, host, port, ssl=tls)
    session = ImapSession(reader, transport, host, timeout_s)
    try:
        await session.greeting()
    except BaseException:  # a line nobody holds is closed, also when cancelled; raised again
        session.abort()
        raise
    return session


def _listening() -> tuple[asyncio.StreamReader, asyncio.StreamReaderProtocol]:
    reader = asyncio.StreamReader(limit=PIECE_BYTES)
    return reader, asyncio.StreamReaderProtocol(reader)


def quoted(text: str) -> str:
    """A quoted string (RFC 3501 9)."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def mailbox_name(name: str) -> str:
    """``name`` as a quoted string in modified UTF-7 (RFC 3501 5.1.3)."""

    def encoded(run: re.Match[str]) -> str:
        if run[0] == "&":
            return "&-"
        return "&" + base64.b64encode(run[0].encode("utf-16-be"), b"+,").decode().rstrip("=") + "-"

    return quoted(re.sub(r"&|[^\x20-\x7e]+", encoded, name))


def _mailbox_name_said(said: bytes) -> str:
    """The inverse of ``mailbox_name``, without the quotes; as it stands when it is not well encoded."""
    name = said.decode("utf-8", "replace")

    def decoded(run: re.Match[str]) -> str:
        return base64.b64decode(run[1] + "=" * (-len(run[1]) % 4), b"+,", validate=True).decode("utf-16-be") or "&"

    try:
        return re.sub(r"&([^-]*)-", decoded, name)
    except ValueError:
        return name


def _listed(found: re.Match[bytes], response: _Response) -> Mailbox:
    attributes, separator, in_quotes, bare = found.groups()
    if response.literals:
        name = response.literals[0]
    else:
        name = bare if in_quotes is None else re.sub(rb"\\(.)", rb"\1", in_quotes)
    return Mailbox(
        _mailbox_name_said(name),
        (separator or b"").decode("ascii", "replace"),
        frozenset(attributes.decode("ascii", "replace").lower().split()),
    )


def _decoded(question: bytes) -> str:
    """What the server asks; of a refused token, what it lacked. Empty when it is not base64."""
    with suppress(ValueError):
        return base64.b64decode(question.strip(), validate=True).decode("utf-8", "replace")
    return ""


def _found(response: _Response) -> Found | None:
    """The mail in a FETCH answer, its items in any order; ``None`` for news of one that was not asked for."""
    numbers: dict[bytes, int] = {}
    strings: dict[bytes, bytes] = {}
    for item, number, string in _ITEM.findall(response.text):
        if number:
            numbers[item.upper()] = int(number)
        else:
            strings[item.upper()] = re.sub(rb"\\(.)", rb"\1", string)
    if b"UID" not in numbers:
        return None
    return Found(
        numbers[b"UID"],
        numbers.get(b"RFC822.SIZE", 0),
        _moment(strings.get(b"INTERNALDATE", b"").decode("ascii", "replace")),
        # Only the mail itself may come as a literal; a short one may also stand in quotes.
        response.literals[0] if response.literals else strings.get(b"BODY[]"),
    )


def _moment(text: str) -> datetime | None:
    """``17-Jul-1996 02:44:25 -0700``; month names are English whatever this machine speaks."""
    parts = re.fullmatch(r"\s*(\d{1,2})-([A-Za-z]{3})-(\d{4}) (\d\d):(\d\d):(\d\d) ([+-]\d{4})", text)
    if parts is None or parts[2].title() not in _MONTHS:
        return None
    day, month, year, hour, minute, second, zone = parts.groups()
    written = f"{year}-{_MONTHS.index(month.title()) + 1:02}-{int(day):02}T{hour}:{minute}:{second}{zone}"
    try:
        return datetime.fromisoformat(written).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
