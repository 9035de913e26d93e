"""Puts the questions of a check together: about the words, the people, the sender's domain, and where links lead.

The first two answer from what is here, and decide whether a campaign may start. The last two ask the network, are
coroutines, and only ever warn.
"""

from __future__ import annotations

import asyncio
import dataclasses
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from aicmo.clock import SYSTEM_CLOCK, Clock, parse_rfc3339
from aicmo.errors import AicmoError
from aicmo.publishing.email.message import BuiltMessage, MessageBuilder, Recipient
from aicmo.publishing.email.rules import PLAIN_RULES, MessageRules
from aicmo.publishing.preflight import audience, pace
from aicmo.publishing.preflight.audience import Whom
from aicmo.publishing.preflight.links import web_links
from aicmo.publishing.preflight.page import read_page
from aicmo.publishing.preflight.report import KINDS, CheckReport, Look, Problem, problem
from aicmo.publishing.preflight.sender import Setting, is_made_up, sender_problems
from aicmo.publishing.preflight.words import TOKEN, message_problems
from aicmo.publishing.sending.allowance import SendingAccount, accounts
from aicmo.publishing.sending.rules import SendingRules
from aicmo.store import audience_checks, audiences, leases
from aicmo.store.audiences import SuppressedPeople
from aicmo.store.campaign_options import CampaignOptions
from aicmo.store.contents import Draft
from aicmo.store.gates import EVERY_OTHER
from aicmo.store.selection import Selection

if TYPE_CHECKING:
    import httpx

    from aicmo.publishing.preflight.cards import Card
    from aicmo.publishing.preflight.domain.alignment import Alignment
    from aicmo.publishing.preflight.domain.names import Resolver
    from aicmo.publishing.preflight.reaching import AddressesOf

REMEMBERED = timedelta(minutes=10)
"""How long what the name servers said holds, for a composer that asks again while one writes."""
REMEMBERED_SILENCE = timedelta(minutes=1)
"""How long it holds that they said nothing: the network may be back in a moment."""
RUN_LEASE = "run"
"""The row in which ``aicmo run`` says that it was there."""
_AS_USUAL, _USUAL_RULES = CampaignOptions(), SendingRules()


@dataclasses.dataclass(frozen=True, slots=True)
class Question:
    """What is to go, to whom, and when."""

    messages: Sequence[tuple[str, Draft]]
    """All that it says, each with its name; what is wrong with a later one alone is told with that."""
    selection: Selection
    """Whom it goes to: ``query`` without ``exclude``."""
    query: str = ""
    exclude: str = ""
    campaign_name: str = "Preview"
    campaign_id: int | None = None
    at: datetime | None = None
    """When it is to begin; ``None``: now."""
    options: CampaignOptions = _AS_USUAL


