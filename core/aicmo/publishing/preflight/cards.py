"""What a network shows under a post for its first link: the card, as far as it can be known beforehand.

The page behind the link says what is on it, in its ``og:`` tags (ogp.me), in those of X, or in its title. It is only
read when a person asks for it (``reaching``); until then the host is all there is to say, and that is said.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from aicmo.publishing.preflight.reaching import AddressesOf, Answer, read_page_at, system_addresses
from aicmo.text import one_line

if TYPE_CHECKING:
    import httpx

LONGEST_TITLE, LONGEST_DESCRIPTION = 150, 300
"""Characters. What is longer no network shows."""
_TITLES = ("og:title", "twitter:title", "title")
_DESCRIPTIONS = ("og:description", "twitter:description", "description")
_PICTURES = ("og:image", "og:image:url", "twitter:image")


@dataclass(frozen=True, slots=True)
class Card:
    url: str
    was_read: bool = False
    """Whether anybody asked the page; where not, nothing below is known."""
    title: str = ""
    description: str = ""
    has_picture: bool = False
    trouble: str = ""
    """Why the page has no say, such as ``answered 404``."""

    @property
    def host(self) -> str:
        """As cards show it, without ``www.``."""
        return host_of(self.url)


def host_of(url: str) -> str:
    """Empty where there is none."""
    try:
        return (urlsplit(url).hostname or "").removeprefix("www.")
    except ValueError:
        return ""


async def read_card(
    url: str, *, transport: httpx.AsyncBaseTransport | None = None, addresses_of: AddressesOf = system_addresses
) -> Card:
    """Ask the page. It raises nothing for what it answers."""
    answer = await read_page_at(url, transport=transport, addresses_of=addresses_of)
    return await asyncio.to_thread(card_from, url, answer)


def card_from(url: str, answer: Answer) -> Card:
    if not answer.is_there:
        return Card(url, was_read=True, trouble=answer.says)
    if not answer.page:
        return Card(url, was_read=True, trouble="it sent no plain HTML")
    reader = _Reader()
    reader.feed(answer.page)  # no close(): for whatever is left open, that looks for the end again
    return Card(
        url,
        was_read=True,
        title=reader.first(_TITLES, LONGEST_TITLE),
        description=reader.first(_DESCRIPTIONS, LONGEST_DESCRIPTION),
        has_picture=bool(reader.first(_PICTURES, LONGEST_TITLE)),
    )


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._said: dict[str, str] = {}
        self._in_title = False

    def first(self, names: tuple[str, ...], limit: int) -> str:
        """What the first of them says that says anything."""
        found = (one_line(self._said.get(name, ""), limit=limit) for name in names)
        return next(filter(None, found), "")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "meta":
            name = (values.get("property") or values.get("name", "")).lower()
            self._said.setdefault(name, values.get("content", ""))
        self._in_title = tag == "title" and "title" not in self._said

    def handle_endtag(self, tag: str) -> None:
        self._in_title = False

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self._said["title"] = self._said.get("title", "") + data
