"""One campaign: who got it, who did not, and why; and the verbs that move it on.

What is shown is the ledger, read again while it is shown, so it is true whichever process sends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from textual.containers import Vertical
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget
from textual.widgets import Static

from aicmo.clock import parse_rfc3339
from aicmo.errors import ProviderUnavailable
from aicmo.gateways import Outcome
from aicmo.publishing.pipeline import PublishingPipeline
from aicmo.publishing.preflight import CheckReport
from aicmo.store.campaigns import MOVES, Campaign, CampaignStatus
from aicmo.store.deliveries import Counts, Delivery, State
from aicmo_tui.keys import key
from aicmo_tui.present import MUTED, TITLE, clock_time, empty, line, lines, number, people, state, value
from aicmo_tui.screens.frame import PROGRESS_EVERY_S, Frame
from aicmo_tui.widgets.columns import Column
from aicmo_tui.widgets.dialogs import Choose, confirm
from aicmo_tui.widgets.lazy_table import LazyTable
from aicmo_tui.widgets.progress import Progress
from aicmo_tui.work import ask, converse, off_loop

LOOK = "look"
"""The answer that asks for evidence in place of giving a word."""
FILTERS: tuple[State | None, ...] = (None, *(state for state in State if state is not State.CLAIMED))


@dataclass(frozen=True, slots=True)
class Ledger:
    """The deliveries of a campaign in one state, or all, as the table's source."""

    publishing: PublishingPipeline
    campaign_id: int
    only: State | None

    def count(self) -> int:
        counts = self.publishing.counts(self.campaign_id)
        return counts.as_dict()[self.only] if self.only else counts.audience

    def window(self, offset: int, limit: int) -> Sequence[Delivery]:
        return self.publishing.deliveries(self.campaign_id, state=self.only, offset=offset, limit=limit)


COLUMNS = [
    Column("State", 13, lambda delivery: state(delivery.state)),
    Column("Address", 22, lambda delivery: value(delivery.email), grow=2),
    Column(
        "When", 8, lambda delivery: line((f"{parse_rfc3339(delivery.at).astimezone():%H:%M:%S}", MUTED)), priority=2
    ),
    Column("Server", 12, lambda delivery: value(delivery.provider), priority=1),
    Column("Reply", 20, lambda delivery: reply(delivery), grow=3),
]


