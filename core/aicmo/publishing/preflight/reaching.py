"""Whether links lead anywhere: each is asked once (HEAD, then GET where HEAD is not answered), and redirects followed.

Only when a person asks for it, because it tells the world that the links exist. A public link never leads this machine
to a private address: a redirect into the network that we stand in is reported and not followed. Nothing is read but the
status, or the beginning of one page (``read_page_at``), and no answer is believed for longer than this check.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urljoin, urlsplit

from aicmo.publishing.preflight.report import CheckReport, Look, Problem, problem
from aicmo.text import one_line, shown

if TYPE_CHECKING:
    import httpx

_HEADERS = {"User-Agent": "AICMO link check"}
MOST_LINKS = 50
AT_ONCE = 5
EACH_S = 8.0
ALL_S = 60.0
MOST_REDIRECTS = 5
_ASK_AGAIN = (403, 404, 405, 501)
"""What a server may say to HEAD alone."""
_SHUT = (401, 403, 429, 451, 503, 999)
"""Somebody is there and does not talk to programs: whether people get in cannot be told."""

PAGE_BYTES = 512_000
"""Of a page whose head is read; what stands after it is left where it is."""

AddressesOf = Callable[[str], Awaitable[list[str]]]


@dataclass(frozen=True, slots=True)
class Answer:
    status: int = 0
    why: str = ""
    """Why there is no status, in a phrase."""
    dead: bool = True
    """Else nobody can tell."""
    page: str = ""
    """The beginning of the page, where that was asked for and is HTML."""

    @property
    def is_there(self) -> bool:
        return 200 <= self.status < 400

    @property
    def says(self) -> str:
        return f"answered {self.status}" if self.status else f"could not be reached: {self.why}"


class _Said(NamedTuple):
    status: int
    location: str
    """Where it is redirected to; empty where it is not."""
    page: str = ""


_Ask = Callable[["httpx.AsyncClient", str], Awaitable[_Said]]


async def system_addresses(host: str) -> list[str]:
    """What this machine takes ``host`` for. Raises ``OSError``."""
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [str(each[4][0]) for each in found]


async def check_links(
    links: Sequence[str],
    *,
    transport: httpx.AsyncBaseTransport | None = None,
    addresses_of: AddressesOf = system_addresses,
) -> CheckReport:
    """Ask each of ``links``, the first ``MOST_LINKS`` of them. It raises nothing for what they answer."""
    import httpx

    asked = list(links)[:MOST_LINKS]
    if not asked:
        return CheckReport()
    at_once = asyncio.Semaphore(AT_ONCE)
    async with httpx.AsyncClient(transport=transport, timeout=EACH_S, headers=_HEADERS) as client:

        async def ask(url: str) -> Answer:
            async with at_once:
                return await _follow(client, url, addresses_of, _head)

        answers = await _all_within(ALL_S, [ask(url) for url in asked])
    problems = [found for url, answer in zip(asked, answers, strict=True) if (found := _told(url, answer))]
    rest = f" of {len(links)}" if len(links) > len(asked) else ""
    return CheckReport(problems=tuple(problems), looks=(Look("links", f"{len(asked)}{rest} asked"),))


async def read_page_at(
    url: str, *, transport: httpx.AsyncBaseTransport | None = None, addresses_of: AddressesOf = system_addresses
) -> Answer:
    """The beginning of the page that ``url`` leads to, for ``cards``. It raises nothing for what it answers."""
    import httpx

    async with httpx.AsyncClient(transport=transport, timeout=EACH_S, headers=_HEADERS) as client:
        return await _follow(client, url, addresses_of, _page)


async def _all_within(seconds: float, asking: list[Awaitable[Answer]]) -> list[Answer]:
    tasks = [asyncio.ensure_future(each) for each in asking]
    _, late = await asyncio.wait(tasks, timeout=seconds)
    for task in late:
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)
    return [Answer(why="not asked in time", dead=False) if task in late else task.result() for task in tasks]


async def _follow(client: httpx.AsyncClient, url: str, addresses_of: AddressesOf, ask: _Ask) -> Answer:
    try:
        async with asyncio.timeout(EACH_S):
            return await _follow_on(client, url, addresses_of, ask)
    except TimeoutError:
        return Answer(why=f"no answer in {EACH_S:g} s", dead=False)


async def _follow_on(client: httpx.AsyncClient, url: str, addresses_of: AddressesOf, ask: _Ask) -> Answer:
    import httpx

    inside: bool | None = None
    for _ in range(MOST_REDIRECTS + 1):
        try:
            private = await _is_private(url, addresses_of)
            if inside is False and private:
                return Answer(why="it is redirected to an address inside your own network, which was not followed")
            inside = private if inside is None else inside
            said = await ask(client, url)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            return _no_answer(error)
        if not said.location:
            return Answer(said.status, dead=said.status not in _SHUT, page=said.page)
        url = urljoin(url, said.location)
        if urlsplit(url).scheme not in ("http", "https"):
            return Answer(why=f"it is redirected to {shown(url, limit=60)}")
    return Answer(why=f"it is redirected more than {MOST_REDIRECTS} times")


async def _head(client: httpx.AsyncClient, url: str) -> _Said:
    """The head of the answer; the body stays where it is."""
    answer = await client.head(url)
    if answer.status_code not in _ASK_AGAIN:
        return _said(answer)
    async with client.stream("GET", url) as answer:
        return _said(answer)


async def _page(client: httpx.AsyncClient, url: str) -> _Said:
    """The head of the answer, and of HTML as much as the head of a page may take. What is packed all the same stays
    packed: a few bytes of it may be gigabytes."""
    async with client.stream("GET", url, headers={"Accept-Encoding": "identity"}) as answer:
        said, body = _said(answer), bytearray()
        if _is_plain_html(answer) and not said.location:
            async for piece in answer.aiter_bytes():
                body += piece
                if len(body) >= PAGE_BYTES:
                    break
        return said._replace(page=_text(body[:PAGE_BYTES], answer.charset_encoding or "utf-8"))


def _is_plain_html(answer: httpx.Response) -> bool:
    packing = answer.headers.get("content-encoding", "identity").lower()
    return packing == "identity" and "html" in answer.headers.get("content-type", "").lower()


def _text(body: bytes | bytearray, charset: str) -> str:
    try:
        return body.decode(charset, "replace")
    except (LookupError, UnicodeError):  # nobody knows it, it is none of text, or it takes no replacement
        return body.decode("utf-8", "replace")


def _said(answer: httpx.Response) -> _Said:
    is_redirect = answer.status_code in (301, 302, 303, 307, 308)
    return _Said(answer.status_code, answer.headers.get("location", "") if is_redirect else "")


async def _is_private(url: str, addresses_of: AddressesOf) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        found = [host] if ip_address(host) else []
    except ValueError:
        found = await addresses_of(host)
    return any(not ip_address(each.partition("%")[0]).is_global for each in found)


def _no_answer(error: Exception) -> Answer:
    import httpx

    if isinstance(error, socket.gaierror):
        return Answer(why="there is no such host, or no network", dead=False)
    if isinstance(error, httpx.TimeoutException):
        return Answer(why=f"no answer in {EACH_S:g} s", dead=False)
    if isinstance(error, httpx.ConnectError):
        return Answer(why="no connection, or no valid certificate", dead=False)
    return Answer(why=one_line(type(error).__name__), dead=False)


def _told(url: str, answer: Answer) -> Problem | None:
    if answer.is_there:
        return None
    text = f"{shown(url, limit=80)} {answer.says}."
    if answer.dead:
        return problem("link_dead", text, "Open it in a browser, and mend it.")
    return problem("link_unanswered", text, "It may open for people all the same. Try it in a browser.")
