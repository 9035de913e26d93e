"""The verbs of publishing: what the screen and the command line can do with campaigns.

Plain methods over the store, so that the caller chooses the thread; only what speaks to a mail server is a coroutine.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import socket
import sqlite3
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from aicmo.clock import SYSTEM_CLOCK, Clock, parse_rfc3339
from aicmo.crm.address import normalise
from aicmo.errors import ApprovalNeeded, IllegalTransition, InvalidInput, NotFound
from aicmo.publishing.changing import CampaignChange, campaign_name, changed
from aicmo.publishing.content_types import CONTENT_TYPES
from aicmo.publishing.email.message import MessageBuilder, Recipient, SenderIdentity
from aicmo.publishing.email.rules import PLAIN_RULES, MessageRules
from aicmo.publishing.preflight import RUN_LEASE, CheckReport, Preflight, Question, Setting, joined
from aicmo.publishing.rules import AS_USUAL, SendingRules
from aicmo.publishing.schedule import begin, selection
from aicmo.publishing.writing import checked_draft
from aicmo.store import (
    Database,
    audiences,
    campaign_options,
    campaigns,
    claiming,
    contents,
    deliveries,
    leases,
    messages,
    sequences,
    unknown,
    whereabouts,
)
from aicmo.store.audiences import Audience
from aicmo.store.campaign_options import CampaignOptions
from aicmo.store.campaigns import Campaign, CampaignStatus
from aicmo.store.contents import Draft
from aicmo.store.deliveries import CAUSES, Counts, Delivery, State
from aicmo.store.selection import Selection
from aicmo.store.whereabouts import Stopped
from aicmo.text import shown

if TYPE_CHECKING:
    from aicmo.gateways import Attempt, ProviderChain
    from aicmo.publishing.evidence import Doubt, EvidenceReport, EvidenceSearch, MailReader
    from aicmo.publishing.outbox import EmailProvider, Outbox


class PublishingPipeline:
    def __init__(
        self,
        db: Database,
        sender: SenderIdentity,
        chain: ProviderChain[EmailProvider],
        lock_file: Path,
        *,
        accounts: Callable[[], ProviderChain[MailReader]],
        rules: MessageRules = PLAIN_RULES,
        sending: SendingRules = AS_USUAL,
        preflight: Preflight | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """``accounts`` gives the chain that reads mail; it is asked for when something has to be looked for there."""
        self._db = db
        self._sender = sender
        self._chain = chain
        self._lock_file = lock_file
        self._accounts = accounts
        self._rules = rules
        self._sending = sending
        self._clock = clock
        self.preflight = preflight or Preflight(
            Setting(sender, dict.fromkeys(self.ways, "")), servers=chain.providers, rules=rules, clock=clock
        )
        """The checks. Those that answer at once, or ask the network, are asked of it directly."""

    @property
    def ways(self) -> tuple[str, ...]:
        """The mail servers a campaign goes through, first choice first."""
        return tuple(provider.name for provider in self._chain.providers)

    # --- campaigns --------------------------------------------------------------------------------------------------

    def create_campaign(
        self,
        name: str,
        content_id: int,
        audience: str,
        *,
        exclude: str = "",
        options: CampaignOptions = campaign_options.AS_USUAL,
    ) -> Campaign:
        """A draft. ``exclude`` is a query too: whom it selects gets nothing, even when the audience has them.

        Raises ``NotFound``, ``QueryInvalid``, or ``InvalidInput`` for content that is no e-mail.
        """
        name, options = campaign_name(name), campaign_options.checked(options)
        self._selection(audience, exclude)
        content = self._db.read(lambda db: contents.get(db, content_id))
        if CONTENT_TYPES[content.type].original != "email":
            raise InvalidInput(
                f"Content {content_id} is of type {content.type}, which is no e-mail.",
                hint="Create it with: aicmo content create --type email",
            )
        now = self._clock.now()

        def create(db: sqlite3.Connection) -> Campaign:
            made = campaigns.create(db, name, content_id, audience, now, exclude=exclude, options=options)
            return campaigns.get(db, made)

        return self._db.write(create)

    def edit_campaign(self, campaign_id: int, change: CampaignChange) -> Campaign:
        """Change a campaign: all of it until it begins, after that only when it may write to somebody.

        An approval stays, because it is of the words. Raises ``NotFound``, ``QueryInvalid``, ``InvalidInput``, and
        ``IllegalTransition`` for what can be changed no more.
        """
        now = self._clock.now()
        return self._db.write(lambda db: changed(db, campaign_id, change, now))

    def campaigns(self) -> list[Campaign]:
        return self._db.read(campaigns.listed)

    def campaign(self, campaign_id: int) -> Campaign:
        """Raises ``NotFound``."""
        return self._db.read(lambda db: campaigns.get(db, campaign_id))

    def audience(self, query: str, exclude: str = "") -> Audience:
        """Whom ``query`` selects now, and ``exclude`` does not. Raises ``QueryInvalid``."""
        where, params = self._selection(query, exclude).where()
        return self._db.read(lambda db: audiences.measured(db, where, params, self.preflight.suppressed))

    def _selection(self, query: str, exclude: str = "") -> Selection:
        now = self._clock.now()
        return self._db.read(lambda db: selection(db, query, exclude, now))

    def counts(self, campaign_id: int) -> Counts:
        """Zeros before the start, when nobody is frozen yet. Raises ``NotFound``."""
        self.campaign(campaign_id)
        return self._db.read(lambda db: deliveries.counts(db, campaign_id))

    def deliveries(
        self,
        campaign_id: int,
        *,
        state: State | None = None,
        cause: str = "",
        address: str = "",
        offset: int = 0,
        limit: int = -1,
    ) -> list[Delivery]:
        """The ledger of a campaign, in the audience's order; ``address`` may be a part of one. Raises ``NotFound``, and
        ``InvalidInput`` for a cause that is none of ``CAUSES``."""
        self.campaign(campaign_id)
        _refuse_no_cause(cause)
        return self._db.read(
            lambda db: deliveries.listed(
                db, campaign_id, state=state, cause=cause, address=address, offset=offset, limit=limit
            )
        )

    def deliveries_count(
        self, campaign_id: int, *, state: State | None = None, cause: str = "", address: str = ""
    ) -> int:
        """How many ``deliveries`` would give."""
        return self._db.read(lambda db: deliveries.counted(db, campaign_id, state=state, cause=cause, address=address))

    def causes(self, campaign_id: int, state: State | None = None) -> dict[str, int]:
        """Why deliveries are where they are: how many have which of ``CAUSES``, the most frequent first."""
        return self._db.read(lambda db: deliveries.causes(db, campaign_id, state))

    def unknown_total(self) -> int:
        """Over all campaigns: the deliveries that await a person's decision."""
        return self._db.read(unknown.oldest_unknown)[0]

    def doubt(self, campaign_id: int) -> Doubt | None:
        """How it stands with the campaign's unknown deliveries; ``None`` when it has none."""
        from aicmo.publishing.evidence import doubt_about

        now = self._clock.now()
        return self._db.read(lambda db: doubt_about(db, campaign_id, now))

    def check(self, campaign_id: int, *, at: datetime | None = None) -> CheckReport:
        """Everything that would stop the campaign if it began now, or ``at`` that time, and what its owner should know
        first; as far as it shows without the network. Raises ``NotFound``."""
        now = self._clock.now()

        def look(db: sqlite3.Connection) -> CheckReport:
            campaign = campaigns.get(db, campaign_id)
            question = Question(
                [(each.name, messages.draft(db, each)) for each in messages.of(db, campaign_id)],
                selection(db, campaign.audience, campaign.exclude, now),
                campaign.audience,
                campaign.exclude,
                campaign.name,
                campaign_id,
                at or (parse_rfc3339(campaign.scheduled_at) if campaign.scheduled_at else None),
                campaign.options,
            )
            return self.preflight.check(db, question)

        return self._db.read(look)

    async def note_run(self) -> None:
        """Remember that ``aicmo run`` was here: who schedules it is told by no check that nothing sends."""
        pid, host, now = os.getpid(), socket.gethostname(), self._clock.now()
        await self._db.awrite(lambda db: leases.hold(db, RUN_LEASE, pid=pid, host=host, what="aicmo run", now=now))

    async def check_all(self, campaign_id: int, *, at: datetime | None = None, links: bool = False) -> CheckReport:
        """``check``, and what the name servers say of the sender's domain; with ``links`` every link is asked too."""
        known = await asyncio.to_thread(self.check, campaign_id, at=at)
        reports = [known, await self.preflight.domain()]
        if links and known.ok:
            drafts = await self._db.aread(
                lambda db: [messages.draft(db, each) for each in messages.of(db, campaign_id)]
            )
            reports += [await self.preflight.links(each) for each in drafts]
        return joined(reports)

    def draft(self, campaign_id: int, *, step: int = 1, variant: str = "") -> Draft:
        """What one of its messages says. Raises ``NotFound``."""
        return self._db.read(lambda db: messages.draft(db, messages.get(db, campaign_id, step, variant)))

    def check_draft(
        self, draft: Draft, audience: str, campaign_name: str = "Preview", exclude: str = ""
    ) -> CheckReport:
        """The same for a draft that is still being written."""
        chosen = self._selection(audience, exclude)
        question = Question([("", checked_draft(draft))], chosen, audience, exclude, campaign_name)
        return self._db.read(lambda db: self.preflight.check(db, question))

    def approve(self, campaign_id: int) -> Campaign:
        """Approve the content as it now stands. Raises ``InvalidInput`` when the check finds an error."""
        self._refuse_errors(campaign_id)
        return self._db.write(lambda db: self._approve(db, campaign_id))

    def _approve(self, db: sqlite3.Connection, campaign_id: int) -> Campaign:
        campaign = campaigns.get(db, campaign_id)
        for message in messages.of(db, campaign_id):
            contents.approve(db, messages.draft(db, message).hash, self._clock.now())
        if campaign.status is CampaignStatus.DRAFT:
            campaigns.move(db, campaign_id, CampaignStatus.APPROVED)
        return campaigns.get(db, campaign_id)

    def start(self, campaign_id: int, *, approve: bool = False, at: datetime | None = None) -> Campaign:
        """Freeze the audience and set the campaign running; with ``at``, do so when that time has come.

        One that is scheduled, or missed its time, is so begun now or given another time. ``approve`` approves the
        content on the way. Raises ``ApprovalNeeded`` when it is not approved as it now stands, ``InvalidInput`` when
        the check finds an error or ``at`` is past, ``IllegalTransition`` when it has begun already.
        """
        now = self._clock.now()
        if at is not None and at <= now:
            raise InvalidInput("That time has passed.", hint="Leave --at out to start now.")
        self._refuse_errors(campaign_id)

        def go(db: sqlite3.Connection) -> Campaign:
            if approve:
                self._approve(db, campaign_id)
            campaign = campaigns.get(db, campaign_id)
            if campaigns.has_begun(db, campaign_id):
                hint = f"Go on with: aicmo campaign resume {campaign_id}" if campaign.status == "paused" else ""
                raise IllegalTransition(
                    f"Campaign {campaign_id} has begun already; it is {campaign.status}.", hint=hint
                )
            _refuse_copy(db, campaign_id)
            content = contents.get(db, campaign.content_id)
            words = [messages.draft(db, message).hash for message in messages.of(db, campaign_id)]
            approved = all(contents.approved_at(db, each) for each in words)
            if not approved or campaign.status is CampaignStatus.DRAFT:
                raise ApprovalNeeded(
                    f"Campaign {campaign_id} is not approved as it now stands.",
                    hint=f"Look at it, then: aicmo campaign approve {campaign_id}",
                )
            campaigns.fix_what_is_sent(db, campaign_id, content.version_id, dataclasses.asdict(self._sender), now)
            messages.fix(db, campaign_id)
            if at is None:
                begin(db, campaign_id, now)
            else:
                campaigns.move(db, campaign_id, CampaignStatus.SCHEDULED)
                campaigns.set_schedule(db, campaign_id, at)
            return campaigns.get(db, campaign_id)

        return self._db.write(go)

    def _refuse_errors(self, campaign_id: int) -> None:
        errors = [problem for problem in self.check(campaign_id).problems if problem.severity == "error"]
        if errors:
            more = f" ({len(errors) - 1} more: aicmo campaign check {campaign_id})" if len(errors) > 1 else ""
            raise InvalidInput(errors[0].message + more, hint=errors[0].hint)

    def pause(self, campaign_id: int) -> Campaign:
        """Takes effect within one message. Raises ``IllegalTransition``."""
        return self._moved(campaign_id, CampaignStatus.PAUSED)

    def stopped_as_copy(self, campaign_id: int) -> Stopped | None:
        """What showed that the database was copied or restored, if a person has not said yet that this goes on."""
        found = self._db.read(whereabouts.stopped)
        return found if found and campaign_id in found.campaigns else None

    async def look_for_waiting(self, campaign_id: int) -> EvidenceReport:
        """Look in the mailboxes for what waits here and may have gone from another copy of this database."""
        return await self.evidence().look_for_waiting(campaign_id)

    def resume(self, campaign_id: int, *, sure: bool = False) -> Campaign:
        """Go on; one that was paused before it began begins now.

        Raises ``IllegalTransition``, and ``ApprovalNeeded`` when the database was copied or restored, unless ``sure``.
        """
        now = self._clock.now()

        def go_on(db: sqlite3.Connection) -> Campaign:
            campaign = campaigns.get(db, campaign_id)
            if campaign.status is not CampaignStatus.PAUSED:
                raise IllegalTransition(f"Campaign {campaign_id} is {campaign.status}, not paused.")
            if not sure:
                _refuse_copy(db, campaign_id)
            whereabouts.dealt_with(db, campaign_id)
            if campaigns.has_begun(db, campaign_id):
                campaigns.move(db, campaign_id, CampaignStatus.RUNNING)
            else:
                begin(db, campaign_id, now)
            campaigns.resumed(db, campaign_id, now)
            return campaigns.get(db, campaign_id)

        return self._db.write(go_on)

    def cancel(self, campaign_id: int) -> Campaign:
        """Nobody else gets it; what is on its way settles by itself. Raises ``IllegalTransition``."""
        now = self._clock.now()

        def stop(db: sqlite3.Connection) -> Campaign:
            campaigns.move(db, campaign_id, CampaignStatus.CANCELLED)
            whereabouts.dealt_with(db, campaign_id)
            deliveries.cancel_open(db, campaign_id, now)
            sequences.cancel(db, campaign_id, now)
            return campaigns.get(db, campaign_id)

        return self._db.write(stop)

    def retry(self, campaign_id: int, *, cause: str = "") -> int:
        """Queue the failed deliveries again, and only those; with a ``cause`` (one of ``CAUSES``), those that failed
        for it. How many. Raises ``IllegalTransition`` when it was cancelled."""
        now = self._clock.now()
        _refuse_no_cause(cause)

        def again(db: sqlite3.Connection) -> int:
            if campaigns.get(db, campaign_id).status is CampaignStatus.CANCELLED:
                campaigns.move(db, campaign_id, CampaignStatus.RUNNING)
            sequences.take_back_failed(db, campaign_id, now)
            return deliveries.retry_failed(db, campaign_id, now, cause=cause)

        return self._db.write(again)

    def resolve(self, campaign_id: int, to: State, *, email: str = "") -> int:
        """A person's word on unknown deliveries (all, or one person's); how many. See ``deliveries.resolve``.

        Raises ``IllegalTransition`` also for a resend in a cancelled campaign, which nobody would carry out.
        """
        address, now = normalise(email).address if email else "", self._clock.now()

        def settle(db: sqlite3.Connection) -> int:
            campaign = campaigns.get(db, campaign_id)
            if to is State.QUEUED and campaign.status is CampaignStatus.CANCELLED:
                raise IllegalTransition(
                    f"Campaign {campaign_id} is cancelled; nothing of it is sent again.", hint="Say sent or failed."
                )
            return deliveries.resolve(db, campaign_id, address, to, now)

        return self._db.write(settle)

    async def resolve_by_evidence(self, campaign_id: int, *, email: str = "") -> EvidenceReport:
        """Look for traces of the campaign's unknown deliveries (all, or one person's) now; see ``EvidenceSearch``.

        Raises ``NotFound`` when ``email`` has no unknown delivery in it.
        """
        address = normalise(email).address if email else ""
        await self._db.aread(lambda db: campaigns.get(db, campaign_id))
        report = await self.evidence().look_for(campaign_id, address=address)
        if email and not report.settled and not report.left:
            raise NotFound(f"Campaign {campaign_id} has no unknown delivery to that address.")
        return report

    def _moved(self, campaign_id: int, to: CampaignStatus) -> Campaign:
        def move(db: sqlite3.Connection) -> Campaign:
            campaigns.move(db, campaign_id, to)
            return campaigns.get(db, campaign_id)

        return self._db.write(move)

    def due_now(self) -> tuple[int, int]:
        """How many deliveries a sender would take now, and how many scheduled campaigns it would begin."""
        now = self._clock.now()
        return self._db.read(lambda db: (claiming.due_now(db, now), len(campaigns.due_ids(db, now))))

    def looks_copied(self) -> str:
        """That a sender would pause campaigns now, because this database was copied or restored; else nothing."""
        why = self._db.read(lambda db: whereabouts.finding(db, self._db.path))
        return f"This database was copied or restored ({why}): a sender would pause what runs here." if why else ""

    def looks_due(self) -> int:
        """How many unknown deliveries would be looked for now."""
        from aicmo.publishing.evidence import due_looks

        now = self._clock.now()
        return self._db.read(lambda db: len(due_looks(unknown.in_doubt(db), unknown.seen_to(db), now)))

    # --- sending ----------------------------------------------------------------------------------------------------

    def outbox(self, *, what: str = "aicmo") -> Outbox:
        """The sender of this database; ``what`` names it to whoever finds it at work."""
        from aicmo.publishing.outbox import Outbox

        return Outbox(
            self._db,
            self._chain,
            self._lock_file,
            what=what,
            rules=self._rules,
            sending=self._sending,
            clock=self._clock,
        )

    def evidence(self) -> EvidenceSearch:
        """Looks for traces of unknown deliveries, of all campaigns, when it is time to."""
        from aicmo.publishing.evidence import EvidenceSearch

        return EvidenceSearch(self._db, self._accounts, clock=self._clock)

    async def send_test(self, campaign_id: int, to: str = "", *, step: int = 1, variant: str = "") -> Attempt:
        """Send one of the campaign's messages, marked as a test, to ``to`` (or the sender) the way it would really go.

        It is filled as the first of the audience would get it, and stands in no ledger.
        """
        campaign = self.campaign(campaign_id)
        draft = self.draft(campaign_id, step=step, variant=variant)
        return await self.send_draft_test(
            draft, campaign.audience, campaign.name, to, campaign_id=campaign_id, exclude=campaign.exclude
        )

    async def send_draft_test(
        self,
        draft: Draft,
        audience: str,
        campaign_name: str,
        to: str = "",
        *,
        campaign_id: int = 0,
        exclude: str = "",
    ) -> Attempt:
        """The same of a draft that is still being written."""
        from aicmo.gateways import OutgoingMail

        recipient, draft = normalise(to or self._sender.email).email, checked_draft(draft)
        marked = dataclasses.replace(draft, subject=f"[Test] {draft.subject}")
        builder = MessageBuilder(marked, self._sender, campaign_name, rules=self._rules, campaign_id=campaign_id)
        where, params = self._selection(audience, exclude).where()
        row = await self._db.aread(lambda db: next(audiences.unsuppressed(db, where, params), None))
        values = audiences.filled_values(row) if row is not None else {}
        now = self._clock.now()
        message = builder.build(Recipient(recipient, values, token=f"{campaign_id}.0.test-{now:%Y%m%d%H%M%S%f}"), now)
        mail = OutgoingMail(mail_from=message.mail_from, recipient=message.recipient, raw=message.raw)

        async def nothing_to_write() -> None:
            """A test stands in no ledger."""

        result = await self._chain.call(
            lambda provider: provider.send(mail, before_body=nothing_to_write), side_effect=True
        )
        return result.final


def _refuse_no_cause(cause: str) -> None:
    if cause and cause not in CAUSES:
        raise InvalidInput(f"{shown(cause)} is no cause.", hint=f"There are: {', '.join(CAUSES)}.")


def _refuse_copy(db: sqlite3.Connection, campaign_id: int) -> None:
    found = whereabouts.stopped(db)
    if found and campaign_id in found.campaigns:
        raise ApprovalNeeded(
            f"Another copy of this database may have sent campaign {campaign_id} ({found.why}).",
            hint=f"When you are sure that it has not: aicmo campaign resume {campaign_id}",
        )
