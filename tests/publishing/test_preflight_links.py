"""Asking where links lead: with a transport that answers as told, and once over a real socket."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass, field

import httpx
import pytest

from aicmo.publishing import Draft
from aicmo.publishing.email.message import SenderIdentity
from aicmo.publishing.preflight import Preflight, Setting
from aicmo.publishing.preflight.reaching import AT_ONCE, MOST_LINKS, check_links

from .preflight_cases import codes

PRIVATE, PUBLIC = "192.168.1.1", "93.184.216.34"


@dataclass
class Web:
    """``pages``: address -> status, or where it is redirected to, or what it raises. Remembers what it was asked."""

    pages: dict[str, int | str | Exception]
    addresses: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    async def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(f"{request.method} {request.url}")
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        page = self.pages.get(f"{request.method} {request.url}", self.pages.get(str(request.url), 200))
        if isinstance(page, Exception):
            raise page
        return httpx.Response(page) if isinstance(page, int) else httpx.Response(302, headers={"location": page})

    async def addresses_of(self, host: str) -> list[str]:
        if host == "gone.dev":
            raise socket.gaierror(-2, "Name or service not known")
        return [self.addresses.get(host, PUBLIC)]

    async def check(self, *links: str) -> set[str]:
        transport = httpx.MockTransport(self.answer)
        self.report = await check_links(links, transport=transport, addresses_of=self.addresses_of)
        return codes(self.report)


A = "https://a.dev/x"
REACHED: list[tuple[str, Web, str]] = [
    ("link_dead", Web({A: 404}), "answered 404"),
    ("link_dead", Web({A: 410}), "answered 410"),
    ("link_dead", Web({A: 500}), "answered 500"),
    ("link_dead", Web({A: A}), "more than 5 times"),
    ("link_dead", Web({A: "http://router.dev/"}, {"router.dev": PRIVATE}), "inside your own network"),
    ("link_dead", Web({A: "http://127.0.0.1:9/admin"}), "inside your own network"),
    ("link_dead", Web({A: "file:///etc/passwd"}), "redirected to “file:///etc/passwd”"),
    ("link_unanswered", Web({A: 403}), "answered 403"),
    ("link_unanswered", Web({A: 429}), "answered 429"),
    ("link_unanswered", Web({A: httpx.ConnectError("no")}), "no connection"),
    ("link_unanswered", Web({A: httpx.ReadTimeout("slow")}), "no answer in 8 s"),
    ("link_unanswered", Web({A: "https://gone.dev/"}), "no such host"),
]


@pytest.mark.parametrize(("code", "web", "said"), REACHED, ids=[f"{row[0]}-{n}" for n, row in enumerate(REACHED)])
async def test_a_link_that_leads_nowhere_says_why(code: str, web: Web, said: str) -> None:
    assert await web.check(A) == {code}
    assert said in web.report.problems[0].message and web.report.ok


async def test_a_redirect_is_followed_to_a_page_that_is_there() -> None:
    web = Web({A: "/y", "https://a.dev/y": "https://b.dev/"})
    assert await web.check(A) == set()
    assert web.asked == ["HEAD https://a.dev/x", "HEAD https://a.dev/y", "HEAD https://b.dev/"]


async def test_a_private_address_is_never_asked_by_way_of_a_public_one() -> None:
    web = Web({A: "http://router.dev/"}, {"router.dev": PRIVATE})
    await web.check(A)
    assert web.asked == [f"HEAD {A}"]


async def test_a_link_that_is_itself_inside_is_asked_as_it_is() -> None:
    web = Web({"http://wiki.dev/": "http://wiki.dev/home"}, {"wiki.dev": PRIVATE})
    assert await web.check("http://wiki.dev/") == set()
    assert len(web.asked) == 2


@pytest.mark.parametrize("status", [403, 404, 405, 501])
async def test_a_server_that_does_not_answer_head_is_asked_with_get(status: int) -> None:
    web = Web({f"HEAD {A}": status, f"GET {A}": 200})
    assert await web.check(A) == set()
    assert web.asked == [f"HEAD {A}", f"GET {A}"]


async def test_few_are_asked_at_once_and_not_more_than_the_bound() -> None:
    web = Web({})
    await web.check(*(f"https://a.dev/{n}" for n in range(80)))
    assert web.most_at_once <= AT_ONCE and len(web.asked) == MOST_LINKS
    (look,) = web.report.looks
    assert look.says == f"{MOST_LINKS} of 80 asked"


async def test_a_server_that_never_answers_costs_its_time_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aicmo.publishing.preflight.reaching.EACH_S", 0.05)

    async def never(request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    report = await check_links([A], transport=httpx.MockTransport(never), addresses_of=Web({}).addresses_of)
    assert codes(report) == {"link_unanswered"}


async def test_all_together_have_a_time_limit_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aicmo.publishing.preflight.reaching.ALL_S", 0.05)

    async def never(request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    links = [f"https://a.dev/{n}" for n in range(20)]
    report = await check_links(links, transport=httpx.MockTransport(never), addresses_of=Web({}).addresses_of)
    assert len(report.problems) == 20 and "not asked in time" in report.problems[-1].message


async def test_the_links_of_a_draft_are_asked_but_for_the_way_out() -> None:
    web = Web({"https://lovelace.dev/gone": 404})
    setting = Setting(SenderIdentity("Ada", "ada@lovelace.dev", "1 Way"), {"main": "smtp.lovelace.dev"})
    body = "[a](https://lovelace.dev/gone) [b](https://lovelace.dev/gone) [c](mailto:x@lovelace.dev)"
    preflight = Preflight(setting, transport=httpx.MockTransport(web.answer), addresses_of=web.addresses_of)
    assert codes(await preflight.links(Draft("Hi", body))) == {"link_dead"}
    assert web.asked == ["HEAD https://lovelace.dev/gone", "GET https://lovelace.dev/gone"]


async def served(answer: bytes) -> tuple[asyncio.Server, str]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


@pytest.mark.parametrize(("line", "expected"), [("200 OK", set()), ("410 Gone", {"link_dead"})])
async def test_over_a_real_socket(line: str, expected: set[str]) -> None:
    server, url = await served(f"HTTP/1.1 {line}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
    async with server:
        assert codes(await check_links([url])) == expected
