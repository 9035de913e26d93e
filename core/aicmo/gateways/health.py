"""Which provider may be called now, and what is learned from calling it.

The registry reads the shared state before every call (a few microseconds) and decides by it; what a call teaches goes
back through ``breaker``'s steps, so all processes go by the same. It must never make a call fail, nor let two callers
carry one probe.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from aicmo.clock import SYSTEM_CLOCK, Clock
from aicmo.errors import AicmoError
from aicmo.gateways import breaker, refused_input, set_back
from aicmo.gateways.admission import Admission, closed, no_network
from aicmo.gateways.attempt import Applied, Attempt, Outcome
from aicmo.gateways.health_store import HealthStore, SharedStates, this_process
from aicmo.gateways.local_fault import Network, NetworkStore, unreachable
from aicmo.gateways.providers import Provider
from aicmo.provider_state import (
    COOLING,
    DISABLED,
    EVENTS_KEPT,
    FORCED,
    OK,
    PROBING,
    Change,
    ProviderState,
    StateChange,
)

if TYPE_CHECKING:
    from asyncio import Task
    from concurrent.futures import Executor

T = TypeVar("T")
log = logging.getLogger(__name__)

FINGERPRINT_FRESH_S = 60.0
PROBE_POLL_S = 1.0
"""When to look again while another caller's probe is under way: it rarely takes longer."""
CHECK_TIMEOUT_S = 6.0
"""A check that takes longer has failed: a fifth of what a real call may take, and well within the probe's lease."""
GRACE_S = 2.0
"""How long a process that ends waits for a check under way."""
FORCE_EVERY_S = 5.0
"""How often somebody who waits may try a provider that is closed."""
COUNTS_NOT = -1
"""The generation of a call that is counted and decides nothing."""


