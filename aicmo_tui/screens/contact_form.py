"""One person as fields to type into, in place of what is read about them. What cannot be kept is said beside its field.

It knows nothing of the store: it is given a contact, and says what was made of it, in the words of ``changes.State``.
Empty text clears.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.message import Message
from textual.suggester import SuggestFromList
from textual.widgets import Static

from aicmo.crm.address import normalise
from aicmo.crm.editing import value as kept
from aicmo.crm.fields import canonical
from aicmo.crm.lifecycle import stage_named
from aicmo.errors import InvalidInput
from aicmo.store.contacts import STAGES, Contact
from aicmo.store.fields import CustomField
from aicmo.store.tags import split_tags, tag_key
from aicmo.text import one_line
from aicmo_tui.hints import told_in_app
from aicmo_tui.keys import key
from aicmo_tui.present import BAD, MUTED, line, value
from aicmo_tui.widgets.inputs import PlainInput

EXAMPLES = {
    "number": "such as 1200",
    "date": "such as 2026-11-24",
    "url": "such as https://example.com/page",
    "bool": "yes or no",
}
"""What a typed field takes; a ``select`` and a ``multi`` show their options."""


@dataclass(frozen=True, slots=True)
class Field:
    """One line of the form."""

    key: str
    """As ``changes.State`` has it; ``tags`` are all of them together."""
    label: str
    check: Callable[[str], object]
    """Raises ``InvalidInput`` with the sentence to say."""
    example: str = ""
    suggests: tuple[str, ...] = ()


def form_fields(contact: Contact, fields: tuple[CustomField, ...]) -> Iterator[Field]:
    """A contact's own, then the custom ones: those with a type, and those that this person has."""
    yield Field("first_name", "first name", kept)
    yield Field("last_name", "last name", kept)
    yield Field("email", "e-mail", normalise, "such as ada@example.com")
    yield Field("company", "company", kept)
    yield Field("title", "title", kept)
    yield Field("phone", "phone", kept)
    yield Field("stage", "stage", stage_named, suggests=STAGES)
    yield Field("tags", "tags", split_tags, "such as trial, vip")
    for field in fields:
        yield _typed(field)
    typed = {field.key for field in fields}
    for name in contact.fields:
        if name not in typed:
            yield Field(f"field.{name}", name, kept)


def _typed(field: CustomField) -> Field:
    options = ("yes", "no") if field.type == "bool" else field.options
    example = EXAMPLES.get(field.type, f"one of: {', '.join(field.options)}" if field.options else "")
    if field.type == "multi":
        example = f"some of: {', '.join(field.options)}"
    return Field(
        f"field.{field.key}", field.title, lambda text: canonical(field.type, field.options, text), example, options
    )