class CampaignScreen(Frame):
    MODE = "campaigns"
    CSS_PATH = "campaign.tcss"
    HELP = """## One campaign
Its ledger: one row for each recipient. `space` pauses and resumes, `s` shows one state at a time, `r` queues the failed
again, `u` decides about those that may or may not have gone. `escape` goes back to all campaigns."""
    BINDINGS = [
        key("campaign.approve", "a", "approve", "approve", "Check it, and approve it as it now stands"),
        key("campaign.start", "g", "start", "start", "Send it to everyone it is for"),
        key("campaign.pause", "space", "pause", "pause", "Stop within one message"),
        key("campaign.resume", "space", "resume", "resume", "Go on where it stopped"),
        key("campaign.state", "s", "next_state", "state", "Show one state at a time"),
        key("campaign.retry", "r", "retry", "retry", "Queue the failed again, and only those"),
        key("campaign.resolve", "u", "resolve", "resolve", "Say what became of those in doubt"),
        key("campaign.edit", "e", "edit", "edit", "Change what it says; an approval of the earlier words ends"),
        key("campaign.test", "t", "test", "test to me", "Send one to yourself, the way it would really go"),
        key("campaign.check", "c", "check", "check", "What would stop it, or should be known first"),
        key("campaign.cancel", "x", "cancel", "cancel", "Nobody else gets it", show=False),
        key("campaign.back", "escape", "back", "back", "To all campaigns", show=False),
    ]

    shown: reactive[tuple[Campaign, Counts] | None] = reactive(None, bindings=True)

    def __init__(self, campaign_id: int) -> None:
        super().__init__()
        self.campaign_id = campaign_id
        self._filter: State | None = None

    def body(self) -> Iterable[Widget]:
        yield Progress(id="progress")
        with Vertical(classes="list"):
            yield LazyTable(COLUMNS, key_of=lambda delivery: delivery.id, id="ledger")
        yield Static(id="delivery")

    def on_mount(self) -> None:
        super().on_mount()
        self.table.show(self._ledger)
        self.poll(PROGRESS_EVERY_S, "campaign", self._read, self._show)

    @property
    def table(self) -> LazyTable[Delivery]:
        return self.query_one("#ledger", LazyTable)

    @property
    def publishing(self) -> PublishingPipeline:
        return self.workspace.publishing

    @property
    def _ledger(self) -> Ledger:
        return Ledger(self.publishing, self.campaign_id, self._filter)

    # --- what is shown ----------------------------------------------------------------------------------------------

    def _read(self) -> tuple[Campaign, Counts]:
        return self.publishing.campaign(self.campaign_id), self.publishing.counts(self.campaign_id)

    def _show(self, read: tuple[Campaign, Counts]) -> None:
        before, self.shown = self.shown, read
        campaign, counts = read
        self.set_place(campaign.name)
        self.query_one(Progress).show(campaign, counts, self.workspace.clock.now())
        self.table.set_empty(self._nobody(campaign, counts))
        if before is None or before[1] != counts:
            self.table.reload(self._ledger)

    def _nobody(self, campaign: Campaign, counts: Counts) -> Content:
        if counts.audience == 0:
            return not_begun(campaign)
        return empty(f"None is {self._filter}." if self._filter else "Nobody.", "", ("s", "another state"))

    def on_lazy_table_opened(self, event: LazyTable.Opened) -> None:
        delivery = self.query_one("#delivery", Static)
        delivery.display = not delivery.display

    def on_lazy_table_moved(self, event: LazyTable.Moved) -> None:
        self.query_one("#delivery", Static).update(whole(event.row) if event.row else Content(""))

    def action_next_state(self) -> None:
        self._filter = FILTERS[(FILTERS.index(self._filter) + 1) % len(FILTERS)]
        self.query_one(".list").border_title = line(f"only {self._filter}") if self._filter else ""
        if self.shown is not None:
            self.table.set_empty(self._nobody(*self.shown))
        self.table.show(self._ledger)

    def action_back(self) -> None:
        self.dismiss()

    # --- the verbs --------------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The footer shows what this campaign can do now."""
        if action not in MAY:
            return True
        return self.shown is not None and MAY[action](*self.shown)

    def action_pause(self) -> None:
        self._do("pause", lambda: self.publishing.pause(self.campaign_id), "Paused.")

    def action_resume(self) -> None:
        self._do("resume", lambda: self.publishing.resume(self.campaign_id), "Going on.")

    def action_check(self) -> None:
        converse(self, self._check)

    def action_approve(self) -> None:
        converse(self, self._approve)

    def action_start(self) -> None:
        converse(self, self._start)

    def action_cancel(self) -> None:
        converse(self, self._cancel)

    def action_retry(self) -> None:
        converse(self, self._retry)

    def action_resolve(self) -> None:
        converse(self, self._resolve)

    def action_edit(self) -> None:
        converse(self, self._edit)

    async def _edit(self) -> None:
        campaign, _ = self.shown
        content = await off_loop(self.app, lambda: self.publishing.content(campaign.content_id))
        self.app.edit(content, campaign.audience)

    def action_test(self) -> None:
        converse(self, self._test)

    async def _test(self) -> None:
        attempt = await self.publishing.send_test(self.campaign_id)
        if attempt.outcome is Outcome.OK:
            self.app.tell(f"Sent to {self.workspace.config.sender.email} through {attempt.provider}.")
        else:
            self.app.report(
                ProviderUnavailable(f"The test was not sent: {attempt.code} {attempt.detail}", hint="F3 shows why.")
            )

    async def _check(self) -> None:
        report = await off_loop(self.app, lambda: self.publishing.check(self.campaign_id))
        await self.app.push_screen_wait(Choose(findings(report), {"": "Close"}))

    async def _approve(self) -> None:
        report = await off_loop(self.app, lambda: self.publishing.check(self.campaign_id))
        if not report.ok:
            await self.app.push_screen_wait(Choose(findings(report), {"": "Close"}))
            return
        campaign, _ = self.shown
        question = line("Approve ", value(campaign.name, TITLE), f" as it now stands, for {people(report.audience)}?")
        if await self.app.push_screen_wait(confirm(question, "Approve", details=findings(report))):
            await off_loop(self.app, lambda: self.publishing.approve(self.campaign_id))
            self.app.tell("Approved. It can be started.")

    async def _start(self) -> None:
        report = await off_loop(self.app, lambda: self.publishing.check(self.campaign_id))
        if not report.ok:
            await self.app.push_screen_wait(Choose(findings(report), {"": "Close"}))
            return
        ways = self.publishing.ways
        spare = line(f" ({', '.join(ways[1:])} takes over if need be)") if len(ways) > 1 else line("")
        count = report.audience - report.suppressed
        question = line(f"Send to {people(count)} through ", value(ways[0], TITLE), "?") + line((spare.plain, MUTED))
        if await self.app.push_screen_wait(confirm(question, f"Send to {number(count)}", details=findings(report))):
            await off_loop(self.app, lambda: self.publishing.start(self.campaign_id))
            self.app.sending.look()
            self.app.tell("It is being sent. You can go anywhere; it goes on.")

    async def _cancel(self) -> None:
        campaign, counts = self.shown
        question = line("Cancel ", value(campaign.name, TITLE), f"? {people(counts.open)} will not get it.")
        if await self.app.push_screen_wait(confirm(question, "Cancel the campaign", no="Keep it")):
            await off_loop(self.app, lambda: self.publishing.cancel(self.campaign_id))

    async def _retry(self) -> None:
        _, counts = self.shown
        question = line(f"Try again for {people(counts.failed)} whose message failed?")
        if await self.app.push_screen_wait(confirm(question, f"Queue {number(counts.failed)}")):
            queued = await off_loop(self.app, lambda: self.publishing.retry(self.campaign_id))
            self.app.sending.look()
            self.app.tell(f"{people(queued)} queued again.")

    async def _resolve(self) -> None:
        _, counts = self.shown
        doubt = await off_loop(self.app, lambda: self.publishing.doubt(self.campaign_id))
        question = line(f"{people(counts.unknown)} may or may not have got it. What became of it?")
        details = lines(
            [
                *(line(value(sentence, MUTED)) for sentence in (doubt.told if doubt else ())),
                line(("It was sent", TITLE), ": you found it in a mailbox or in the server's log."),
                line(("It failed", TITLE), ": the server's log says it never took it."),
                line(("Send again", TITLE), ": with the same Message-ID; who has it already may see it twice."),
                line(("Look now", TITLE), ": for a copy or an answer in your mailboxes; what is not found stays."),
            ]
        )
        answers = {
            "": "Leave it",
            State.SENT: "It was sent",
            State.FAILED: "It failed",
            State.QUEUED: "Send again",
            LOOK: "Look now",
        }
        to = await self.app.push_screen_wait(Choose(question, answers, details=details))
        if to == LOOK:
            report = await self.publishing.resolve_by_evidence(self.campaign_id)
            if report.left and not report.asked:
                raise ProviderUnavailable(f"Nobody could look: {report.why_not}.", hint="F3 shows why.")
            self.app.tell(f"{people(report.settled)} found; {people(report.left)} still unknown.")
        elif to:
            changed = await off_loop(self.app, lambda: self.publishing.resolve(self.campaign_id, State(to)))
            self.app.sending.look()
            self.app.tell(f"{people(changed)} resolved.")

    def _do(self, what: str, work: Callable[[], object], done: str) -> None:
        ask(self, what, work, lambda _: self._after(done))

    def _after(self, done: str) -> None:
        self.app.sending.look()
        self.app.tell(done)