class Preflight:
    """One configuration's checks."""

    def __init__(
        self,
        setting: Setting,
        *,
        servers: Sequence[SendingAccount] = (),
        rules: MessageRules = PLAIN_RULES,
        sending: SendingRules = _USUAL_RULES,
        clock: Clock = SYSTEM_CLOCK,
        resolver: Resolver | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        addresses_of: AddressesOf | None = None,
    ) -> None:
        """``resolver``, and ``transport`` with ``addresses_of``, stand in for the name servers and the web."""
        self._setting = setting
        self._servers = servers
        self._rules = rules
        self._sending = sending
        self._clock = clock
        self._resolver = resolver
        self._transport, self._addresses_of = transport, addresses_of
        self.suppressed = SuppressedPeople()
        self._domain: tuple[float, CheckReport] | None = None

    # --- what is here -----------------------------------------------------------------------------------------------

    def words(self, draft: Draft, campaign_name: str = "Preview") -> CheckReport:
        """What is wrong with a draft whoever gets it. Asks nobody, not even the store."""
        problems, looks = sender_problems(self._setting)
        problems += _empty_parts(draft)
        if problems and any(each.code in ("no_subject", "no_body", "sender_not_set") for each in problems):
            return CheckReport(problems=tuple(problems), looks=tuple(looks))
        try:
            builder = self._builder(draft, campaign_name, self._unsigned)
        except AicmoError as error:
            return CheckReport(problems=(*problems, _as_problem(error)), looks=tuple(looks))
        try:
            message = builder.build(self._anybody(builder), self._clock.now())
        except AicmoError as error:
            text = f"With made-up fields the template fails, so its words were not looked at: {error.message}"
            problems.append(problem("not_filled", text, "Check it for an audience."))
            return CheckReport(problems=tuple(problems), looks=tuple(looks))
        found, more = self._of_message(message, draft)
        return CheckReport(problems=(*problems, *found), looks=(*looks, *more))

    def check(self, db: sqlite3.Connection, of: Question) -> CheckReport:
        """Everything that can be known without the network: ``words`` among it, as a real recipient gets them."""
        problems, looks = sender_problems(self._setting)
        whom, now = _whom(db, of, self.suppressed), self._clock.now()
        problems += audience.size_problems(whom)
        looks.append(audience.audience_look(whom))
        first: list[Problem] = []
        for place, (name, draft) in enumerate(of.messages):
            found, more = self._of_words(db, whom, draft, of, now)
            if place == 0:
                first, looks = found, [*looks, *more]
            else:
                found = [
                    dataclasses.replace(each, message=f"{name}: {each.message}") for each in found if each not in first
                ]
            problems += found
        if whom.reached:
            found, more = self._of_numbers(db, whom, of, now)
            problems += found
            looks += more
        return CheckReport(whom.size.total, whom.size.suppressed, tuple(problems), tuple(looks))

    def _of_words(
        self, db: sqlite3.Connection, whom: Whom, draft: Draft, of: Question, now: datetime
    ) -> tuple[list[Problem], list[Look]]:
        empty = _empty_parts(draft)
        if empty or not self._setting.sender.email:
            return empty, []
        try:
            builder = self._builder(draft, of.campaign_name, self._rules.for_campaign(of.options))
        except AicmoError as error:
            return [_as_problem(error)], []
        problems, message = audience.field_problems(db, whom, builder, self._setting.sender, now)
        names = ", ".join(sorted(builder.template.variables)) or "none"
        looks = [Look("fields", names), Look("unsubscribe", "by page" if self._one_click else "by mail")]
        if message is None:
            return problems, looks
        found, more = self._of_message(message, draft)
        return [*problems, *found], [*looks, *more]

    def _of_message(self, message: BuiltMessage, draft: Draft) -> tuple[list[Problem], list[Look]]:
        return message_problems(message, draft, self._setting.sender, made_up=is_made_up(self._setting.domain))

    def _of_numbers(
        self, db: sqlite3.Connection, whom: Whom, of: Question, now: datetime
    ) -> tuple[list[Problem], list[Look]]:
        caps = self._sending.domains
        named = None if EVERY_OTHER in caps else [*pace.GMAIL, *caps, *audience.disposable_domains()]
        domains = audience_checks.count_by_domain(db, whom.where, whom.params, among=named)
        problems = [
            *audience.address_problems(db, whom, domains),
            *audience.history_problems(
                db, whom, of.messages[0][1].hash, now, but=of.campaign_id, cap=self._sending.frequency
            ),
        ]
        window = of.options.window
        run = leases.holder(db, RUN_LEASE)
        plan = pace.Plan(
            whom.reached,
            accounts(db, self._servers, now),
            domains,
            caps,
            now,
            of.at,
            open_s=window.seconds_a_day if window else 86_400,
            chosen_hours=window is not None,
            zone=self._sending.zone,
            ran_at=parse_rfc3339(run.seen_at) if run else None,
        )
        found, looks = pace.pace_problems(plan, one_click=self._one_click)
        late, more = pace.schedule_problems(plan, slow=any(each.code == "takes_days" for each in found))
        return [*problems, *found, *late], [*looks, *more]

    # --- what the network says --------------------------------------------------------------------------------------

    async def domain(self) -> CheckReport:
        """What the name servers say of the sender's domain, a few seconds at the most; remembered for ten minutes."""
        if not self._setting.sender.email:
            return CheckReport()
        now = self._clock.monotonic()
        if self._domain is None or now >= self._domain[0]:
            ask, known = await asyncio.to_thread(self._ready_to_ask)
            report = await ask(known, resolver=self._resolver)
            silent = any(each.code == "dns_not_asked" for each in report.problems)
            self._domain = now + (REMEMBERED_SILENCE if silent else REMEMBERED).total_seconds(), report
        return self._domain[1]

    def _ready_to_ask(self) -> tuple[Callable[..., Awaitable[CheckReport]], Alignment]:
        """Blocking: a library takes a while to load, and a program may have to be asked for a key."""
        from aicmo.publishing.preflight.domain.alignment import check_alignment

        return check_alignment, self._alignment()

    async def links(self, draft: Draft, campaign_name: str = "Preview") -> CheckReport:
        """Ask every link of the message whether it leads anywhere. Raises what building the message raises."""
        builder = self._builder(draft, campaign_name, self._unsigned)
        message = builder.build(self._anybody(builder), self._clock.now())
        found = [each for each in web_links(read_page(message.words.html)) if TOKEN not in each]
        return await self.ask(found)

    async def ask(self, links: Sequence[str]) -> CheckReport:
        """Ask these links whether they lead anywhere."""
        from aicmo.publishing.preflight.reaching import check_links, system_addresses

        return await check_links(links, transport=self._transport, addresses_of=self._addresses_of or system_addresses)

    async def card(self, link: str) -> Card:
        """Ask the page behind it what a network would show of it."""
        from aicmo.publishing.preflight.cards import read_card
        from aicmo.publishing.preflight.reaching import system_addresses

        return await read_card(link, transport=self._transport, addresses_of=self._addresses_of or system_addresses)

    def _alignment(self) -> Alignment:
        from aicmo.publishing.preflight.domain.alignment import Alignment

        hosts = tuple(dict.fromkeys(self._setting.servers.values()))
        signer = self._rules.signer
        if signer is None:
            return Alignment(self._setting.sender.email, hosts)
        try:
            public = signer.public_key()
        except AicmoError:
            public = b""  # the check of the words says so, loudly; here it only means that nothing can be compared
        return Alignment(self._setting.sender.email, hosts, signer.domain, signer.selector, public)

    # --- building ---------------------------------------------------------------------------------------------------

    @property
    def _one_click(self) -> bool:
        return bool(self._rules.links.unsubscribe_url)

    @property
    def _unsigned(self) -> MessageRules:
        """For a look at the words alone: nobody is asked for a key while one types."""
        return dataclasses.replace(self._rules, signer=None)

    def _builder(self, draft: Draft, campaign_name: str, rules: MessageRules) -> MessageBuilder:
        return MessageBuilder(draft, self._setting.sender, campaign_name, rules=rules)

    def _anybody(self, builder: MessageBuilder) -> Recipient:
        return Recipient(self._setting.sender.email, {name: "…" for name in builder.template.variables}, TOKEN)


def _empty_parts(draft: Draft) -> list[Problem]:
    problems = []
    if not draft.subject.strip():
        problems.append(problem("no_subject", "The subject is empty.", "Give the content a subject."))
    if not draft.body.strip():
        problems.append(problem("no_body", "The body is empty.", "Write something."))
    return problems


def _as_problem(error: AicmoError) -> Problem:
    return problem(error.code if error.code in KINDS else "cannot_be_built", error.message, error.hint)


def _whom(db: sqlite3.Connection, of: Question, known: SuppressedPeople) -> Whom:
    where, params = of.selection.where()
    query = " ".join(filter(None, (_bracketed(of.query.strip()), of.exclude.strip() and f"-({of.exclude.strip()})")))
    size, suppressed = audiences.divided(db, where, params, known)
    return Whom(where, params, query, size, suppressed)


def _bracketed(query: str) -> str:
    """So that more can follow it; see ``crm.query``: ``or`` binds least."""
    return f"({query})" if " or " in query.casefold() else query
