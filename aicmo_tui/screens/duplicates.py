"""Duplicates: who is in the list twice, the surest first; the two side by side, to merge them or to tell them apart.

The search is done once and may take seconds. From then on what it found is held against the store, so a merge or an
undo, here or by another program, shows in the list without another search.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from textual.containers import Vertical
from textual.reactive import reactive
from textual.timer import Timer
from textual.widget import Widget

from aicmo.crm.merging import MergePlan
from aicmo.crm.similarity import Pair
from aicmo_tui.keys import key
from aicmo_tui.present import MUTED, TITLE, bar, empty, line, lines, number, value
from aicmo_tui.screens.changing import tell, undo, wait_for
from aicmo_tui.screens.duplicates_view import FIELD_COLUMNS, PAIR_COLUMNS, Field, compared, gains, shared
from aicmo_tui.screens.frame import Over
from aicmo_tui.widgets.dialogs import Ask, confirm
from aicmo_tui.widgets.lazy_table import LazyTable
from aicmo_tui.widgets.rows import Rows
from aicmo_tui.work import ask, converse, off_loop

if TYPE_CHECKING:
    from aicmo.crm.duplicates import Duplicates

DRAWN_EVERY_S = 0.25
BAR_CELLS = 30
Done = int | tuple[str, str]
"""Something done here: the change that a merge was, or the addresses of two who were told apart."""


class Search:
    """How far a search is, and whether it is to stop; read and written on two threads."""

    def __init__(self) -> None:
        self.fraction = 0.0
        self.stopped = False

    def note(self, fraction: float) -> None:
        self.fraction = fraction


class DuplicatesScreen(Over):
    MODE = "duplicates"
    CSS_PATH = "duplicates.tcss"
    HELP = """## Duplicates
