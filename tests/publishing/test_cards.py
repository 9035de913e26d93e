"""The card under a post: what the page behind its first link says, and what is said where it says nothing."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from html.parser import HTMLParser

import httpx
import pytest

from aicmo.publishing.preflight.cards import LONGEST_TITLE, Card, read_card
from aicmo.publishing.preflight.reaching import PAGE_BYTES

A = "https://www.a.dev/x"
HTML = {"content-type": "text/html; charset=utf-8"}
FULL = """<head><title>In the tab</title><meta name="description" content="For engines">
<meta property="og:title" content="Why we
moved"><meta property="og:description" content="It took a year."><meta property="og:image" content="/x.png"></head>"""


async def card(
    html: str | bytes | AsyncIterator[bytes] = "", *, status: int = 200, headers: dict[str, str] | None = None
) -> Card:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.method == "GET"
        return httpx.Response(status, content=html, headers=headers or HTML)

    async def addresses_of(host: str) -> list[str]:
        return ["93.184.216.34"]

    return await read_card(A, transport=httpx.MockTransport(answer), addresses_of=addresses_of)


async def test_a_page_says_what_is_on_it() -> None:
    assert await card(FULL) == Card(A, True, "Why we moved", "It took a year.", has_picture=True)
    assert (await card(FULL)).host == "a.dev"


@pytest.mark.parametrize(
    ("html", "title", "description"),
    [
        ("<title>In the\n tab</title><meta name='description' content='For engines'>", "In the tab", "For engines"),
        ("<meta name='twitter:title' content='For X'><title>Tab</title>", "For X", ""),
        ("<meta property='og:title' content=' '><title>Tab</title><svg><title>Logo</title></svg>", "Tab", ""),
        ("<meta property='og:title' content='a\x1b[31m\u202eb'>", "a[31mb", ""),
        (f"<title>{'a' * 999}</title>", "a" * (LONGEST_TITLE - 1) + "…", ""),
        ("no page at all", "", ""),
        ("<meta property><title", "", ""),
    ],
)
async def test_the_title_comes_from_where_networks_look_for_it(html: str, title: str, description: str) -> None:
    found = await card(html)
    assert (found.title, found.description, found.was_read, found.trouble) == (title, description, True, "")


async def test_what_cannot_be_known_is_said() -> None:
    assert Card(A).was_read is False
    assert (await card(status=404)).trouble == "answered 404"
    assert (await card("%PDF", headers={"content-type": "application/pdf"})).trouble == "it sent no plain HTML"
    assert (await card("<title>a</title>", headers={"content-type": "text/html; charset=klingon"})).title == "a"
    assert (await card("<title>a</title>", headers={"content-type": "Text/HTML"})).title == "a"
    assert (await card(b"<title>\xff</title>")).title == "\ufffd"


@pytest.mark.parametrize("charset", ["hex", "zlib", "undefined", "idna"])
async def test_a_charset_that_is_none_of_text_is_overlooked(charset: str) -> None:
    found = await card("<title>a</title>", headers={"content-type": f"text/html; charset={charset}"})
    assert (found.title, found.trouble) == ("a", "")


async def test_what_is_packed_is_not_unpacked() -> None:
    """Each layer turns a few bytes into a thousand times as many."""
    packed = gzip.compress(gzip.compress(FULL.encode()))
    found = await card(packed, headers={**HTML, "content-encoding": "gzip, gzip"})
    assert (found.title, found.trouble) == ("", "it sent no plain HTML")


@pytest.mark.parametrize("begun", ["<!--", "<a ", "</", "<?", "<title>a<b "])
async def test_what_a_page_leaves_open_is_not_read_again_for_each_of_them(
    begun: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parse = HTMLParser.goahead

    def watched(self: HTMLParser, end: bool) -> None:
        assert not end  # there the parser looks for the end of each, up to the end of all
        parse(self, end)

    monkeypatch.setattr(HTMLParser, "goahead", watched)
    assert (await card("<meta property='og:title' content='a'>" + begun * 1000)).title == "a"


async def test_no_more_is_read_than_the_head_may_take() -> None:
    assert (await card("<p>" + " " * PAGE_BYTES + "<title>too late</title>")).title == ""


async def test_a_page_that_never_ends_is_left() -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 10_000
            yield b"<title>a</title>" + b" " * 10_000

    found = await card(endless())
    assert found.title == "a" and sent < PAGE_BYTES + 20_000


async def test_a_page_inside_the_own_network_is_not_followed_to() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.host != "127.0.0.1"
        return httpx.Response(302, headers={"location": "http://127.0.0.1/admin"})

    async def addresses_of(host: str) -> list[str]:
        return ["93.184.216.34"]

    found = await read_card(A, transport=httpx.MockTransport(answer), addresses_of=addresses_of)
    assert "inside your own network" in found.trouble and found.title == ""
