"""One configuration, one store, and everything built on them: opened once, closed once.

This is where the rooms meet: the services reach ``health.db``, people and campaigns reach the database, campaigns reach
their chain. It holds no business logic, and builds nothing before it is needed.
"""

from __future__ import annotations

from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any

from aicmo.clock import SYSTEM_CLOCK, Clock
from aicmo.config import Config
from aicmo.errors import StoreError
from aicmo.gateways import HealthRegistry, ProviderChain
from aicmo.gateways.status import HealthReport, UnknownSends
from aicmo.paths import Paths
from aicmo.services import Services, provider_settings, secret_source
from aicmo.store import Database, open_database
from aicmo.store.unknown import oldest_unknown

__all__ = ["Workspace", "open_workspace", "provider_settings", "secret_source"]

if TYPE_CHECKING:
    from aicmo.analytics import AnalyticsEngine
    from aicmo.crm import CRMRepository
    from aicmo.crm.companies import Companies
    from aicmo.crm.duplicates import Duplicates
    from aicmo.crm.enrichment import EnrichmentPipeline
    from aicmo.crm.fields import Fields
    from aicmo.crm.history import History
    from aicmo.crm.imports import Imports
    from aicmo.crm.rights import Rights
    from aicmo.crm.segments import Segments
    from aicmo.crm.syncing import CrmSync
    from aicmo.crm.timeline import Timeline
    from aicmo.crm.today import Today
    from aicmo.gateways.selfcheck import SelfCheckService
    from aicmo.publishing import Contents, PublishingPipeline
    from aicmo.publishing.agenda import Agenda
    from aicmo.publishing.email.message import SenderIdentity
    from aicmo.publishing.email.rules import MessageRules
    from aicmo.publishing.preflight import Setting
    from aicmo.publishing.sequences.verbs import Sequences
    from aicmo.publishing.variants import Variants
    from aicmo.publishing.writing.reviewing import Reviews


def open_workspace(paths: Paths, config: Config, *, rehearsal: bool = False, clock: Clock = SYSTEM_CLOCK) -> Workspace:
    """Open the store in ``paths.data_dir``, creating it if need be. Raises ``StoreError``.

    ``rehearsal`` is for a dry run: the verbs do and answer everything, and their writes are undone.
    """
    return Workspace(paths, config, open_database(paths.database, rehearsal=rehearsal, clock=clock), clock=clock)


