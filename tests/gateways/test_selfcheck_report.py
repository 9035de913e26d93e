"""What the report says of what is stored: states, who serves since when, and one action for every cause."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fakes import ManualClock

from aicmo.check_state import SelfCheck
from aicmo.errors import InvalidInput
from aicmo.gateways import Applied, Attempt, Outcome
from aicmo.gateways.limits import Estimate
from aicmo.gateways.prometheus import HELP, exposition, write_textfile
from aicmo.gateways.recommendations import ADVICE, recommend
from aicmo.gateways.refused_input import sampled
from aicmo.gateways.status import Beside, Cost, HealthReport, LoweredRate, UnknownSends, health_report
from aicmo.gateways.watching import watch
from aicmo.provider_state import BLOCKED, COOLING, DISABLED, FORCED, PROBING, ProviderState
from aicmo.token_state import TokenStanding

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SOON = NOW + timedelta(seconds=40)
JUST = NOW - timedelta(seconds=5)


def told(
    *states: ProviderState, chain: str = "email_sending", kinds: str = "smtp", beside: Beside | None = None
) -> HealthReport:
    chains = {chain: [(state.name, kinds) for state in states]}
    called = {state.name: state for state in states if state.last_ok_at or state.open_reason}
    return health_report(chains, called, NOW, beside or Beside())


def well(name: str = "a", **more: object) -> ProviderState:
    return ProviderState(name, last_ok_at=JUST, **more)  # type: ignore[arg-type]


def closed(name: str, state: str, reason: str, **more: object) -> ProviderState:
    until = more.pop("open_until", SOON)
    return ProviderState(name, state, open_reason=reason, open_until=until, last_error_at=JUST, **more)  # type: ignore[arg-type]


def causes(report: HealthReport) -> set[str]:
    return {each.cause for each in report.recommendations}


def three_refused() -> str:
    kept = ""
    for number in range(3):
        refused = Attempt("a", Outcome.INPUT, Applied.NO, code="422", detail="Unknown field name: Titel")
        kept = sampled(kept, refused, f"p{number}@example.com", JUST)
    return kept


THREE_REFUSED = three_refused()
CASES = {
    "auth": told(closed("a", BLOCKED, "auth"), well("b")),
    "sign_in": told(
        closed("a", BLOCKED, "auth"), well("b"), beside=Beside(tokens={"a": TokenStanding(trouble="sign_in", why="no")})
    ),
    "oauth_client": told(well(), beside=Beside(tokens={"a": TokenStanding(trouble="oauth_client", why="no")})),
    "quota": told(closed("a", BLOCKED, "quota"), well("b")),
    "reputation": told(closed("a", BLOCKED, "reputation"), well("b")),
    "rate_limited": told(closed("a", COOLING, "rate_limited"), well("b")),
    "transient": told(closed("a", COOLING, "transient"), well("b")),
    "slow": told(closed("a", COOLING, "slow"), well("b")),
    "flapping": told(closed("a", COOLING, "flapping"), well("b")),
    "disabled": told(well("a", override=DISABLED, override_until=SOON), well("b")),
    "forced": told(well("a", override=FORCED, override_until=SOON), well("b")),
    "config": told(well("a"), well("b"), beside=Beside(refused={"a": "host is missing"})),
    "unsupported": told(well("a"), kinds="carrier-pigeon"),
    "quota_low": told(
        well(),
        chain="lead_enrichment",
        beside=Beside(
            checks={"a": SelfCheck("a", JUST, "ok", quota_unit="credits", quota_left=19, quota_limit=100,
                                   quota_told_at=JUST)}
        ),
    ),
    "budget_low": told(well(), beside=Beside(budgets={"a": (Estimate("credits", 0, 450, 500),)})),
    "input": told(well(), beside=Beside(checks={"a": SelfCheck("a", JUST, "input", detail="no such field")})),
    "input_repeated": told(well(inputs=THREE_REFUSED)),
    "rate_told": told(well(), beside=Beside(lowered={"a": (LoweredRate("minute", 20, 50, SOON),)})),
    "unknown": told(well(), beside=Beside(unknown=UnknownSends(3, JUST, 7))),
    "network": told(well(), beside=Beside(offline=True)),
    "store": told(well(), beside=Beside(degraded="health.db is damaged.")),
    "clock": told(ProviderState("a", last_ok_at=NOW + timedelta(hours=1))),
    "stale": told(ProviderState("a", last_ok_at=NOW - timedelta(hours=2)), beside=Beside(stale_after_s=3600)),
    "no provider": health_report({"email_sending": []}, {}, NOW),
    "no chain": health_report({}, {}, NOW),
    "single": told(well()),
}  # fmt: skip


@pytest.mark.parametrize("cause", ADVICE)
def test_every_cause_of_the_table_is_met_and_has_one_action(cause: str) -> None:
    (found,) = [each for each in CASES[cause].recommendations if each.cause == cause]
    assert found.severity in ("critical", "warning", "info")
    assert found.action and "{" not in found.action and found.told


@pytest.mark.parametrize(
    ("case", "status"),
    {
        "auth": "warning",
        "sign_in": "warning",
        "oauth_client": "warning",
        "forced": "warning",
        "disabled": "warning",
        "flapping": "warning",
        "config": "warning",
        "unsupported": "unknown",
        "quota_low": "warning",
        "budget_low": "warning",
        "unknown": "ok",
        "network": "critical",
        "store": "unknown",
        "stale": "unknown",
        "no provider": "unknown",
        "no chain": "unknown",
        "single": "ok",
    }.items(),
)
def test_the_status_follows_from_what_is_the_matter(case: str, status: str) -> None:
    assert CASES[case].status == status


def test_sends_unknown_for_more_than_an_hour_are_critical() -> None:
    report = told(well(), beside=Beside(unknown=UnknownSends(1, NOW - timedelta(hours=2), 7)))
    assert report.status == "critical"
    assert "campaign resolve 7" in report.recommendations[0].action


@pytest.mark.parametrize("reason", ["auth", "quota", "reputation", "transient"])
def test_a_chain_that_nobody_serves_is_critical(reason: str) -> None:
    report = told(closed("a", BLOCKED, reason))
    (capability,) = report.capabilities
    assert (report.status, capability.serving) == ("critical", "")


def test_whoever_answers_again_serves_with_a_warning() -> None:
    (capability,) = told(closed("a", PROBING, "transient"), well("b")).capabilities
    assert (capability.status, capability.serving) == ("warning", "a")
    assert capability.providers[0].state == "probing" and capability.providers[0].reason == ""


def test_a_limit_that_has_passed_closes_nobody() -> None:
    report = told(closed("a", COOLING, "rate_limited", open_until=JUST))
    assert report.status == "ok" and report.capabilities[0].providers[0].state == "ok"


def test_it_is_told_since_when_the_second_serves() -> None:
    gone_at = NOW - timedelta(minutes=9)
    report = told(closed("a", COOLING, "transient", closed_at=gone_at), well("b"))
    assert report.capabilities[0].since == gone_at
    back_at = NOW - timedelta(minutes=3)
    assert told(well("a", back_at=back_at), well("b")).capabilities[0].since == back_at


def test_it_is_told_since_when_another_serves_because_a_person_said_so() -> None:
    at = NOW - timedelta(minutes=3)
    disabled = told(well("a", override=DISABLED, override_at=at, override_until=SOON), well("b")).capabilities[0]
    assert (disabled.serving, disabled.since, disabled.providers[0].since) == ("b", at, at)
    gone = closed("a", BLOCKED, "auth", closed_at=NOW - timedelta(hours=1))
    forced = told(replace(gone, override=FORCED, override_at=at, override_until=SOON), well("b")).capabilities[0]
    assert (forced.serving, forced.since) == ("a", at)


def test_a_word_that_has_expired_gives_the_work_back_at_its_end() -> None:
    ended = NOW - timedelta(minutes=2)
    word = well("a", override=DISABLED, override_at=ended - timedelta(hours=1), override_until=ended)
    assert told(word, well("b")).capabilities[0].since == ended


def test_it_is_told_what_the_last_trouble_cost() -> None:
    (provider, _) = told(well("a", elsewhere=214, wasted=1), well("b")).capabilities[0].providers
    assert provider.cost == Cost(214, 1, 0)
    assert told(well("a")).capabilities[0].providers[0].cost is None


def test_times_in_advice_are_said_as_the_reader_thinks_of_them() -> None:
    (advice, *_) = CASES["transient"].recommendations
    assert "tried again at 2026-11-22 12:00 UTC." in advice.action
    assert "tried again at noon." in advice.action_at(lambda until: "noon" if until == SOON else "")
    assert "tried again by itself." in recommend("transient", provider="a").action
    assert "before it ends" in recommend("forced", provider="a").action


def test_one_that_does_badly_is_shown_so_until_it_does_well() -> None:
    def word(score: float, *, poor: bool) -> str:
        # With the prior's ten at 0.95, so many successes of twenty give that score.
        state = well(observations=20.0, successes=score * 30 - 9.5, poor=poor, updated_at=NOW)
        return told(state).capabilities[0].providers[0].state

    assert [word(score, poor=False) for score in (0.79, 0.81, 0.89, 0.91)] == ["slow", "ok", "ok", "ok"]
    assert [word(score, poor=True) for score in (0.79, 0.81, 0.89, 0.91)] == ["slow", "slow", "slow", "ok"]


def test_who_was_only_ever_checked_is_no_longer_without_data() -> None:
    checked = told(ProviderState("a"), beside=Beside(checks={"a": SelfCheck("a", JUST, "ok", recent=(12,))}))
    (provider,) = checked.capabilities[0].providers
    assert (provider.state, provider.score, provider.latency_ms) == ("ok", None, 12.0)
    assert told(ProviderState("a")).capabilities[0].providers[0].state == "no data"


def test_an_action_of_an_error_stands_in_for_the_tables() -> None:
    assert recommend("store", action="Move it away.").action == "Move it away."


# --- watching ---------------------------------------------------------------------------------------------------------


async def test_a_watch_tells_the_first_sight_every_change_and_a_heartbeat_each_thirty_seconds() -> None:
    clock = ManualClock()
    reports = [told(well())] * 20 + [told(closed("a", COOLING, "transient"), well("b"))] * 20
    looks = iter(reports)
    events = []
    async for sighting in watch(lambda: next(looks), 2.0, clock=clock):
        events.append(sighting.event)
        if len(events) == len(reports):
            break
    assert [(place, event) for place, event in enumerate(events) if event] == [
        (0, "first"),
        (15, "heartbeat"),
        (20, "change"),
        (35, "heartbeat"),
    ]


async def test_a_score_that_wavers_is_no_change() -> None:
    looks = iter([told(well(observations=5.0, successes=4.9)), told(well(observations=6.0, successes=5.9))])
    seen = [sighting.event async for sighting in _two(looks)]
    assert seen == ["first", ""]


async def _two(looks):  # type: ignore[no-untyped-def]
    count = 0
    async for sighting in watch(lambda: next(looks), 1.0, clock=ManualClock()):
        yield sighting
        count += 1
        if count == 2:
            return


# --- the textfile -----------------------------------------------------------------------------------------------------


def samples(text: str) -> dict[str, float]:
    return {
        key: float(value) for key, _, value in (line.rpartition(" ") for line in text.splitlines()) if key[0] != "#"
    }


def test_the_textfile_says_what_the_report_says() -> None:
    found = samples(exposition(CASES["transient"], NOW))
    assert found["aicmo_health_status"] == 1
    assert found['aicmo_chain_available{chain="email_sending"}'] == 1
    assert found['aicmo_provider_serving{chain="email_sending",provider="b"}'] == 1
    assert found['aicmo_provider_state{chain="email_sending",provider="a",state="cooling"}'] == 1
    assert found['aicmo_provider_state{chain="email_sending",provider="a",state="ok"}'] == 0
    assert found['aicmo_provider_open_until_timestamp_seconds{provider="a"}'] == SOON.timestamp()
    assert found["aicmo_health_last_run_timestamp_seconds"] == NOW.timestamp()
    low = samples(exposition(CASES["quota_low"], NOW))
    assert low['aicmo_provider_quota_remaining{provider="a",unit="credits"}'] == 19
    assert samples(exposition(CASES["store"], NOW))["aicmo_store_degraded"] == 1


@pytest.mark.parametrize("case", CASES)
def test_every_report_makes_a_well_formed_textfile(case: str) -> None:
    import re

    text = exposition(CASES[case], NOW)
    assert text.endswith("\n")
    for line in text.splitlines():
        name = re.fullmatch(r'(?:# (?:HELP|TYPE) )?([a-z_]+)(?:\{(?:[a-z]+="[^"]*",?)+\})?(?: .+)', line)
        assert name and name[1] in HELP, line


def test_a_name_cannot_break_out_of_its_label() -> None:
    report = told(well('x"} 1\naicmo_fake{a="\\'))
    assert "\naicmo_fake" not in exposition(report, NOW)


def test_the_textfile_is_replaced_in_one_step_and_leaves_nothing_behind(tmp_path: Path) -> None:
    file = tmp_path / "aicmo.prom"
    write_textfile(file, "a 1\n")
    reader = file.open()
    write_textfile(file, "b 2\n")
    assert (reader.read(), file.read_text()) == ("a 1\n", "b 2\n")
    reader.close()
    assert [each.name for each in tmp_path.iterdir()] == ["aicmo.prom"]
    assert file.stat().st_mode & 0o777 == 0o644


def test_a_textfile_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"no/such/x\.prom"):
        write_textfile(tmp_path / "no/such/x.prom", "")
