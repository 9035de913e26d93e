"""A template's own marks, held aside while the words around them are worked on.

Markdown, CSS inlining, link tagging and the text twin see a short plain word in place of each ``{{ … }}``; afterwards
the marks come back exactly as they were written, so none of those can change, or be changed by, what a mark says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_MARK = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
HELD = re.compile(r"xqjinja(\d+)qx")


class Marks:
    """Those of one template."""

    def __init__(self) -> None:
        self._held: list[str] = []

    def hold(self, source: str) -> str:
        """``source`` with a word in place of each mark."""
        return _MARK.sub(self._keep, source)

    def _keep(self, mark: re.Match[str]) -> str:
        self._held.append(mark[0])
        return f"xqjinja{len(self._held) - 1}qx"

    def restore(self, text: str) -> str:
        """``text`` with the marks back in place; a word that only looks like one of ours stays."""
        return HELD.sub(lambda word: self._held[n] if (n := int(word[1])) < len(self._held) else word[0], text)

    def within(self, text: str) -> Iterator[tuple[int, str]]:
        """The marks that ``text`` has words for: where each stands, and what it is."""
        for word in HELD.finditer(text):
            if (number := int(word[1])) < len(self._held):
                yield word.start(), self._held[number]
