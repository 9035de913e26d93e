"""The scenarios that need time more than a network: B1-B3, B5, B7, B8, B11 and B12, in virtual time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from statistics import fmean
from typing import Any

from aicmo.gateways import Applied, Attempt, Outcome, ProviderChain
from aicmo.gateways.notices import notices
from bench.failover_peers import guard_of, with_fallback
from bench.failover_world import (
    BEGIN,
    FAST_S,
    HEALTHY_S,
    BadInput,
    Figure,
    Fleet,
    Ours,
    Serve,
    Service,
    elapsed_s,
    first_after,
    outage,
    over_seeds,
    steadily,
    virtually,
)

OURS = "aicmo"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table."""

    scenario: str
    figure: str
    ours: str
    peers: dict[str, str]
    target: str = ""
    reached: bool | None = None
    """``None`` where there is no target, or it cannot be judged yet."""
    seeds: str = ""


Figures = dict[str, float]
Scenario = Callable[[str, int], Coroutine[Any, Any, Figures]]
"""Contender and seed -> its figures by name."""


def compare(
    name: str, scenario: Scenario, contenders: Sequence[str], seeds: range, targets: dict[str, tuple[str, float]]
) -> list[Line]:
    """Run every contender over all seeds; a target (sign, value) is reached when the whole interval is on its side."""
    figures: dict[str, dict[str, Figure]] = {}
    for contender in contenders:
        runs = [virtually(scenario(contender, seed)) for seed in seeds]
        figures[contender] = {figure: over_seeds([run[figure] for run in runs]) for figure in runs[0]}
    lines = []
    for figure, ours in figures[OURS].items():
        sign, target = targets.get(figure, ("", 0.0))
        reached = {"": None, "<=": ours.high <= target, ">=": ours.low >= target}[sign]
        peers = {name: str(theirs[figure]) for name, theirs in figures.items() if name != OURS and figure in theirs}
        shown = f"{sign} {target:g}" if sign else ""
        lines.append(Line(name, figure, str(ours), peers, shown, reached, f"{seeds[0]}-{seeds[-1]}"))
    return lines


def contender(name: str, services: list[Service], fleet: Fleet) -> Serve:
    """One process of the contender, reading."""
    if name != OURS:
        return with_fallback(guard_of(name), services)
    chain = fleet.process()

    async def serve() -> str:
        answer = await chain.ask(Ours.read)
        if answer.value is None:
            raise LookupError(answer.final.detail)
        return answer.value

    return serve


# --- B1, B2, B11: one process, steady calls ---------------------------------------------------------------------------


async def _steady(name: str, seed: int, *, every_s: float, start_s: float, lasts_s: float, after_s: float) -> Figures:
    chance = random.Random(seed)
    start_s += chance.random() * every_s
    end_s = start_s + lasts_s
    services = [Service("first", outage(start_s, end_s)), Service("second")]
    fleet = Fleet(services, seed)
    seen = await steadily(contender(name, services, fleet), every_s, end_s + after_s, first_s=chance.random() * every_s)
    await fleet.end()
    return {
        "wasted calls": services[0].wasted,
        "time to failover, s": first_after(
            seen, start_s, lambda it: it.by == "second" and it.answered_s - it.asked_s <= FAST_S
        ),
        "time to recover, s": first_after(seen, end_s, lambda it: it.by == "first"),
        "served, %": 100 * fmean(it.by != "" for it in seen),
    }


async def steady_outage(name: str, seed: int) -> Figures:
    return await _steady(name, seed, every_s=1, start_s=60, lasts_s=600, after_s=240)


async def low_volume(name: str, seed: int) -> Figures:
    return await _steady(name, seed, every_s=10, start_s=600, lasts_s=1800, after_s=600)


