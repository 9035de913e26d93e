"""``EnrichmentPipeline``: who is asked, what it would cost, and the run; then what was said, for a person to choose."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from aicmo.clock import SYSTEM_CLOCK, Clock
from aicmo.crm.enrichment.asking import CREDITS, Desk
from aicmo.crm.enrichment.facts import Conflict, conflicts
from aicmo.crm.enrichment.plan import EMAIL_VERIFICATION, Plan, Wish, make_plan
from aicmo.crm.enrichment.result import EnrichmentResult, Progress
from aicmo.crm.enrichment.run import Run
from aicmo.crm.repository import CRMRepository, Who
from aicmo.crm.segments import select
from aicmo.errors import StoreLocked
from aicmo.gateways.attempt import Outcome
from aicmo.gateways.chain import ProviderChain
from aicmo.gateways.estimate import ChainEstimate, ProviderEstimate
from aicmo.store import Database, contacts, lookups
from aicmo.store.file_lock import file_lock
from aicmo.store.lookups import Fact, Verdict

Estimating = Callable[[str, int, Callable[[Any, int], Mapping[str, int]]], Awaitable[ChainEstimate]]
AILING_PATIENCE_S = 20.0
"""So long a provider in trouble is waited for: once through its first pause (15 s), not through the longer second."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What the configuration says of enrichment."""

    reenrich_after_days: int = 90
    reverify_after_days: int = 90
    batches_at_once: int = 16
    """On their way to each provider: also the most that a kill leaves unknown there."""

    def days(self, capability: str) -> int:
        return self.reverify_after_days if capability == EMAIL_VERIFICATION else self.reenrich_after_days


@dataclass(frozen=True, slots=True)
class Quote:
    """What a run would do at the most, before anybody is asked."""

    plan: Plan
    providers: tuple[ProviderEstimate, ...]
    """In the order they are asked, each for as many people as it may be asked about."""
    max_credits: int | None

    @property
    def credits(self) -> int:
        """The most that all of them together can cost."""
        most = sum(cost.cost for each in self.providers for cost in each.costs if cost.unit == CREDITS)
        return most if self.max_credits is None else min(most, self.max_credits)


