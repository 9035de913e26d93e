"""The calendar: what goes out when, by month, by week or as one list; what is late stands on top of it.

What is shown is read from what the sender goes by. ``enter`` on a line opens the campaign, or the person.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from textual.containers import Vertical
from textual.content import Content
from textual.widget import Widget

from aicmo.crm.icalendar import write_calendar
from aicmo.publishing.agenda import WAITS_FOR, Entry, Kind, Plan
from aicmo_tui.keys import key
from aicmo_tui.present import ACCENT, GOOD, MUTED, TITLE, WARN, clock_time, empty, line, number, people, value
from aicmo_tui.screens.frame import Frame
from aicmo_tui.screens.scheduling import schedule
from aicmo_tui.widgets.columns import Column
from aicmo_tui.widgets.day_grid import DayGrid
from aicmo_tui.widgets.dialogs import Ask
from aicmo_tui.widgets.lazy_table import LazyTable
from aicmo_tui.widgets.rows import Rows
from aicmo_tui.work import ask, converse, off_loop

if TYPE_CHECKING:
    from aicmo.workspace import Workspace

VIEWS = ("month", "week", "agenda")
AHEAD = timedelta(days=60)
"""How far the list looks."""
LOOKS = {
    Kind.LATE: ("▲", WARN, "late"),
    Kind.START: ("◐", ACCENT, "starts"),
    Kind.STEP: ("→", ACCENT, "step"),
    Kind.RETRY: ("↻", WARN, "again"),
    Kind.WINNER: ("?", ACCENT, "decides"),
    Kind.WENT: ("●", GOOD, "sent"),
    Kind.PERSON: ("☐", "", "get back"),
}
"""Of each kind: its sign, its colour, its word."""
PUT_OFF = ("◐", ACCENT, "goes on")
"""Of a ``RETRY`` that nobody has tried yet."""


class CalendarScreen(Frame):
    MODE = "calendar"
    CSS_PATH = "calendar.tcss"
    AUTO_FOCUS = "DayGrid"
    HELP = """## Calendar
