"""A/B: the first messages of a campaign side by side, what came of each, and which one the rest gets and why."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from textual.containers import Vertical
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget
from textual.widgets import Static

from aicmo.analytics.rates import Rate
from aicmo.publishing.spans import told_span
from aicmo.publishing.variants import Standing
from aicmo.store.campaigns import Campaign
from aicmo.store.messages import Message
from aicmo.store.variants import Figures
from aicmo_tui.keys import key
from aicmo_tui.present import ACCENT, GOOD, MUTED, TITLE, WARN, day_and_time, line, lines, number, people, value
from aicmo_tui.screens import variant_verbs
from aicmo_tui.screens.frame import OneCampaign
from aicmo_tui.widgets.columns import Column
from aicmo_tui.widgets.lazy_table import LazyTable
from aicmo_tui.widgets.rows import Rows
from aicmo_tui.work import ask, converse, off_loop

VARIANTS_EVERY_S = 2.0
"""Every click and answer is counted each time."""
HELD_OUT = "held out"


@dataclass(frozen=True, slots=True)
class Row:
    """A variant, or those who were held out."""

    name: str
    message: Message | None
    """``None``: it is no variant of its own; they get the winner, or nothing."""
    subject: str
    figures: Figures
    goal: str
    won: bool

    @property
    def gets_mail(self) -> bool:
        return bool(self.figures.variant)


@dataclass(frozen=True, slots=True)
class Shown:
    campaign: Campaign
    standing: Standing

    @property
    def goal(self) -> str:
        return self.standing.test.goal if self.standing.test else "clicks"

    @property
    def rows(self) -> list[Row]:
        standing, test = self.standing, self.standing.test
        winner = test.winner if test and test.decided_at else ""
        rows = [
            Row(said.variant or "A", said, subject, figures, self.goal, bool(winner) and said.variant == winner)
            for said, subject, figures in zip(standing.messages, standing.subjects, standing.figures, strict=True)
        ]
        if standing.rest:
            rows.append(
                Row("the rest", None, f"what {standing.rest.variant} says", standing.rest, self.goal, won=False)
            )
        if standing.holdout:
            rows.append(Row(HELD_OUT, None, "nothing, for comparison", standing.holdout, self.goal, won=False))
        return rows


COLUMNS = [
    Column("", 8, lambda row: line((f"✓ {row.name}", GOOD)) if row.won else line((row.name, TITLE))),
    Column("Says", 14, lambda row: value(row.subject), grow=3),
    Column("Later", 5, lambda row: later(row), priority=3),
    Column("People", 7, lambda row: line((number(row.figures.people), MUTED)), right=True, priority=2),
    Column("Sent", 7, lambda row: figure(row, row.figures.sent), right=True),
    Column("Clicks", 6, lambda row: figure(row, row.figures.clicks), right=True),
    Column("Replies", 7, lambda row: figure(row, row.figures.replies), right=True),
    Column("Rate of the goal", 19, lambda row: goal_rate(row), right=True),
    Column("Converted", 19, lambda row: rate(row.figures.converted, row.figures.people), right=True, priority=1),
]


class VariantsScreen(OneCampaign):
    CSS_PATH = "variants.tcss"
    HELP = """## Variants
