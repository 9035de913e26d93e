"""The words of an HTML part with the colours they are written in, and what those are on light and on dark paper.

Mail programs in dark mode do one of three things: they leave a message as it is; they turn its colours round, ground
and letters alike (Gmail, Outlook); or they make their own ground dark and their own letters light, and keep whatever
colour the message fixes (Apple Mail, Thunderbird, Samsung). Only the last can part letters from the ground that they
were meant for, so that is what ``DARK`` stands for: a colour without a ground of its own, or a ground without a colour.

It reads ``style`` attributes (style sheets were inlined before), ``bgcolor``, ``text`` and ``color``. What it cannot
read, such as a picture behind the words, it does not judge.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from colorsys import hls_to_rgb, rgb_to_hls
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from typing import NamedTuple

from aicmo.text import one_line, plain

Colour = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""

_VOID = frozenset("area base br col embed hr img input link meta source track wbr".split())
_HIDDEN = frozenset({"head", "script", "style", "template", "title"})
_BLOCKS = frozenset(
    "address article blockquote center div dl dt footer form h1 h2 h3 h4 h5 h6 header hr li main ol p pre section "
    "table tr ul".split()
)
_APART = frozenset("blockquote h1 h2 h3 h4 h5 h6 ol p pre table ul".split())
"""With an empty line around them."""
_STRONG = frozenset("b strong h1 h2 h3 h4 h5 h6 th".split())
_DECLARED = re.compile(r"(?:^|;)\s*(color|background-color|background|display)\s*:\s*([^;]+)", re.IGNORECASE)
_SPACES = re.compile(r"[ \t\n\r\f]+")
_COLOUR = re.compile(r"#[0-9a-f]{3,8}\b|rgba?\([^)]*\)|[a-z]+", re.IGNORECASE)
_NAMED = {
    name: (int(code[0:2], 16), int(code[2:4], 16), int(code[4:6], 16))
    for name, code in (
        each.split("=")
        for each in "black=000000 silver=c0c0c0 gray=808080 grey=808080 white=ffffff maroon=800000 red=ff0000 "
        "purple=800080 fuchsia=ff00ff green=008000 lime=00ff00 olive=808000 yellow=ffff00 navy=000080 blue=0000ff "
        "teal=008080 aqua=00ffff orange=ffa500 darkgray=a9a9a9 darkgrey=a9a9a9 dimgray=696969 dimgrey=696969 "
        "lightgray=d3d3d3 lightgrey=d3d3d3 whitesmoke=f5f5f5 navajowhite=ffdead darkblue=00008b darkred=8b0000 "
        "darkgreen=006400 gold=ffd700 ivory=fffff0 tomato=ff6347 steelblue=4682b4 slategray=708090".split()
    )
}
"""The colours of CSS 1 and 2, and the commoner of the others."""
_SEE_THROUGH = frozenset({"transparent", "inherit", "initial", "unset", "none", "currentcolor"})


class Paper(NamedTuple):
    """What a mail program draws on where a message fixes no colour."""

    ground: Colour
    text: Colour
    link: Colour


LIGHT = Paper((255, 255, 255), (0, 0, 0), (0, 0, 238))
DARK = Paper((30, 30, 30), (230, 230, 230), (138, 180, 248))
"""About those of the programs named above; each has its own."""


@dataclass(frozen=True, slots=True)
class Ink:
    """A run of words in one colour."""

    words: str = ""
    """May begin and end with line breaks."""
    colour: Colour | None = None
    """``None``: the mail program's own."""
    ground: Colour | None = None
    picture: str = ""
    """The address of a picture, whose description the words are, in brackets; they may be empty."""
    is_link: bool = False
    is_strong: bool = False
    colour_is_read: bool = True
    ground_is_read: bool = True
    """Whether that is all there is to it: there is no picture behind, and no colour that is not known here."""

    @property
    def is_sure(self) -> bool:
        return self.colour_is_read and self.ground_is_read

    def on(self, paper: Paper) -> tuple[Colour, Colour]:
        """Letters and ground, as they are seen there."""
        ground = self.ground or paper.ground
        if self.is_link and not self.colour:  # programs see to it themselves that a link shows
            return max(LIGHT.link, DARK.link, key=lambda link: contrast(link, ground)), ground
        return self.colour or paper.text, ground


@dataclass(frozen=True, slots=True)
class Inked:
    """A whole message."""

    inks: tuple[Ink, ...]
    ground: Colour | None
    """That of the whole body."""
    is_adaptive: bool
    """Whether it has styles of its own for the dark, which are not looked at here."""

    @property
    def is_light(self) -> bool:
        """Whether it brings a light ground of its own, so that only turning it round makes it dark."""
        return self.ground is not None and _is_light(self.ground)

    def turned(self) -> Inked:
        """About as programs show it that turn light colours round, and leave dark grounds as they are."""
        inks = tuple(
            replace(ink, colour=ink.colour and _turned(ink.colour), ground=ink.ground and _turned(ink.ground))
            if ink.ground is None or _is_light(ink.ground)
            else ink
            for ink in self.inks
        )
        return replace(self, inks=inks, ground=self.ground and _turned(self.ground))


