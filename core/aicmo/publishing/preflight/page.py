"""A finished HTML part as its reader sees it: links with their words, pictures, and how much is to be read."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

from aicmo.text import one_line

_UNSEEN = frozenset({"style", "script", "title", "head", "template"})
_VOID = frozenset("area base br col embed hr img input link meta source track wbr".split())


@dataclass(slots=True)
class Link:
    href: str
    text: str = ""
    """What is clicked; empty for a picture."""


@dataclass(frozen=True, slots=True)
class Image:
    src: str
    alt: str | None
    """``None`` where there is none; empty for a picture that only decorates."""


@dataclass(slots=True)
class Page:
    links: list[Link] = field(default_factory=list)
    images: list[Image] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)
    """What ``#name`` may point at."""
    text: str = ""
    """The words that are shown, the pictures' descriptions not among them."""


def read_page(html: str) -> Page:
    """Whatever it is given: what is no HTML has no links."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    reader.page.text = one_line(" ".join(reader.shown))
    return reader.page


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.page = Page()
        self.shown: list[str] = []
        self._open: list[Link] = []
        self._hidden = 0
        """How deep in what is not shown."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.page.anchors |= {values[name] for name in ("id", "name") if values.get(name)}
        style = values.get("style", "").replace(" ", "").lower()
        if tag not in _VOID and (self._hidden or tag in _UNSEEN or "display:none" in style):
            self._hidden += 1
        if tag in ("a", "area") and "href" in values:
            link = Link(values["href"], one_line(values.get("alt", "")) if tag == "area" else "")
            self.page.links.append(link)
            if tag == "a":
                self._open.append(link)
        elif tag == "img" and not _is_pixel(values):
            self.page.images.append(Image(values.get("src", ""), values.get("alt")))

    def handle_endtag(self, tag: str) -> None:
        if tag not in _VOID and self._hidden:
            self._hidden -= 1
        if tag == "a" and self._open:
            link = self._open.pop()
            link.text = one_line(link.text)

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.shown.append(data)
            for link in self._open[-1:]:
                link.text += data


def _is_pixel(values: dict[str, str]) -> bool:
    return values.get("width") in ("0", "1") and values.get("height") in ("0", "1")