What goes out on which day. The arrows choose a day, `page up` and `page down` turn the month or the week, `m` changes
between month, week and one list. `enter` goes to the day's list and opens what stands there. A campaign whose time has
passed stands on top until you decide about it: `r` gives it, or one that is to begin, another time."""
    BINDINGS = [
        key("calendar.view", "m", "next_view", "month/week/list", "Change between month, week and one list"),
        key("calendar.today", "t", "today", "today", "Back to today"),
        key("calendar.reschedule", "r", "reschedule", "another time", "Begin the campaign here at another time"),
        key("calendar.write", "c", "app.show_screen('composer')", "write", "Write a message"),
        key("calendar.export", "x", "export", ".ics", "Write what is to come for your calendar program"),
        key("calendar.back", "escape", "back", "back", "Back to the days", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._plan: Plan | None = None
        self._view = "month"

    def body(self) -> Iterable[Widget]:
        columns = [
            Column("Day", 10, lambda entry: line((f"{entry.day:%a %d %b}", MUTED))),
            Column("Time", 5, lambda entry: line(clock_time(entry.at) if entry.at else "")),
            Column("What", 10, what),
            Column("", 20, lambda entry: value(title(entry)), grow=3),
            Column("For", 14, how_many, priority=1, right=True),
        ]
        yield DayGrid(self._told, id="days")
        with Vertical(classes="list"):
            yield LazyTable(columns, key_of=identity, id="entries")

    def on_mount(self) -> None:
        super().on_mount()
        grid = self.query_one(DayGrid)
        grid.today = grid.chosen = self.workspace.agenda.today()
        self.table.set_empty(line(("Reading ...", MUTED)))
        self.follow(self._look)

    @property
    def table(self) -> LazyTable[Entry]:
        return self.query_one("#entries", LazyTable)

    # --- what is shown ----------------------------------------------------------------------------------------------

    def _look(self) -> None:
        grid, agenda = self.query_one(DayGrid), self.workspace.agenda
        first, last = grid.first, grid.first + timedelta(days=7 * grid.weeks - 1)
        if self._view == "agenda":
            first, last = grid.today, grid.today + AHEAD
        ask(self, "calendar", lambda: agenda.look(first, last), self._show, otherwise=self._fail)

    def _show(self, plan: Plan) -> None:
        self._plan = plan
        grid = self.query_one(DayGrid)
        grid.today = plan.today
        grid.refresh()
        self._list()

    def _list(self) -> None:
        """Of the chosen day, or of all days; in either, what is late comes first."""
        plan, grid = self._plan, self.query_one(DayGrid)
        if plan is None:
            return
        days = sorted(plan.days) if self._view == "agenda" else [grid.chosen]
        found = [*plan.late, *(each for day in days for each in plan.of(day))]
        self.query_one(".list").border_title = line(self._heading(plan, grid.chosen))
        self.table.set_empty(nothing(self._view, grid.chosen))
        self.table.reload(Rows(found))

    def _heading(self, plan: Plan, chosen: date) -> str:
        day = f"The next {AHEAD.days} days" if self._view == "agenda" else f"{chosen:%A, %-d %B}"
        return f"{number(len(plan.late))} late · {day}" if plan.late else day

    def _told(self, day: date) -> Sequence[Content]:
        return [short(each) for each in self._plan.of(day)] if self._plan else ()

    def _fail(self, error: Exception) -> None:
        self.table.set_empty(empty("The calendar could not be read.", str(error)))
        self.table.reload(Rows(()))

    def on_day_grid_chosen(self, event: DayGrid.Chosen) -> None:
        self._list()
        self._look()

    def on_day_grid_asked(self) -> None:
        self.table.focus()

    def on_lazy_table_moved(self) -> None:
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what is to begin can be given another time; a list of all days has no day to go to."""
        if action == "today":
            return self._view != "agenda"
        entry = self.table.row if action == "reschedule" and self.is_mounted else None
        return action != "reschedule" or (entry is not None and entry.kind in (Kind.LATE, Kind.START))

    def on_lazy_table_opened(self, event: LazyTable.Opened) -> None:
        entry: Entry = event.row
        if entry.campaign_id:
            self.app.open_campaign(entry.campaign_id)
        else:
            self.app.show_contact(entry.email)

    # --- the verbs --------------------------------------------------------------------------------------------------

    def action_next_view(self) -> None:
        self._view = VIEWS[(VIEWS.index(self._view) + 1) % len(VIEWS)]
        grid = self.query_one(DayGrid)
        grid.monthly = self._view == "month"
        self.set_class(self._view == "agenda", "-agenda")
        (self.table if self._view == "agenda" else grid).focus()
        self.refresh_bindings()
        self._look()

    def action_today(self) -> None:
        grid = self.query_one(DayGrid)
        grid.chosen = grid.today
        self._look()

    def action_reschedule(self) -> None:
        entry = self.table.row
        if entry is not None:
            converse(self, lambda: schedule(self.app, entry.campaign_id))

    def action_back(self) -> None:
        if self._view != "agenda":
            self.query_one(DayGrid).focus()

    def action_export(self) -> None:
        converse(self, self._export)

    async def _export(self) -> None:
        question = line("Write what is to come, as a calendar file. Where to?")
        name = await self.app.push_screen_wait(Ask(question, "aicmo.ics"))
        if name:
            path = await off_loop(self.app, lambda: export(self.workspace, name))
            self.app.tell(f"Written to {path}.")


def export(workspace: Workspace, name: str) -> Path:
    """Blocking: all that is to come, in a file of that name."""
    path = Path(name).expanduser()
    write_calendar(path, workspace.agenda.calendar())
    return path


def identity(entry: Entry) -> tuple[object, ...]:
    return entry.kind, entry.campaign_id, entry.contact_id, entry.step, entry.day, entry.cause


def look(entry: Entry) -> tuple[str, str, str]:
    """Its sign, its colour, its word."""
    return PUT_OFF if entry.kind is Kind.RETRY and entry.cause in WAITS_FOR else LOOKS[entry.kind]


def what(entry: Entry) -> Content:
    sign, style, word = look(entry)
    return line((f"{sign} {word}", style))


def title(entry: Entry) -> str:
    return f"{entry.title}, step {entry.step}" if entry.kind is Kind.STEP else entry.title


def how_many(entry: Entry) -> Content:
    if entry.kind is Kind.PERSON:
        return line("")
    return line((people(entry.count), MUTED))


def short(entry: Entry) -> Content:
    """For the few cells of a day in a month."""
    sign, style, _ = look(entry)
    return line((f"{sign} ", style), value(title(entry)))


def nothing(view: str, day: date) -> Content:
    if view == "agenda":
        return empty("Nothing is planned.", "Schedule a campaign, and it stands here.", ("c", "write"))
    return line(("Nothing on ", MUTED), (f"{day:%A, %-d %B}", TITLE), (".", MUTED))
