"""The verbs of publishing: what the screen and the command line can do with content and campaigns.

Plain methods over the store, so that the caller chooses the thread; only what speaks to a mail server is a coroutine.
"""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from aicmo.clock import SYSTEM_CLOCK, Clock
from aicmo.crm.address import normalise
from aicmo.crm.segments import select
from aicmo.errors import ApprovalNeeded, IllegalTransition, InvalidInput, NotFound
from aicmo.publishing.email.message import MessageBuilder, Recipient, SenderIdentity
from aicmo.publishing.preflight import CheckReport, check
from aicmo.publishing.schedule import begin
from aicmo.store import Database, audiences, campaigns, claiming, contents, deliveries, unknown
from aicmo.store.audiences import Audience
from aicmo.store.campaigns import Campaign, CampaignStatus
from aicmo.store.contents import Content, Draft
from aicmo.store.deliveries import Counts, Delivery, State
from aicmo.store.selection import Selection
from aicmo.text import one_line, plain, shown

if TYPE_CHECKING:
    from aicmo.gateways import Attempt, ProviderChain
    from aicmo.publishing.evidence import Doubt, EvidenceReport, EvidenceSearch, MailReader
    from aicmo.publishing.outbox import EmailProvider, Outbox

CONTENT_TYPES = ("blog", "social", "email", "landing_page", "whitepaper")
SENDABLE_TYPES = ("email",)
FORMATS = ("markdown", "html")
LONGEST_BODY = 1_000_000
"""Characters. No mailbox shows a longer message whole."""
LONGEST_LINE = 1_000
"""Characters of a title, name, subject or preheader."""


@dataclass(frozen=True, slots=True)
class Preview:
    """A message as one recipient would get it."""

    to: str
    subject: str
    text: str
    html: str
    source: str
    """The raw message, headers and all."""


