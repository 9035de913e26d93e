"""What differs between two versions, line by line, and in a line that was reworded word by word."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from aicmo.store.contents import Draft

FIELDS = ("subject", "preheader", "format", "body")
CONTEXT = 2
"""Lines that stay the same and are shown around a change."""
ALIKE = 0.4
"""Lines that share at least so much (0-1) are one line reworded; below it they are one out and another in."""
LONGEST_LINE = 4_000
"""Characters of a line that is compared word by word; that takes the square of its words."""
_WORDS = re.compile(r"\s+|\w+|[^\w\s]")

SAME, OUT, IN, REWORDED, LEFT_OUT = " ", "-", "+", "~", "⋮"


@dataclass(frozen=True, slots=True)
class Piece:
    """Some words of a line."""

    mark: str
    """``SAME``, ``OUT`` or ``IN``."""
    text: str


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the later text, or of the earlier one where it is gone."""

    mark: str
    """Also ``REWORDED``, and ``LEFT_OUT`` in place of lines that stay the same."""
    pieces: tuple[Piece, ...]

    @property
    def text(self) -> str:
        """Readable without colour: what is gone in ``[-...-]``, what is new in ``{+...+}``."""
        if self.mark != REWORDED:
            return "".join(piece.text for piece in self.pieces)
        around = {SAME: "{}", OUT: "[-{}-]", IN: "{{+{}+}}"}
        return "".join(around[piece.mark].format(piece.text) for piece in self.pieces)


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs in one field."""

    field: str
    lines: tuple[Line, ...]


def compare(before: Draft, after: Draft) -> tuple[Difference, ...]:
    """The fields that differ, the body last; empty when nothing does."""
    pairs = ((field, getattr(before, field), getattr(after, field)) for field in FIELDS)
    return tuple(Difference(field, tuple(_trimmed(_lines(old, new)))) for field, old, new in pairs if old != new)


def _lines(old: str, new: str) -> list[Line]:
    before, after = old.split("\n"), new.split("\n")
    found: list[Line] = []
    for kind, a, b, c, d in SequenceMatcher(None, before, after).get_opcodes():
        if kind == "equal":
            found += (_whole(SAME, text) for text in before[a:b])
            continue
        paired = min(b - a, d - c)
        for first, second in zip(before[a : a + paired], after[c : c + paired], strict=True):
            found += _reworded(first, second)
        found += (_whole(OUT, text) for text in before[a + paired : b])
        found += (_whole(IN, text) for text in after[c + paired : d])
    return found


def _reworded(first: str, second: str) -> Iterator[Line]:
    before, after = _WORDS.findall(first), _WORDS.findall(second)
    words = SequenceMatcher(None, before, after, autojunk=False)
    if max(len(first), len(second)) > LONGEST_LINE or words.ratio() < ALIKE:
        yield _whole(OUT, first)
        yield _whole(IN, second)
        return
    pieces = []
    for kind, a, b, c, d in words.get_opcodes():
        if kind == "equal":
            pieces.append(Piece(SAME, "".join(before[a:b])))
            continue
        pieces += [Piece(OUT, "".join(before[a:b]))] if b > a else []
        pieces += [Piece(IN, "".join(after[c:d]))] if d > c else []
    yield Line(REWORDED, tuple(pieces))


def _whole(mark: str, text: str) -> Line:
    return Line(mark, (Piece(mark, text),))


def _trimmed(lines: Sequence[Line]) -> Iterator[Line]:
    """Only what is near a change, with a sign where something was left out."""
    changes = [place for place, line in enumerate(lines) if line.mark != SAME]
    near = {place + step for place in changes for step in range(-CONTEXT, CONTEXT + 1)}
    skipping = False
    for place, line in enumerate(lines):
        if place in near:
            yield line
        elif not skipping:
            yield Line(LEFT_OUT, ())
        skipping = place not in near
