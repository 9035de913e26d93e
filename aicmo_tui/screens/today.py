"""Today: whom I planned to get back to, and who was silent for too long. ``enter`` opens the person."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from textual.containers import Vertical
from textual.widget import Widget
from textual.widgets import Static

from aicmo.clock import parse_rfc3339
from aicmo.crm.icalendar import write_calendar
from aicmo.crm.today import Day
from aicmo_tui.keys import key
from aicmo_tui.present import (
    ACCENT,
    MUTED,
    TITLE,
    WARN,
    Content,
    empty,
    line,
    number,
    span,
    value,
)
from aicmo_tui.screens.changing import undo
from aicmo_tui.screens.frame import Over
from aicmo_tui.screens.planning import ask_for_day, plan
from aicmo_tui.widgets.columns import Column
from aicmo_tui.widgets.dialogs import Ask, Choose
from aicmo_tui.widgets.lazy_table import READING, LazyTable
from aicmo_tui.widgets.rows import Rows
from aicmo_tui.work import ask, converse, off_loop

if TYPE_CHECKING:
    from aicmo.crm import Contact
    from aicmo.workspace import Workspace

T = TypeVar("T")

SILENT_SHOWN = 50
PUT_OFF = {"": "Leave it", "1d": "Tomorrow", "3d": "3 days", "1w": "Next week", "date": "A date ..."}


@dataclass(frozen=True, slots=True)
class Item:
    """Somebody to get back to."""

    contact_id: int
    email: str
    name: str
    company: str
    phone: str
    planned: str
    """What was planned; empty for somebody who was silent."""
    when: Content


COLUMNS = [
    Column("When", 15, lambda item: item.when),
    Column("What", 18, lambda item: value(item.planned) if item.planned else line(("get in touch", MUTED)), grow=3),
    Column("Who", 16, lambda item: value(item.name or item.email), grow=2),
    Column("Company", 14, lambda item: value(item.company), priority=2, grow=1),
    Column("Phone", 14, lambda item: value(item.phone), priority=3),
    Column("Address", 22, lambda item: value(item.email, MUTED), priority=1, grow=1),
]


class TodayScreen(Over):
    MODE = "today"
    CSS_PATH = "today.tcss"
    HELP = """## Today
