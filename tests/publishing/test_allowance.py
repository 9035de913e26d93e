"""How long a campaign takes with what its accounts may send."""

from __future__ import annotations

import pytest

from aicmo.gateways.settings import warm_up_caps
from aicmo.gateways.smtp_settings import SmtpSettings
from aicmo.publishing.sending.allowance import Account, Allowance, allowance

RECKONED = [
    # accounts, messages, seconds a day for sending; today, days, per day
    ([Account("a", {"day": 500})], 1200, 86_400, (500, 3, (500, 500, 200))),
    ([Account("a", {"day": 500}, used=100)], 1200, 86_400, (400, 3, (400, 500, 300))),
    ([Account("a", {"day": 500}, used=700)], 100, 86_400, (0, 2, (0, 100))),
    ([Account("a", {"day": 500}), Account("b", {"day": 200})], 1400, 86_400, (700, 2, (700, 700))),
    ([Account("a", {"day": 500}), Account("b")], 10_000, 86_400, (None, 1, (10_000,))),
    ([Account("a", {"hour": 10})], 100, 8 * 3600, (80, 2, (80, 20))),
    ([Account("a", {"day": 100}, (10, 20), stage=1)], 200, 86_400, (20, 3, (20, 100, 80))),
    ([Account("a", {}, (10, 20))], 500, 86_400, (10, 3, (10, 20, 470))),
    ([Account("a", {"day": 15}, (10, 20))], 40, 86_400, (10, 3, (10, 15, 15))),
    ([Account("a", {"day": 500})], 0, 86_400, (500, 1, ())),
    ([], 5, 86_400, (0, None, (0,) * 400)),
]


@pytest.mark.parametrize(("accounts", "count", "open_s", "answer"), RECKONED)
def test_the_arithmetic(
    accounts: list[Account], count: int, open_s: float, answer: tuple[int | None, int | None, tuple[int, ...]]
) -> None:
    assert allowance(accounts, count, open_s=open_s) == Allowance(*answer)


def test_what_an_account_may_send_today_is_the_smaller_of_its_limit_and_its_warm_up() -> None:
    assert Account("a", {"second": 1, "day": 100}, (10, 200)).limits_now == {"second": 1, "day": 10}
    assert Account("a", {"second": 1, "day": 100}, (10, 200), stage=1).limits_now == {"second": 1, "day": 100}
    assert Account("a", {"day": 100}, (10, 200), stage=2).limits_now == {"day": 100}


def test_a_warm_up_grows_until_the_days_limit() -> None:
    settings = SmtpSettings(host="x", warm_up={"start": 50, "growth": 2}, limits={"day": 500})  # type: ignore[arg-type]
    assert warm_up_caps(settings.warm_up, settings.limits) == (50, 100, 200, 400)
    listed = SmtpSettings(host="x", warm_up=[5, 10])  # type: ignore[arg-type]
    assert warm_up_caps(listed.warm_up, listed.limits) == (5, 10)


@pytest.mark.parametrize(
    "warm_up",
    [{"start": 50}, {"start": 0, "growth": 2}, {"growth": 1.0}, [], [0], [5, -1], "fast"],
)
def test_a_warm_up_without_an_end_or_a_beginning_is_refused(warm_up: object) -> None:
    with pytest.raises(ValueError):
        SmtpSettings(host="x", warm_up=warm_up)  # type: ignore[arg-type]
