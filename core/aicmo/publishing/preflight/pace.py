"""How long it will take, and when it would begin: what the limits let through, what the calendar says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from aicmo.publishing.moments import told_day, told_moment
from aicmo.publishing.preflight.report import Look, Problem, problem
from aicmo.publishing.sending.allowance import SPANS_S, Account, allowance

GMAIL = ("gmail.com", "googlemail.com")
BULK_A_DAY = 5_000
"""From so many messages a day to private Gmail accounts on, Google wants One-Click (RFC 8058), for ever after. Yahoo
asks for the same. Source: https://support.google.com/a/answer/14229414"""
NIGHT = range(7, 21)
"""The hours that are none."""
RUNS_EVERY = timedelta(hours=25)
"""Whoever runs ``aicmo run`` by a scheduler does so once a day at the least."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be sent, and what may be."""

    count: int
    """Messages."""
    accounts: Sequence[Account]
    domains: Sequence[tuple[str, int]]
    """Receiving domains with how many of them: at least Gmail's, and those that have a cap."""
    caps: Mapping[str, Mapping[str, int]]
    """Receiving domain (``*``: each other one) -> window -> how many may leave in it."""
    now: datetime
    at: datetime | None = None
    """When it is to begin; ``None``: now."""
    open_s: float = 86_400
    """Seconds of a day that are for sending."""
    chosen_hours: bool = False
    """Whether the campaign keeps to hours of its own."""
    zone: tzinfo = UTC
    ran_at: datetime | None = None
    """When a scheduler last ran ``aicmo run``; ``None``: never."""


def pace_problems(plan: Plan, *, one_click: bool) -> tuple[list[Problem], list[Look]]:
    problems = []
    reckoned = allowance(plan.accounts, plan.count, open_s=plan.open_s)
    slowest = max(
        ((found, domain) for domain, people in plan.domains if (found := _cap_days(plan, domain, people))), default=None
    )
    days, said = reckoned.days, ""
    if slowest and days is not None and slowest[0][0] > days:
        (days, most), domain = slowest
        said = f"At {most:,} a day to {domain} this takes {days} days"
    elif days is None:
        problems.append(
            problem(
                "takes_days",
                f"{plan.count:,} messages take longer than can be reckoned at what your servers may send.",
                "Raise limits or finish the warm-up, or choose a smaller audience.",
            )
        )
    elif days > 1:
        most, whole = max(reckoned.per_day), reckoned.per_day[:-1]
        said = f"At {'up to ' if min(whole) < most else ''}{most:,} a day this takes {days} days"
    if said and days is not None:
        last = (plan.at or plan.now) + timedelta(days=days - 1)
        hint = (
            "Those who come last read it that late. Choose a smaller audience, or another limit in the configuration."
        )
        problems.append(problem("takes_days", f"{said}, until {told_day(last, plan.now, plan.zone)}.", hint))
    gmail = sum(people for domain, people in plan.domains if domain in GMAIL)
    a_day = min([gmail, *([max(reckoned.per_day, default=0)] if reckoned.days != 1 else [])])
    if a_day > BULK_A_DAY and not one_click:
        problems.append(
            problem(
                "needs_one_click",
                f"{a_day:,} a day to Gmail is more than {BULK_A_DAY:,}, which makes you a bulk sender: Google then "
                "wants a One-Click way out over https.",
                "Set unsubscribe_url under [links], or send fewer a day.",
            )
        )
    return problems, [Look("pace", _told(plan, days))] if plan.count else []


def _cap_days(plan: Plan, domain: str, people: int) -> tuple[int, int] | None:
    """(days, messages a day) that a cap of the receiving domain makes of it."""
    caps = plan.caps.get(domain) or plan.caps.get("*") or {}
    most = min((int(cap * max(1.0, plan.open_s / SPANS_S[window])) for window, cap in caps.items()), default=None)
    return (-(-people // most), most) if most else None


def _told(plan: Plan, days: int | None) -> str:
    if days != 1:
        return f"{days:,} days" if days else "unknown"
    rates = [
        min((most / SPANS_S[span] for span, most in each.limits_now.items() if span != "day"), default=0.0)
        for each in plan.accounts
    ]
    if not rates or not all(rates):
        return "no limit in the way"
    seconds = plan.count / sum(rates)
    return f"about {seconds / 60:,.0f} min" if seconds < 7200 else f"about {seconds / 3600:,.0f} h"


def schedule_problems(plan: Plan, *, slow: bool) -> tuple[list[Problem], list[Look]]:
    """``slow``: it goes on for days, so that somebody has to be there to send it."""
    problems = []
    local = plan.at.astimezone(plan.zone) if plan.at else None
    if plan.at is not None and local is not None:
        if plan.at <= plan.now:
            text = f"{told_moment(plan.at, plan.now, plan.zone)} has passed."
            problems.append(problem("past_start", text, "Choose a time to come, or start it now."))
        if not plan.chosen_hours and local.hour not in NIGHT:
            text = f"It begins at {local:%H:%M}, when most people sleep."
            problems.append(problem("at_night", text, "Choose an hour of the day, or give the campaign hours."))
        if not plan.chosen_hours and local.weekday() >= 5:
            text = f"It begins on a {local:%A}."
            problems.append(
                problem("at_weekend", text, "Business mail is read on weekdays. Holidays are not known here.")
            )
    if (plan.at is not None or slow) and (plan.ran_at is None or plan.now - plan.ran_at > RUNS_EVERY):
        seen = (
            f"was last seen on {told_moment(plan.ran_at, plan.now, plan.zone)}"
            if plan.ran_at
            else "was never seen here"
        )
        text = f"Nothing sends it while the app is closed: aicmo run {seen}."
        hint = "Let cron or a timer run it every few minutes (docs/sending.md), or keep the app open until it is done."
        problems.append(problem("nobody_runs", text, hint))
    return problems, [Look("schedule", told_moment(plan.at, plan.now, plan.zone))] if plan.at is not None else []