async def flapping(name: str, seed: int) -> Figures:
    services = [
        Service("first", lambda now: "hang" if now < 1260 and (now - 60) % 60 < 30 and now >= 60 else ""),
        Service("second"),
    ]
    fleet = Fleet(services, seed)
    first_s = random.Random(seed).random()
    seen = await steadily(contender(name, services, fleet), 1, 1260, first_s=first_s)
    told = {}
    if name == OURS:
        registry, _ = fleet.opened[0]
        told = {"notices": float(len(notices(reversed(registry.events()), BEGIN + timedelta(seconds=elapsed_s()))))}
    await fleet.end()
    return {"wasted calls": services[0].wasted, "served, %": 100 * fmean(it.by != "" for it in seen), **told}


# --- B3: a new process every five minutes -----------------------------------------------------------------------------


async def cron(name: str, seed: int) -> Figures:
    every_s, sick_runs, calls, at_once = 300.0, 12, 20, 4
    start_s, end_s = 2 * every_s - 10, (2 + sick_runs) * every_s - 10
    services = [Service("first", outage(start_s, end_s)), Service("second")]
    fleet = Fleet(services, seed)
    batches: list[float] = []
    recovered = float("inf")
    for run in range(2 + sick_runs + 3):
        await asyncio.sleep(run * every_s - elapsed_s())
        serve, started, by = contender(name, services, fleet), elapsed_s(), []
        left = iter(range(calls))

        async def work(left: Any = left, serve: Serve = serve, by: list[str] = by) -> None:
            for _ in left:
                by.append(await serve())

        await asyncio.gather(*(work() for _ in range(at_once)))
        if 2 <= run < 2 + sick_runs:
            batches.append(elapsed_s() - started)
        elif run >= 2 + sick_runs and by[-1] == "first":
            recovered = min(recovered, run - (2 + sick_runs))
        await fleet.end(last=False)
    await fleet.end()
    return {
        "wasted calls": services[0].wasted,
        "batch time from run 2 on, s": fmean(batches[1:]),
        "runs until the first serves again": recovered,
    }


# --- B5: our own bad input --------------------------------------------------------------------------------------------


async def bad_input(name: str, seed: int) -> Figures:
    services = [Service("first", outage(0, 30, "input")), Service("second")]
    fleet = Fleet(services, seed)
    if name == OURS:
        chain = fleet.process()
        for _ in range(30):
            assert (await chain.ask(Ours.read)).final.outcome is Outcome.INPUT
        await asyncio.sleep(60)
        good = [(await chain.ask(Ours.read)).value for _ in range(10)]
        registry, _ = fleet.opened[0]
        await registry.flush()
        state = registry.states()["first"]
        health = 1 - state.successes / state.observations
        opened = len(registry.events())
        await fleet.end()
        return {
            "failovers": len(services[1].asked),
            "health lost": health,
            "good calls refused": good.count("second"),
        } | {"breaker opened": float(opened)}
    guard = guard_of(name)
    for _ in range(30):
        try:
            await guard(services[0].work)
        except Exception:  # our own bad input, or the breaker it opened: both are expected here
            continue
    services[0].fault = lambda _: ""
    refused = 0
    for _ in range(10):
        try:
            await guard(services[0].work)
        except BadInput:
            raise
        except Exception:  # the breaker refuses, each peer by an error of its own
            refused += 1
    await fleet.end()
    return {"good calls refused": refused}


# --- B7, B8: limits, quotas and keys ----------------------------------------------------------------------------------


async def too_fast(name: str, seed: int) -> Figures:
    """Five calls a second from two processes; at 10 s the first service says: not before 40 s."""
    start_s, until_s = 10.0, 40.0
    services = [Service("first", outage(start_s, until_s, f"429:{until_s}")), Service("second")]
    fleet = Fleet(services, seed)
    chance = random.Random(seed)
    serving = [steadily(contender(name, services, fleet), 0.4, 60, first_s=chance.random() * 0.4) for _ in range(2)]
    await asyncio.gather(*serving)
    await fleet.end()
    said_s = next(it for it in services[0].asked if it >= start_s) + 0.05
    in_window = [it for it in services[0].asked if said_s < it < until_s]
    first = next((it for it in services[0].asked if it >= until_s), float("inf"))
    return {"calls in the forbidden time": len(in_window), "first call after it, s": first - until_s}


