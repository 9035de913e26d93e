"""Contacts: find anyone, see what is known of them.

The list is a window on the store, however long it is; the filter is the store's own query language, asked as one types.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input, Static

from aicmo.crm import Contact
from aicmo.crm.query import parse_query
from aicmo.errors import QueryInvalid
from aicmo.store import Database, contacts
from aicmo_tui.keys import key
from aicmo_tui.present import BAD, MUTED, TITLE, empty, line, lines, number, value
from aicmo_tui.screens.frame import Frame
from aicmo_tui.screens.importing import import_people
from aicmo_tui.widgets.columns import Column
from aicmo_tui.widgets.lazy_table import LazyTable
from aicmo_tui.work import converse


class Found:
    """The contacts that a query finds, as the table's source. Raises ``QueryInvalid`` for what is no query."""

    def __init__(self, db: Database, query: str) -> None:
        self._db = db
        self._selection = parse_query(query)
        self._total: int | None = None

    def count(self) -> int:
        self._total = self._db.read(lambda db: contacts.count(db, self._selection))
        return self._total

    def window(self, offset: int, limit: int) -> Sequence[Contact]:
        """The known total lets the store walk to a far row from the nearer end."""
        return self._db.read(lambda db: contacts.window(db, self._selection, offset, limit, total=self._total))


COLUMNS = [
    Column("Name", 16, lambda contact: value(contact.name), grow=3),
    Column("Address", 22, lambda contact: value(contact.email), grow=4),
    Column("Company", 12, lambda contact: value(contact.company), priority=2, grow=2),
    Column("Stage", 12, lambda contact: value(contact.stage, MUTED), priority=1),
]


class ContactsScreen(Frame):
    MODE = "contacts"
    CSS_PATH = "contacts.tcss"
    HELP = """## Contacts
Type a filter after `/`: words find names, companies and addresses; `tag:trial`, `stage:new`, `domain:acme.example` and
`-tag:vip` narrow it. `space` selects, `enter` shows one person."""
    BINDINGS = [
        key("contacts.filter", "slash", "filter", "filter", "Find people as you type", shown_as="/"),
        key("contacts.import", "i", "import", "import", "Bring people from a file"),
        key("contacts.write", "c", "write", "write to them", "Write to everyone the filter finds"),
        key("contacts.back", "escape", "back", "back", "Back to the list; once more clears the filter", show=False),
    ]

    def body(self) -> Iterable[Widget]:
        table = LazyTable(COLUMNS, key_of=lambda contact: contact.id, selectable=True, id="people")
        with Horizontal(id="filter-line"):
            yield Static(line(("/ ", MUTED)), id="filter-mark")
            yield Input(placeholder="all", id="filter", compact=True)
            yield Static(id="found")
        with Horizontal():
            with Vertical(classes="list"):
                yield table
            with VerticalScroll(classes="side", can_focus=False):
                yield Static(id="person")

    def on_mount(self) -> None:
        super().on_mount()
        self._exact = False
        self._find("")

    @property
    def table(self) -> LazyTable[Contact]:
        return self.query_one("#people", LazyTable)

    # --- finding ----------------------------------------------------------------------------------------------------

    def action_filter(self) -> None:
        self.remove_class("-side-shown")
        self.query_one("#filter", Input).focus()

    def action_back(self) -> None:
        if self.has_class("-side-shown"):
            self.remove_class("-side-shown")
        elif not self.query_one("#filter", Input).has_focus:
            self.query_one("#filter", Input).value = ""
        self.table.focus()

    def action_import(self) -> None:
        converse(self, self._import)

    async def _import(self) -> None:
        if await import_people(self.app):
            self.query_one("#filter", Input).value = ""
            self._find("")

    def action_write(self) -> None:
        self.app.write_to(self.query_one("#filter", Input).value)

    def on_input_changed(self, event: Input.Changed) -> None:
        self._find(event.value)

    def on_input_submitted(self) -> None:
        self.table.focus()

    def show_person(self, email: str) -> None:
        """Find exactly this one, from elsewhere in the app."""
        self.query_one("#filter", Input).value = email
        self.table.focus()

    def _find(self, query: str) -> None:
        """A query that cannot be read is said beside it; the list stays as it was."""
        try:
            found = Found(self.workspace.db, query)
        except QueryInvalid as error:
            self.query_one("#found", Static).update(line(("✕ ", BAD), value(error.message, BAD)))
            return
        self.table.set_empty(nobody(query))
        self.table.show(found)

    # --- showing ----------------------------------------------------------------------------------------------------

    def on_lazy_table_counted(self, event: LazyTable.Counted) -> None:
        self._exact = event.exact
        self._say_how_many()

    def on_lazy_table_selected(self) -> None:
        self._say_how_many()

    def on_lazy_table_moved(self, event: LazyTable.Moved) -> None:
        self.query_one("#person", Static).update(person(event.row) if event.row else Content(""))

    def on_lazy_table_opened(self, event: LazyTable.Opened) -> None:
        self.toggle_class("-side-shown")

    def _say_how_many(self) -> None:
        table = self.table
        found = number(table.total) if self._exact else f"{number(table.total)} or more"
        chosen = line((f"{number(len(table.selected))} selected · ", "$text-accent")) if table.selected else line("")
        self.query_one("#found", Static).update(chosen + line((found, TITLE)))


def nobody(query: str) -> Content:
    if query.strip():
        return empty(
            "Nobody like that.", "The filter finds no one.", ("escape", "clear the filter"), ("/", "change it")
        )
    return empty(
        "Nobody is here yet.",
        "Bring your people from a spreadsheet's CSV file.",
        ("i", "import"),
        ("F2", "home"),
    )


def person(contact: Contact) -> Content:
    """What is known of one person."""
    rows = [value(contact.name or contact.email, TITLE), value(contact.email)]
    work = ", ".join(part for part in (contact.title, contact.company) if part)
    rows += [value(work)] if work else []
    rows += [value(contact.phone)] if contact.phone else []
    rows.append(line(("stage ", MUTED), value(contact.stage)))
    if contact.tags:
        rows.append(line(("tags  ", MUTED), value(" · ".join(contact.tags))))
    rows += [line((f"{name[:20]} ", MUTED), value(text)) for name, text in contact.fields.items()]
    return lines(rows)
