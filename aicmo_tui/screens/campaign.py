"""One campaign: who got it, who did not, and why; and the verbs that move it on.

What is shown is the ledger, read again while it is shown, so it is true whichever process sends.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from textual import on
from textual.containers import Vertical
from textual.reactive import reactive
from textual.widget import Widget
from textual.widgets import Static

from aicmo.store.deliveries import Delivery, State
from aicmo_tui.keys import key
from aicmo_tui.present import TITLE, line, value
from aicmo_tui.screens import campaign_verbs, scheduling
from aicmo_tui.screens.campaign_form import change_settings
from aicmo_tui.screens.campaign_view import (
    COLUMNS,
    MAY,
    STATES,
    Ledger,
    Shown,
    cause_choices,
    in_the_way,
    nobody,
    whole,
)
from aicmo_tui.screens.frame import PROGRESS_EVERY_S, OneCampaign
from aicmo_tui.widgets.dialogs import confirm
from aicmo_tui.widgets.facts import Facts
from aicmo_tui.widgets.inputs import PlainInput
from aicmo_tui.widgets.lazy_table import LazyTable
from aicmo_tui.widgets.picker import Picker
from aicmo_tui.widgets.progress import Progress
from aicmo_tui.work import ask, converse, off_loop

MAIL = "email_sending"
OPTED_OUT_EVERY_S = 5.0
"""The timeline is looked through for them."""


class CampaignScreen(OneCampaign):
    CSS_PATH = "campaign.tcss"
    HELP = """## One campaign