class HealthRegistry:
    """All providers' health. One per process and store; ``close`` it to write the last second of successes."""

    def __init__(
        self,
        store: HealthStore | None = None,
        *,
        clock: Clock = SYSTEM_CLOCK,
        rng: Callable[[], float] | None = None,
        degraded: str = "",
        writer: Executor | None = None,
        network: NetworkStore | None = None,
        by: str = "",
    ) -> None:
        """``store`` is ``None`` to remember nothing beyond this process; ``degraded`` then says why, for the person.

        ``writer`` runs what is written, one after the other; by default a thread of its own, begun when needed.
        ``network`` is where processes tell each other that this machine is offline. ``by`` is how a person knows this
        process, by default ``aicmo run, pid 4121``.
        """
        if rng is None:
            import random

            rng = random.random
        self.by = by or this_process()
        self._shared = SharedStates(store, clock=clock, degraded=degraded, writer=writer, by=self.by)
        self._clock = clock
        self.rng = rng
        self._open: dict[str, tuple[ProviderState, Admission]] = {}
        """The answer that a state in service gives: the same until something is written."""
        self._fingerprints: dict[str, tuple[str, float]] = {}
        self._forced_at: dict[str, float] = {}
        self._network = Network(network, clock)
        self._suspects: dict[str, tuple[ProviderState, ProviderState]] = {}
        """Who could not be reached lately: its state before, and after."""
        self._owner = f"{os.getpid()}-{os.urandom(4).hex()}"
        self._beside: set[Task[Any]] = set()

    @property
    def degraded(self) -> str:
        """Why state is not shared right now, as a sentence; empty when it is."""
        return self._shared.degraded

    @property
    def offline(self) -> bool:
        """Whether this machine seems to have no network; then nobody outside is called or blamed."""
        return self._network.down

    # --- asking -------------------------------------------------------------------------------------------------------

    async def admit(self, provider: Provider) -> Admission:
        """Whether ``provider`` may be called now. Of all callers over all processes, at most one is given the probe."""
        state = self._shared.get(provider.name)
        if self._network.down and (until := self._network.closed_until(provider)):
            return no_network(state, until)
        if state.state == OK and not state.override:
            known = self._open.get(state.name)
            if known is None or known[0] is not state:
                admission = Admission(state.name, True, state.gen, settled=state.consecutive_failures == 0)
                known = self._open[state.name] = (state, admission)
            admission = known[1]
        else:
            admission = await self._admit_unless_closed(provider, state, take_probe=True)
        if self._network.down and admission.allowed and not await self._network.take_try(provider):
            await self.release(admission)
            return no_network(state, self._network.closed_until(provider) or self._clock.now())
        return admission

    async def look(self, provider: Provider) -> Admission:
        """What ``admit`` would answer, without taking the probe."""
        state = self._shared.get(provider.name)
        if self._network.down and (until := self._network.closed_until(provider)):
            return no_network(state, until)
        return await self._admit_unless_closed(provider, state, take_probe=False)

    async def admit_all_the_same(self, provider: Provider, *, impatient: bool) -> Admission | None:
        """When nobody else of a chain may serve: a call to one that is closed, or ``None``.

        One that is only slow may always be called: slow is better than nobody. For one that fails somebody must be
        waiting (``impatient``), once in five seconds. A limit, a block and a person's word are never overruled.
        """
        state, now_s = self._shared.get(provider.name), self._clock.monotonic()
        if state.state not in (COOLING, PROBING) or state.override or self._network.down:
            return None
        if state.open_reason not in (breaker.SLOW, breaker.FLAPPING, Outcome.TRANSIENT):
            return None
        if state.open_reason != breaker.SLOW:
            if not impatient or now_s < self._forced_at.get(state.name, float("-inf")) + FORCE_EVERY_S:
                return None
            self._forced_at[state.name] = now_s
        return Admission(state.name, True, state.gen, forced=True)

    # --- learning -----------------------------------------------------------------------------------------------------

    async def record(self, provider: Provider, attempt: Attempt, admission: Admission, *, concerning: str = "") -> None:
        """Learn from ``attempt``, made under ``admission``.

        ``concerning`` is whom or what it was about. Of content that was refused a short hash of it is kept, because
        several people tell of our reputation; of our own bad input a shortened form, for a person to find it by.
        """
        if admission.settled and attempt.outcome in breaker.ANSWERED and not self._network.in_doubt:
            self._shared.succeeded(provider.name, attempt.latency_s)
            return
        await self._learn(provider, attempt, admission, concerning=concerning)

    def served_elsewhere(self, name: str, count: int = 1) -> None:
        """Other providers did in its place so many pieces of work that ``name`` should have done."""
        if count:
            self._shared.served_elsewhere(name, count)

    async def release(self, admission: Admission) -> None:
        """The call was not made, or told nothing: the probe, if this was one, is free again."""
        if admission.probe:
            await self._apply(Attempt(admission.provider, Outcome.CANCELLED, Applied.NO), admission)

    async def probe(self, provider: Provider, *, early: bool = False, paid: bool = False) -> Attempt:
        """Ask the provider's own check how it is, under the same lease as every call, and learn from it.

        ``early``: do not wait for the end of cooling, because a person asked. ``paid``: it may cost something.
        ``SKIPPED`` when it has no check, the check costs, it is not due, or somebody else is just asking.
        """
        check = getattr(provider, "check", None)
        cost = getattr(provider, "check_cost", "")
        if check is None or (cost and not paid):
            return _skipped(provider, f"its check costs {cost}" if check else "it has no check that does no work")
        admission = await self._admit_check(provider, early=early)
        if not admission.allowed:
            return _skipped(provider, admission.reason, admission.until)
        return await self.check(provider, admission)

    async def check(self, provider: Provider, admission: Admission) -> Attempt:
        """The provider's own check, made under ``admission`` and recorded; bounded in time."""
        import asyncio

        check: Callable[[], Awaitable[Attempt]] = provider.check  # type: ignore[attr-defined]  # asked for by callers
        scope = asyncio.timeout(CHECK_TIMEOUT_S)
        try:
            try:
                async with scope:
                    attempt = await check()
            except TimeoutError:
                if not scope.expired():
                    raise
                detail = f"its check took longer than {CHECK_TIMEOUT_S:.0f} s"
                attempt = Attempt(provider.name, Outcome.TRANSIENT, Applied.NO, "check", detail=detail)
        except BaseException:  # cancelled as well: nobody may wait for a probe that is over; raised again
            await self.release(admission)
            raise
        await self._learn(provider, attempt, admission, synthetic=True)
        return attempt

    def beside(self, work: Coroutine[Any, Any, T]) -> Task[T]:
        """Run ``work`` while the caller goes on; ``close`` cancels what is not done by then."""
        import asyncio

        task = asyncio.create_task(work, name="aicmo-probe")
        self._beside.add(task)
        task.add_done_callback(self._beside_done)
        return task

    # --- a person's word ----------------------------------------------------------------------------------------------

    async def force(self, name: str, until: datetime) -> ProviderState:
        """Use it whatever its state, until then; its failures are counted and close nothing."""
        return await self._shared.update(name, partial(_override, clock=self._clock, word=FORCED, until=until))

    async def disable(self, name: str, until: datetime) -> ProviderState:
        """Do not use it until then."""
        return await self._shared.update(name, partial(_override, clock=self._clock, word=DISABLED, until=until))

    async def reset(self, name: str) -> ProviderState:
        """Put it back in service with a clean slate, and end an override."""
        self._fingerprints.pop(name, None)
        return await self._shared.update(name, lambda found: breaker.reset(found, self._clock.now()))

    def rehearse(self) -> None:
        """From now on nothing is written, and what is changed is changed for this process alone: for ``--dry-run``."""
        self._shared.rehearse()

    # --- telling ------------------------------------------------------------------------------------------------------

    def states(self) -> Mapping[str, ProviderState]:
        """Every provider of which anything is known, by name."""
        return self._shared.load_all()

    def events(self, limit: int = EVENTS_KEPT) -> Sequence[StateChange]:
        """The last changes of state, newest first."""
        return self._shared.events(limit)

    async def flush(self) -> None:
        """Write the successes not yet written, and return when everything is."""
        await self._shared.flush()

    async def close(self) -> None:
        """Wait a little for probes under way and write what is not yet written. The store belongs to its opener.

        Close it before the providers: a probe may be using one.
        """
        import asyncio

        if self._beside:  # or a provider would never be found well by runs that are shorter than its check
            await asyncio.wait(self._beside, timeout=GRACE_S)
        for task in self._beside:
            task.cancel()
        await asyncio.gather(*self._beside, return_exceptions=True)
        await self._shared.close()

    # --- a provider that is closed ------------------------------------------------------------------------------------

    async def _admit_unless_closed(self, provider: Provider, state: ProviderState, *, take_probe: bool) -> Admission:
        """By a person's word, while it stands; else by its state."""
        if state.override:
            now = self._clock.now()
            word = breaker.override_of(state, now)
            if word == FORCED:
                return Admission(state.name, True, COUNTS_NOT)
            if word == DISABLED:
                return closed(state, state.override_until or now, "switched off by hand", DISABLED)
            state = await self._shared.update(state.name, lambda found: breaker.without_override(found, now))
        if state.state == OK:
            return Admission(state.name, True, state.gen, settled=take_probe and state.consecutive_failures == 0)
        return await self._admit_closed(provider, state, take_probe=take_probe)

    async def _admit_check(self, provider: Provider, *, early: bool) -> Admission:
        state = self._shared.get(provider.name)
        if until := self._network.closed_until(provider):
            return no_network(state, until)
        if state.state == OK:
            return Admission(state.name, True, state.gen)
        # A check says nothing about a limit or a reputation; only time does, or a person.
        early = early and state.open_reason in (Outcome.TRANSIENT, Outcome.AUTH, breaker.SLOW, breaker.FLAPPING)
        return await self._admit_closed(provider, state, take_probe=True, early=early)

    async def _admit_closed(
        self, provider: Provider, state: ProviderState, *, take_probe: bool, early: bool = False
    ) -> Admission:
        now, mine = self._clock.now(), f"{self._owner}-{os.urandom(4).hex()}"
        if set_back.is_ahead(state, now):
            state = await self._shared.update(state.name, partial(set_back.as_of, now=now))
        until = None if early else breaker.closed_until(state, now)
        fingerprint = await self._fingerprint(provider) if state.open_reason == Outcome.AUTH else ""
        if fingerprint and fingerprint != state.config_fingerprint:
            step: Change = partial(_unblock, fingerprint=fingerprint, now=now)
        elif until is not None:
            return closed(state, until)
        elif breaker.probe_under_way(state, now):
            return closed(state, now + timedelta(seconds=PROBE_POLL_S))
        elif breaker.needs_probe(state):
            step = partial(breaker.take_probe, now=now, owner=mine, early=early)
        else:
            step = partial(_reopen_due, now=now)
        if not take_probe:
            return Admission(state.name, True, state.gen)
        state = await self._shared.update(state.name, step)
        if state.lease_owner == mine:
            return Admission(state.name, True, state.gen, probe=True, first=state.state != PROBING)
        if state.state == OK:  # by this step, or by that of somebody faster
            return Admission(state.name, True, state.gen)
        return closed(state, breaker.closed_until(state, now) or now + timedelta(seconds=PROBE_POLL_S))

    async def _fingerprint(self, provider: Provider) -> str:
        """The provider's fingerprint, or empty when its credential cannot be found. Asked for at most once a minute."""
        import asyncio

        found, fresh_until = self._fingerprints.get(provider.name, ("", float("-inf")))
        if self._clock.monotonic() >= fresh_until:
            try:
                found = await asyncio.to_thread(provider.fingerprint)
            except AicmoError:
                found = ""
            self._fingerprints[provider.name] = (found, self._clock.monotonic() + FINGERPRINT_FRESH_S)
        return found

    # --- what a call teaches ------------------------------------------------------------------------------------------

    async def _learn(
        self,
        provider: Provider,
        attempt: Attempt,
        admission: Admission,
        *,
        synthetic: bool = False,
        concerning: str = "",
    ) -> None:
        await self._network.heard(provider, attempt)
        if self._network.down and unreachable(attempt):
            await self.release(admission)
            await self._forgive()
            return
        if admission.settled and attempt.outcome in breaker.BLAMELESS and not self._tells(attempt):
            return
        if admission.forced and attempt.outcome not in breaker.ANSWERED:
            admission = Admission(admission.provider, True, COUNTS_NOT)
        seen: list[ProviderState] = []
        after = await self._apply(
            attempt,
            admission,
            seen=seen,
            fingerprint=await self._fingerprint(provider) if attempt.outcome is Outcome.AUTH else "",
            cap_s=breaker.COOLING_CAP_S if has_free_check(provider) else breaker.COSTLY_COOLING_CAP_S,
            synthetic=synthetic,
            concerning=concerning,
        )
        if not self._network.in_doubt:
            self._suspects.clear()
        elif unreachable(attempt) and seen:
            before, _ = self._suspects.get(provider.name, (seen[0], after))
            self._suspects[provider.name] = before, after

    def _tells(self, attempt: Attempt) -> bool:
        """Whether a failure that is nobody's fault is to be remembered all the same."""
        if attempt.outcome is Outcome.INPUT:
            return refused_input.worth_writing(self._shared.get(attempt.provider).inputs, self._clock.now())
        return attempt.outcome is Outcome.CONTENT

    async def _forgive(self) -> None:
        """Take back what was booked on others before it was clear that our own network is gone."""
        suspects, self._suspects = self._suspects, {}
        for name, (before, after) in suspects.items():
            step = partial(breaker.forgive, now=self._clock.now(), before=before, after=after)
            await self._shared.update(name, step)

    async def _apply(
        self,
        attempt: Attempt,
        admission: Admission,
        *,
        seen: list[ProviderState] | None = None,
        fingerprint: str = "",
        cap_s: float = breaker.COOLING_CAP_S,
        synthetic: bool = False,
        concerning: str = "",
    ) -> ProviderState:
        now = self._clock.now()

        def step(found: ProviderState) -> breaker.Step:
            if seen is not None:
                seen.append(found)
            return breaker.after(
                found,
                attempt,
                gen=admission.gen,
                now=now,
                rng=self.rng,
                fingerprint=fingerprint,
                cap_s=cap_s,
                synthetic=synthetic,
                concerning=_hashed(concerning) if attempt.outcome is Outcome.CONTENT else "",
                record=concerning,
            )

        return await self._shared.update(admission.provider, step)

    def _beside_done(self, task: Task[Any]) -> None:
        self._beside.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("A probe failed in itself: %s", type(error).__name__)


