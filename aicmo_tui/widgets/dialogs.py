"""The dialogs: to choose, to type, to wait, to be told. Other people's words are shown in them, never obeyed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from textual.app import ComposeResult
from textual.await_complete import AwaitComplete
from textual.binding import ActiveBinding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen, Screen
from textual.widget import Widget
from textual.widgets import Button, Footer, Static

from aicmo.errors import AicmoError
from aicmo_tui.hints import told_in_app
from aicmo_tui.keys import key
from aicmo_tui.present import ACCENT, BAD, MUTED, TITLE, bar, line, lines, number, value
from aicmo_tui.widgets.inputs import PlainInput
from aicmo_tui.work import ask

R = TypeVar("R")

LONGEST_TEXT = 2_000


class Dialog(ModalScreen[R]):
    """Over a screen whose keys wait meanwhile: a footer of its own, with its own keys, lies over that screen's.

    A subclass says in ``HELP``, as plain sentences, what it decides and what leaving it means.
    """

    BINDINGS = [key("dialog.help", "f1,question_mark", "help", "help", "What the keys do here", shown_as="F1")]

    def body(self) -> Iterable[Widget]:
        """The dialog itself."""
        return ()

    def compose(self) -> ComposeResult:
        yield from self.body()
        yield Footer(compact=True)

    @property
    def active_bindings(self) -> dict[str, ActiveBinding]:
        """What the dialog itself can do stands first in its footer."""
        found = super().active_bindings
        last = {name: each for name, each in found.items() if each.binding.id == "dialog.help"}
        return {name: each for name, each in found.items() if name not in last} | last

    def about(self) -> list[Content]:
        """What its help says before the keys."""
        return [value(self.HELP or "", limit=LONGEST_TEXT)]

    def action_help(self) -> None:
        """Over this dialog, not beside it: ``escape`` then leaves the help, and what was typed stays."""
        self.app.push_screen(Help(self))


class Help(Dialog[None]):
    """What a dialog decides, and what each key does in it where the focus stands."""

    DEFAULT_CSS = """
    Help { align: center middle; background: $background 60%; }
    Help > VerticalScroll {
        width: 76; max-width: 94%; height: auto; max-height: 90%; padding: 1 2; background: $surface;
        border: round $primary;
    }
    Help Static { height: auto; }
    """
    AUTO_FOCUS = "VerticalScroll"
    BINDINGS = [
        key("help.close", "escape,f1,question_mark,enter", "close", "back", "Back to what it is about", shown_as="esc")
    ]

    def __init__(self, about: Dialog[Any]) -> None:
        super().__init__()
        self._told = lines([*about.about(), line(""), *keys_of(about)])

    def body(self) -> Iterable[Widget]:
        with VerticalScroll() as box:
            box.border_title = "Help"
            yield Static(self._told)

    def action_close(self) -> None:
        self.dismiss()


def keys_of(screen: Screen[Any]) -> list[Content]:
    """A line for each of the program's own keys that work on ``screen`` now; the toolkit's have no id."""
    told: dict[tuple[object, str], tuple[list[str], str]] = {}
    for node, binding, enabled, _ in screen.active_bindings.values():
        if enabled and binding.id and binding.id != "dialog.help":
            keys, _ = told.setdefault((node, binding.action), ([], binding.tooltip or binding.description))
            keys.append(screen.app.get_key_display(binding))
    named = [(" ".join(dict.fromkeys(keys)), does) for keys, does in told.values()]
    width = max((len(keys) for keys, _ in named), default=0)
    return [line((f"{keys:>{width}}  ", ACCENT), does) for keys, does in named]


class Choose(Dialog[str]):
    """A question and its answers. The first is the safe one: it has the focus, and ``escape`` gives it.

    Long details scroll; the answers stay in sight down to 24 lines.
    """

    DEFAULT_CSS = """
    Choose { align: center middle; background: $background 60%; }
    Choose > Vertical {
        width: 76; max-width: 94%; height: auto; max-height: 100%; padding: 1 2;
        background: $surface; border: round $warning;
    }
    Choose.-told > Vertical { border: round $error; }
    Choose .question { height: auto; }
    Choose VerticalScroll { height: auto; max-height: 50vh; margin-top: 1; }
    Choose VerticalScroll Static { height: auto; }
    Choose.-with-command VerticalScroll { max-height: 30vh; }
    Choose .command { height: auto; max-height: 3; margin-top: 1; }
    Choose Horizontal { height: auto; align-horizontal: right; margin-top: 1; }
    Choose Button { margin-left: 2; width: auto; min-width: 10; }
    """
    AUTO_FOCUS = "Button"
    HELP = "Enter gives the answer that has the focus. The first one changes nothing, and so does leaving."
    BINDINGS = [
        key("choose.safe", "escape", "safe", "leave it", "Change nothing"),
        key("choose.close", "escape", "close", "close", "Back to where you were"),
        key("choose.left", "left,up", "app.focus_previous", "left", "The answer before", show=False),
        key("choose.right", "right,down", "app.focus_next", "right", "The next answer", show=False),
        key("choose.more", "pagedown", "page(1)", "more", "More of what is told", show=False),
        key("choose.less", "pageup", "page(-1)", "back", "Back up in what is told", show=False),
        key("choose.copy", "y", "copy_command", "copy", "Copy this as a command line", show=False),
    ]

    def __init__(
        self,
        question: Content,
        answers: Mapping[str, str],
        *,
        details: Content | None = None,
        command: str | Mapping[str, str] | None = None,
    ) -> None:
        """``answers``: what is given -> what its button says. ``command`` does the same on a command line; where each
        answer has its own: what is given -> that."""
        super().__init__()
        self._question, self._answers, self._details = question, dict(answers), details
        self._command = command
        self.set_class(command is not None, "-with-command")

    def body(self) -> Iterable[Widget]:
        with Vertical():
            yield Static(self._question, classes="question")
            if self._details is not None:
                with VerticalScroll(can_focus=False):
                    yield Static(self._details)
            if self._command is not None:
                yield Static(self._copied(), classes="command")
            with Horizontal():
                for place, label in enumerate(self._answers.values()):
                    yield Button(line(label), id=f"answer-{place}", variant="default" if place == 0 else "primary")

    def on_descendant_focus(self) -> None:
        for told in self.query(".command").results(Static):
            told.update(self._copied())

    def _focused_command(self) -> str:
        """Of the answer that has the focus; empty: it has none."""
        if self._command is None or isinstance(self._command, str):
            return self._command or ""
        place = int((self.focused.id or "").removeprefix("answer-")) if isinstance(self.focused, Button) else 0
        return self._command.get(list(self._answers)[place], "")

    def _copied(self) -> Content:
        command = self._focused_command()
        return line(("y copies: ", MUTED), value(command, MUTED)) if command else line("")

    def on_button_pressed(self, event: Button.Pressed) -> None:
        place = int((event.button.id or "").removeprefix("answer-"))
        self.dismiss(list(self._answers)[place])

    def action_safe(self) -> None:
        self.dismiss(next(iter(self._answers)))

    action_close = action_safe

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """With one answer there is nothing to choose; a command is copied where there is one."""
        if action in ("safe", "close"):
            return (action == "close") == (len(self._answers) == 1)
        return action != "copy_command" or bool(self._focused_command())

    def action_page(self, way: int) -> None:
        for told in self.query(VerticalScroll):
            told.scroll_relative(y=way * told.size.height, animate=False)

    def action_copy_command(self) -> None:
        self.app.copy_to_clipboard(self._focused_command())
        self.notify("Copied.", markup=False)


def confirm(
    question: Content, yes: str, *, no: str = "Cancel", details: Content | None = None, command: str | None = None
) -> Choose:
    """Gives ``yes`` or the empty text. The question names the count and the way."""
    return Choose(question, {"": no, "yes": yes}, details=details, command=command)


class Ask(Dialog[str]):
    """A question whose answer is typed. Gives the text, or nothing."""

    DEFAULT_CSS = """
    Ask { align: center middle; background: $background 60%; }
    Ask > Vertical {
        width: 76; max-width: 94%; height: auto; padding: 1 2; background: $surface; border: round $primary;
    }
    Ask .question { height: auto; margin-bottom: 1; }
    Ask .problem { height: auto; padding: 0 1; }
    """
    AUTO_FOCUS = "Input"
    HELP = "What you type is looked at first: what is no answer is said beneath it, and stays to be mended."
    BINDINGS = [
        key("ask.done", "ctrl+enter", "done", "go on", "That is the answer; enter does it too", shown_as="⏎"),
        key("ask.close", "escape", "close", "leave it", "Change nothing"),
    ]

    def __init__(
        self, question: Content, example: str, *, stands: str = "", check: Callable[[str], object] | None = None
    ) -> None:
        """``stands`` is there already, selected: typing replaces it. ``check`` raises an ``AicmoError`` for what is no
        answer: that is said beneath it, and what was typed stays. It may block."""
        super().__init__()
        self._question, self._example, self._stands, self._check = question, example, stands, check

    def body(self) -> Iterable[Widget]:
        with Vertical():
            yield Static(self._question, classes="question")
            yield PlainInput(self._stands, placeholder=self._example)
            yield Static(classes="problem")

    def on_input_submitted(self) -> None:
        self.action_done()

    def on_input_changed(self) -> None:
        self._say("")

    def action_done(self) -> None:
        text, check = self.query_one(PlainInput).value.strip(), self._check
        if not text or check is None:
            self.dismiss(text)
        else:
            ask(self, "answer", lambda: check(text), lambda _: self.dismiss(text), otherwise=self._refuse)

    def _refuse(self, error: Exception) -> None:
        if isinstance(error, AicmoError):
            self._say(told_in_app(error))
        else:
            self.app.report(error)

    def _say(self, problem: str) -> None:
        self.query_one(".problem", Static).update(line(("✕ ", BAD), value(problem, BAD)) if problem else "")

    def action_close(self) -> None:
        self.dismiss("")


class Passing(Dialog[None]):
    """One that goes by itself. What came to stand over it is not taken away in its place: it goes after that."""

    _ended = False

    def dismiss(self, result: None = None) -> AwaitComplete:
        """Go now, or as soon as nothing stands over it."""
        if self.is_active:
            return super().dismiss(result)
        self._ended = True
        return AwaitComplete.nothing()

    def on_screen_resume(self) -> None:
        if self._ended:
            self.dismiss()


class Busy(Passing):
    """Something takes its time: how far it is, and that it can be stopped. ``note`` may be called from any thread."""

    DEFAULT_CSS = """
    Busy { align: center middle; background: $background 60%; }
    Busy > Static {
        width: 76; max-width: 94%; height: auto; padding: 1 2; background: $surface; border: round $primary;
    }
    """
    HELP = "This goes by itself when it is done."
    BINDINGS = [key("busy.stop", "escape", "stop", "stop", "Stop; what is done is kept")]
    REDRAWN_EVERY_S = 0.25
    BAR_CELLS = 40

    def __init__(self, title: Content) -> None:
        super().__init__()
        self.stopped = False
        self._title, self._done = title, 0
        self._fraction: float | None = 0.0

    def note(self, done: int, fraction: float | None) -> None:
        """So many are done, which is that share (0-1) of the whole, if that is known."""
        self._done, self._fraction = done, fraction

    def body(self) -> Iterable[Widget]:
        yield Static()

    def on_mount(self) -> None:
        self._draw()
        self.set_interval(self.REDRAWN_EVERY_S, self._draw)

    def _draw(self) -> None:
        hint = "stopping ..." if self.stopped else "escape stops it"
        if self._fraction is None:
            progress = line(f"{number(self._done)} so far")
        else:
            progress = line(bar(round(self._fraction * 1_000), 1_000, self.BAR_CELLS), f"  {number(self._done)}")
        self.query_one(Static).update(lines([self._title, line(""), progress, line((hint, MUTED))]))

    def action_stop(self) -> None:
        self.stopped = True


class Working(Passing):
    """Something is being done that cannot be stopped half-way: all of it, or none."""

    DEFAULT_CSS = """
    Working { align: center middle; background: $background 60%; }
    Working > Static {
        width: 60; max-width: 94%; height: auto; padding: 1 2; background: $surface; border: round $primary;
    }
    """
    HELP = "This goes by itself when it is done; half of it cannot be had."

    def __init__(self, what: Content) -> None:
        super().__init__()
        self._what = what

    def body(self) -> Iterable[Widget]:
        yield Static(self._what)


class Notice(Choose):
    """Something the person has to know: what happened, and what to do about it."""

    HELP = "Nothing is asked here: this only tells what happened, and what to do about it."
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
