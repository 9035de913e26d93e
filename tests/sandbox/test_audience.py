"""Who does what with a message: rates, and the draw."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, fields, replace

import pytest
from binomial import interval

from aicmo.errors import InvalidInput
from aicmo.sandbox.audience.rates import MACHINES, AudienceRates, intentions, parse_rates

MESSAGES = 5000
TALKATIVE = AudienceRates(
    hard_bounce=0.05,
    soft_bounce=0.05,
    open=0.6,
    click=0.3,
    unsubscribe=0.1,
    unsubscribe_in_words=0.1,
    complaint=0.1,
    reply=0.2,
    auto_reply=0.3,
    proxy_open=0.5,
    scan=0.3,
)
SILENT = AudienceRates(**dict.fromkeys(asdict(AudienceRates()), 0.0))


def meant(rates: AudienceRates, seed: int = 1) -> list[list[str]]:
    """What each of many people means to do with one message."""
    return [
        [each.kind for each in intentions(rates, seed, f"p{number}@corp.example", f"<{number}@example.com>")]
        for number in range(MESSAGES)
    ]


@pytest.mark.parametrize("rates", [AudienceRates(), TALKATIVE], ids=["default", "talkative"])
def test_what_is_meant_keeps_the_true_rates(rates: AudienceRates) -> None:
    counts = Counter(kind for kinds in meant(rates) for kind in kinds)

    for kind, rate in asdict(rates).items():
        least, most = interval(MESSAGES, rate)
        assert least <= counts[kind] <= most, kind


def test_a_bounce_is_alone_and_who_acts_has_opened() -> None:
    for kinds in meant(TALKATIVE):
        assert len(kinds) == len(set(kinds))
        assert not {"hard_bounce", "soft_bounce"} & set(kinds) or len(kinds) == 1
        answers = {"reply", "complaint", "unsubscribe", "unsubscribe_in_words"} & set(kinds)
        assert len(answers) <= 1
        if answers or "click" in kinds:
            assert kinds.index("open") < min(kinds.index(kind) for kind in answers | {"click"} & set(kinds))


def test_the_draw_is_the_same_for_the_same_seed_only() -> None:
    assert meant(TALKATIVE) == meant(TALKATIVE) != meant(TALKATIVE, seed=2)


def test_a_dead_address_a_proxy_and_a_scanner_stay_what_they_are() -> None:
    for number in range(200):
        lasting = [
            {"hard_bounce", "proxy_open", "scan"}
            & {each.kind for each in intentions(TALKATIVE, 1, f"p{number}@corp.example", f"<{mail}@x>")}
            for mail in range(20)
        ]
        assert len({frozenset(kinds) for kinds in lasting if kinds}) <= 1, "a soft bounce is all that may differ"


def test_nobody_does_anything_at_rates_of_nothing_and_everybody_at_one() -> None:
    assert not any(meant(SILENT))
    assert all(kinds == ["hard_bounce"] for kinds in meant(replace(SILENT, hard_bounce=1.0)))
    assert all(kinds == ["open", "reply"] for kinds in meant(replace(SILENT, open=1.0, reply=1.0)))


def test_each_kind_has_delays_and_only_machines_come_within_seconds() -> None:
    delays: dict[str, list[float]] = {each.name: [] for each in fields(AudienceRates)}
    for number in range(2000):
        for each in intentions(TALKATIVE, 1, f"p{number}@corp.example", "<1@example.com>"):
            delays[each.kind].append(each.delay_s)

    medians = {kind: sorted(found)[len(found) // 2] for kind, found in delays.items()}
    assert max(medians[kind] for kind in MACHINES - {"soft_bounce"}) < 120 < medians["open"] < medians["reply"]
    assert max(delays["scan"]) < 30
    assert all(0 < delay <= 7 * 24 * 3600 for found in delays.values() for delay in found)


@pytest.mark.parametrize(
    "wrong",
    [
        {"open": 1.1},
        {"open": -0.1},
        {"open": "0.5"},
        {"open": True},
        {"open": None},
        {"hard_bounce": 0.6, "soft_bounce": 0.6},
        {"hard_bounce": 0.9, "proxy_open": 0.2},
        {"click": 0.3, "open": 0.2},
        {"reply": 0.2, "complaint": 0.2, "open": 0.3},
        {"tea": 0.1},
        [],
    ],
)
def test_rates_that_cannot_hold_are_refused(wrong: object) -> None:
    with pytest.raises(InvalidInput):
        parse_rates(wrong)


def test_rates_that_are_not_given_are_at_their_defaults() -> None:
    assert parse_rates({"reply": 0.02}) == replace(AudienceRates(), reply=0.02)