What you planned for today or before, then those in touch with you who were silent for too long. `d` ticks a plan off,
which leaves a note; `s` puts it off; `n` plans the next step with somebody; `x` writes all plans for your calendar."""
    BINDINGS = [
        key("today.done", "d", "done", "done", "It is done; that leaves a note with the person"),
        key("today.snooze", "s", "snooze", "put off", "Not today"),
        key("today.plan", "n", "plan", "next", "Plan the next step with this person"),
        key("today.calendar", "x", "calendar", ".ics", "Write every plan as a calendar file"),
        key("today.undo", "ctrl+z", "undo", "undo", "Take back the last thing you did", show=False),
    ]

    def body(self) -> Iterable[Widget]:
        with Vertical(classes="list"):
            yield LazyTable(COLUMNS, key_of=lambda item: item.contact_id, id="items")
        yield Static(id="counts")

    def on_mount(self) -> None:
        super().on_mount()
        self.table.set_empty(READING)
        self.table.show(Rows(()))
        self.follow(self._look)

    @property
    def table(self) -> LazyTable[Item]:
        return self.query_one("#items", LazyTable)

    def _look(self) -> None:
        ask(self, "today", lambda: read_today(self.workspace), self._show, otherwise=self._fail)

    def _show(self, read: tuple[Day, list[Item]]) -> None:
        day, items = read
        self.query_one("#counts", Static).update(counts(day))
        self.table.set_empty(nothing(day))
        self.table.reload(Rows(items))
        self.refresh_bindings()

    def _fail(self, error: Exception) -> None:
        self.table.set_empty(empty("That could not be read.", str(error)))
        self.table.reload(Rows(()))

    def on_lazy_table_moved(self) -> None:
        self.refresh_bindings()

    def on_lazy_table_opened(self, event: LazyTable.Opened) -> None:
        self.app.show_contact(event.row.email)

    # --- the verbs --------------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The footer shows what can be done with the one under the cursor."""
        if action not in ("done", "snooze", "plan") or not self.is_mounted:
            return True
        item = self.table.row
        return item is not None and (action == "plan" or bool(item.planned))

    def action_done(self) -> None:
        converse(self, self._done)

    def action_snooze(self) -> None:
        converse(self, self._snooze)

    def action_plan(self) -> None:
        converse(self, self._plan)

    def action_calendar(self) -> None:
        converse(self, self._calendar)

    def action_undo(self) -> None:
        converse(self, self._undo)

    async def _done(self) -> None:
        item = self.table.row
        await self._with(item, self.workspace.today.done)
        self.app.tell(f"Done: {item.planned}. ctrl+z takes it back.")

    async def _snooze(self) -> None:
        item = self.table.row
        question = line("Put off ", value(item.planned, TITLE), " with ", value(item.name or item.email), "?")
        until = await self.app.push_screen_wait(Choose(question, PUT_OFF))
        if until == "date":
            until = await ask_for_day(self.app, line("Put it off until when?"))
        if until:
            planned = await self._with(item, lambda contact: self.workspace.today.snooze(contact, until))
            self.app.tell(f"Put off until {planned.due:%a %d %b}.")

    async def _plan(self) -> None:
        item = self.table.row
        await plan(self.app, await off_loop(self.app, lambda: self.workspace.crm.get(item.email)))
        self._look()

    async def _calendar(self) -> None:
        question = line("Write every plan as a calendar file: ", ("where?", TITLE))
        typed = await self.app.push_screen_wait(Ask(question, "~/plans.ics"))
        if typed:
            file = await off_loop(self.app, lambda: Path(typed).expanduser())
            await off_loop(self.app, lambda: write_calendar(file, self.workspace.today.calendar()))
            self.app.tell(f"The plans are in {file}.")

    async def _undo(self) -> None:
        await undo(self.app)
        self._look()

    async def _with(self, item: Item, work: Callable[[Contact], T]) -> T:
        """Do it with the person as they are now, then look again."""
        done = await off_loop(self.app, lambda: work(self.workspace.crm.get(item.email)))
        self._look()
        return done


def read_today(workspace: Workspace) -> tuple[Day, list[Item]]:
    """Blocking."""
    day = workspace.today.look(quiet_limit=SILENT_SHOWN)
    now = workspace.clock.now()
    items = [
        Item(each.contact_id, each.email, each.name, each.company, each.phone, each.text, when(day, each.due))
        for each in (*day.overdue, *day.due)
    ]
    for each in day.quiet:
        silent_s = (now - parse_rfc3339(each.last_touch)).total_seconds()
        silent = line((f"○ silent {span(silent_s)}", MUTED))
        items.append(Item(each.contact_id, each.email, each.name, each.company, "", "", silent))
    return day, items


def when(day: Day, due: date) -> Content:
    late = (day.today - due).days
    return line((f"▲ {late} d overdue", WARN)) if late else line(("● today", ACCENT))


def counts(day: Day) -> Content:
    silent = f"{number(len(day.quiet))} or more" if len(day.quiet) == SILENT_SHOWN else number(len(day.quiet))
    return line(
        f" {number(len(day.overdue))} overdue · {number(len(day.due))} due today · ",
        f"{silent} silent for {day.no_touch_days} days or longer",
    )


def nothing(day: Day) -> Content:
    return empty(
        "Nothing is due, and nobody was silent for too long.",
        f"Whoever is in touch with you was heard of within {day.no_touch_days} days.",
        ("F4", "contacts, and there n to plan the next step with somebody"),
        ("escape", "back"),
    )
