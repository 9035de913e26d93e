"""Labelled lines about one thing, as wide as there is room: what does not fit goes on below, beside its label."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import RenderResult
from textual.geometry import Size
from textual.widget import Widget

from aicmo_tui.present import Content, fit, line, lines

Fact = tuple[Content, Content]
"""A label, empty for none, and what is said."""

LABEL_CELLS = 11


class Facts(Widget):
    DEFAULT_CSS = "Facts { height: auto; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._facts: Sequence[Fact] = ()

    def show(self, facts: Sequence[Fact]) -> None:
        if facts != self._facts:
            self._facts = facts
            self.refresh(layout=True)

    def render(self) -> RenderResult:
        return lines(self._wrapped(self.size.width))

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return max(1, len(self._wrapped(width)))

    def _wrapped(self, width: int) -> list[Content]:
        rows = []
        for label, said in self._facts:
            indent = LABEL_CELLS if label else 0
            for number, part in enumerate(said.wrap(max(10, width - indent))):
                rows.append(line(fit(label if number == 0 else line(""), indent), part))
        return rows