Other first messages of the campaign; its own is A. `a` adds one, `d` takes one out. Without a test all go to even parts
of the audience. `o` sets up a test: a sample gets them, the rest gets the better one, and some may be held out to
compare with; `z` drops it. `w` decides it yourself, for the variant under the cursor. Clicks of machines are left out.
What is shown beside a rate is its 95 % interval."""
    BINDINGS = [
        key("variants.add", "a", "add", "add", "Another first message"),
        key("variants.remove", "d", "remove", "remove", "Not this one"),
        key("variants.test", "o", "test", "test", "Try them on a sample; the rest gets the better one"),
        key("variants.drop", "z", "drop", "no test", "All variants to even parts of all"),
        key("variants.winner", "w", "winner", "this one won", "The rest gets the variant under the cursor"),
    ]

    shown: reactive[Shown | None] = reactive(None, bindings=True)

    def body(self) -> Iterable[Widget]:
        yield Static(id="test")
        with Vertical(classes="list"):
            yield LazyTable(COLUMNS, key_of=lambda row: row.name, id="variants")

    def on_mount(self) -> None:
        super().on_mount()
        self.poll(VARIANTS_EVERY_S, "variants", self._read, self._show)

    @property
    def table(self) -> LazyTable[Row]:
        return self.query_one("#variants", LazyTable)

    def _read(self) -> Shown:
        campaign = self.workspace.publishing.campaign(self.campaign_id)
        return Shown(campaign, self.workspace.variants.standing(self.campaign_id))

    def _show(self, shown: Shown) -> None:
        self.shown = shown
        self.set_place(f"{shown.campaign.name} · variants")
        self.query_one("#test", Static).update(told(shown))
        self.table.reload(Rows(shown.rows))

    def on_lazy_table_opened(self, event: LazyTable.Opened) -> None:
        if event.row.message is not None:
            converse(self, lambda: self._go_to(event.row.message.content_id))

    async def _go_to(self, content_id: int) -> None:
        content = await off_loop(self.app, lambda: self.workspace.contents.get(content_id))
        self.app.edit(content, self.shown.campaign.audience)

    # --- the verbs --------------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What a campaign sends first is settled when it begins; a test is decided once, after that."""
        if action not in MAY:
            return True
        return self.shown is not None and MAY[action](self.shown)

    def action_add(self) -> None:
        self._then(lambda: variant_verbs.add(self.app, self.shown.campaign))

    def action_remove(self) -> None:
        if row := self._variant():
            self._then(lambda: variant_verbs.remove(self.app, self.shown.campaign, row.name))

    def action_test(self) -> None:
        self._then(lambda: variant_verbs.set_test(self.app, self.shown.campaign, self.shown.standing.test))

    def action_drop(self) -> None:
        self._then(lambda: variant_verbs.drop_test(self.app, self.shown.campaign))

    def action_winner(self) -> None:
        if row := self._variant():
            waiting = self.shown.standing.waiting
            self._then(lambda: variant_verbs.choose(self.app, self.shown.campaign, row.name, waiting))

    def _variant(self) -> Row | None:
        row = self.table.row
        return row if row is not None and row.message is not None else None

    def _then(self, conversation: Callable[[], Awaitable[bool]]) -> None:
        """What is shown follows from it, if it changed anything."""

        async def run() -> None:
            if await conversation():
                ask(self, "variants", self._read, self._show)

        converse(self, run)


MAY: dict[str, Callable[[Shown], bool]] = {
    "add": lambda shown: shown.campaign.version_id is None,
    "remove": lambda shown: shown.campaign.version_id is None and len(shown.standing.messages) > 1,
    "test": lambda shown: shown.campaign.version_id is None,
    "drop": lambda shown: shown.campaign.version_id is None and shown.standing.test is not None,
    "winner": lambda shown: (
        shown.campaign.version_id is not None
        and shown.standing.test is not None
        and shown.standing.test.decided_at is None
    ),
}
"""When each verb makes sense."""


def told(shown: Shown) -> Content:
    """How the test is set up, and how it stands."""
    standing, test = shown.standing, shown.standing.test
    if test is None:
        if len(standing.messages) == 1:
            return line(("One message for all. Add another, and each goes to an even part of the audience.", MUTED))
        return line((f"No test: each of the {len(standing.messages)} goes to an even part of the audience.", MUTED))
    held_out = f"{test.holdout_percent}% are held out" if test.holdout_percent else "nobody is held out"
    rows = [
        line(
            (f"By {test.goal}", TITLE),
            f": {test.sample_percent}% try them for {told_span(test.wait_minutes)},",
            f" {held_out}, at least {number(test.least)} sent of each",
        )
    ]
    if test.decided_at:
        rows.append(line((f"✓ {test.winner} goes to the rest: ", GOOD), value(test.because)))
    elif test.because:
        rows.append(line(("? No clear winner: ", WARN), value(test.because)))
        rows.append(line((f"{people(standing.waiting)} wait for your word. ", WARN), ("w chooses.", TITLE)))
    elif standing.decision_at:
        rows.append(line((f"to be decided {day_and_time(standing.decision_at)} · ", ACCENT), _waits(standing.waiting)))
    elif standing.waiting:
        after = f"to be decided {told_span(test.wait_minutes)} after the last of the sample went · "
        rows.append(line((after, ACCENT), _waits(standing.waiting)))
    return lines(rows)


def _waits(count: int) -> str:
    return f"{people(count)} {'waits' if count == 1 else 'wait'} for it"


def later(row: Row) -> Content:
    wait = row.message.wait_minutes if row.message else 0
    return line((told_span(wait) if wait else "-", MUTED))


def figure(row: Row, count: int) -> Content:
    """Nothing is said of those who get nothing."""
    return line(number(count)) if row.gets_mail else line(("-", MUTED))


def goal_rate(row: Row) -> Content:
    return rate(row.figures.of(row.goal), row.figures.sent) if row.gets_mail else line(("-", MUTED))


def rate(part: int, whole: int) -> Content:
    """``3.0% [1.7-5.2]``: the Wilson interval at 95 %; ``-`` of nothing."""
    found = Rate(part, whole)
    if found.value is None or found.interval is None:
        return line(("-", MUTED))
    low, high = (100 * end for end in found.interval)
    return line(f"{found.value:.1%}", (f" [{low:.1f}-{high:.1f}]", MUTED))
