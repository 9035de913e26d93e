"""What all screens share: header, footer, and reading the store again while the screen is the current one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, ClassVar, TypeVar

from textual import events
from textual.app import ComposeResult
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Footer

from aicmo_tui.keys import key
from aicmo_tui.screens import OVER, SCREENS
from aicmo_tui.standing import read_standing
from aicmo_tui.widgets.header import HeaderLine
from aicmo_tui.work import ask

if TYPE_CHECKING:
    from aicmo.workspace import Workspace
    from aicmo_tui.app import AicmoApp

T = TypeVar("T")

STANDING_EVERY_S = 1.0
PROGRESS_EVERY_S = 0.3
CHANGES_EVERY_S = 1.0


class Frame(Screen[None]):
    """A screen of the table. A subclass says its ``MODE``, what stands between header and footer, and what it reads."""

    MODE: ClassVar[str]
    AUTO_FOCUS = "LazyTable"

    app: AicmoApp  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__()
        self._polls: list[Callable[[], None]] = []

    def body(self) -> Iterable[Widget]:
        """What stands between header and footer."""
        return ()

    def compose(self) -> ComposeResult:
        yield HeaderLine()
        yield from self.body()
        yield Footer(compact=True)

    def on_mount(self) -> None:
        self.set_place()
        self.poll(STANDING_EVERY_S, "standing", lambda: read_standing(self.workspace), self._show_standing)

    @property
    def workspace(self) -> Workspace:
        return self.app.workspace

    def set_place(self, detail: str = "") -> None:
        """Where I am, in the header: the screen, and what is open in it."""
        title = (SCREENS | OVER)[self.MODE].title
        self.query_one(HeaderLine).place = f"{title} · {detail}" if detail else title

    async def put_away(self) -> None:
        """Put on disk what is not there yet: the app is being left. Raises what keeps it from that."""

    def poll(self, seconds: float, question: str, work: Callable[[], T], then: Callable[[T], object]) -> None:
        """Ask now and every so often, but only while this screen is the current one. It never overtakes itself."""

        def tick() -> None:
            if self.is_current:
                ask(self, question, work, answered, otherwise=self._not_read, again=False)

        def answered(answer: T) -> None:
            self.query_one(HeaderLine).trouble = ""
            then(answer)

        self._polls.append(tick)
        self.set_interval(seconds, tick)
        self.call_after_refresh(tick)  # the screen stands before anything is read for it

    def follow(self, changed: Callable[[], object], *, unless: Callable[[], bool] = lambda: False) -> None:
        """Call ``changed`` when this screen comes up, and within about a second of any write to the store since.

        While ``unless`` holds it is put off, and then called at the first look after that.
        """
        seen = -1

        def answered(version: int) -> None:
            nonlocal seen
            if version != seen and not unless():
                seen = version
                changed()

        self.poll(CHANGES_EVERY_S, "changes", self.workspace.db.version, answered)

    def on_screen_resume(self, event: events.ScreenResume) -> None:
        for tick in self._polls:
            self.call_after_refresh(tick)

    def _show_standing(self, standing: object) -> None:
        self.query_one(HeaderLine).standing = standing

    def _not_read(self, error: Exception) -> None:
        """A poll that fails is said once in the header, not in a dialog three times a second."""
        self.query_one(HeaderLine).trouble = str(error)


class Over(Frame):
    """A screen that stands over another one, until ``escape``."""

    BINDINGS = [key("over.back", "escape", "back", "back", "Back to where you came from", show=False)]

    def action_back(self) -> None:
        self.dismiss()


class OneCampaign(Frame):
    """About one campaign, over the list of all, until ``escape``."""

    MODE = "campaigns"
    BINDINGS = [key("campaign.back", "escape", "back", "back", "Back to where you came from", show=False)]

    def __init__(self, campaign_id: int, *, came_from: str = "") -> None:
        """``came_from`` is the mode that it was opened from, if it is not the campaigns'."""
        super().__init__()
        self.campaign_id = campaign_id
        self._came_from = came_from

    def on_screen_suspend(self) -> None:
        if self.app.current_mode != self.MODE:  # the person went on from here by themselves
            self._came_from = ""

    def action_back(self) -> None:
        self.dismiss()
        if self._came_from:
            self.app.switch_mode(self._came_from)
