"""The two dialogs: one asks, one tells. Both show other people's words, and neither reads them as anything else."""

from __future__ import annotations

from collections.abc import Mapping

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Static

from aicmo_tui.keys import key
from aicmo_tui.present import ACCENT, TITLE, line, lines, value

LONGEST_TEXT = 2_000


class Choose(ModalScreen[str]):
    """A question and its answers, by what they give. The first is the safe one: it has the focus, and ``escape`` gives it."""

    DEFAULT_CSS = """
    Choose { align: center middle; background: $background 60%; }
    Choose > Vertical {
        width: 76; max-width: 94%; height: auto; max-height: 90%; padding: 1 2; background: $surface; border: round $warning;
    }
    Choose.-told > Vertical { border: round $error; }
    Choose .question { height: auto; }
    Choose VerticalScroll { height: auto; max-height: 12; margin-top: 1; }
    Choose VerticalScroll Static { height: auto; }
    Choose Horizontal { height: auto; align-horizontal: right; margin-top: 1; }
    Choose Button { margin-left: 2; width: auto; min-width: 10; }
    """
    AUTO_FOCUS = "Button"
    BINDINGS = [
        key("choose.safe", "escape", "safe", "leave it", "Change nothing"),
        key("choose.left", "left,up", "app.focus_previous", "left", "The answer before", show=False),
        key("choose.right", "right,down", "app.focus_next", "right", "The next answer", show=False),
    ]

    def __init__(self, question: Content, answers: Mapping[str, str], *, details: Content | None = None) -> None:
        """``answers``: what is given -> what its button says."""
        super().__init__()
        self._question, self._answers, self._details = question, dict(answers), details

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(self._question, classes="question")
            if self._details is not None:
                with VerticalScroll(can_focus=False):
                    yield Static(self._details)
            with Horizontal():
                for place, label in enumerate(self._answers.values()):
                    yield Button(line(label), id=f"answer-{place}", variant="default" if place == 0 else "primary")

    def on_button_pressed(self, event: Button.Pressed) -> None:
        place = int((event.button.id or "").removeprefix("answer-"))
        self.dismiss(list(self._answers)[place])

    def action_safe(self) -> None:
        self.dismiss(next(iter(self._answers)))


def confirm(question: Content, yes: str, *, no: str = "Cancel", details: Content | None = None) -> Choose:
    """Gives ``yes`` or the empty text. The question names the count and the way."""
    return Choose(question, {"": no, "yes": yes}, details=details)


class Notice(Choose):
    """Something the person has to know: what happened, and what to do about it."""

    BINDINGS = [key("notice.copy", "c", "copy", "copy", "Copy this text")]

    def __init__(self, title: str, message: str, hint: str = "") -> None:
        texts = [value(message, limit=LONGEST_TEXT)]
        if hint:
            texts += [line(""), value(hint, ACCENT, limit=LONGEST_TEXT)]
        super().__init__(line((title, TITLE)), {"": "Close"}, details=lines(texts))
        self._text = "\n".join([title, *(text.plain for text in texts)])
        self.add_class("-told")

    def action_copy(self) -> None:
        self.app.copy_to_clipboard(self._text)
        self.notify("Copied.", markup=False)
