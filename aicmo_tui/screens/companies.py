"""Companies: where people work, how well each is covered, when it was last heard of. ``enter`` opens its people.

The order of all companies is read once and kept; what is known of each is read for the window that is shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input, Static

from aicmo.clock import parse_rfc3339
from aicmo.store.companies import Company
from aicmo_tui.keys import key
from aicmo_tui.present import ACCENT, MUTED, TITLE, WARN, ago, empty, line, lines, number, people, percent, value
from aicmo_tui.screens.found import Found
from aicmo_tui.screens.frame import Over
from aicmo_tui.widgets.columns import Column
from aicmo_tui.widgets.inputs import PlainInput
from aicmo_tui.widgets.lazy_table import LazyTable
from aicmo_tui.widgets.rows import Rows
from aicmo_tui.work import ask

if TYPE_CHECKING:
    from aicmo.crm.companies import Companies, Directory
    from aicmo.workspace import Workspace

COVERAGE_CELLS = 10
PEOPLE_COLUMNS = [
    Column("Name", 14, lambda row: value(row.contact.name or row.contact.email), grow=2),
    Column("Stage", 9, lambda row: value(row.contact.stage, MUTED)),
    Column("Title", 12, lambda row: value(row.contact.title, MUTED), priority=1, grow=1),
]


class Matching:
    """The companies that have these words, as the table's source."""

    def __init__(self, companies: Companies, directory: Directory, words: str) -> None:
        self._companies, self._directory, self._words = companies, directory, words

    def count(self) -> int:
        return len(self._among)

    def window(self, offset: int, limit: int) -> Sequence[Company]:
        return self._companies.describe(self._among[offset : offset + limit])

    @cached_property
    def _among(self) -> Sequence[str]:
        return self._directory.among(self._words)


class CompaniesScreen(Over):
    MODE = "companies"
    CSS_PATH = "companies.tcss"
    HELP = """## Companies
The people of one domain are a company; mail services are none. The bar is its coverage: `█` those in touch with you,
`▓` those whose address is verified, of everybody you know there. `/` finds a company by a part of its domain or by its
name, `enter` opens its people."""
    BINDINGS = [
        key("companies.filter", "slash", "filter", "filter", "Find a company as you type", shown_as="/"),
        key("companies.people", "p", "people", "people", "Its people beside the list, or over it"),
        key("companies.write", "c", "write", "write to them", "Write to everyone you know there"),
    ]

    def body(self) -> Iterable[Widget]:
        columns = [
            Column("Company", 16, lambda company: value(company.name or company.domain), grow=3),
            Column("Domain", 18, lambda company: value(company.domain, MUTED), priority=1, grow=2),
            Column("People", 7, lambda company: line(number(company.people)), right=True),
            Column("Coverage", COVERAGE_CELLS + 5, coverage),
            Column("Suppr.", 6, suppressed, priority=2, right=True),
            Column("Last touch", 10, self._last_touch, right=True),
        ]
        with Horizontal(id="filter-line"):
            yield Static(line(("/ ", MUTED)), id="filter-mark")
            yield PlainInput(placeholder="all", id="filter", compact=True)
            yield Static(id="found")
        with Horizontal():
            with Vertical(classes="list"):
                yield LazyTable(columns, key_of=lambda company: company.domain, id="companies")
            with Vertical(classes="side"):
                yield Static(id="company")
                yield LazyTable(PEOPLE_COLUMNS, key_of=lambda row: row.contact.id, id="staff")

    def on_mount(self) -> None:
        super().on_mount()
        self._directory: Directory | None = None  # until it is read
        self._people = -1
        self._shown = ""
        self.table.set_empty(line(("Reading who works where ...", MUTED)))
        self.table.show(Rows(()))
        self.follow(self._look)

    @property
    def table(self) -> LazyTable[Company]:
        return self.query_one("#companies", LazyTable)

    @property
    def staff(self) -> LazyTable[object]:
        return self.query_one("#staff", LazyTable)

    @property
    def words(self) -> str:
        return self.query_one("#filter", Input).value.strip()

    # --- reading ----------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Something was written: what is shown is read again; the companies themselves, if somebody came or went."""
        ask(self, "companies", lambda: read_directory(self.workspace, self._people), self._read, otherwise=self._failed)

    def _read(self, found: tuple[int, Directory | None]) -> None:
        self._people, directory = found
        self._directory = directory or self._directory
        assert self._directory is not None
        self.table.set_empty(self._nothing())
        self.table.reload(Matching(self.workspace.companies, self._directory, self.words))
        self._show_company(self.table.row)

    def _failed(self, error: Exception) -> None:
        self.table.set_empty(empty("That could not be read.", str(error), ("escape", "back")))

    def _nothing(self) -> Content:
        if self.words:
            return empty("No company like that.", "No domain and no name has it.", ("escape", "clear the filter"))
        return empty("No company yet.", "People with an address at their company make one.", ("escape", "back"))

    # --- what is shown ----------------------------------------------------------------------------------------------

    def on_input_changed(self) -> None:
        if self._directory is not None:
            self.table.set_empty(self._nothing())
            self.table.show(Matching(self.workspace.companies, self._directory, self.words))

    def on_input_submitted(self) -> None:
        self.table.focus()

    def on_lazy_table_counted(self, event: LazyTable.Counted) -> None:
        if event.table is self.table and self._directory is not None:
            found = number(event.total) if event.exact else f"{number(event.total)} or more"
            self.query_one("#found", Static).update(line((found, TITLE)))
            self.refresh_bindings()

    def on_lazy_table_moved(self, event: LazyTable.Moved) -> None:
        if event.table is self.table:
            self._show_company(event.row)
            self.refresh_bindings()

    def on_lazy_table_opened(self, event: LazyTable.Opened) -> None:
        if event.table is self.table:
            self.app.show_people(f"domain:{event.row.domain}")
        else:
            self.app.show_contact(event.row.contact.email)

    def _show_company(self, company: Company | None) -> None:
        self.query_one("#company", Static).update(told(company) if company else "")
        domain = company.domain if company else ""
        source = Found(self.workspace, f"domain:{domain}") if domain else Rows(())
        if domain == self._shown:
            self.staff.reload(source)
        else:
            self._shown = domain
            self.staff.show(source)

    def _last_touch(self, company: Company) -> Content:
        at = parse_rfc3339(company.last_touch) if company.last_touch else None
        return line((ago(at, self.workspace.clock.now()), MUTED))

    # --- the verbs --------------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Without a company there is nobody to look at or to write to; without any, there is nothing to filter."""
        if not self.is_mounted or action not in ("people", "write", "filter"):
            return True
        return self.table.row is not None or (action == "filter" and bool(self.words))

    def action_filter(self) -> None:
        self.remove_class("-side-shown")
        self.query_one("#filter", Input).focus()
        if self._directory is not None:
            ask(self, "names", self._directory.names, lambda _: None)  # they are there when they are asked for

    def action_people(self) -> None:
        if self.has_class("-narrow"):
            self.add_class("-side-shown")
        self.staff.focus()

    def action_write(self) -> None:
        if (company := self.table.row) is not None:
            self.app.write_to(f"domain:{company.domain}")

    def action_back(self) -> None:
        """From its people to the list, from the filter to the list, then without the filter, then away."""
        if self.has_class("-side-shown") or not self.table.has_focus:
            self.remove_class("-side-shown")
            self.table.focus()
        elif self.words:
            self.query_one("#filter", Input).value = ""
        else:
            super().action_back()