async def _closed_for_hours(kind: Outcome, seed: int, hours: float) -> tuple[int, float]:
    """A hundred rounds of three processes, five minutes apart; the service refuses for so many hours."""
    fleet = Fleet([Service("first"), Service("second")], seed)
    end_s, wasted, back_s = hours * 3600, 0, float("inf")

    async def op(provider: Ours) -> Any:
        nonlocal wasted, back_s
        sick = elapsed_s() < end_s and provider.name == "first" and provider.key == "key"
        wasted += sick
        if provider.name == "first" and not sick:
            back_s = min(back_s, elapsed_s() - end_s)
        until = BEGIN + timedelta(seconds=end_s) if kind is Outcome.QUOTA else None
        outcome, applied = (kind, Applied.NO) if sick else (Outcome.OK, Applied.YES)
        await asyncio.sleep(HEALTHY_S)
        return Attempt(provider.name, outcome, applied, "reply", "403" if sick else "200", retry_at=until)

    for run in range(100):
        await asyncio.sleep(run * 300 - elapsed_s())
        for _ in range(3):
            chain: ProviderChain[Ours] = fleet.process()
            if kind is Outcome.AUTH and elapsed_s() >= end_s:
                chain.providers[0].key = "another key"
            for _ in range(3):
                await chain.call(op, side_effect=True)
        await fleet.end(last=False)
    await fleet.end()
    return wasted, back_s


def _hours(seed: int) -> float:
    return round((6 + random.Random(seed).random()) * 12) / 12  # it ends as a round begins


async def spent_quota(name: str, seed: int) -> Figures:
    wasted, back_s = await _closed_for_hours(Outcome.QUOTA, seed, _hours(seed))
    return {"quota: wasted calls": wasted, "quota: delay after the reset, s": back_s}


async def refused_key(name: str, seed: int) -> Figures:
    wasted, back_s = await _closed_for_hours(Outcome.AUTH, seed, _hours(seed))
    return {
        "key: wasted calls": wasted,
        "key: of these beyond 1 + 1/h": max(wasted - 1 - _hours(seed), 0.0),
        "key: delay after a new one, s": back_s,
    }


# --- B12: anything ----------------------------------------------------------------------------------------------------

KINDS = ("hang", "refuse", "503", "slow", "429", "flap")


def random_trace(chance: random.Random, kind: str, availability: float, until_s: float) -> Callable[[float], str]:
    """Well and not well by turns, with random lengths, so that it is well for about that share of the time."""
    mean_down_s = 20.0 if kind == "flap" else 120.0
    mean_up_s = mean_down_s * availability / (1 - availability)
    edges, moment, up = [0.0], 0.0, chance.random() < availability
    began_up = up
    while moment < until_s:
        moment += chance.expovariate(1 / (mean_up_s if up else mean_down_s))
        edges.append(moment)
        up = not up
    spans = [(start, end) for place, (start, end) in enumerate(pairwise(edges)) if (place % 2 == 0) != began_up]

    def fault(now: float) -> str:
        for start, end in spans:
            if start <= now < end:
                return f"429:{end}" if kind == "429" else "refuse" if kind == "flap" else kind
        return ""

    return fault


async def random_traces(name: str, seed: int) -> Figures:
    chance = random.Random(seed)
    until_s, every_s = 1800.0, 5.0
    kind = KINDS[seed % len(KINDS)]
    services = [
        Service(f"service {n}", random_trace(chance, kind, chance.uniform(0.9, 0.999), until_s + 60))
        for n in range(chance.choice([2, 3]))
    ]
    fleet = Fleet(services, seed, shared=False)
    seen = await steadily(contender(name, services, fleet), every_s, until_s)
    possible = [it for it in seen if any(not service.fault(it.asked_s) for service in services)]
    served = sum(it.by != "" for it in seen)
    fast = sum(it.by != "" and it.answered_s - it.asked_s <= FAST_S for it in seen)
    await fleet.end()
    return {
        "served, % of what was possible": 100 * served / max(len(possible), 1),
        "served within 1 s, %": 100 * fast / len(seen),
    }