MAY: dict[str, Callable[[Campaign, Counts], bool]] = {
    "approve": lambda campaign, _: campaign.status == CampaignStatus.DRAFT,
    "start": lambda campaign, _: campaign.status == CampaignStatus.APPROVED,
    "pause": lambda campaign, _: campaign.status in (CampaignStatus.RUNNING, CampaignStatus.SCHEDULED),
    "resume": lambda campaign, _: campaign.status == CampaignStatus.PAUSED,
    "cancel": lambda campaign, _: CampaignStatus.CANCELLED in MOVES[campaign.status],
    "retry": lambda campaign, counts: counts.failed > 0 and campaign.status != CampaignStatus.CANCELLED,
    "resolve": lambda _, counts: counts.unknown > 0,
    "check": lambda campaign, _: campaign.started_at is None,
    "edit": lambda campaign, _: campaign.started_at is None,
    "test": lambda campaign, _: campaign.started_at is None,
    "next_state": lambda _, counts: counts.audience > 0,
}
"""When each verb makes sense."""


def not_begun(campaign: Campaign) -> Content:
    """Before the start there is no ledger, but a next step."""
    step = ("g", "start it") if campaign.status == CampaignStatus.APPROVED else ("a", "approve it")
    return empty("Nothing was sent yet.", f"It is for: {campaign.audience or 'everybody'}", ("c", "check it"), step)


def findings(report: CheckReport) -> Content:
    rows = [line(f"{people(report.audience)}, {number(report.suppressed)} of them suppressed")]
    if not report.problems:
        rows.append(line(state("info"), ": nothing stands in the way"))
    for problem in report.problems:
        rows.append(line(state(problem.severity), ": ", value(problem.message)))
        if problem.hint:
            rows.append(line(("  ", ""), value(problem.hint, MUTED)))
    return lines(rows)


def reply(delivery: Delivery) -> Content:
    again = f" · again {clock_time(parse_rfc3339(delivery.retry_at))}" if delivery.retry_at else ""
    return line(value(f"{delivery.code} {delivery.reason}"), (again, MUTED))


def whole(delivery: Delivery) -> Content:
    """Everything the ledger says of one recipient."""
    attempts = "1 attempt" if delivery.attempts == 1 else f"{delivery.attempts} attempts"
    return lines(
        [
            line(value(delivery.email, TITLE), "  ", state(delivery.state), f"  {attempts}"),
            line(("server   ", MUTED), value(delivery.provider or "-"), "  ", ("at ", MUTED), value(delivery.at)),
            line(("reply    ", MUTED), reply(delivery)),
            line(("message  ", MUTED), value(delivery.message_id or "not built yet")),
        ]
    )