def inked(html: str) -> Inked:
    """Whatever it is given: what is no HTML is words in the mail program's own colours."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    adaptive = re.search(r"prefers-color-scheme\s*:\s*dark", html, re.IGNORECASE) is not None
    return Inked(tuple(reader.inks), reader.ground, adaptive)


def _is_light(colour: Colour) -> bool:
    return contrast(colour, DARK.ground) > contrast(colour, LIGHT.ground)


def _turned(colour: Colour) -> Colour:
    """The same hue, as light as it was dark: white becomes the ground of ``DARK``, black its letters."""
    hue, lightness, saturation = rgb_to_hls(*(each / 255 for each in colour))
    darkest, lightest = DARK.ground[0] / 255, DARK.text[0] / 255
    red, green, blue = hls_to_rgb(hue, lightest - lightness * (lightest - darkest), saturation)
    return round(red * 255), round(green * 255), round(blue * 255)


def contrast(one: Colour, other: Colour) -> float:
    """From 1, the same colour, to 21, black on white (WCAG 2.2, contrast ratio)."""
    brighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


def _luminance(colour: Colour) -> float:
    """0 to 1 (WCAG 2.2, relative luminance)."""
    red, green, blue = (
        each / 255 / 12.92 if each / 255 <= 0.04045 else ((each / 255 + 0.055) / 1.055) ** 2.4 for each in colour
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.inks: list[Ink] = []
        self.ground: Colour | None = None
        self._open: list[tuple[str, Ink, bool]] = []
        """Tags that have begun, each with the ink before it, and whether what was before it was hidden."""
        self._ink = Ink()
        self._hidden = False
        self._breaks = 0
        """Line breaks that stand before the next words."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self._break(tag)
        if tag in _VOID:
            if tag == "img":
                alt = one_line(values.get("alt", ""))
                self._add(f"[{alt}]" if alt else "", one_line(values.get("src", "")))
            return
        self._open.append((tag, self._ink, self._hidden))
        styles = {name.lower(): value for name, value in _DECLARED.findall(values.get("style", ""))}
        self._hidden = self._hidden or tag in _HIDDEN or styles.get("display", "").strip().lower() == "none"
        self._ink = _dipped(self._ink, tag, values, styles)
        if tag == "body":
            self.ground = self._ink.ground
        elif tag == "li":
            self._add("- ")
        elif tag in ("td", "th") and not self._breaks:
            self._add("  ")

    def handle_endtag(self, tag: str) -> None:
        if any(name == tag for name, _, _ in self._open):
            self._break(tag)
            name = ""
            while name != tag:
                name, self._ink, self._hidden = self._open.pop()

    def handle_data(self, data: str) -> None:
        words = _SPACES.sub(" ", data)
        if words.strip() or not self._breaks:
            self._add(words.lstrip() if self._breaks else words)

    def _break(self, tag: str) -> None:
        if tag == "br":
            self._breaks += 1
        elif tag in _BLOCKS:
            self._breaks = max(self._breaks, 2 if tag in _APART else 1)

    def _add(self, words: str, picture: str = "") -> None:
        words = plain(words)
        if words and not self._hidden:
            breaks = "\n" * min(self._breaks, 2) if self.inks else ""
            self._breaks = 0
            words = breaks + (words if self.inks else words.lstrip())
        if (words or picture) and not self._hidden:
            self.inks.append(replace(self._ink, words=words, picture=picture))


def _dipped(ink: Ink, tag: str, values: Mapping[str, str], styles: Mapping[str, str]) -> Ink:
    """The ink within a tag."""
    fixed = styles.get("color") or values.get("color" if tag == "font" else "text" if tag == "body" else "", "")
    ground = styles.get("background-color") or styles.get("background") or values.get("bgcolor", "")
    if tag == "a" and values.get("href"):
        ink = replace(ink, is_link=True, colour=None)  # a mail program has a colour of its own for links
    if fixed:
        colour, is_read = _read(fixed, ink.colour)
        ink = replace(ink, colour=colour, colour_is_read=is_read)
    if ground:
        colour, is_read = _read(ground, ink.ground)
        ink = replace(ink, ground=colour, ground_is_read=is_read)
    return replace(ink, is_strong=True) if tag in _STRONG else ink


def _read(value: str, before: Colour | None) -> tuple[Colour | None, bool]:
    """The colour that a value names, else the one ``before`` it; and whether that is all there is to it."""
    value = value.lower()
    if "url(" in value or "gradient" in value:
        return before, False
    for found in _COLOUR.findall(value):
        if found in _SEE_THROUGH:
            return before, True
        if found in _NAMED:
            return _NAMED[found], True
        if found.startswith("#") and len(found) in (4, 7):
            code = found[1:] if len(found) == 7 else "".join(each * 2 for each in found[1:])
            return (int(code[0:2], 16), int(code[2:4], 16), int(code[4:6], 16)), True
        if found.startswith("rgb"):
            parts = re.findall(r"\d*\.?\d+%?", found)
            if len(parts) == 3 and not any(each.endswith("%") for each in parts):
                red, green, blue = (round(min(255.0, float(each))) for each in parts)
                return (red, green, blue), True
    return before, False