class ContactForm(VerticalScroll, can_focus=False):
    """Whoever holds it does the saving: ``Save`` and ``Leave`` ask for it."""

    DEFAULT_CSS = """
    ContactForm { height: 1fr; }
    ContactForm .field { height: 1; }
    ContactForm .label { width: 12; }
    ContactForm PlainInput { width: 1fr; }
    ContactForm .problem { height: auto; padding-left: 12; display: none; }
    ContactForm .hint { height: auto; margin-top: 1; }
    """
    BINDINGS = [
        key("form.stay", "ctrl+g", "save(False)", "save and stay", "Save, and go on editing"),
        key("form.leave", "ctrl+enter", "save(True)", "save", "Save and leave; enter does it too", shown_as="⏎"),
        key("form.close", "escape", "leave", "leave", "Leave; what is not saved is asked about"),
        key("form.up", "up", "app.focus_previous", "up", "The field above", show=False),
        key("form.down", "down", "app.focus_next", "down", "The field below", show=False),
    ]

    @dataclass
    class Save(Message):
        """What stands there is to be saved. ``leaves``: that ends the editing."""

        form: ContactForm
        leaves: bool

    @dataclass
    class Leave(Message):
        form: ContactForm

    def __init__(self, contact: Contact, fields: tuple[CustomField, ...]) -> None:
        super().__init__()
        self.base = contact
        """What was seen when the editing began: what others changed since is a conflict, or stays theirs."""
        self._fields = {field.key: field for field in form_fields(contact, fields)}

    def compose(self) -> ComposeResult:
        for place, field in enumerate(self._fields.values()):
            suggester = SuggestFromList(field.suggests, case_sensitive=False) if field.suggests else None
            with Horizontal(classes="field"):
                yield Static(value(field.label, MUTED, limit=11), classes="label")
                yield PlainInput(
                    self._stands(field.key),
                    placeholder=field.example,
                    suggester=suggester,
                    compact=True,
                    select_on_focus=False,
                    id=f"field-{place}",
                )
            yield Static(classes="problem", id=f"problem-{place}")
        yield Static(line(("enter saves · ctrl+g saves and stays · escape leaves", MUTED)), classes="hint")

    def begin(self) -> None:
        self.query(PlainInput).first().focus()

    # --- what was made of it ----------------------------------------------------------------------------------------

    def _stands(self, name: str) -> str:
        """What the contact says in a field, as an input can show it."""
        if name == "tags":
            return one_line(", ".join(self.base.tags))
        family, _, custom = name.partition(".")
        return one_line(self.base.fields.get(custom, "") if family == "field" else getattr(self.base, name))

    @property
    def changed(self) -> bool:
        """Whether anything stands there that is not saved."""
        typed = zip(self._fields, self.query(PlainInput), strict=True)
        return any(field.value.strip() != self._stands(name) for name, field in typed)

    def mine(self) -> dict[str, str]:
        """What differs from the contact as it was when the editing began. Every field must have passed its check."""
        changed: dict[str, str] = {}
        for name, field in zip(self._fields, self.query(PlainInput), strict=True):
            text = field.value.strip()
            if name == "tags":
                changed |= self._retagged(text)
            elif text != self._stands(name):
                changed[name] = text
        return changed

    def _retagged(self, text: str) -> dict[str, str]:
        had = {tag_key(name): name for name in self.base.tags}
        has = {tag_key(name): name for name in split_tags(text)}
        taken = {f"tag.{had[each]}": "" for each in had.keys() - has.keys()}
        return taken | {f"tag.{has[each]}": has[each] for each in has.keys() - had.keys()}

    def rebase(self, contact: Contact) -> None:
        """What was saved is what the next edit begins with."""
        self.base = contact
        for name, field in zip(self._fields, self.query(PlainInput), strict=True):
            field.value = self._stands(name)

    # --- saying what is wrong ---------------------------------------------------------------------------------------

    @on(PlainInput.Changed)
    def _check(self, event: PlainInput.Changed) -> None:
        event.stop()
        self._say(int((event.input.id or "").removeprefix("field-")))

    def _say(self, place: int) -> str:
        """Show what is wrong with a field beside it, and give it; empty when nothing is."""
        field = list(self._fields.values())[place]
        text = self.query_one(f"#field-{place}", PlainInput).value.strip()
        problem = ""
        try:
            field.check(text)
        except InvalidInput as error:
            problem = told_in_app(error)
        told = self.query_one(f"#problem-{place}", Static)
        told.update(line(("✕ ", BAD), value(problem, BAD)))
        told.display = bool(problem)
        return problem

    @on(PlainInput.Submitted)
    def _submit(self, event: PlainInput.Submitted) -> None:
        event.stop()
        self.action_save(True)

    def right(self) -> bool:
        """Whether everything can be kept; if not, it is said, and the first field in the wrong has the focus."""
        wrong = [place for place in range(len(self._fields)) if self._say(place)]
        if wrong:
            self.query_one(f"#field-{wrong[0]}").focus()
        return not wrong

    def action_save(self, leaves: bool) -> None:
        if self.right():
            self.post_message(self.Save(self, leaves))

    def action_leave(self) -> None:
        self.post_message(self.Leave(self))