class Workspace:
    """Everything that belongs together. A context manager; use ``async with`` where a chain was called."""

    def __init__(self, paths: Paths, config: Config, db: Database, *, clock: Clock) -> None:
        self.paths = paths
        self.config = config
        self.db = db
        self.clock = clock
        self.services = Services(paths, config, clock=clock)

    @property
    def registry(self) -> HealthRegistry:
        """The providers' health; without ``health.db``, if that cannot be opened, and it says so."""
        return self.services.registry

    @property
    def self_check(self) -> SelfCheckService:
        """Asks every provider how it is. Loads the providers' modules: on an event loop, get it in a thread."""
        return self.services.self_check

    def chain(self, capability: str) -> ProviderChain[Any]:
        """The configured chain of ``capability``; an empty one answers ``skipped``. Raises ``ConfigInvalid``."""
        return self.services.chain(capability)

    @cached_property
    def crm(self) -> CRMRepository:
        """The people."""
        from aicmo.crm import CRMRepository

        return CRMRepository(self.db, clock=self.clock)

    @cached_property
    def history(self) -> History:
        """What was changed, to take it back."""
        from aicmo.crm.history import History

        return History(self.db, clock=self.clock)

    @cached_property
    def imports(self) -> Imports:
        """What was imported, to take it back."""
        from aicmo.crm.imports import Imports

        return Imports(self.db, clock=self.clock)

    @cached_property
    def duplicates(self) -> Duplicates:
        """People who are in the list twice."""
        from aicmo.crm.duplicates import Duplicates

        return Duplicates(self.db, self.crm, clock=self.clock)

    @cached_property
    def enrichment(self) -> EnrichmentPipeline:
        """Asking providers about people. Loads the providers' modules when it is used."""
        from aicmo.crm.enrichment import EnrichmentPipeline, Rules

        said = self.config.enrichment
        rules = Rules(said.reenrich_after_days, said.reverify_after_days, said.batches_at_once)
        return EnrichmentPipeline(self.db, self.crm, self.chain, self.services.estimate, rules, clock=self.clock)

    @cached_property
    def segments(self) -> Segments:
        """Queries under a name."""
        from aicmo.crm.segments import Segments

        return Segments(self.db, clock=self.clock)

    @cached_property
    def companies(self) -> Companies:
        """Where people work."""
        from aicmo.crm.companies import Companies

        return Companies(self.db)

    @cached_property
    def rights(self) -> Rights:
        """What a person may ask about themselves."""
        from aicmo.crm.rights import Rights

        return Rights(self.db, self.crm, self.paths.data_dir, clock=self.clock)

    @cached_property
    def timeline(self) -> Timeline:
        """What happened with whom."""
        from aicmo.crm.timeline import Timeline

        return Timeline(self.db, clock=self.clock)

    @cached_property
    def fields(self) -> Fields:
        """The custom fields that have a type."""
        from aicmo.crm.fields import Fields

        return Fields(self.db, clock=self.clock)

    @cached_property
    def today(self) -> Today:
        """Next actions, and who was silent for too long."""
        from aicmo.crm.today import Today

        return Today(self.db, clock=self.clock, no_touch_days=self.config.today.no_touch_days)

    @cached_property
    def sync(self) -> CrmSync:
        """The same people in somebody else's CRM. Raises ``ConfigInvalid``."""
        from aicmo.crm.syncing import CrmSync

        return CrmSync(self.db, self.chain("crm_sync"), clock=self.clock)

    @cached_property
    def contents(self) -> Contents:
        """What is written."""
        from aicmo.publishing import Contents

        limits = {str(name): channel.limit for name, channel in self.config.channels.items() if channel.limit}
        return Contents(self.db, self._sender, limits=limits, rules=self._rules, clock=self.clock)

    @cached_property
    def reviews(self) -> Reviews:
        """What is said about it, among those who write and approve."""
        from aicmo.publishing.writing.reviewing import Reviews

        return Reviews(self.db, self.contents, clock=self.clock)

    @cached_property
    def publishing(self) -> PublishingPipeline:
        """Campaigns. Raises ``ConfigInvalid``."""
        from aicmo.publishing import PublishingPipeline
        from aicmo.publishing.preflight import Preflight
        from aicmo.publishing.sending.rules import sending_rules

        chain, sending = self.chain("email_sending"), sending_rules(self.config.sending)
        return PublishingPipeline(
            self.db,
            self._sender,
            chain,
            self.paths.sender_lock,
            accounts=lambda: self.chain("reply_fetching"),
            rules=self._rules,
            sending=sending,
            preflight=Preflight(
                self._sending_setting, servers=chain.providers, rules=self._rules, sending=sending, clock=self.clock
            ),
            clock=self.clock,
        )

    @property
    def _sending_setting(self) -> Setting:
        from aicmo.publishing.preflight import Setting

        config = self.config
        mailboxes = [config.providers[name].get("username") for name in config.chains.get("reply_fetching", ())]
        return Setting(
            self._sender,
            {name: str(config.providers[name].get("host", "")) for name in config.chains.get("email_sending", ())},
            tuple(name for name in mailboxes if isinstance(name, str)),
            reads_replies=bool(mailboxes),
            unsubscribe_email=config.links.unsubscribe_email,
        )

    @property
    def _sender(self) -> SenderIdentity:
        from aicmo.publishing.email.message import SenderIdentity

        return SenderIdentity(**self.config.sender.model_dump())

    @cached_property
    def _rules(self) -> MessageRules:
        """One for all, so that a key is asked for once."""
        from aicmo.publishing.email.rules import message_rules

        return message_rules(self.config)

    @cached_property
    def agenda(self) -> Agenda:
        """What goes out when, and what is late."""
        from aicmo.publishing.agenda import Agenda

        return Agenda(self.db, clock=self.clock)

    @cached_property
    def sequences(self) -> Sequences:
        """The steps of campaigns, and who is where in them. Raises ``ConfigInvalid``."""
        from aicmo.publishing.sequences.verbs import Sequences

        return Sequences(self.db, self.publishing.check_draft, clock=self.clock)

    @cached_property
    def variants(self) -> Variants:
        """A/B: other first messages, and which one is better."""
        from aicmo.publishing.variants import Variants

        return Variants(self.db, clock=self.clock)

    @cached_property
    def analytics(self) -> AnalyticsEngine:
        """What worked."""
        from aicmo.analytics import AnalyticsEngine

        return AnalyticsEngine(self.db)

    def health(self) -> HealthReport:
        """What is known of every configured provider, without asking any of them."""
        try:
            unknown = UnknownSends(*self.db.read(oldest_unknown))
        except StoreError as error:
            return self.services.health(trouble=error)
        return self.services.health(unknown)

    def close(self) -> None:
        """Close the store. Enough when no chain was called; else use ``aclose``. Closing twice is harmless."""
        self.services.close()
        self.db.close()

    async def aclose(self) -> None:
        """Part from the servers politely, write the last of their health, close the store."""
        await self.services.aclose()
        self.close()

    def __enter__(self) -> Workspace:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Workspace:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