def has_free_check(provider: Provider) -> bool:
    """Whether the provider can be asked how it is without cost and without doing any work."""
    return hasattr(provider, "check") and not getattr(provider, "check_cost", "")


def _skipped(provider: Provider, why: str, until: datetime | None = None) -> Attempt:
    return Attempt(provider.name, Outcome.SKIPPED, Applied.NO, "check", detail=why[:300], retry_at=until)


def _hashed(whom: str) -> str:
    """Eight hex digits: enough to tell three people apart, too few to find anybody."""
    from hashlib import blake2b

    return blake2b(whom.strip().lower().encode(), digest_size=4).hexdigest() if whom else ""


def _override(found: ProviderState, clock: Clock, word: str, until: datetime) -> breaker.Step:
    return breaker.override(found, clock.now(), word, until)


def _unblock(found: ProviderState, fingerprint: str, now: datetime) -> breaker.Step:
    if found.open_reason != Outcome.AUTH or found.config_fingerprint == fingerprint:
        return found, None
    return breaker.reopen(found, now, "its credential or address was changed")


def _reopen_due(found: ProviderState, now: datetime) -> breaker.Step:
    if breaker.closed_until(found, now) or breaker.needs_probe(found):
        return found, None
    return breaker.reopen(found, now, "its limit has passed")
