"""The steps of a sequence, and who is where in it and why.

Every change is planned first: what becomes of the people inside is said before anybody agrees to it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from textual import on
from textual.containers import Vertical
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget
from textual.widgets import Static

from aicmo.clock import parse_rfc3339
from aicmo.publishing.sequences.verbs import STATES, PlaceTold, Sequences, StepState
from aicmo.publishing.spans import told_span
from aicmo.store.campaigns import Campaign
from aicmo.store.messages import FIRST_STEP
from aicmo.store.sequences import STOPS, Places
from aicmo_tui.keys import key
from aicmo_tui.present import ACCENT, BAD, MUTED, TITLE, WARN, day_and_time, empty, line, number, people, value
from aicmo_tui.screens import step_verbs
from aicmo_tui.screens.frame import OneCampaign
from aicmo_tui.widgets.columns import Column
from aicmo_tui.widgets.lazy_table import LazyTable
from aicmo_tui.widgets.rows import Rows
from aicmo_tui.work import ask, converse, off_loop

STEPS_EVERY_S = 2.0
"""The ledger is counted by step each time."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A sequence as the screen last read it."""

    campaign: Campaign
    steps: Sequence[StepState]
    places: Places


@dataclass(frozen=True, slots=True)
class Inside:
    """Who is in the sequence, as the table's source; those in one state, or all."""

    sequences: Sequences
    campaign_id: int
    state: str

    def count(self) -> int:
        places = self.sequences.places(self.campaign_id)
        counted = {"active": sum(places.active.values()), "done": places.done, "stopped": sum(places.stopped.values())}
        return counted[self.state] if self.state else places.total

    def window(self, offset: int, limit: int) -> Sequence[PlaceTold]:
        return self.sequences.people(self.campaign_id, state=self.state, offset=offset, limit=limit)


def _counted(step: StepState, *states: str) -> int:
    return sum(step.counts.get(state, 0) for state in states)


STEP_COLUMNS = [
    Column("Step", 4, lambda step: line(f"{step.message.step:>3}")),
    Column("After", 6, lambda step: after(step)),
    Column("Says", 16, lambda step: value(step.subject), grow=3),
    Column("Only if", 11, lambda step: value(step.message.only_if or "everybody", MUTED), priority=1, grow=1),
    Column("Here", 7, lambda step: line(number(step.here)), right=True),
    Column("Sent", 7, lambda step: line(number(_counted(step, "sent"))), right=True),
    Column("Queued", 7, lambda step: line(number(_counted(step, "queued", "sending", "deferred"))), right=True),
    Column("Failed", 7, lambda step: failed(step), right=True, priority=2),
]
PEOPLE_COLUMNS = [
    Column("State", 10, lambda place: standing(place)),
    Column("Address", 20, lambda place: value(place.place.email), grow=2),
    Column("Next", 4, lambda place: line(f"{place.next_step or '-':>3}")),
    Column("Due", 16, lambda place: due(place), priority=1),
    Column("Why", 20, lambda place: value(place.why), grow=3),
]


