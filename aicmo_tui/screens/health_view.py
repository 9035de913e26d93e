"""What the health screen says of a provider: the cells of its row, all that is known of it, and the log of changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from aicmo.check_state import SelfCheck
from aicmo.gateways.recommendations import Recommendation
from aicmo.gateways.status import SERVING, CapabilityHealth, ProviderHealth, ToldQuota
from aicmo.provider_state import StateChange
from aicmo.text import one_line
from aicmo.token_state import TokenStanding
from aicmo_tui.present import (
    ACCENT,
    BAD,
    GOOD,
    MUTED,
    TITLE,
    WARN,
    Content,
    ago,
    clock_time,
    countdown,
    day_and_time,
    exact_time,
    line,
    lines,
    number,
    sparkline,
    state,
    value,
)
from aicmo_tui.widgets.columns import Column
from aicmo_tui.widgets.facts import Fact

TREND_CELLS = 6
EDIT, RESET = ("e", " opens it"), ("r", " resets it")
KEYS = {
    "auth": EDIT,
    "config": EDIT,
    "sign_in": EDIT,
    "oauth_client": EDIT,
    "unsupported": EDIT,
    "rate_limited": EDIT,
    "budget_low": EDIT,
    "input": EDIT,
    "single": EDIT,
    "reputation": RESET,
}
"""Cause of a recommendation -> the key that does it here."""


@dataclass(frozen=True, slots=True)
class Used:
    """What was used of an allowance that ends anew by itself."""

    used: int
    limit: int
    unit: str
    """Of what: ``credits``; empty for calls."""
    within: str
    """``today``, ``this hour``, ``this month``."""

    @property
    def low(self) -> bool:
        return self.used * 5 >= self.limit * 4


@dataclass(frozen=True, slots=True)
class Row:
    """One provider in one chain, as of ``now``."""

    chain: CapabilityHealth
    provider: ProviderHealth
    error_class: str
    """Of its last error; empty when there was none."""
    advice: Recommendation | None
    """The most urgent that concerns it."""
    used: Sequence[Used]
    now: datetime

    @property
    def key(self) -> tuple[str, str]:
        return self.chain.capability, self.provider.name

    @property
    def name(self) -> str:
        return self.provider.name

    @property
    def capability(self) -> str:
        """As a person says it: ``email sending``."""
        return self.chain.capability.replace("_", " ").replace(".", " ")

    @property
    def first(self) -> bool:
        """It is the first choice of its chain."""
        return self.provider is self.chain.providers[0]

    @property
    def serves(self) -> bool:
        return self.provider.name == self.chain.serving

    @property
    def spare(self) -> str:
        """Who serves, or would serve, the capability without it; empty: nobody."""
        others = (each for each in self.chain.providers if each.name != self.name and each.state in SERVING)
        return next((each.name for each in others), "")

    @property
    def reason(self) -> str:
        """Why it is closed, where the state does not say so already: ``rate limited``."""
        reason = self.provider.reason
        return "" if reason == self.provider.state else reason.replace("_", " ")

    @property
    def until(self) -> datetime | None:
        """When it is tried again, or a person's word about it ends."""
        return self.provider.override_until or self.provider.next_probe_at

    @property
    def left(self) -> str:
        """Until then; empty when there is nothing to wait for."""
        return countdown((self.until - self.now).total_seconds()) if self.until else ""


# --- the row ----------------------------------------------------------------------------------------------------------


def capability_cell(row: Row) -> Content:
    return line((row.capability if row.first else "", "" if row.chain.serving else BAD))


def serves_cell(row: Row) -> Content:
    if not row.chain.serving:
        return line(("✕ nobody" if row.first else "", BAD))
    if not row.serves:
        return line("")
    since = f" {ago(row.chain.since, row.now)}" if row.chain.since else ""
    return line((f"◂{since}", GOOD if row.first else WARN))


def state_cell(row: Row) -> Content:
    why = f" · {row.reason}" if row.reason else ""
    return line(state(row.provider.state), f" {row.left}" if row.left else "", (why, MUTED))


def score_cell(row: Row) -> Content:
    provider = row.provider
    if provider.score is None:
        return line(("-", MUTED))
    return line(f"{provider.score:.2f}", (f" ({provider.observations:.0f})", MUTED))


def trend_cell(row: Row) -> Content:
    """The course of its last calls; a dot is one that failed."""
    return sparkline(row.provider.recent_ms, TREND_CELLS)