Pairs of records that may be one person, the surest first; `=` marks those that differ in spelling alone. `m` merges the
two below into one, `d` remembers that they are two people, `a` merges all that differ in spelling alone. Of fields in
which they differ, `left` and `right` choose whose word stays, `e` types another. `w` swaps who stays. `ctrl+z` takes
the last step back."""
    BINDINGS = [
        key("duplicates.merge", "m", "merge", "merge", "Make one record of the two; ctrl+z makes two again"),
        key("duplicates.two", "d", "two", "two people", "Remember that they are two, and do not ask again"),
        key("duplicates.swap", "w", "swap", "swap", "Let the other one stay"),
        key("duplicates.mine", "left", "choose('mine')", "◂", "The word of the one who stays", show=False),
        key("duplicates.theirs", "right", "choose('theirs')", "▸", "The word of the one who goes", show=False),
        key("duplicates.type", "e", "type", "type", "Type what the field shall say", show=False),
        key("duplicates.exact", "a", "exact", "all exact", "Merge all that differ in spelling alone"),
        key("duplicates.undo", "ctrl+z", "undo", "undo", "Take the last step back", show=False),
        key("duplicates.again", "r", "search", "look again", "Search everybody anew", show=False),
    ]

    pairs: reactive[Sequence[Pair]] = reactive((), bindings=True)

    def __init__(self) -> None:
        super().__init__()
        self._search = Search()
        self._timer: Timer | None = None
        self._found: Sequence[Pair] | None = None  # as the search left it
        self._plan: MergePlan | None = None  # of the pair under the cursor; None until it is read
        self._chosen: dict[str, str] = {}
        self._done: list[Done] = []

    def body(self) -> Iterable[Widget]:
        with Vertical(classes="list"):
            yield LazyTable(PAIR_COLUMNS, key_of=lambda pair: pair.ids, id="pairs")
        with Vertical(id="compared"):
            yield LazyTable(FIELD_COLUMNS, key_of=lambda field: field.key, id="fields")

    def on_mount(self) -> None:
        super().on_mount()
        self.action_search()
        self.follow(self._hold_against_the_store)

    def on_unmount(self) -> None:
        self._search.stopped = True

    @property
    def table(self) -> LazyTable[Pair]:
        return self.query_one("#pairs", LazyTable)

    @property
    def fields(self) -> LazyTable[Field]:
        return self.query_one("#fields", LazyTable)

    @property
    def duplicates(self) -> Duplicates:
        return self.workspace.duplicates

    # --- searching --------------------------------------------------------------------------------------------------

    def action_search(self) -> None:
        self._search.stopped = True
        search = self._search = Search()
        self._found = None
        self._show(())
        if self._timer is None:
            self._timer = self.set_interval(DRAWN_EVERY_S, self._draw_search)
        ask(
            self,
            "search",
            lambda: self.duplicates.find(progress=search.note, cancelled=lambda: search.stopped),
            lambda pairs: self._searched(search, pairs),
            otherwise=self._failed,
        )

    def action_back(self) -> None:
        """A search is stopped first; what it found by then is not known to be all, so it is not shown."""
        if self._timer is not None and not self._search.stopped:
            self._search.stopped = True
        else:
            super().action_back()

    def _draw_search(self) -> None:
        done = bar(round(self._search.fraction * 1_000), 1_000, BAR_CELLS)
        hint = "stopping ..." if self._search.stopped else "escape stops it"
        self.table.set_empty(
            lines(
                [
                    line(("Looking for people who are in the list twice", TITLE)),
                    line(done, f" {self._search.fraction:.0%}"),
                    line((hint, MUTED)),
                ]
            )
        )

    def _searched(self, search: Search, pairs: Sequence[Pair]) -> None:
        self._end_search()
        if search.stopped:
            self.table.set_empty(empty("Stopped.", "Not everybody was compared.", ("r", "look again"), BACK))
            return
        self._found = pairs
        self.table.set_empty(empty("Nobody seems to be in the list twice.", "Everybody was compared.", BACK))
        self._show(pairs)

    def _failed(self, error: Exception) -> None:
        self._end_search()
        self.table.set_empty(empty("That could not be read.", str(error), ("r", "look again"), BACK))

    def _end_search(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None

    # --- what is shown ----------------------------------------------------------------------------------------------

    def _hold_against_the_store(self) -> None:
        if self._found is not None:
            found = self._found
            ask(self, "still", lambda: self.duplicates.still(found), self._show)

    def _show(self, pairs: Sequence[Pair]) -> None:
        self.pairs = pairs
        exact = sum(pair.is_exact for pair in pairs)
        self.set_place(f"{counted(pairs)}, {number(exact)} exact" if pairs else "")
        self.set_class(bool(pairs), "-found")
        self.table.reload(Rows(pairs))
        if self._plan is not None:
            self._read_plan()

    def on_lazy_table_moved(self, event: LazyTable.Moved) -> None:
        if event.table is self.fields:
            self._say_field()
        elif event.row is not None and (self._plan is None or event.row.ids != ids_of(self._plan)):
            self._plan, self._chosen = None, {}
            self.fields.show(Rows(()))
            self._read_plan()

    def on_lazy_table_opened(self, event: LazyTable.Opened) -> None:
        if event.table is self.table:
            self.fields.focus()
        else:
            self.action_choose("theirs" if event.row.will == event.row.mine else "mine")

    def _read_plan(self, *, swapped: bool = False) -> None:
        """Of the pair under the cursor: who stays is decided once, unless the person says otherwise."""
        pair, plan, duplicates = self.table.row, self._plan, self.duplicates
        if pair is None:
            return

        def work() -> MergePlan:
            if plan is None or ids_of(plan) != pair.ids:
                return duplicates.plan(*duplicates.better_of(*pair.emails))
            both = plan.survivor.email, plan.other.email
            return duplicates.plan(*(reversed(both) if swapped else both))

        ask(self, "plan", work, self._planned, otherwise=lambda _: self._hold_against_the_store())

    def _planned(self, plan: MergePlan) -> None:
        pair = self.table.row
        if pair is None or pair.ids != ids_of(plan):
            return
        self._plan = plan
        self.fields.reload(Rows(compared(plan, self._chosen)))
        frame = self.query_one("#compared")
        frame.border_title = gains(plan, self._chosen)
        self._say_field()

    def _say_field(self) -> None:
        """Below the two: why they may be one; while choosing, what the field will say."""
        field, pair = self.fields.row, self.table.row
        frame = self.query_one("#compared")
        if self.fields.has_focus and field is not None and field.choosable:
            hint = line((" · ◂ ▸ choose · e type", MUTED))
            frame.border_subtitle = line(f"{field.label} will say: ", value(field.will or "-", TITLE, limit=40), hint)
        elif pair is not None:
            frame.border_subtitle = shared(pair)

    def on_descendant_focus(self) -> None:
        self._say_field()

    # --- the verbs --------------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in ("merge", "two", "swap", "choose", "type"):
            return bool(self.pairs)
        return action != "exact" or any(pair.is_exact for pair in self.pairs)

    def action_swap(self) -> None:
        if self._plan is not None:
            self._chosen = {}
            self._read_plan(swapped=True)

    def action_choose(self, side: str) -> None:
        field = self.fields.row
        if self._plan is not None and field is not None and field.choosable:
            self._choose(field, field.mine if side == "mine" else field.theirs)

    def action_type(self) -> None:
        converse(self, self._type)

    def action_merge(self) -> None:
        converse(self, self._merge)

    def action_two(self) -> None:
        converse(self, self._two)

    def action_exact(self) -> None:
        converse(self, self._exact)

    def action_undo(self) -> None:
        converse(self, self._undo)

    def _say(self, done: str) -> None:
        """What was done last, where it covers nothing of the next pair."""
        self.query_one(".list").border_subtitle = line(value(done), (" · ctrl+z takes it back", MUTED))

    def _choose(self, field: Field, text: str) -> None:
        assert self._plan is not None
        self._chosen[field.key] = text
        self._planned(self._plan)

    async def _type(self) -> None:
        plan, field = self._plan, self.fields.row
        if plan is None or field is None or not field.choosable:
            self.app.tell("Go to a field in which they differ: tab, then up and down.")
            return
        question = line("What shall ", value(field.label, TITLE), " say?")
        text = await self.app.push_screen_wait(Ask(question, field.will))
        if text and plan is self._plan:
            self._choose(field, text)

    async def _merge(self) -> None:
        if (plan := self._plan) is None:
            return
        chosen, self._plan = dict(self._chosen), None
        emails = plan.survivor.email, plan.other.email
        try:
            merged = await off_loop(self.app, lambda: self.duplicates.merge(*emails, chosen))
        finally:
            self._hold_against_the_store()
        self._done.append(merged.change_id)
        self._say(f"Merged {merged.other} into {merged.survivor}")

    async def _two(self) -> None:
        if (pair := self.table.row) is None:
            return
        await off_loop(self.app, lambda: self.duplicates.tell_apart(*pair.emails))
        self._done.append(pair.emails)
        self._hold_against_the_store()
        self._say(f"{pair.emails[0]} and {pair.emails[1]} are two people")

    async def _exact(self) -> None:
        pairs = [pair for pair in self.pairs if pair.is_exact]
        question = line("Merge ", (counted(pairs), TITLE), " that differ in spelling alone?")
        details = line("Of each, the one who is further on stays, with what the other knows. One ctrl+z undoes it all.")
        command = "aicmo contact merge --exact"
        asked = confirm(question, f"Merge {number(len(pairs))}", details=details, command=command)
        if not await self.app.push_screen_wait(asked):
            return
        what = line(f"Merging {counted(pairs)} ...")
        done = await wait_for(self.app, what, lambda: self.duplicates.merge_pairs(pairs))
        if done.change_id is not None:
            self._done.append(done.change_id)
        self._hold_against_the_store()
        self._say(f"Merged {counted(done.merged)}")

    async def _undo(self) -> None:
        """The last step that was done here, without asking; else the last thing a person did anywhere."""
        last = self._done.pop() if self._done else None
        self.query_one(".list").border_subtitle = ""
        if isinstance(last, tuple):
            await off_loop(self.app, lambda: self.duplicates.forget_telling_apart(*last))
        elif last is not None:
            await tell(self.app, "Undone", await off_loop(self.app, lambda: self.workspace.history.undo(last)))
        else:
            await undo(self.app)
        self._hold_against_the_store()


BACK = ("escape", "back")


def ids_of(plan: MergePlan) -> tuple[int, int]:
    one, two = sorted((plan.survivor.id, plan.other.id))
    return one, two


def counted(pairs: Sequence[object]) -> str:
    return "1 pair" if len(pairs) == 1 else f"{number(len(pairs))} pairs"
