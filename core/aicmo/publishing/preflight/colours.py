"""Words that somebody cannot read for their colour: everybody, or those who read in the dark."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from aicmo.publishing.email.inks import DARK, LIGHT, Ink, Paper, contrast, inked
from aicmo.publishing.preflight.report import Look, Problem, problem
from aicmo.text import one_line, shown

LEAST_CONTRAST = 3.0
"""What even large letters need (WCAG 2.2, 1.4.3 Contrast); body text should have 4.5."""
_TRANSPARENT = (".png", ".gif", ".svg", ".webp")
"""What pictures may be that have no ground of their own."""


def colour_problems(html: str) -> tuple[list[Problem], Look]:
    """One problem for each kind, which names the first words that it is about and counts the rest."""
    seen = inked(html)
    judged = [each for each in seen.inks if each.is_sure and not each.picture and one_line(each.words).strip("- ")]
    faint = [each for each in judged if _is_faint(each, LIGHT)]
    problems = list(_faint_text(faint))
    if not seen.is_adaptive:
        problems += _lost_in_dark([each for each in judged if _is_faint(each, DARK) and not _is_faint(each, LIGHT)])
        problems += _pictures_in_dark(seen.inks)
    return problems, Look("colours", "with styles of its own for the dark, not judged" if seen.is_adaptive else "")


def _is_faint(ink: Ink, paper: Paper) -> bool:
    return contrast(*ink.on(paper)) < LEAST_CONTRAST


def _faint_text(faint: list[Ink]) -> Iterator[Problem]:
    if faint:
        letters, ground = faint[0].on(LIGHT)
        text = f"{_named(faint)} can hardly be read: {_code(letters)} on {_code(ground)}."
        yield problem("faint_text", text, "Make the letters darker, or the ground lighter.")


def _lost_in_dark(lost: list[Ink]) -> Iterator[Problem]:
    if fixed := [each for each in lost if each.ground is None]:
        text = f"{_named(fixed)} can hardly be read in dark mode: the letters are {_code(fixed[0].colour)}, whatever is"
        hint = "Give them a background-color too, or leave the colour to the reader's program."
        yield problem("faint_in_dark", f"{text} behind them.", hint)
    if bare := [each for each in lost if each.ground is not None]:
        text = f"{_named(bare)} can hardly be read in dark mode: the ground is {_code(bare[0].ground)}, and the letters"
        yield problem("faint_in_dark", f"{text} turn light.", "Give them a color too, on the same element.")


def _pictures_in_dark(inks: Iterable[Ink]) -> Iterator[Problem]:
    """What a picture shows nobody knows here; but words that stand in one cannot turn light."""
    bare = [each for each in inks if each.picture and each.ground is None and each.ground_is_read]
    if through := [each for each in bare if urlsplit(each.picture).path.lower().endswith(_TRANSPARENT)]:
        name = shown(through[0].picture.rpartition("/")[2], limit=40)
        more = f" and {len(through) - 1} more" if len(through) > 1 else ""
        text = f"In dark mode {name}{more} stands on a dark ground, and dark words in it are gone if it is transparent."
        hint = "Give it a background-color, or draw a light line around its words."
        yield problem("image_in_dark", text, hint)


def _named(inks: Iterable[Ink]) -> str:
    first, *rest = dict.fromkeys(one_line(each.words) for each in inks)
    more = f" and {len(rest)} more {'piece' if len(rest) == 1 else 'pieces'}" if rest else ""
    return f"{shown(first, limit=40)}{more}"


def _code(colour: tuple[int, int, int] | None) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour or (0, 0, 0))