def latency_cell(row: Row) -> Content:
    latency_ms = row.provider.latency_ms
    return line(("-", MUTED)) if latency_ms is None else line(f"{number(round(latency_ms))} ms")


def budget_cell(row: Row) -> Content:
    """What is nearest to its end: what the provider says is left, else what we count."""
    told, counted = row.provider.quota, budgets(row)
    if told:
        return quota(told)
    return budget(counted[0], counted[0].unit or counted[0].within) if counted else line("")


COLUMNS = [
    Column("Capability", 18, capability_cell),
    Column("Provider", 12, lambda row: value(row.name, TITLE if row.serves else "")),
    Column("Serves", 8, serves_cell),
    Column("State", 24, state_cell, grow=1),
    Column("Score (n)", 9, score_cell, right=True),
    Column("Latency", 8, latency_cell, right=True, priority=1),
    Column("", TREND_CELLS, trend_cell, right=True, priority=3),
    Column("Budget", 18, budget_cell, right=True, priority=2),
]


def last_check(rows: Sequence[Row]) -> Content:
    """When anybody was last asked how it is, by whatever process."""
    checks = [row.provider.check.checked_at for row in rows if row.provider.check and row.provider.check.checked_at]
    return line((f"checked {ago(max(checks), rows[0].now)} ago" if checks else "nobody was checked yet", MUTED))


# --- the one under the cursor -----------------------------------------------------------------------------------------


def about(row: Row, *, editable: bool) -> list[Fact]:
    """Everything known of the provider, and the one thing to do first."""
    provider = row.provider
    facts = [(line(""), state_line(row))]
    if row.advice and not provider.override_until:  # a person's word says itself how it ends
        action = value(advised(row.advice, row.now), TITLE)
        facts.append((line(("do", WARN)), line(action, _hint(row.advice, editable))))
        facts += [(_label("such as"), value(sample)) for sample in row.advice.samples]
    facts.append((_label("serves"), serving_line(row)))
    if provider.last_error_at:
        kind = (row.error_class.replace("_", " "), WARN)
        said = line(f"{_when(provider.last_error_at, row.now)} ", kind, " ", value(provider.last_error))
        facts.append((_label("last error"), said))
    if provider.cost:
        facts.append((_label("cost so far" if provider.closed_at else "it cost"), line(provider.cost.told)))
    good = provider.last_success_at
    told = f"{_when(good, row.now)}, {ago(good, row.now)} ago" if good else "nothing went through it yet"
    facts.append((_label("last good"), line(told)))
    if provider.score is not None:
        spread_ms = provider.latency_spread_ms
        about_so = f" ± {number(round(spread_ms))}" if spread_ms else ""
        well = line(score_cell(row), " went well, in ", latency_cell(row), f"{about_so} on average ", trend_cell(row))
        facts.append((_label("lately"), well))
    if provider.quota:
        facts.append((_label("quota"), line(quota(provider.quota), (told_when(provider.quota, row.now), MUTED))))
    facts += [(_label("budget"), budget(each, each.unit, each.within)) for each in budgets(row)]
    if provider.token:
        facts.append((_label("token"), token(provider.token, row.now)))
    for rate in provider.lowered:
        said = line((number(rate.allowed), WARN), f" a {rate.span} of {number(rate.configured)} set, as it said itself")
        facts.append((_label("its limit"), said))
    if provider.check and provider.check.checked_at:
        facts.append((_label("checked"), checked(provider.check, row.now)))
    return facts


def state_line(row: Row) -> Content:
    """The state with its times: since when, and when it is tried again or the person's word ends."""
    provider = row.provider
    if provider.override_until:
        since = f" · since {_when(provider.since, row.now)}" if provider.since else ""
        ends = f" by hand until {_when(provider.override_until, row.now)}, {row.left} left; r ends it"
        return line(state(provider.state), ends, since)
    since = f" since {_when(provider.since, row.now)}" if provider.since else ""
    why = f" ({row.reason})" if row.reason else ""
    again = f" · tried again {_when(row.until, row.now)}, in {row.left}" if row.until else ""
    return line(state(provider.state), since, why, again)


def serving_line(row: Row) -> Content:
    since = f" since {_when(row.chain.since, row.now)}" if row.chain.since else ""
    if not row.chain.serving:
        return line(("✕ ", BAD), f"nobody serves {row.capability}")
    if not row.serves:
        return line(f"{row.capability} is served by ", value(row.chain.serving), since)
    spare = line(" · then ", value(row.spare)) if row.spare else line(" · nobody else does")
    if row.first:
        return line(("◂ ", GOOD), f"{row.capability}{since}", spare)
    return line(("◂ ", WARN), f"{row.capability}, in place of the first choice{since}", spare)


