"""The outside services of one configuration: every provider, chain and limit, their health, and their self-checks.

Here ``health.db`` is plugged into the gateways. It needs nothing of the main database, so health can be told when that
one is broken; and nothing is built before it is needed, so telling the stored state loads no provider.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr, ValidationError

from aicmo.clock import SYSTEM_CLOCK, Clock
from aicmo.config import Config, config_error
from aicmo.errors import AicmoError, ConfigInvalid, NotFound
from aicmo.gateways import PROVIDERS, HealthRegistry, ProviderChain, load
from aicmo.gateways.limit_store import LimitStore, NoLimitStore, milliseconds, moment
from aicmo.gateways.limits import Estimate, LimitGate, allowance_of, used
from aicmo.gateways.rates import SPANS_S, told_limit
from aicmo.gateways.selfcheck import SelfCheckRegistry, SelfCheckService
from aicmo.gateways.status import Beside, HealthReport, LoweredRate, UnknownSends, health_report
from aicmo.limit_state import LimitUse
from aicmo.paths import Paths
from aicmo.secrets import SecretSource
from aicmo.sign_ins import SignIns
from aicmo.store.checks import CheckDb
from aicmo.store.health import HealthDb
from aicmo.store.limits import LimitDb
from aicmo.store.network import NetworkDb
from aicmo.text import shown

if TYPE_CHECKING:
    from aicmo.gateways.estimate import ChainEstimate
    from aicmo.gateways.oauth import TokenKeeper

MAIL = "email_sending"
"""What is sent is counted from the ledger, so no gate stands before this chain."""


CHANGES_TOLD = 10
"""Of the log of changes, so many are told with a report."""


@dataclass(frozen=True, slots=True)
class _Shared:
    """What all processes share, by way of ``health.db``; of this process alone when that cannot be used."""

    registry: HealthRegistry
    checks: SelfCheckRegistry
    limits: LimitStore
    health_db: HealthDb | None = None
    trouble: AicmoError | None = None
    """Why ``health.db`` cannot be used."""
    opened: ExitStack = field(default_factory=ExitStack)
    """Closes what was opened."""

    @staticmethod
    def open(path: Path, clock: Clock) -> _Shared:
        try:
            with ExitStack() as opened:
                health = HealthDb(path)
                opened.callback(health.close)
                limits = LimitDb(health)
                opened.callback(limits.close)
                checks = CheckDb(health)
                opened.callback(checks.close)
                network = NetworkDb(health)
                opened.callback(network.close)
                registry = HealthRegistry(health, clock=clock, network=network)
                return _Shared(registry, SelfCheckRegistry(checks), limits, health, opened=opened.pop_all())
        except AicmoError as error:
            registry = HealthRegistry(clock=clock, degraded=f"Provider health is not shared: {error.message}")
            return _Shared(registry, SelfCheckRegistry(), NoLimitStore(error), trouble=error)


class Services:
    """Close it with ``aclose`` when a provider was called, else with ``close``."""

    def __init__(self, paths: Paths, config: Config, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self.paths = paths
        self.config = config
        self.clock = clock
        self.sign_ins = SignIns(paths.tokens_dir, config.providers, clock=clock)
        """Who logs in with OAuth tokens, and how each stands."""
        self._building = threading.RLock()
        self._providers: dict[str, Any] = {}
        self._chains: dict[str, ProviderChain[Any]] = {}
        self._refused: dict[str, str] = {}
        self._opened: _Shared | None = None
        self._self_check: SelfCheckService | None = None

    # --- what is stored -----------------------------------------------------------------------------------------------

    @property
    def _shared(self) -> _Shared:
        with self._building:
            if self._opened is None:
                self._opened = _Shared.open(self.paths.health_database, self.clock)
            return self._opened

    @property
    def health_db(self) -> HealthDb | None:
        """``None`` when it cannot be used; the report's ``degraded`` then says why."""
        return self._shared.health_db

    @property
    def registry(self) -> HealthRegistry:
        """The providers' health."""
        return self._shared.registry

    @property
    def self_checks(self) -> SelfCheckRegistry:
        """What self-checks found."""
        return self._shared.checks

    # --- who can be called --------------------------------------------------------------------------------------------

    def chain(self, capability: str) -> ProviderChain[Any]:
        """The configured chain of ``capability``; an empty one answers ``skipped``. Raises ``ConfigInvalid``."""
        with self._building:
            if capability not in self._chains:
                names = self.config.chains.get(capability, [])
                providers = [self._provider(name, capability) for name in names]
                gate = None if capability == MAIL else self._gate(providers)
                self._chains[capability] = ProviderChain(
                    capability, providers, self.registry, clock=self.clock, gate=gate
                )
            return self._chains[capability]

    @property
    def self_check(self) -> SelfCheckService:
        """Checks every provider of every chain. One that cannot be built is left out, and ``health`` says why.

        Loads the providers' modules, which takes a while: on an event loop, get it in a thread.
        """
        with self._building:
            if self._self_check is None:
                usable = {name: each for name, each in map(self._checkable, self._names()) if each is not None}
                limited = [each for each in usable.values() if MAIL not in each.capabilities]
                self._self_check = SelfCheckService(
                    list(usable.values()), self.registry, self.self_checks, gate=self._gate(limited), clock=self.clock
                )
            return self._self_check

    def _names(self) -> list[tuple[str, str]]:
        """Each provider once, with the first capability it serves."""
        first: dict[str, str] = {}
        for capability, names in self.config.chains.items():
            for name in names:
                first.setdefault(name, capability)
        return list(first.items())

    def _checkable(self, where: tuple[str, str]) -> tuple[str, Any]:
        name, capability = where
        try:
            return name, self._provider(name, capability)
        except ConfigInvalid as error:
            if self.config.providers[name].get("kind") in PROVIDERS:
                self._refused[name] = error.message
            return name, None

    def _provider(self, name: str, capability: str) -> Any:
        """One for all chains it stands in: its connections and what it knows are shared."""
        provider_class = _adapter(self.config, name)
        block = self.config.providers[name]
        if capability.partition(".")[0] not in provider_class.capabilities:
            raise ConfigInvalid(
                f"{self.config.where(f'chains.{capability}')}: chains.{capability} names {name}, which cannot do that.",
                hint=f"A provider of kind {block['kind']} serves {', '.join(sorted(provider_class.capabilities))}.",
            )
        if name not in self._providers:
            settings = provider_settings(self.config, name)
            more = {"tokens": self.sign_ins.keeper(name, settings.oauth)} if name in self.sign_ins.names else {}
            secret = secret_source(name, block)
            self._providers[name] = provider_class(name, settings, secret=secret, clock=self.clock, **more)
        return self._providers[name]

    def token_keeper(self, name: str) -> TokenKeeper:
        """Who has the access tokens of ``name``. Raises ``NotFound`` where there is no ``oauth``, ``ConfigInvalid``."""
        if name not in self.sign_ins.names:
            known = ", ".join(self.sign_ins.names) or "none"
            raise NotFound(f"There is no provider {shown(name)} with an oauth.", hint=f"There are: {known}.")
        with self._building:
            return self.sign_ins.keeper(name, provider_settings(self.config, name).oauth)

    def _gate(self, providers: Sequence[Any]) -> LimitGate:
        return LimitGate(self._shared.limits, {each.name: allowance_of(each) for each in providers}, clock=self.clock)

    # --- telling ------------------------------------------------------------------------------------------------------

    def health(self, unknown: UnknownSends | None = None, *, trouble: AicmoError | None = None) -> HealthReport:
        """What is known of every configured provider, without asking any of them.

        ``unknown`` is what the ledger says, ``trouble`` why it says nothing.
        """
        chains = {
            capability: [(name, str(self.config.providers[name].get("kind", ""))) for name in names]
            for capability, names in self.config.chains.items()
        }
        states, checks = self.registry.states(), self.self_checks.known()
        uses, uncounted = self._uses()
        reasons = [trouble.message if trouble else "", self.registry.degraded, self.self_checks.degraded, uncounted]
        first = trouble or self._shared.trouble
        beside = Beside(
            checks=checks,
            budgets=self._budgets(uses),
            lowered=self._lowered(uses),
            tokens=self.sign_ins.standings(),
            refused=self._refused,
            changes=self.registry.events(CHANGES_TOLD),
            unknown=unknown,
            offline=self.registry.offline,
            degraded=next((reason for reason in reasons if reason), ""),
            degraded_action=first.hint if first else "",
            stale_after_s=self.config.health.stale_after_seconds,
        )
        return health_report(chains, states, self.clock.now(), beside)

    async def estimate(
        self, capability: str, records: int, cost: Callable[[Any, int], Mapping[str, int]]
    ) -> ChainEstimate:
        """What ``records`` records through the chain of ``capability`` would cost at most; nobody is asked or paid.

        ``cost`` is the one that ``ProviderChain.ask_each`` is given: of a provider and a batch of so many, the most
        that it can cost. Raises ``ConfigInvalid`` for a chain that cannot be built, ``StoreError``.
        """
        from aicmo.gateways.estimate import estimate

        chain = self.chain(capability)
        told = {name: check.quota_left for name, check in self.self_checks.known().items()}
        return await estimate(chain, records, cost, self._gate(chain.providers).budgets, told)

    def _uses(self) -> tuple[Mapping[tuple[str, str], LimitUse], str]:
        """What is used of each provider's limits, and why that cannot be told."""
        if not any({"limits", "monthly_credits"} & set(block) for block in self.config.providers.values()):
            return {}, ""
        try:
            return {(use.provider, use.name): use for use in self._shared.limits.load_all()}, ""
        except AicmoError as error:
            return {}, f"Budgets cannot be read: {error.message}"

    def _budgets(self, uses: Mapping[tuple[str, str], LimitUse]) -> Mapping[str, tuple[Estimate, ...]]:
        """What is used of each provider's budget this month."""
        limited = {
            name: credits
            for name, block in self.config.providers.items()
            if isinstance(credits := block.get("monthly_credits"), int) and not isinstance(credits, bool)
        }
        key = f"credits {self.clock.now():%Y-%m}"  # see LimitUse.name
        return {
            name: (Estimate("credits", 0, used(uses.get((name, key), LimitUse(name, key))), most),)
            for name, most in limited.items()
        }

    def _lowered(self, uses: Mapping[tuple[str, str], LimitUse]) -> Mapping[str, tuple[LoweredRate, ...]]:
        """Which of each provider's rates it has lowered itself."""
        now_ms, lowered = milliseconds(self.clock.now()), dict[str, tuple[LoweredRate, ...]]()
        for (name, span), use in uses.items():
            limits, told = self.config.providers.get(name, {}).get("limits"), told_limit(use, now_ms)
            configured = limits.get(span) if isinstance(limits, dict) and span in SPANS_S else None
            if told is not None and isinstance(configured, int) and told < configured:
                rate = LoweredRate(span, told, configured, moment(use.lowered_until_ms))
                lowered[name] = (*lowered.get(name, ()), rate)
        return lowered

    # --- closing ------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close the store. Enough when no provider was called; else use ``aclose``. Closing twice is harmless."""
        if self._opened is not None:
            self._opened.opened.close()

    async def part(self) -> None:
        """Give up checks under way, write the last of what was learned, and part from the servers. The store stays."""
        if self._opened is not None:
            await self._opened.registry.close()
        for provider in self._providers.values():
            await provider.close()
        await self.sign_ins.close()

    async def aclose(self) -> None:
        """Part from everybody and close the store."""
        await self.part()
        self.close()


def provider_settings(config: Config, name: str) -> Any:
    """The block ``[providers.NAME]``, validated by its provider's ``Settings``. Raises ``ConfigInvalid``."""
    model, prefix = _adapter(config, name).Settings, f"providers.{name}."
    try:
        return model.model_validate(config.providers[name])
    except ValidationError as error:
        key = prefix + ".".join(str(part) for part in error.errors()[0]["loc"])
        raise config_error(error, model, where=config.where(key), prefix=prefix) from None


def secret_source(name: str, block: dict[str, Any]) -> SecretSource:
    """Where the secret of the provider ``name`` lies, by its block of the configuration."""
    literal: SecretStr | None = block.get("password") or block.get("api_key")
    return SecretSource(
        name,
        env=block.get("password_env") or block.get("api_key_env"),
        command=block.get("password_cmd") or block.get("api_key_cmd"),
        literal=literal.get_secret_value() if literal else None,
    )


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