async def random_sends(name: str, seed: int) -> Figures:
    """Side effects under faults, lost answers among them: each piece of work happens once, or is parked as unknown."""
    chance = random.Random(seed)
    until_s, every_s = 900.0, 5.0
    services = []
    for number in range(2):
        down = random_trace(chance, chance.choice(KINDS), chance.uniform(0.9, 0.99), until_s + 4000)
        lost = {round(chance.uniform(0, until_s)) // 5 for _ in range(8)}
        services.append(Service(f"service {number}", lambda t, d=down, x=lost: d(t) or ("lost" if t // 5 in x else "")))  # type: ignore[misc]
    fleet = Fleet(services, seed, shared=False)
    chain = fleet.process()
    parked, sent, work = set(), set(), 0

    async def send(number: int) -> None:
        for _ in range(200):
            result = await chain.call(lambda provider: provider.write(number), side_effect=True)
            if result.final.applied is Applied.UNKNOWN:
                parked.add(number)
                return
            if result.final.outcome is Outcome.OK:
                sent.add(number)
                return
            await asyncio.sleep(30)

    tasks = []
    while elapsed_s() < until_s:
        tasks.append(asyncio.create_task(send(work)))
        work += 1
        await asyncio.sleep(every_s)
    await asyncio.gather(*tasks)
    done = [number for service in services for number in service.done]
    await fleet.end()
    exactly_once = sum(
        done.count(number) == 1 or (number in parked and done.count(number) <= 1) for number in range(work)
    )
    honest = all(number in done for number in sent)
    return {"done once, or parked, %": 100 * exactly_once / work * honest, "parked": len(parked)}


def all_virtual(contenders: Sequence[str], *, short: bool) -> list[Line]:
    few, many, traces = (range(2), range(2), range(6)) if short else (range(20), range(100), range(1200))
    hours = range(1) if short else range(10)
    everybody, peers_traces = [OURS, *contenders], range(6) if short else range(120)
    lines = compare(
        "B1 outage, 1/s",
        steady_outage,
        everybody,
        few,
        {
            "wasted calls": ("<=", 25),
            "time to failover, s": ("<=", 16.5),
            "time to recover, s": ("<=", 60),
            "served, %": (">=", 100),
        },
    )
    lines += compare(
        "B2 outage, 0.1/s", low_volume, everybody, few, {"wasted calls": ("<=", 30), "time to failover, s": ("<=", 60)}
    )
    lines += compare(
        "B3 cron runs",
        cron,
        everybody,
        few,
        {
            "wasted calls": ("<=", 15),
            "batch time from run 2 on, s": ("<=", 2),
            "runs until the first serves again": ("<=", 1),
        },
    )
    lines += compare(
        "B5 our bad input",
        bad_input,
        everybody,
        few,
        {
            "failovers": ("<=", 0),
            "health lost": ("<=", 0),
            "good calls refused": ("<=", 0),
            "breaker opened": ("<=", 0),
        },
    )
    lines += compare(
        "B7 429 for 30 s",
        too_fast,
        everybody,
        few,
        {"calls in the forbidden time": ("<=", 1), "first call after it, s": ("<=", 1)},
    )
    quota = {"quota: wasted calls": ("<=", 1.0), "quota: delay after the reset, s": ("<=", 0.0)}
    lines += compare("B8 spent quota", spent_quota, [OURS], hours, quota)
    key = {"key: of these beyond 1 + 1/h": ("<=", 0.0), "key: delay after a new one, s": ("<=", 0.0)}
    lines += compare("B8 refused key", refused_key, [OURS], hours, key)
    lines += compare(
        "B11 flapping 30/30 s", flapping, everybody, few, {"wasted calls": ("<=", 100), "notices": ("<=", 2)}
    )
    lines += compare("B12 random faults", random_traces, everybody, peers_traces, {})
    served = {"served, % of what was possible": (">=", 99.0)}
    lines += compare("B12 random faults, more", random_traces, [OURS], traces, served)
    lines += compare("B12 random sends", random_sends, [OURS], many, {"done once, or parked, %": (">=", 100)})
    return lines
