"""One person beside the list: all that is known of them, and under it their story, which is read page by page.

It reads in the background, and what it shows is always the person it was last asked for. While they are edited, the
form stands in its place, and nothing that happens elsewhere touches it.
"""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.timer import Timer

from aicmo.crm.portrait import Portrait
from aicmo.crm.timeline import KINDS, Item, Page
from aicmo.errors import AicmoError
from aicmo.store.contacts import Contact
from aicmo.store.fields import CustomField
from aicmo.store.listing import Listed
from aicmo_tui.hints import hint_in_app
from aicmo_tui.keys import key
from aicmo_tui.present import BAD, MUTED, TITLE, empty, line, value
from aicmo_tui.screens.contact_form import ContactForm
from aicmo_tui.screens.contact_view import happened, in_full, known, when, who
from aicmo_tui.widgets.columns import Column
from aicmo_tui.widgets.dialogs import Ask, Choose
from aicmo_tui.widgets.facts import Facts
from aicmo_tui.widgets.lazy_table import LazyTable
from aicmo_tui.widgets.rows import Rows
from aicmo_tui.work import ask, converse, off_loop

PAGE = 50
REST_S = 0.12
"""A person is drawn when the cursor has rested on them so long: who moves on waits for rows, not for stories."""
PARTS: dict[str, tuple[str, ...]] = {
    "": (),
    "what they did": ("opened", "clicked", "replied", "auto_replied", "bounced", "complained", "unsubscribed", "form",
                      "converted"),
    "messages": ("delivery", "message"),
    "notes": ("note", "call", "meeting"),
    "changes": ("stage", "change", "enrichment", "verification", "consent", "arrival"),
}  # fmt: skip
"""What the story can be narrowed to, by the kinds that belong to it; together they are all there are."""
assert {kind for kinds in PARTS.values() for kind in kinds} == KINDS.keys()