class PublishingPipeline:
    def __init__(
        self,
        db: Database,
        sender: SenderIdentity,
        chain: ProviderChain[EmailProvider],
        lock_file: Path,
        *,
        accounts: Callable[[], ProviderChain[MailReader]],
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """``accounts`` gives the chain that reads mail; it is asked for when something has to be looked for there."""
        self._db = db
        self._sender = sender
        self._chain = chain
        self._lock_file = lock_file
        self._accounts = accounts
        self._clock = clock

    @property
    def ways(self) -> tuple[str, ...]:
        """The mail servers a campaign goes through, first choice first."""
        return tuple(provider.name for provider in self._chain.providers)

    # --- content ----------------------------------------------------------------------------------------------------

    def create_content(self, type: str, title: str, draft: Draft) -> Content:
        """Raises ``InvalidInput`` for an unknown type or format, or a text beyond the bounds."""
        if type not in CONTENT_TYPES:
            raise InvalidInput(f"{shown(type)} is no content type.", hint=f"Choose one of: {', '.join(CONTENT_TYPES)}.")
        title, draft = _line(title, "title"), _checked(draft)
        if not title:
            raise InvalidInput("The title is empty.", hint="Give the content a name to find it by.")
        now = self._clock.now()
        return self._db.write(lambda db: contents.get(db, contents.create(db, type, title, draft, now)))

    def save_content(self, content_id: int, draft: Draft, *, amend: bool = False) -> Content:
        """Keep ``draft`` as the next version; an earlier one's approval does not hold for it. Raises ``NotFound``.

        ``amend`` is for saving while one writes: see ``contents.save``.
        """
        draft, now = _checked(draft), self._clock.now()

        def save(db: sqlite3.Connection) -> Content:
            contents.save(db, content_id, draft, now, amend=amend)
            return contents.get(db, content_id)

        return self._db.write(save)

    def contents(self) -> list[Content]:
        return self._db.read(contents.listed)

    def content(self, content_id: int) -> Content:
        """Raises ``NotFound``."""
        return self._db.read(lambda db: contents.get(db, content_id))

    def preview(self, draft: Draft, *, audience: str = "", email: str = "", campaign_name: str = "Preview") -> Preview:
        """The message as ``email``, or else the first of ``audience``, would get it; nothing is sent or written.

        Raises ``TemplateInvalid`` for what the template asks and this recipient lacks, ``NotFound`` when there is
        nobody.
        """
        builder = MessageBuilder(_checked(draft), self._sender, campaign_name)
        where, params = self._one(email) if email else self._selection(audience).where()
        row = self._db.read(lambda db: next(audiences.unsuppressed(db, where, params), None))
        if row is None:
            raise NotFound("There is nobody to preview for.", hint="Import contacts first, or choose another audience.")
        recipient = Recipient(row["email"], audiences.filled_values(row), token="0.0.preview")
        message = builder.build(recipient, self._clock.now())
        words = message.words
        return Preview(recipient.email, words.subject, words.text, words.html, message.raw.decode("ascii"))

    # --- campaigns --------------------------------------------------------------------------------------------------

    def create_campaign(self, name: str, content_id: int, audience: str) -> Campaign:
        """A draft. Raises ``NotFound``, ``QueryInvalid``, or ``InvalidInput`` for content that is no e-mail."""
        name = _line(name, "name")
        if not name:
            raise InvalidInput("The name is empty.", hint="Give the campaign a name to find it by.")
        self._selection(audience)
        content = self.content(content_id)
        if content.type not in SENDABLE_TYPES:
            raise InvalidInput(
                f"Content {content_id} is of type {content.type}; e-mail campaigns send content of type email.",
                hint="Create it with: aicmo content create --type email",
            )
        now = self._clock.now()
        return self._db.write(lambda db: campaigns.get(db, campaigns.create(db, name, content_id, audience, now)))

    def campaigns(self) -> list[Campaign]:
        return self._db.read(campaigns.listed)

    def campaign(self, campaign_id: int) -> Campaign:
        """Raises ``NotFound``."""
        return self._db.read(lambda db: campaigns.get(db, campaign_id))

    def audience(self, query: str) -> Audience:
        """Whom ``query`` selects now. Raises ``QueryInvalid``."""
        where, params = self._selection(query).where()
        return self._db.read(lambda db: audiences.measured(db, where, params))

    def _selection(self, query: str) -> Selection:
        now = self._clock.now()
        return self._db.read(lambda db: select(db, query, now=now))

    def counts(self, campaign_id: int) -> Counts:
        """Zeros before the start, when nobody is frozen yet. Raises ``NotFound``."""
        self.campaign(campaign_id)
        return self._db.read(lambda db: deliveries.counts(db, campaign_id))

    def deliveries(
        self, campaign_id: int, *, state: State | None = None, offset: int = 0, limit: int = -1
    ) -> list[Delivery]:
        """The ledger of a campaign, in the audience's order. Raises ``NotFound``."""
        self.campaign(campaign_id)
        return self._db.read(lambda db: deliveries.listed(db, campaign_id, state=state, offset=offset, limit=limit))

    def unknown_total(self) -> int:
        """Over all campaigns: the deliveries that await a person's decision."""
        return self._db.read(unknown.oldest_unknown)[0]

    def doubt(self, campaign_id: int) -> Doubt | None:
        """How it stands with the campaign's unknown deliveries; ``None`` when it has none."""
        from aicmo.publishing.evidence import doubt_about

        now = self._clock.now()
        return self._db.read(lambda db: doubt_about(db, campaign_id, now))

    def check(self, campaign_id: int) -> CheckReport:
        """Everything that would stop the campaign, or that its owner should know first. Raises ``NotFound``."""
        campaign = self.campaign(campaign_id)
        return self.check_draft(self.content(campaign.content_id).draft, campaign.audience, campaign.name)

    def check_draft(self, draft: Draft, audience: str, campaign_name: str = "Preview") -> CheckReport:
        """The same for a draft that is still being written."""
        selection, draft = self._selection(audience), _checked(draft)
        return self._db.read(lambda db: check(db, selection, draft, self._sender, campaign_name, ways=self.ways))

    def approve(self, campaign_id: int) -> Campaign:
        """Approve the content as it now stands. Raises ``InvalidInput`` when the check finds an error."""
        self._refuse_errors(campaign_id)
        return self._db.write(lambda db: self._approve(db, campaign_id))

    def _approve(self, db: sqlite3.Connection, campaign_id: int) -> Campaign:
        campaign = campaigns.get(db, campaign_id)
        contents.approve(db, contents.get(db, campaign.content_id).draft.hash, self._clock.now())
        if campaign.status is CampaignStatus.DRAFT:
            campaigns.move(db, campaign_id, CampaignStatus.APPROVED)
        return campaigns.get(db, campaign_id)

    def start(self, campaign_id: int, *, approve: bool = False, at: datetime | None = None) -> Campaign:
        """Freeze the audience and set the campaign running; with ``at``, do so when that time has come.

        ``approve`` approves the content on the way. Raises ``ApprovalNeeded`` when it is not approved as it now stands,
        ``InvalidInput`` when the check finds an error or ``at`` is past, ``IllegalTransition`` when it has begun
        already.
        """
        now = self._clock.now()
        if at is not None and at <= now:
            raise InvalidInput("That time has passed.", hint="Leave --at out to start now.")
        self._refuse_errors(campaign_id)

        def go(db: sqlite3.Connection) -> Campaign:
            if approve:
                self._approve(db, campaign_id)
            campaign = campaigns.get(db, campaign_id)
            content = contents.get(db, campaign.content_id)
            if not content.approved or campaign.status is CampaignStatus.DRAFT:
                raise ApprovalNeeded(
                    f"Campaign {campaign_id} is not approved as it now stands.",
                    hint=f"Look at it, then: aicmo campaign approve {campaign_id}",
                )
            campaigns.fix_what_is_sent(db, campaign_id, content.version_id, dataclasses.asdict(self._sender), now)
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

    def resume(self, campaign_id: int) -> Campaign:
        """Go on; one that was paused before it began begins now. Raises ``IllegalTransition``."""
        now = self._clock.now()

        def go_on(db: sqlite3.Connection) -> Campaign:
            campaign = campaigns.get(db, campaign_id)
            if campaign.status is not CampaignStatus.PAUSED:
                raise IllegalTransition(f"Campaign {campaign_id} is {campaign.status}, not paused.")
            if deliveries.counts(db, campaign_id).audience:
                campaigns.move(db, campaign_id, CampaignStatus.RUNNING)
            else:
                begin(db, campaign_id, now)
            return campaigns.get(db, campaign_id)

        return self._db.write(go_on)

    def cancel(self, campaign_id: int) -> Campaign:
        """Nobody else gets it; what is on its way settles by itself. Raises ``IllegalTransition``."""
        now = self._clock.now()

        def stop(db: sqlite3.Connection) -> Campaign:
            campaigns.move(db, campaign_id, CampaignStatus.CANCELLED)
            deliveries.cancel_open(db, campaign_id, now)
            return campaigns.get(db, campaign_id)

        return self._db.write(stop)

    def retry(self, campaign_id: int) -> int:
        """Queue the failed deliveries again, and only those; how many. Raises ``IllegalTransition`` when it was
        cancelled."""
        now = self._clock.now()

        def again(db: sqlite3.Connection) -> int:
            if campaigns.get(db, campaign_id).status is CampaignStatus.CANCELLED:
                campaigns.move(db, campaign_id, CampaignStatus.RUNNING)
            return deliveries.retry_failed(db, campaign_id, now)

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

    def _one(self, email: str) -> tuple[str, Sequence[object]]:
        return "contact.address = ?", (normalise(email).address,)

    def due_now(self) -> tuple[int, int]:
        """How many deliveries a sender would take now, and how many scheduled campaigns it would begin."""
        now = self._clock.now()
        return self._db.read(lambda db: (claiming.due_now(db, now), len(campaigns.due_ids(db, now))))

    def looks_due(self) -> int:
        """How many unknown deliveries would be looked for now."""
        from aicmo.publishing.evidence import due_looks

        now = self._clock.now()
        return self._db.read(lambda db: len(due_looks(unknown.in_doubt(db), unknown.seen_to(db), now)))

    # --- sending ----------------------------------------------------------------------------------------------------

    def outbox(self, *, what: str = "aicmo") -> Outbox:
        """The sender of this database; ``what`` names it to whoever finds it at work."""
        from aicmo.publishing.outbox import Outbox

        return Outbox(self._db, self._chain, self._lock_file, what=what, clock=self._clock)

    def evidence(self) -> EvidenceSearch:
        """Looks for traces of unknown deliveries, of all campaigns, when it is time to."""
        from aicmo.publishing.evidence import EvidenceSearch

        return EvidenceSearch(self._db, self._accounts, clock=self._clock)

    async def send_test(self, campaign_id: int, to: str = "") -> Attempt:
        """Send the campaign's message, marked as a test, to ``to`` (or the sender) the way it would really go.

        It is filled as the first of the audience would get it, and stands in no ledger.
        """
        from aicmo.gateways import OutgoingMail

        recipient = normalise(to or self._sender.email).email
        campaign = self.campaign(campaign_id)
        draft = self.content(campaign.content_id).draft
        builder = MessageBuilder(
            dataclasses.replace(draft, subject=f"[Test] {draft.subject}"), self._sender, campaign.name
        )
        where, params = self._selection(campaign.audience).where()
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


def _checked(draft: Draft) -> Draft:
    if draft.format not in FORMATS:
        raise InvalidInput(f"{shown(draft.format)} is no format.", hint=f"Choose one of: {', '.join(FORMATS)}.")
    if len(draft.body) > LONGEST_BODY:
        raise InvalidInput(
            f"The body is longer than {LONGEST_BODY:,} characters.", hint="Shorten it, or link to the rest."
        )
    return Draft(_line(draft.subject, "subject"), plain(draft.body), _line(draft.preheader, "preheader"), draft.format)


def _line(value: str, what: str) -> str:
    value = one_line(value)
    if len(value) > LONGEST_LINE:
        raise InvalidInput(f"The {what} is longer than {LONGEST_LINE:,} characters.", hint="Shorten it.")
    return value