class EnrichmentPipeline:
    """Asks providers about people; ``Wish`` says how. One run at a time over all processes."""

    def __init__(
        self,
        db: Database,
        crm: CRMRepository,
        chain: Callable[[str], ProviderChain[Any]],
        estimate: Estimating,
        rules: Rules | None = None,
        *,
        clock: Clock = SYSTEM_CLOCK,
        patience_s: float = AILING_PATIENCE_S,
    ) -> None:
        """``chain`` and ``estimate`` are those of ``Services``. ``patience_s`` is for a provider in trouble."""
        self._db, self._crm, self._chain, self._estimate = db, crm, chain, estimate
        self._rules = rules or Rules()
        self._clock, self._patience_s = clock, patience_s
        self._running: Run | None = None

    # --- before -------------------------------------------------------------------------------------------------------

    def plan(self, who: Who, wish: Wish) -> Plan:
        """Who would be asked about, by whom, and who would not. Blocks. Raises ``QueryInvalid``, ``NotFound``."""
        ids, now = self._crm.select(who), self._clock.now()
        names = [provider.name for provider in self._chain(wish.capability).providers]
        days = self._rules.days(wish.capability)
        return self._db.read(lambda db: make_plan(db, wish, ids, names, days=days, now=now))

    async def quote(self, who: Who, wish: Wish) -> Quote:
        """What it would cost at most; nobody is asked. Raises what ``plan`` does, ``ConfigInvalid``, ``StoreError``."""
        import asyncio

        plan = await asyncio.to_thread(self.plan, who, wish)

        def cost(provider: Any, people: int) -> Mapping[str, int]:
            return Desk(provider, wish.capability).cost(people)

        told = []
        for place, name in enumerate(plan.providers):
            told.append((await self._estimate(wish.capability, plan.at_most(name), cost)).providers[place])
        return Quote(plan, tuple(told), wish.max_credits)

    # --- the run ------------------------------------------------------------------------------------------------------

    async def run(
        self, who: Who, wish: Wish | None = None, *, progress: Callable[[Progress], None] = lambda _: None
    ) -> EnrichmentResult:
        """Fetch what earlier runs paid for, then ask about whom ``who`` selects.

        Raises ``StoreLocked`` while another run goes on, and what ``quote`` raises. A kill loses nothing but what was
        on its way: it is unknown, or fetched by the next run.
        """
        wish = wish or Wish()
        chain = self._chain(wish.capability)
        with file_lock(self._db.path.with_name("enrichment.lock")) as mine:
            if not mine:
                raise StoreLocked(
                    "Another run is asking providers about people.", hint="Wait until it has ended, then look again."
                )
            run = self._running = Run(
                self._db,
                chain,
                wish,
                days=self._rules.days(wish.capability),
                at_once=self._rules.batches_at_once,
                patience_s=self._patience_s,
                clock=self._clock,
                progress=progress,
            )
            try:
                if not chain.providers:
                    return await self._skipped(who, wish)
                await run.recover()
                quote = await self.quote(who, wish)
                await run.ask(quote.plan, {each.provider: await self._left(chain, each) for each in quote.providers})
                return await run.sum_up()
            finally:
                self._running = None

    async def stop(self) -> None:
        """Take no further batch; ``run`` returns when those on their way have their outcome. Nothing, without a run."""
        if self._running is not None:
            await self._running.lanes.stop()

    async def _skipped(self, who: Who, wish: Wish) -> EnrichmentResult:
        quote = await self.quote(who, wish)
        result = EnrichmentResult("skipped", f"{wish.capability}: no provider is configured", quote.plan.selected)
        result.skipped = dict(quote.plan.skipped)
        result.counts["remaining"] = quote.plan.selected - sum(quote.plan.skipped.values())
        return result

    async def _left(self, chain: ProviderChain[Any], told: ProviderEstimate) -> int | None:
        """The credits of one provider that may still be spent: by its own word, asked for now, and by our budget."""
        provider = next(each for each in chain.providers if each.name == told.provider)
        left = [
            max(cost.limit - cost.used, 0) for cost in told.costs if cost.unit == CREDITS and cost.limit is not None
        ]
        if told.costs and told.calls and hasattr(provider, "quota"):
            answer = await chain.ask(lambda it: it.quota(), only=provider.name)
            if answer.final.outcome is Outcome.OK and answer.value is not None and answer.value.left is not None:
                left.append(answer.value.left)
        return min(left, default=None)

    # --- after --------------------------------------------------------------------------------------------------------

    def facts(self, contact_id: int) -> tuple[Fact, ...]:
        """Everything that providers said of one person, with whose word it is and when."""
        return tuple(self._db.read(lambda db: lookups.facts_of(db, [contact_id])))

    def verdict(self, contact_id: int) -> Verdict | None:
        """The last word on their address; ``None`` when nobody said any."""
        return self._db.read(lambda db: lookups.verdicts(db, [contact_id])).get(contact_id)

    def conflicts(self, query: str = "") -> Iterator[Conflict]:
        """Fields of which a provider says something else than what stands there, streamed, until a person chooses."""
        now = self._clock.now()
        ids = self._db.read(lambda db: lookups.people_with_facts(db, select(db, query, now=now)))
        for part in lookups.chunks(ids):
            yield from self._conflicts_of(part)

    def _conflicts_of(self, ids: Iterable[int]) -> list[Conflict]:
        entries, facts = self._db.read(lambda db: (contacts.by_id(db, ids), lookups.facts_of(db, ids)))
        by_person: dict[int, list[Fact]] = {}
        for fact in facts:
            by_person.setdefault(fact.contact_id, []).append(fact)
        return [each for number, said in by_person.items() for each in conflicts(number, entries[number], said)]