def budgets(row: Row) -> list[Used]:
    """What we count against limits of our own; throttles first, then the month's."""
    monthly = [Used(it.used, it.limit, it.unit, "this month") for it in row.provider.budgets if it.limit is not None]
    return [*row.used, *monthly]


def budget(each: Used, *said: str) -> Content:
    used = (number(each.used), WARN if each.low else "")
    return line(used, " ".join([f" of {number(each.limit)}", *(word for word in said if word)]))


def quota(told: ToldQuota) -> Content:
    """What the provider said was left."""
    if told.quota.left is None:
        return line(("-", MUTED))
    left = line((number(told.quota.left), WARN if told.low else ""))
    return line(left, f" {told.quota.unit} left")


def told_when(told: ToldQuota, now: datetime) -> str:
    of = f" of {number(told.quota.limit)}" if told.quota.limit is not None else ""
    renewed = f", renewed {day_and_time(told.quota.resets_at)}" if told.quota.resets_at else ""
    return f"{of}{renewed}, as it said {ago(told.told_at, now)} ago"


def token(standing: TokenStanding, now: datetime) -> Content:
    """How long the OAuth access token holds, and what keeps it from being renewed."""
    left_s = standing.expires_in_s(now)
    ends = "none yet" if left_s is None else f"expires in {countdown(left_s)}"
    why = line(" · ", value(standing.why, BAD if standing.needs_person else WARN)) if standing.why else line("")
    return line(ends, why)


def checked(check: SelfCheck, now: datetime) -> Content:
    well = check.outcome == "ok"
    found = line(("well", GOOD)) if well else line((check.outcome.replace("_", " "), WARN), " ", value(check.detail))
    return line(f"{ago(check.checked_at, now)} ago: ", found)


# --- what happened ----------------------------------------------------------------------------------------------------


def change_line(change: StateChange, now: datetime) -> Content:
    when = (f"{_when(change.at, now)} ", MUTED)
    return line(when, value(change.name, TITLE), " → ", state(change.after), "  ", value(change.why))


def log(changes: Sequence[StateChange], general: Sequence[Recommendation], now: datetime, ours: str) -> Content:
    """The newest first; above it what concerns no single provider. Of changes in a row that one process saw, unless it
    is ``ours``, the newest says so."""
    rows = [line(("▲ ", WARN), value(each.told, WARN), " ", value(advised(each, now))) for each in general]
    seen_by = ours
    for change in changes:
        rows.append(change_line(change, now))
        news, seen_by = change.by != seen_by, change.by
        if news and change.by not in ("", ours):
            rows.append(line((" " * 9, MUTED), (f"seen by: {one_line(change.by)}", MUTED)))
    return lines(rows or [line(("No provider has changed its state.", MUTED))])


CHANGE_COLUMNS = [
    Column("When", 16, lambda change: line(f"{change.at.astimezone():%d %b} ", exact_time(change.at))),
    Column("Provider", 12, lambda change: value(change.name, TITLE), grow=1),
    Column("Before", 10, lambda change: state(change.before), priority=1),
    Column("After", 10, lambda change: state(change.after)),
    Column("Why", 20, lambda change: value(change.why), grow=4),
    Column("Seen by", 21, lambda change: value(change.by, MUTED), priority=2),
]


def advised(advice: Recommendation, now: datetime) -> str:
    """The one thing to do, with its time as a clock here shows it."""
    return advice.action_at(lambda until: _when_and_left(until, now))


def _when_and_left(moment: datetime, now: datetime) -> str:
    """``14:52:00 (in 47:00)``."""
    return f"{_when(moment, now)} (in {countdown((moment - now).total_seconds())})"


def _when(moment: datetime, now: datetime) -> str:
    """The time of day; with the date when that is another one."""
    same_day = moment.astimezone().date() == now.astimezone().date()
    return exact_time(moment) if same_day else f"{moment.astimezone():%d %b} {clock_time(moment)}"


def _hint(advice: Recommendation, editable: bool) -> Content:
    key, does = KEYS.get(advice.cause, ("", ""))
    return line("  ", (key, f"{ACCENT} bold"), (does, MUTED)) if key and (editable or key != "e") else line("")


def _label(text: str) -> Content:
    return line((text, MUTED))
