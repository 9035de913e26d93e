"""The text twin of an HTML body: what a reader without HTML sees, with every link's address beside its words.

Lists keep their marks and their depth, quotes their ``>``, pictures their description. A row of a table is a line where
its cells are short; where cells hold whole paragraphs, as layout tables do, they follow one another.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

_PARAGRAPHS = frozenset(
    "address article aside body center dd details div dl dt figcaption figure footer form h1 h2 h3 h4 h5 h6".split()
    + "header html legend main nav p section summary".split()
)
_STACKS = frozenset("ol table tbody tfoot thead tr ul".split())
_FRAMES = _STACKS | frozenset("blockquote caption li pre td th".split())
"""What is laid out by itself when it ends; a stack as the entries that it holds."""
_HIDDEN = frozenset({"head", "script", "style", "template", "title"})
_VOID = frozenset("area base br col embed hr img input link meta source track wbr".split())
_BLANK_LINES = re.compile(r"\n{3,}")
_SPACES = re.compile(r"[ \t\n\r\f]+")


def html_to_text(html: str) -> str:
    """Readable text, paragraphs set apart, links as ``words (address)``; ends with one line break."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return reader.text() + "\n"


@dataclass(slots=True)
class _Frame:
    tag: str
    parts: list[str] = field(default_factory=list)
    entries: list[str] = field(default_factory=list)
    """Of a list its items, of a table its rows, of a row its cells; and what stands between them."""
    number: int = 1
    """Of an ordered list's next item."""

    def text(self) -> str:
        lines = "".join(self.parts).split("\n")
        if self.tag == "pre":
            return "\n".join(lines).strip("\n")
        return _BLANK_LINES.sub("\n\n", "\n".join(line.rstrip() for line in lines)).strip()


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._frames = [_Frame("")]
        self._links: list[tuple[str, _Frame, int]] = []
        self._hidden = 0

    def text(self) -> str:
        while len(self._frames) > 1:
            self._close_frame()
        return self._frames[0].text()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if tag in _HIDDEN or "display:none" in (attributes.get("style") or "").replace(" ", "") or self._hidden:
            self._hidden += tag not in _VOID
        elif tag == "br":
            self._add("\n")
        elif tag == "hr":
            self._add("\n\n---\n\n")
        elif tag == "a":
            self._links.append((attributes.get("href") or "", self._frames[-1], len(self._frames[-1].parts)))
        elif tag == "img":
            self.handle_data(attributes.get("alt") or "")
        elif tag in _FRAMES:
            start = attributes.get("start") or ""
            self._frames.append(_Frame(tag, number=int(start) if start.isdecimal() and len(start) < 6 else 1))
        elif tag in _PARAGRAPHS:
            self._add("\n\n")

    def handle_endtag(self, tag: str) -> None:
        if self._hidden:
            self._hidden -= 1
        elif tag == "a" and self._links:
            self._close_link()
        elif tag in _FRAMES:
            if any(frame.tag == tag for frame in self._frames):
                while self._close_frame() != tag:
                    pass
        elif tag in _PARAGRAPHS:
            self._add("\n\n")

    def handle_data(self, data: str) -> None:
        if self._hidden:
            return
        frame = self._frames[-1]
        if frame.tag in _STACKS:
            data = data.strip()
        elif not any(each.tag == "pre" for each in self._frames):
            data = _SPACES.sub(" ", data)
            if not frame.parts or frame.parts[-1].endswith(("\n", " ")):
                data = data.lstrip(" ")
        if data:
            self._add(data)

    def _add(self, text: str) -> None:
        frame = self._frames[-1]
        (frame.entries if frame.tag in _STACKS else frame.parts).append(text)

    def _close_link(self) -> None:
        address, frame, start = self._links.pop()
        if frame is not self._frames[-1]:
            return  # it began outside what it ends in, which has been laid out by now
        words = "".join(frame.parts[start:]).strip()
        bare = address.removeprefix("mailto:")
        if not address or address.startswith("#") or words == bare:
            return
        shown = address if "?" in bare else bare
        if not words:
            self._add(shown)
        elif words.startswith(("http://", "https://")) and address.startswith(words):
            frame.parts[start:] = [shown]  # the words are the address, but for the parameters added to it
        else:
            self._add(f" ({shown})")

    def _close_frame(self) -> str:
        """Lay out what has ended; its tag."""
        frame, outer = self._frames.pop(), self._frames[-1]
        text = frame.text()
        if frame.tag in ("td", "th"):
            outer.entries.append(text)
        elif frame.tag == "tr":
            outer.entries.append(_row(frame.entries))
        elif frame.tag in ("tbody", "thead", "tfoot"):
            outer.entries += frame.entries
        elif frame.tag == "li":
            outer.entries.append(_item(text, f"{outer.number}. " if outer.tag == "ol" else "- "))
            outer.number += 1
        elif frame.tag in ("ul", "ol", "table"):
            self._set(_stacked(frame.entries), tight=outer.tag == "li")
        elif frame.tag == "caption":
            outer.entries.append(text)
        elif frame.tag == "blockquote":
            self._set("\n".join(f"> {line}".rstrip() for line in text.split("\n")))
        else:
            self._set(text)
        return frame.tag

    def _set(self, text: str, *, tight: bool = False) -> None:
        """Set ``text`` apart from what is around it; of a list within an item by its line alone."""
        apart = "\n" if tight else "\n\n"
        self._add(f"{apart}{text}{apart}")


def _row(cells: list[str]) -> str:
    filled = [cell for cell in cells if cell]
    return ("\n\n" if any("\n" in cell for cell in filled) else " | ").join(filled)


def _stacked(entries: list[str]) -> str:
    """Rows or items, a line each; with a blank line between where one of them holds paragraphs."""
    filled = [entry for entry in entries if entry]
    return ("\n\n" if any("\n\n" in entry for entry in filled) else "\n").join(filled)


def _item(text: str, mark: str) -> str:
    """The lines after the first stand under the first."""
    first, *rest = text.split("\n")
    return "\n".join([mark + first, *(" " * len(mark) + line if line else "" for line in rest)])
