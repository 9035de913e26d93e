"""The text twin of an HTML body: what a reader without HTML sees, with every link's address beside its words."""

from __future__ import annotations

import re
from html.parser import HTMLParser

_BLOCKS = frozenset(
    "address article aside blockquote body div dl dd dt footer form h1 h2 h3 h4 h5 h6 header hr".split()
    + "li main nav ol p pre section table tr ul".split()
)
_HIDDEN = frozenset({"head", "script", "style", "template", "title"})
_VOID = frozenset("area base br col embed hr img input link meta source track wbr".split())
_BLANK_LINES = re.compile(r"\n{3,}")


def html_to_text(html: str) -> str:
    """Readable text, paragraphs set apart, lists marked, links as ``words (address)``; ends with one line break."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    lines = "".join(reader.parts).split("\n")
    return _BLANK_LINES.sub("\n\n", "\n".join(line.rstrip() for line in lines)).strip() + "\n"


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._hidden = 0
        self._pre = 0
        self._links: list[tuple[str, int]] = []
        self._lists: list[int | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if tag in _HIDDEN or "display:none" in (attributes.get("style") or "").replace(" ", "") or self._hidden:
            self._hidden += tag not in _VOID
        elif tag == "br":
            self.parts.append("\n")
        elif tag == "hr":
            self.parts.append("\n\n---\n\n")
        elif tag == "a":
            self._links.append((attributes.get("href") or "", len(self.parts)))
        elif tag == "img":
            self.parts.append(attributes.get("alt") or "")
        elif tag in ("ul", "ol"):
            self._lists.append(1 if tag == "ol" else None)
            self.parts.append("\n" if len(self._lists) > 1 else "\n\n")
        elif tag == "li":
            self.parts.append("\n" + "  " * (len(self._lists) - 1) + self._marker())
        elif tag in ("td", "th"):
            self.parts.append(" ")
        elif tag == "tr":
            self.parts.append("\n")
        elif tag in _BLOCKS:
            self._pre += tag == "pre"
            if not self._lists:
                self.parts.append("\n\n")

    def handle_endtag(self, tag: str) -> None:
        if self._hidden:
            self._hidden -= 1
        elif tag == "a" and self._links:
            address, start = self._links.pop()
            words = "".join(self.parts[start:]).strip()
            if address and address.removeprefix("mailto:") != words:
                self.parts.append(f" ({address})" if words else address)
        elif tag in ("ul", "ol") and self._lists:
            self._lists.pop()
            self.parts.append("\n\n" if not self._lists else "")
        elif tag in _BLOCKS:
            self._pre -= tag == "pre"
            if not self._lists and tag not in ("hr", "tr"):
                self.parts.append("\n\n")

    def handle_data(self, data: str) -> None:
        if self._hidden:
            return
        if not self._pre:
            data = re.sub(r"\s+", " ", data)
            if not self.parts or self.parts[-1].endswith(("\n", " ")):
                data = data.lstrip()
        self.parts.append(data)

    def _marker(self) -> str:
        number = self._lists[-1] if self._lists else None
        if number is None:
            return "- "
        self._lists[-1] = number + 1
        return f"{number}. "
