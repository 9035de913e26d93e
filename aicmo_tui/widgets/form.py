"""A few labelled lines to type into. What cannot be kept is said beneath its line, and everything that was typed stays.

It knows nothing of what it asks for: each line brings what it says now and a check of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from textual import on
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.suggester import SuggestFromList
from textual.widget import Widget
from textual.widgets import Static

from aicmo.errors import AicmoError
from aicmo_tui.hints import told_in_app
from aicmo_tui.keys import key
from aicmo_tui.present import ACCENT, BAD, MUTED, line, value
from aicmo_tui.widgets.dialogs import Dialog
from aicmo_tui.widgets.inputs import PlainInput
from aicmo_tui.work import ask


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a form."""

    key: str
    label: str
    check: Callable[[str], object]
    """Raises an ``AicmoError`` with the sentence to say. It may block."""
    stands: str = ""
    """What it says now."""
    example: str = ""
    suggests: tuple[str, ...] = ()


class Lines(VerticalScroll, can_focus=False, inherit_bindings=False):
    """Follows the focus; the arrows stay with the form, which goes from line to line."""


class Form(Dialog[Mapping[str, str] | None]):
    """Gives what every line says, by key, each checked; or ``None``."""

    DEFAULT_CSS = """
    Form { align: center middle; background: $background 60%; }
    Form > Vertical {
        width: 76; max-width: 96%; height: auto; max-height: 100%; padding: 0 1; background: $surface;
        border: round $primary;
    }
    Form .question { height: auto; margin-bottom: 1; }
    Form VerticalScroll { height: auto; max-height: 60vh; }
    Form .line { height: 1; }
    Form .label { width: 16; }
    Form PlainInput { width: 1fr; }
    Form .problem { height: auto; padding-left: 16; display: none; }
    """
    AUTO_FOCUS = "Input"
    HELP = "Every line is looked at before anything is kept. What is wrong is said beneath its line; the rest stays."
    BINDINGS = [
        key("lines.done", "ctrl+enter", "done", "save", "Keep what stands there; enter does it too", shown_as="⏎"),
        key("lines.close", "escape", "close", "leave it", "Change nothing"),
        key("lines.up", "up", "app.focus_previous", "up", "The line above", show=False),
        key("lines.down", "down", "app.focus_next", "down", "The line below", show=False),
    ]

    def __init__(self, question: Content, form: Sequence[Line]) -> None:
        super().__init__()
        self._question, self._form = question, tuple(form)

    def body(self) -> Iterable[Widget]:
        with Vertical():
            yield Static(self._question, classes="question")
            with Lines():
                for place, each in enumerate(self._form):
                    suggester = SuggestFromList(each.suggests, case_sensitive=False) if each.suggests else None
                    with Horizontal(classes="line"):
                        yield Static(value(each.label, MUTED, limit=15), classes="label")
                        yield PlainInput(
                            each.stands,
                            placeholder=each.example,
                            suggester=suggester,
                            compact=True,
                            select_on_focus=False,
                            id=f"line-{place}",
                        )
                    yield Static(classes="problem", id=f"problem-{place}")

    def about(self) -> list[Content]:
        """With what can be said in each line, which what stands there hides."""
        named = [each for each in self._form if each.example]
        said = [line((f"{each.label:>15}  ", ACCENT), value(each.example)) for each in named]
        return [*super().about(), *([line(""), *said] if said else [])]

    @on(PlainInput.Changed)
    def _changed(self, event: PlainInput.Changed) -> None:
        self._say(_place(event.input), "")

    @on(PlainInput.Blurred)
    def _left(self, event: PlainInput.Blurred) -> None:
        place, text, field = _place(event.input), event.value.strip(), event.input

        def checked(problem: str) -> None:
            if field.value.strip() == text:  # else it is about what stands there no more
                self._say(place, problem)

        ask(self, f"line {place}", lambda: self._problem(place, text), checked)

    @on(PlainInput.Submitted)
    def _submitted(self) -> None:
        self.action_done()

    def action_done(self) -> None:
        typed = [each.value.strip() for each in self.query(PlainInput)]
        ask(
            self,
            "lines",
            lambda: [self._problem(place, text) for place, text in enumerate(typed)],
            lambda problems: self._checked(typed, problems),
        )

    def action_close(self) -> None:
        self.dismiss(None)

    def _checked(self, typed: Sequence[str], problems: Sequence[str]) -> None:
        for place, problem in enumerate(problems):
            self._say(place, problem)
        wrong = [place for place, problem in enumerate(problems) if problem]
        if wrong:
            self.query_one(f"#line-{wrong[0]}").focus()
        else:
            self.dismiss({each.key: text for each, text in zip(self._form, typed, strict=True)})

    def _problem(self, place: int, text: str) -> str:
        """What is wrong with a line; empty when nothing is. Blocking."""
        try:
            self._form[place].check(text)
        except AicmoError as error:
            return told_in_app(error)
        return ""

    def _say(self, place: int, problem: str) -> None:
        told = self.query_one(f"#problem-{place}", Static)
        told.update(line(("✕ ", BAD), value(problem, BAD)))
        told.display = bool(problem)


def _place(field: PlainInput | None) -> int:
    return int(((field.id if field else "") or "").removeprefix("line-"))
