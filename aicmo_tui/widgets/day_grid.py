"""Days in weeks, one of them chosen: a month, or one week with more room for each day."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, timedelta

from textual import events
from textual.app import RenderResult
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from aicmo_tui.keys import key
from aicmo_tui.present import ACCENT, MUTED, TITLE, fit, line, lines, number

WEEK = 7
HEADING = 2
"""Lines above the first week: which month, and the days' names."""
CHOSEN = "reverse"


class DayGrid(Widget, can_focus=True):
    """``enter`` asks for the chosen day; a click chooses one."""

    DEFAULT_CSS = """
    DayGrid { height: 1fr; min-height: 8; padding: 0 1; border: round $secondary; }
    DayGrid:focus { border: round $primary; }
    """
    BINDINGS = [
        key("days.left", "left", "go(-1)", "day before", "The day before", show=False),
        key("days.right", "right", "go(1)", "next day", "The next day", show=False),
        key("days.up", "up", "go(-7)", "week before", "The week before", show=False),
        key("days.down", "down", "go(7)", "next week", "The next week", show=False),
        key("days.page_up", "pageup", "turn(-1)", "before", "The month or week before", show=False),
        key("days.page_down", "pagedown", "turn(1)", "next", "The next month or week", show=False),
        key("days.open", "enter", "open", "its list", "Go to the list of this day", show=False),
    ]

    chosen: reactive[date] = reactive(date.min)
    today: reactive[date] = reactive(date.min)
    monthly: reactive[bool] = reactive(True)
    """A whole month, or the week of the chosen day."""

    class Chosen(Message):
        """Another day is chosen."""

        def __init__(self, day: date) -> None:
            super().__init__()
            self.day = day

    class Asked(Message):
        """The list of the chosen day is asked for."""

    def __init__(self, told: Callable[[date], Sequence[Content]], *, id: str) -> None:
        """``told`` gives a line for each thing of a day; it is asked while drawing, so it has to know by heart."""
        super().__init__(id=id)
        self._told = told

    @property
    def first(self) -> date:
        """The Monday of the first week that is shown."""
        day = self.chosen.replace(day=1) if self.monthly else self.chosen
        return day - timedelta(days=day.weekday())

    @property
    def weeks(self) -> int:
        if not self.monthly:
            return 1
        after = (self.chosen.replace(day=28) + timedelta(days=4)).replace(day=1)
        return -(-(after - self.first).days // WEEK)

    def render(self) -> RenderResult:
        if self.chosen == date.min:
            return Content("")
        width = max(3, self.size.width // WEEK)
        height = max(1, (self.size.height - HEADING) // self.weeks)
        rows = [
            line((f"{self.chosen:%B %Y}", TITLE)),
            Content("").join(fit(line((f"{self.first + timedelta(days=n):%a}", MUTED)), width) for n in range(WEEK)),
        ]
        for week in range(self.weeks):
            days = [self.first + timedelta(days=week * WEEK + n) for n in range(WEEK)]
            cells = [self._cell(day, width, height) for day in days]
            rows += [Content("").join(cell[row] for cell in cells) for row in range(height)]
        return lines(rows)

    def _cell(self, day: date, width: int, height: int) -> list[Content]:
        """The day's number, with how many find no room, then those that do."""
        told = self._told(day)
        style = f"{ACCENT} bold" if day == self.today else "" if day.month == self.chosen.month else MUTED
        room = height - 1
        hidden = max(0, len(told) - room)
        mark = line((f"{day.day:>2}", style), (f" +{number(hidden)}" if hidden else "", MUTED))
        if day == self.chosen:
            mark = mark.stylize(CHOSEN)
        cell = [mark, *told[:room], *([Content("")] * (room - len(told)))]
        return [fit(row, width - 1) + " " for row in cell]

    def action_go(self, days: int) -> None:
        self._choose(self.chosen + timedelta(days=days))

    def action_turn(self, way: int) -> None:
        if not self.monthly:
            self._choose(self.chosen + timedelta(days=way * WEEK))
            return
        month = self.chosen.replace(day=1) + (timedelta(days=31) if way > 0 else timedelta(days=-1))
        last = ((month.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)).day
        self._choose(month.replace(day=min(self.chosen.day, last)))

    def action_open(self) -> None:
        self.post_message(self.Asked())

    def on_click(self, event: events.Click) -> None:
        place = event.get_content_offset(self)
        if place is None or place.y < HEADING:
            return
        height = max(1, (self.size.height - HEADING) // self.weeks)
        week, day = (place.y - HEADING) // height, place.x // max(3, self.size.width // WEEK)
        if week < self.weeks and day < WEEK:
            self._choose(self.first + timedelta(days=week * WEEK + day))

    def _choose(self, day: date) -> None:
        self.chosen = day
        self.post_message(self.Chosen(day))
