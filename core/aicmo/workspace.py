"""Store, chains and verbs, built once from the configuration and closed once. No business logic lives here."""

from __future__ import annotations

from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr, ValidationError

from aicmo.clock import SYSTEM_CLOCK, Clock
from aicmo.config import Config, config_error
from aicmo.errors import ConfigInvalid, StoreError
from aicmo.gateways import PROVIDERS, HealthRegistry, ProviderChain, load
from aicmo.gateways.status import HealthReport, health_report
from aicmo.paths import Paths
from aicmo.secrets import SecretSource
from aicmo.store import Database, open_database
from aicmo.store.health import HealthDb

if TYPE_CHECKING:
    from aicmo.analytics import AnalyticsEngine
    from aicmo.crm import CRMRepository
    from aicmo.publishing import PublishingPipeline


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
        self._health: HealthDb | None = None
        self._chains: dict[str, ProviderChain[Any]] = {}

    @cached_property
    def registry(self) -> HealthRegistry:
        """The providers' health; without ``health.db``, if that cannot be opened, and it says so."""
        try:
            self._health = HealthDb(self.paths.health_database)
        except StoreError as error:
            return HealthRegistry(clock=self.clock, degraded=f"Provider health is not shared: {error.message}")
        return HealthRegistry(self._health, clock=self.clock)

    def chain(self, capability: str) -> ProviderChain[Any]:
        """The configured chain of ``capability``; an empty one answers ``skipped``. Raises ``ConfigInvalid``."""
        if capability not in self._chains:
            providers = [self._provider(name, capability) for name in self.config.chains.get(capability, [])]
            self._chains[capability] = ProviderChain(capability, providers, self.registry, clock=self.clock)
        return self._chains[capability]

    def _provider(self, name: str, capability: str) -> Any:
        block = self.config.providers[name]
        provider_class = _adapter(self.config, name)
        if capability not in provider_class.capabilities:
            raise ConfigInvalid(
                f"{self.config.where(f'chains.{capability}')}: chains.{capability} names {name}, which cannot do that.",
                hint=f"A provider of kind {block['kind']} serves {', '.join(sorted(provider_class.capabilities))}.",
            )
        settings = provider_settings(self.config, name)
        return provider_class(name, settings, secret=secret_source(name, block), clock=self.clock)

    @cached_property
    def crm(self) -> CRMRepository:
        """The people."""
        from aicmo.crm import CRMRepository

        return CRMRepository(self.db, clock=self.clock)

    @cached_property
    def publishing(self) -> PublishingPipeline:
        """Content and campaigns. Raises ``ConfigInvalid``."""
        from aicmo.publishing import PublishingPipeline
        from aicmo.publishing.email.message import SenderIdentity

        sender = SenderIdentity(**self.config.sender.model_dump())
        return PublishingPipeline(
            self.db, sender, self.chain("email_sending"), self.paths.sender_lock, clock=self.clock
        )

    @cached_property
    def analytics(self) -> AnalyticsEngine:
        """What worked."""
        from aicmo.analytics import AnalyticsEngine

        return AnalyticsEngine(self.db)

    def health(self) -> HealthReport:
        """What is known of every configured provider, without asking any of them."""
        chains = {
            capability: [(name, str(self.config.providers[name].get("kind", ""))) for name in names]
            for capability, names in self.config.chains.items()
        }
        states = self.registry.states()
        return health_report(chains, states, self.clock.now(), degraded=self.registry.degraded)

    def close(self) -> None:
        """Close the store. Enough when no chain was called; else use ``aclose``. Closing twice is harmless."""
        if self._health is not None:
            self._health.close()
        self.db.close()

    async def aclose(self) -> None:
        """Part from the servers politely, write the last of their health, close the store."""
        for chain in self._chains.values():
            for provider in chain.providers:
                await provider.close()
        if "registry" in self.__dict__:
            await self.registry.close()
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


def provider_settings(config: Config, name: str) -> Any:
    """The block ``[providers.NAME]``, validated by its provider's ``Settings``. Raises ``ConfigInvalid``."""
    model, prefix = _adapter(config, name).Settings, f"providers.{name}."
    try:
        return model.model_validate(config.providers[name])
    except ValidationError as error:
        key = prefix + ".".join(str(part) for part in error.errors()[0]["loc"])
        raise config_error(error, model, where=config.where(key), prefix=prefix) from None


def _adapter(config: Config, name: str) -> Any:
    """The class that speaks to the provider ``name``. Raises ``ConfigInvalid``."""
    key = f"providers.{name}.kind"
    kind = config.providers[name].get("kind")
    if not isinstance(kind, str):
        raise ConfigInvalid(f"{config.where(key)}: {key} is missing.", hint=f"Known kinds: {', '.join(PROVIDERS)}.")
    try:
        return load(kind)
    except ConfigInvalid as error:
        raise ConfigInvalid(f"{config.where(key)}: {key}: {error.message}", hint=error.hint) from None


def secret_source(name: str, block: dict[str, Any]) -> SecretSource:
    """Where the secret of the provider ``name`` lies, by its block of the configuration."""
    literal: SecretStr | None = block.get("password") or block.get("api_key")
    return SecretSource(
        name,
        env=block.get("password_env") or block.get("api_key_env"),
        command=block.get("password_cmd") or block.get("api_key_cmd"),
        literal=literal.get_secret_value() if literal else None,
    )