class ContactPane(Vertical):
    BINDINGS = [
        key("person.part", "f", "next_part", "part", "Show one part of the story at a time"),
        key("person.search", "slash", "search", "search", "Look for words in the story", shown_as="/"),
    ]

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id, classes="side")
        self.row: Listed | None = None
        self.portrait: Portrait | None = None
        """Of whom is shown; ``None`` until it has been read."""
        self._shown = 0
        """Of the contact that is drawn; 0: nobody."""
        self._resting: Timer | None = None
        self._page: Page | None = None
        self._items: tuple[Item, ...] = ()
        self._part, self._words = "", ""

    def compose(self) -> ComposeResult:
        columns = [
            Column("Timeline", 12, lambda item: happened(item), grow=1),
            Column("", 6, lambda item: when(item, self.app.workspace.clock.now()), right=True),
        ]
        with VerticalScroll(id="who", can_focus=False):
            yield Facts(id="person")
        yield LazyTable(columns, key_of=lambda item: item.id, id="timeline")

    @property
    def story(self) -> LazyTable[Item]:
        return self.query_one("#timeline", LazyTable)

    @property
    def form(self) -> ContactForm | None:
        """Where they are being edited."""
        return next(iter(self.query(ContactForm)), None)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A form has no story."""
        return self.form is None

    # --- whom it shows ----------------------------------------------------------------------------------------------

    def show(self, row: Listed | None) -> None:
        """Another person, or the same one, who may have changed."""
        self.row = row
        if self.form is not None:
            return  # they are shown when the editing is over
        if self._resting is not None:
            self._resting.stop()
        self._resting = self.set_timer(REST_S, self._come_to_rest)

    def _come_to_rest(self) -> None:
        """The cursor stays where it is, so this one is worth drawing: it costs more than a line of the list."""
        row = self.row
        if self.form is not None:
            return  # editing began in the meantime
        self.story.display = row is not None
        if row is None:
            self._clear()
            self.query_one("#person", Facts).show([])
        elif self._shown != row.contact.id or self.portrait is None:
            self._clear()
            self.query_one("#person", Facts).show(who(row.contact))
        self._shown = row.contact.id if row is not None else 0
        self.look_again()

    def look_again(self) -> None:
        """Read the one who is shown again."""
        if self.row is None or self.form is not None:
            return
        workspace, number = self.app.workspace, self.row.contact.id
        kinds, words, limit = PARTS[self._part], self._words, max(PAGE, len(self._items))

        def read() -> tuple[Portrait, Page]:
            page = workspace.timeline.page(number, kinds=kinds, search=words, limit=limit)
            return workspace.crm.portrait(number), page

        ask(self, "person", read, self._show, otherwise=self._fail)

    def _clear(self) -> None:
        self.portrait, self._page, self._items = None, None, ()
        self.story.set_empty(line(("...", MUTED)) if self.row else line(""))
        if self.story.total or self.story.replacing:
            self.story.show(Rows(()))

    def _show(self, read: tuple[Portrait, Page]) -> None:
        self.portrait, self._page = read
        self._items = self._page.items
        self.query_one("#person", Facts).show(known(self.portrait, self.app.workspace.clock.now()))
        self._show_story()

    def _show_story(self) -> None:
        assert self._page is not None
        self.story.set_empty(line(("Nothing like that." if self._part or self._words else "Nothing yet.", MUTED)))
        self.story.reload(Rows((*self._page.to_come, *self._page.pinned, *self._items)))
        narrowed = [f"only {self._part}"] if self._part else []
        narrowed += [f"“{self._words}”"] if self._words else []
        self.border_subtitle = line(" · ".join(narrowed))

    def _fail(self, error: Exception) -> None:
        """They are gone, or the store cannot be read: said where they stood. What nobody foresaw is reported."""
        self._clear()
        message = error.message if isinstance(error, AicmoError) else "They cannot be shown."
        hint = hint_in_app(error.hint) if isinstance(error, AicmoError) else ""
        self.query_one("#person", Facts).show(
            [(line(""), line(("✕ ", BAD), value(message, BAD))), (line(""), value(hint))]
        )
        self.story.set_empty(empty("", ""))
        if not isinstance(error, AicmoError):
            self.app.report(error)

    # --- their story ------------------------------------------------------------------------------------------------

    @on(LazyTable.Moved, "#timeline")
    def _read_on(self, event: LazyTable.Moved) -> None:
        """The end of what has been read is reached: on with the next page."""
        event.stop()
        page, row = self._page, self.row
        if page is None or row is None or not page.cursor or not self._items or event.row != self._items[-1]:
            return
        timeline, number, cursor = self.app.workspace.timeline, row.contact.id, page.cursor
        kinds, words = PARTS[self._part], self._words
        ask(
            self,
            "further",
            lambda: timeline.page(number, kinds=kinds, search=words, limit=PAGE, after=cursor),
            lambda further: self._add(page, further),
            again=False,
        )

    def _add(self, before: Page, further: Page) -> None:
        if self._page is not before:
            return  # another person is shown meanwhile, or the first page was read again
        self._items += further.items
        self._page = Page(before.to_come, before.pinned, self._items, further.cursor)
        self._show_story()

    @on(LazyTable.Counted, "#timeline")
    def _counted(self, event: LazyTable.Counted) -> None:
        event.stop()

    @on(LazyTable.Opened, "#timeline")
    def _open(self, event: LazyTable.Opened) -> None:
        event.stop()
        converse(self, lambda: self._tell(event.row))

    async def _tell(self, item: Item) -> None:
        """All of one line; what happened can be kept above the others."""
        table, _, number = item.id.partition(":")
        answers = {"": "Close"}
        if table == "event":
            answers["pin"] = "Let it go" if item.pinned else "Pin it"
        if await self.app.push_screen_wait(Choose(value(item.what, TITLE), answers, details=in_full(item))) == "pin":
            timeline = self.app.workspace.timeline
            await off_loop(self.app, lambda: timeline.pin(int(number), not item.pinned))
            self.look_again()

    def action_next_part(self) -> None:
        parts = list(PARTS)
        self._narrow(parts[(parts.index(self._part) + 1) % len(parts)], self._words)

    def action_search(self) -> None:
        converse(self, self._ask_for_words)

    async def _ask_for_words(self) -> None:
        question = line(("Look in the story", TITLE), " for which words?")
        self._narrow(self._part, await self.app.push_screen_wait(Ask(question, "nothing shows all of it")))

    def narrowed(self) -> bool:
        return bool(self._part or self._words)

    def show_all(self) -> None:
        """The whole story again."""
        self._narrow("", "")

    def _narrow(self, part: str, words: str) -> None:
        self._part, self._words = part, words
        self._items = ()
        self.story.show(Rows(()))
        self.look_again()

    # --- editing ----------------------------------------------------------------------------------------------------

    async def begin_edit(self, contact: Contact, fields: tuple[CustomField, ...]) -> None:
        """Put the form in place of the person."""
        self._stand_aside(True)
        form = ContactForm(contact, fields)
        await self.mount(form, before=0)
        self.border_title = line("editing ", value(contact.name or contact.email, limit=40))
        form.begin()

    async def end_edit(self) -> None:
        """Back to the person under the list's cursor, as they are now."""
        form = self.form
        if form is not None:
            await form.remove()
        self._stand_aside(False)
        self.border_title = ""
        self.show(self.row)

    def _stand_aside(self, aside: bool) -> None:
        for part in ("#who", "#timeline"):
            self.query_one(part).display = not aside