Its ledger: one row for each recipient, `enter` tells all of one. `s` shows one state at a time, `f` one cause, `/`
finds an address, `x` writes what is shown to a file. `space` pauses and resumes, `w` gives it a time, `r` queues the
failed again, `u` decides about those that may or may not have gone, `i` about the one under the cursor. `e` changes
what it says, `o` whom it is for and when, `n` are its steps, `v` its variants, `d` cancels it. `t` sends a test, to
you or whom you say. `escape` goes back to where you came from."""
    BINDINGS = [
        key("campaign.approve", "a", "approve", "approve", "Check it, and approve it as it now stands"),
        key("campaign.start", "g", "start", "start", "Send it to everyone it is for, now"),
        key("campaign.schedule", "w", "schedule", "at a time", "Begin it at a time, or at another one"),
        key("campaign.pause", "space", "pause", "pause", "Stop within one message"),
        key("campaign.resume", "space", "resume", "resume", "Go on where it stopped"),
        key("campaign.state", "s", "next_state", "state", "Show one state at a time"),
        key("campaign.find", "slash", "find", "find", "Find an address in it", shown_as="/"),
        key("campaign.cause", "f", "cause", "cause", "Show those that are there for one cause", show=False),
        key("campaign.retry", "r", "retry", "retry", "Queue the failed again, all or those of one cause"),
        key("campaign.resolve", "u", "resolve", "resolve", "Say what became of those in doubt"),
        key("campaign.resolve_one", "i", "resolve_one", "resolve one", "Say what became of this one", show=False),
        key("campaign.edit", "e", "edit", "words", "Change what it says; an approval of the earlier words ends"),
        key("campaign.settings", "o", "settings", "settings", "Whom it is for, and at which hours"),
        key("campaign.hours", "o", "hours", "hours", "At which hours it goes to whom it has not reached", show=False),
        key("campaign.test", "t", "test", "test", "Send one to yourself or somebody else, the way it would go"),
        key("campaign.check", "c", "check", "check", "What would stop it, or should be known first"),
        key("campaign.steps", "n", "steps", "steps", "The steps of the sequence, and who is where"),
        key("campaign.sequence", "n", "make_sequence", "sequence", "Let other messages follow it", show=False),
        key("campaign.variants", "v", "variants", "variants", "Other first messages, and the better one", show=False),
        key("campaign.cancel", "d", "cancel", "cancel", "Nobody else gets it", show=False),
        key("campaign.export", "x", "export", "export", "Write what is shown to a file", show=False),
    ]

    shown: reactive[Shown | None] = reactive(None, bindings=True)

    def __init__(self, campaign_id: int, *, came_from: str = "") -> None:
        super().__init__(campaign_id, came_from=came_from)
        self._state: State | None = None
        self._cause = ""
        self._address = ""
        self._opted_out = 0

    def body(self) -> Iterable[Widget]:
        yield Progress(id="progress")
        yield Static(id="in-the-way")
        with Vertical(classes="list"):
            yield PlainInput(placeholder="part of an address", compact=True, id="find")
            yield LazyTable(COLUMNS, key_of=lambda delivery: delivery.id, id="ledger")
        yield Facts(id="delivery")

    def on_mount(self) -> None:
        super().on_mount()
        self.table.show(self.ledger)
        self.poll(PROGRESS_EVERY_S, "campaign", self._read, self._show)
        self.poll(OPTED_OUT_EVERY_S, "opted out", self._count_opted_out, self._note_opted_out)

    @property
    def table(self) -> LazyTable[Delivery]:
        return self.query_one("#ledger", LazyTable)

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.workspace.publishing, self.campaign_id, self._state, self._cause, self._address)

    # --- what is shown ----------------------------------------------------------------------------------------------

    def _read(self) -> Shown:
        workspace, publishing = self.workspace, self.workspace.publishing
        chains = {chain.capability: chain for chain in workspace.health().capabilities}
        return Shown(
            publishing.campaign(self.campaign_id),
            publishing.counts(self.campaign_id),
            workspace.clock.now(),
            chains[MAIL].serving if MAIL in chains else "",
            publishing.stopped_as_copy(self.campaign_id) is not None,
            workspace.variants.compares(self.campaign_id),
            self.campaign_id in workspace.variants.unclear(),
        )

    def _count_opted_out(self) -> int:
        return self.workspace.crm.count(f"unsubscribed:{self.campaign_id}")

    def _note_opted_out(self, people: int) -> None:
        self._opted_out = people

    def _show(self, shown: Shown) -> None:
        shown = replace(shown, opted_out=self._opted_out)
        before, self.shown = self.shown, shown
        self.set_place(shown.campaign.name)
        self.query_one(Progress).show(shown.campaign, shown.counts, shown.at, shown.through)
        told = in_the_way(shown)
        notice = self.query_one("#in-the-way", Static)
        notice.update(told)
        notice.display = bool(told)
        self.table.set_empty(nobody(shown, self.ledger))
        if before is None or before.counts != shown.counts:
            self.table.reload(self.ledger)

    def on_lazy_table_opened(self, event: LazyTable.Opened) -> None:
        facts = self.query_one("#delivery")
        facts.display = not facts.display

    def on_lazy_table_moved(self, event: LazyTable.Moved) -> None:
        if self.shown is not None:
            self.query_one(Facts).show(whole(event.row, self.shown) if event.row else [])

    # --- a part of it -----------------------------------------------------------------------------------------------

    def action_next_state(self) -> None:
        counted = self.shown.counts.as_dict()
        later = STATES[STATES.index(self._state) + 1 :]
        self._state = next((state for state in later if counted[state]), None)
        self._show_part()

    def action_cause(self) -> None:
        converse(self, self._choose_cause)

    async def _choose_cause(self) -> None:
        causes = await off_loop(self.app, lambda: self.workspace.publishing.causes(self.campaign_id, self._state))
        if not causes and not self._cause:
            self.app.tell("Nobody shown here has a cause to choose by.")
            return
        everybody = replace(self.ledger, cause="")
        choices = cause_choices(causes, "Any cause, or none", await off_loop(self.app, everybody.count))
        chosen = await self.app.push_screen_wait(Picker("Why are they there?", choices))
        if chosen is not None:
            self._cause = chosen
            self._show_part()

    def action_find(self) -> None:
        field = self.query_one("#find", PlainInput)
        field.display = True
        field.focus()

    @on(PlainInput.Changed, "#find")
    def _found(self, event: PlainInput.Changed) -> None:
        if self._address != event.value.strip():
            self._address = event.value.strip()
            self._show_part()

    @on(PlainInput.Submitted, "#find")
    def _to_the_list(self) -> None:
        self.table.focus()

    def _show_part(self) -> None:
        self.query_one(".list").border_title = self.ledger.told
        if self.shown is not None:
            self.table.set_empty(nobody(self.shown, self.ledger))
        self.table.show(self.ledger)

    def action_back(self) -> None:
        """From a part to the whole, then to where one came from."""
        field = self.query_one("#find", PlainInput)
        if field.display:
            field.value, field.display = "", False
            self.table.focus()
        elif self._state or self._cause:
            self._state, self._cause = None, ""
            self._show_part()
        else:
            super().action_back()

    # --- the verbs --------------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The footer shows what this campaign can do now."""
        if action not in MAY:
            return True
        return self.shown is not None and MAY[action](self.shown)

    def action_pause(self) -> None:
        publishing = self.workspace.publishing
        ask(self, "pause", lambda: publishing.pause(self.campaign_id), lambda _: self.app.tell("Paused."))

    def action_resume(self) -> None:
        converse(self, lambda: campaign_verbs.resume(self.app, self.shown))

    def action_check(self) -> None:
        converse(self, lambda: campaign_verbs.check(self.app, self.shown))

    def action_approve(self) -> None:
        converse(self, lambda: campaign_verbs.approve(self.app, self.shown))

    def action_start(self) -> None:
        converse(self, lambda: scheduling.start_now(self.app, self.campaign_id))

    def action_schedule(self) -> None:
        converse(self, lambda: scheduling.schedule(self.app, self.campaign_id))

    def action_cancel(self) -> None:
        converse(self, lambda: campaign_verbs.cancel(self.app, self.shown))

    def action_retry(self) -> None:
        converse(self, lambda: campaign_verbs.retry(self.app, self.shown))

    def action_resolve(self) -> None:
        converse(self, lambda: campaign_verbs.resolve(self.app, self.shown))

    def action_resolve_one(self) -> None:
        delivery = self.table.row
        if delivery is None or delivery.state is not State.UNKNOWN:
            self.app.tell("What became of this one is known.")
        else:
            converse(self, lambda: campaign_verbs.resolve(self.app, self.shown, delivery))

    def action_test(self) -> None:
        converse(self, lambda: campaign_verbs.test(self.app, self.shown))

    def action_settings(self) -> None:
        converse(self, lambda: change_settings(self.app, self.shown))

    def action_hours(self) -> None:
        self.action_settings()

    def action_export(self) -> None:
        converse(self, lambda: campaign_verbs.export(self.app, self.ledger, self.table.total))

    def action_edit(self) -> None:
        converse(self, self._edit)

    async def _edit(self) -> None:
        campaign = self.shown.campaign
        content = await off_loop(self.app, lambda: self.workspace.contents.get(campaign.content_id))
        self.app.edit(content, campaign.audience)

    def action_steps(self) -> None:
        from aicmo_tui.screens.steps import StepsScreen

        self.app.push_screen(StepsScreen(self.campaign_id))

    def action_make_sequence(self) -> None:
        converse(self, self._make_sequence)

    async def _make_sequence(self) -> None:
        question = line("Make a sequence of ", value(self.shown.campaign.name, TITLE), "? What it says is step 1.")
        details = line("Whoever replies, converts, bounces or opts out gets no further step.")
        if await self.app.push_screen_wait(confirm(question, "Make it a sequence", details=details)):
            await off_loop(self.app, lambda: self.workspace.sequences.make(self.campaign_id))
            self.action_steps()

    def action_variants(self) -> None:
        from aicmo_tui.screens.variants import VariantsScreen

        self.app.push_screen(VariantsScreen(self.campaign_id))