def read_directory(workspace: Workspace, people_before: int) -> tuple[int, Directory | None]:
    """How many people there are and, if that is another number than before, every company. Blocking."""
    everybody = workspace.crm.count()
    return everybody, workspace.companies.directory() if everybody != people_before else None


def coverage(company: Company) -> Content:
    """Who is in touch with us and whose address is verified, as shares of its people."""
    engaged = _cells(company.engaged, company.people)
    verified = max(_cells(company.verified, company.people), engaged)
    return line(
        ("█" * engaged, ACCENT),
        ("▓" * (verified - engaged), ACCENT),
        ("░" * (COVERAGE_CELLS - verified), MUTED),
        f" {share(company.verified, company.people):>4}",
    )


def _cells(part: int, whole: int) -> int:
    """Empty only for none, full only for all."""
    return max(part * COVERAGE_CELLS // whole, 1 if part else 0)


def share(part: int, whole: int) -> str:
    """A whole percentage, said to be none or all of it only when it is."""
    if part in (0, whole):
        return f"{part / whole:.0%}"
    return "<1%" if part * 100 < whole else ">99%" if part * 100 > whole * 99 else f"{part / whole:.0%}"


def suppressed(company: Company) -> Content:
    return line((number(company.suppressed), WARN if company.suppressed else MUTED))


def told(company: Company) -> Content:
    """What is known of one company."""
    known = [
        line(value(company.name or company.domain, TITLE)),
        line(value(company.domain, MUTED), " · ", people(company.people)),
        line(f"{number(company.verified)} verified ({percent(company.verified, company.people)})"),
        line(f"{number(company.engaged)} in touch ({percent(company.engaged, company.people)})"),
    ]
    if company.suppressed:
        known.append(line((f"{number(company.suppressed)} suppressed: they get no mail", WARN)))
    return lines([*known, line("")])