class StepsScreen(OneCampaign):
    CSS_PATH = "steps.tcss"
    HELP = """## Steps
What the sequence sends, in its order, and below who is where in it. `a` adds a step, `e` changes when it goes and to
whom, `w` what it says, `b` its place, `d` takes it out; a step keeps its number. Of one that has begun it is said first
what becomes of the people inside. `s` shows those who are active, done or stopped. `n` lets newcomers to the audience
enter too. `enter` opens what a step says, or the person."""
    BINDINGS = [
        key("steps.add", "a", "add", "add", "One more step"),
        key("steps.change", "e", "change", "change", "When this step goes, and who gets it"),
        key("steps.words", "w", "words", "words", "Another message for this step, or its latest version"),
        key("steps.move", "b", "move", "move", "Another place in the order"),
        key("steps.remove", "d", "remove", "remove", "Nobody gets it any more"),
        key("steps.state", "s", "next_state", "state", "Show those who are active, done or stopped"),
        key("steps.join", "n", "join", "newcomers", "Whether newcomers to its audience enter too", show=False),
    ]

    shown: reactive[Standing | None] = reactive(None, bindings=True)

    def __init__(self, campaign_id: int) -> None:
        super().__init__(campaign_id)
        self._state = ""

    def body(self) -> Iterable[Widget]:
        yield Static(id="told")
        with Vertical(classes="list", id="of-steps"):
            yield LazyTable(STEP_COLUMNS, key_of=lambda step: step.message.step, id="steps")
        with Vertical(classes="list", id="of-people"):
            yield LazyTable(PEOPLE_COLUMNS, key_of=lambda place: place.place.email, id="inside")

    def on_mount(self) -> None:
        super().on_mount()
        self.inside.set_empty(empty("Nobody is inside yet.", "Who gets the first step enters when it begins."))
        self.inside.show(self._inside)
        self.poll(STEPS_EVERY_S, "steps", self._read, self._show)

    @property
    def steps(self) -> LazyTable[StepState]:
        return self.query_one("#steps", LazyTable)

    @property
    def inside(self) -> LazyTable[PlaceTold]:
        return self.query_one("#inside", LazyTable)

    @property
    def _inside(self) -> Inside:
        return Inside(self.workspace.sequences, self.campaign_id, self._state)

    # --- what is shown ----------------------------------------------------------------------------------------------

    def _read(self) -> Standing:
        sequences = self.workspace.sequences
        return Standing(
            self.workspace.publishing.campaign(self.campaign_id),
            sequences.steps(self.campaign_id),
            sequences.places(self.campaign_id),
        )

    def _show(self, shown: Standing) -> None:
        before, self.shown = self.shown, shown
        self.set_place(f"{shown.campaign.name} · steps")
        self.query_one("#told", Static).update(told(shown))
        self.steps.reload(Rows(shown.steps))
        if before is None or before.places != shown.places:
            self.inside.reload(self._inside)

    def _again(self) -> None:
        """At once, after something was changed here."""
        ask(self, "steps", self._read, self._show)

    @on(LazyTable.Opened, "#steps")
    def _open_words(self, event: LazyTable.Opened) -> None:
        converse(self, lambda: self._go_to(event.row.message.content_id))

    async def _go_to(self, content_id: int) -> None:
        content = await off_loop(self.app, lambda: self.workspace.contents.get(content_id))
        self.app.edit(content, self.shown.campaign.audience)

    @on(LazyTable.Opened, "#inside")
    def _open_person(self, event: LazyTable.Opened) -> None:
        self.app.show_contact(event.row.place.email)

    def action_next_state(self) -> None:
        states = ("", *STATES)
        self._state = states[(states.index(self._state) + 1) % len(states)]
        self.query_one("#of-people").border_title = line(f"only {self._state}" if self._state else "")
        self.inside.show(self._inside)

    # --- the verbs --------------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The first step is where everybody begins: it stays where it is, and goes to all."""
        return self.shown is not None or action not in ("add", "change", "words", "move", "remove", "join")

    def _chosen(self, *, later: bool) -> StepState | None:
        """The step under the cursor; ``later``: if it is not the first, which is said."""
        step = self.steps.row
        if later and step is not None and step.message.step == FIRST_STEP:
            self.app.tell("The first step is where everybody begins: it stays, and goes to all.")
            return None
        return step

    def action_add(self) -> None:
        self._then(lambda: step_verbs.add(self.app, self.shown.campaign, self.shown.steps))

    def action_change(self) -> None:
        if step := self._chosen(later=True):
            self._then(lambda: step_verbs.change(self.app, self.shown.campaign, step))

    def action_words(self) -> None:
        if step := self._chosen(later=False):
            self._then(lambda: step_verbs.words(self.app, self.shown.campaign, step))

    def action_move(self) -> None:
        if step := self._chosen(later=True):
            self._then(lambda: step_verbs.move(self.app, self.shown.campaign, step, self.shown.steps))

    def action_remove(self) -> None:
        if step := self._chosen(later=True):
            self._then(lambda: step_verbs.remove(self.app, self.shown.campaign, step))

    def action_join(self) -> None:
        self._then(lambda: step_verbs.join(self.app, self.shown.campaign))

    def _then(self, conversation: Callable[[], Awaitable[bool]]) -> None:
        """What is shown follows from it, if it changed anything."""

        async def run() -> None:
            if await conversation():
                self._again()

        converse(self, run)


def told(shown: Standing) -> Content:
    """How many are where, and why some left, in a line."""
    places = shown.places
    causes = ", ".join(f"{STOPS.get(cause, cause)} {count:,}" for cause, count in places.stopped.items())
    joins = " · newcomers enter too" if shown.campaign.joins_at else ""
    if not places.total:
        return line((f"{people(0)} inside{joins}", MUTED))
    stopped = sum(places.stopped.values())
    return line(
        (f"{number(places.total)} entered", TITLE),
        (f" · {number(sum(places.active.values()))} active · {number(places.done)} done", ACCENT),
        (f" · {number(stopped)} left early", WARN if stopped else MUTED),
        (f" ({causes})" if causes else "", MUTED),
        (joins, MUTED),
    )


def after(step: StepState) -> Content:
    if step.message.step == FIRST_STEP:
        return line(("start", MUTED))
    return line(told_span(step.message.wait_minutes) if step.message.wait_minutes else "at once")


def failed(step: StepState) -> Content:
    count = _counted(step, "failed", "bounced", "unknown")
    return line((number(count), BAD if count else MUTED))


LOOKS = {"active": ("◐", ACCENT), "done": ("●", MUTED), "stopped": ("✕", WARN)}


def standing(place: PlaceTold) -> Content:
    sign, style = LOOKS[place.place.state]
    return line((f"{sign} {place.place.state}", style))


def due(place: PlaceTold) -> Content:
    at = place.place.due_at
    return line((day_and_time(parse_rfc3339(at)) if at else "-", MUTED))
