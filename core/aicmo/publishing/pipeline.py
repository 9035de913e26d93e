"""The verbs of publishing: what the screen and the command line can do with campaigns.

Here is a campaign's way from a draft to its start, and to the sender; ``steering`` has what is done with it from then
on, ``overview`` what is known of it. Plain methods over the store, so that the caller chooses the thread; only what
speaks to a mail server is a coroutine.
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
from aicmo.errors import ApprovalNeeded, IllegalTransition, InvalidInput, VerbHint
from aicmo.publishing.changing import CampaignChange, campaign_name, changed
from aicmo.publishing.email.message import SenderIdentity
from aicmo.publishing.email.rules import PLAIN_RULES, MessageRules
from aicmo.publishing.preflight import RUN_LEASE, CheckReport, Preflight, Question, Setting, joined
from aicmo.publishing.samples import Preview, a_reader, build_test, preview, preview_test
from aicmo.publishing.schedule import begin, selection
from aicmo.publishing.sending.rules import AS_USUAL, SendingRules
from aicmo.publishing.steering import Steering, refuse_copy
from aicmo.publishing.wording import Wording, wording
from aicmo.publishing.writing.content_types import CONTENT_TYPES
from aicmo.publishing.writing.contents import checked_draft
from aicmo.store import Database, audiences, campaign_options, campaigns, contents, leases, messages
from aicmo.store.audiences import Audience
from aicmo.store.campaign_options import CampaignOptions
from aicmo.store.campaigns import Campaign, CampaignStatus
from aicmo.store.contents import Draft
from aicmo.store.selection import Selection
from aicmo.text import plain

if TYPE_CHECKING:
    from aicmo.gateways import Attempt, ProviderChain
    from aicmo.publishing.sending.evidence import MailReader
    from aicmo.publishing.sending.outbox import EmailProvider, Outbox


class PublishingPipeline(Steering):
    """A campaign from its creation to its sending. What is no coroutine blocks: the caller chooses the thread."""

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
        super().__init__(db, accounts=accounts, clock=clock)
        self._sender = sender
        self._chain = chain
        self._lock_file = lock_file
        self._rules = rules
        self._sending = sending
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
        audience, exclude = plain(audience), plain(exclude)
        content = self._db.read(lambda db: contents.get(db, content_id))
        if CONTENT_TYPES[content.type].original != "email":
            raise InvalidInput(
                f"Content {content_id} is of type {content.type}, which is no e-mail.",
                hint=VerbHint("Create it with", "content create --type email"),
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

    def audience(self, query: str, exclude: str = "") -> Audience:
        """Whom ``query`` selects now, and ``exclude`` does not. Raises ``QueryInvalid``."""
        where, params = self._selection(query, exclude).where()
        return self._db.read(lambda db: audiences.measured(db, where, params, self.preflight.suppressed))

    def _selection(self, query: str, exclude: str = "") -> Selection:
        now = self._clock.now()
        return self._db.read(lambda db: selection(db, query, exclude, now))

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

    def check_draft(
        self, draft: Draft, audience: str, campaign_name: str = "Preview", exclude: str = ""
    ) -> CheckReport:
        """The same for a draft that is still being written."""
        chosen = self._selection(audience, exclude)
        question = Question([("", checked_draft(draft))], chosen, audience, exclude, campaign_name)
        return self._db.read(lambda db: self.preflight.check(db, question))

    def approve(self, campaign_id: int) -> Campaign:
        """Approve the content as it now stands.

        Raises ``InvalidInput`` when the check finds an error, ``IllegalTransition`` when nothing of it goes any more.
        """
        campaigns.refuse_ended(self._db.read(lambda db: campaigns.get(db, campaign_id)), "there is nothing to approve")
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
            raise InvalidInput("That time has passed.", hint="Name a time to come, or none to start now.")
        self._refuse_errors(campaign_id)

        def go(db: sqlite3.Connection) -> Campaign:
            if approve:
                self._approve(db, campaign_id)
            campaign = campaigns.get(db, campaign_id)
            if campaigns.has_begun(db, campaign_id):
                hint = VerbHint("Go on with", f"campaign resume {campaign_id}") if campaign.status == "paused" else ""
                raise IllegalTransition(
                    f"Campaign {campaign_id} has begun already; it is {campaign.status}.", hint=hint
                )
            refuse_copy(db, campaign_id)
            content = contents.get(db, campaign.content_id)
            words = [messages.draft(db, message).hash for message in messages.of(db, campaign_id)]
            approved = all(contents.approved_at(db, each) for each in words)
            if not approved or campaign.status is CampaignStatus.DRAFT:
                raise ApprovalNeeded(
                    f"Campaign {campaign_id} is not approved as it now stands.",
                    hint=VerbHint("Look at it, then", f"campaign approve {campaign_id}"),
                )
            campaigns.fix_what_is_sent(db, campaign_id, content.version_id, dataclasses.asdict(self._sender), now)
            messages.fix(db, campaign_id)
            if at is None:
                campaigns.set_schedule(db, campaign_id, None)
                begin(db, campaign_id, now)
            else:
                campaigns.move(db, campaign_id, CampaignStatus.SCHEDULED)
                campaigns.set_schedule(db, campaign_id, at)
            return campaigns.get(db, campaign_id)

        return self._db.write(go)

    def _refuse_errors(self, campaign_id: int) -> None:
        errors = [problem for problem in self.check(campaign_id).problems if problem.severity == "error"]
        if errors:
            more = f" ({len(errors) - 1} more, which the check names)" if len(errors) > 1 else ""
            raise InvalidInput(errors[0].message + more, hint=errors[0].hint)

    # --- sending ----------------------------------------------------------------------------------------------------

    def outbox(self, *, what: str = "aicmo") -> Outbox:
        """The sender of this database; ``what`` names it to whoever finds it at work."""
        from aicmo.publishing.sending.outbox import Outbox

        return Outbox(
            self._db,
            self._chain,
            self._lock_file,
            what=what,
            rules=self._rules,
            sending=self._sending,
            clock=self._clock,
        )

    # --- samples ----------------------------------------------------------------------------------------------------

    def preview(self, campaign_id: int, *, email: str = "", step: int = 1, variant: str = "") -> Preview:
        """One of the campaign's messages as ``email``, or else the first of its audience, would get it.

        ``source`` is what would be sent, but for the date and the token, which stands for a delivery.

        Raises ``TemplateInvalid`` for what the template asks and this recipient lacks, ``NotFound`` when there is
        nobody, or no such message.
        """
        return preview(*self._sample(campaign_id, step, variant, email), self._clock.now())

    def preview_test(self, campaign_id: int, to: str = "", *, step: int = 1, variant: str = "") -> Preview:
        """What ``send_test`` would send. Raises as it does."""
        said, reader = self._sample(campaign_id, step, variant)
        return preview_test(said, to or self._sender.email, reader, self._clock.now())

    async def send_test(self, campaign_id: int, to: str = "", *, step: int = 1, variant: str = "") -> Attempt:
        """Send one of the campaign's messages, marked as a test, to ``to`` (or the sender) the way it would really go.

        It is filled as the first of the audience would get it, and stands in no ledger.
        """
        return await self._send_sample(*await asyncio.to_thread(self._sample, campaign_id, step, variant), to)

    async def send_draft_test(self, draft: Draft, audience: str, campaign_name: str, to: str = "") -> Attempt:
        """The same of a draft that is still being written."""
        chosen = self._selection(audience)
        reader = await self._db.aread(lambda db: a_reader(db, chosen))
        said = Wording(checked_draft(draft), self._sender, campaign_name, self._rules)
        return await self._send_sample(said, reader, to)

    def _sample(self, campaign_id: int, step: int, variant: str, email: str = "") -> tuple[Wording, sqlite3.Row | None]:
        """What one of the campaign's messages says, and to whom it is shown."""
        now = self._clock.now()

        def look(db: sqlite3.Connection) -> tuple[Wording, sqlite3.Row | None]:
            campaign, message = campaigns.get(db, campaign_id), messages.get(db, campaign_id, step, variant)
            said = wording(campaign, message, messages.draft(db, message), self._sender, self._rules)
            return said, a_reader(db, selection(db, campaign.audience, campaign.exclude, now), email)

        return self._db.read(look)

    async def _send_sample(self, said: Wording, reader: sqlite3.Row | None, to: str) -> Attempt:
        from aicmo.gateways import OutgoingMail

        to, now = to or self._sender.email, self._clock.now()
        message = await asyncio.to_thread(build_test, said, to, reader, now)  # a key may have to be loaded
        mail = OutgoingMail(mail_from=message.mail_from, recipient=message.recipient, raw=message.raw)

        async def nothing_to_write() -> None:
            """A test stands in no ledger."""

        result = await self._chain.call(
            lambda provider: provider.send(mail, before_body=nothing_to_write), side_effect=True
        )
        return result.final
