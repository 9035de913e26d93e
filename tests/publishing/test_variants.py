"""A/B: who gets which is drawn fairly and for good, and a winner is named only when somebody has won."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from aicmo.errors import ApprovalNeeded, IllegalTransition, InvalidInput, NotFound
from aicmo.proportions import holm, z_test, z_test_holds
from aicmo.publishing import Draft, State
from aicmo.publishing.sequences.editing import Add
from aicmo.publishing.variants import LETTERS, bands, judge
from aicmo.store import suppressions
from aicmo.store.functions import lots
from aicmo.store.messages import Message
from aicmo.store.suppressions import SuppressionReason
from aicmo.store.variants import Figures, Trial

from .sequence_world import DAY, IN_A_DAY, NOON, SECRET, World, a_world


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with a_world(tmp_path) as world:
        yield world


def a_test(world: World, people: int = 200, *, goal: str = "clicks", **other: object) -> int:
    """Running: A and B, tried on two fifths of so many people, decided after a day."""
    world.people(*(f"p{number}" for number in range(people)))
    campaign = world.campaign()
    world.variants.add(campaign, subject="Another subject")
    told = {"sample_percent": 40, "holdout_percent": 10, "wait_minutes": IN_A_DAY, "least": 20, **other}
    world.variants.set_test(Trial(campaign, goal, **told))  # type: ignore[arg-type]
    return world.start(campaign)


def variants_of(world: World, campaign: int) -> dict[str, str]:
    rows = world.db.read(
        lambda db: db.execute("SELECT address, variant FROM delivery WHERE campaign_id = ?", (campaign,)).fetchall()
    )
    return {row["address"].partition("@")[0]: row["variant"] for row in rows}


def click(world: World, campaign: int, variant: str, count: int, *, human: bool = True, kind: str = "clicked") -> None:
    those = [name for name, got in variants_of(world, campaign).items() if got == variant][:count]
    assert len(those) == count
    for name in those:
        for _ in range(2):  # once more is not one more
            world.event(name, kind, human=human, campaign=campaign)


# --- the draw --------------------------------------------------------------------------------------------------------


def test_lots_are_spread_evenly() -> None:
    """Chi-square over 20 bins of 20,000 lots: 43.8 would come by chance once in a thousand (19 degrees of freedom)."""
    lot = lots(SECRET, 7)
    counted = Counter(int(lot(f"p{number}@acme.example") * 20) for number in range(20_000))
    assert set(counted) == set(range(20))
    assert sum((count - 1000) ** 2 / 1000 for count in counted.values()) < 43.8


def test_a_lot_hangs_on_nothing_but_the_campaign_and_the_address() -> None:
    one, other = (
        [lot(f"p{number}@acme.example") < 0.5 for number in range(20_000)] for lot in (lots(SECRET, 1), lots(SECRET, 2))
    )
    both = sum(a and b for a, b in zip(one, other, strict=True))
    assert abs(both - 5000) < 250, "half of one half: four standard deviations"
    assert lots(bytes(32), 1)("p1@acme.example") != lots(SECRET, 1)("p1@acme.example")


def test_who_gets_what_is_the_same_however_and_whenever_it_is_drawn(tmp_path: Path) -> None:
    drawn = []
    for folder, names in (("one", ["ann", "bob", "cy", "di"]), ("two", ["di", "cy", "bob", "ann"])):
        with a_world(tmp_path / folder) as world:
            world.people(*names)
            campaign = world.campaign()
            world.variants.add(campaign, subject="Another")
            drawn.append(variants_of(world, world.start(campaign)))
    assert drawn[0] == drawn[1]


def test_without_a_test_all_get_one_of_the_variants_evenly(world: World) -> None:
    world.people(*(f"p{number}" for number in range(300)))
    campaign = world.campaign()
    for subject in ("Second", "Third"):
        world.variants.add(campaign, subject=subject)
    world.start(campaign)
    counted = Counter(variants_of(world, campaign).values())
    assert set(counted) == {"A", "B", "C"} and min(counted.values()) > 70
    assert len(world.send(campaign)) == 300
    said = {each.variant: each.version_id for each in world.claim(campaign)}
    assert said == {}


def test_a_sample_gets_the_variants_the_rest_waits_and_some_get_nothing(world: World) -> None:
    campaign = a_test(world)
    rows = world.db.read(lambda db: db.execute("SELECT variant, state, cause FROM delivery").fetchall())
    counted = Counter(tuple(row) for row in rows)
    assert set(counted) == {
        ("A", "queued", ""),
        ("B", "queued", ""),
        ("", "suppressed", "holdout"),
        ("", "deferred", "winner"),
    }
    assert 60 <= counted["A", "queued", ""] + counted["B", "queued", ""] <= 100
    assert 8 <= counted["", "suppressed", "holdout"] <= 35
    assert world.publishing.counts(campaign).audience == 200


def test_the_suppressed_are_not_drawn(world: World) -> None:
    world.db.write(
        lambda db: [suppressions.add(db, f"p{n}@acme.example", SuppressionReason.MANUAL, "me", NOON) for n in range(9)]
    )
    campaign = a_test(world)
    assert [variants_of(world, campaign)[f"p{number}"] for number in range(9)] == [""] * 9
    assert world.publishing.counts(campaign).suppressed >= 9


@pytest.mark.parametrize("holdout", [0, 10])
@pytest.mark.parametrize("sample", [1, 20, 100])
@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_the_bands_leave_no_lot_out(count: int, sample: int, holdout: int) -> None:
    said = [Message(1, 1, letter, 1) for letter in LETTERS[:count]]
    cut = bands(said, Trial(1, "clicks", sample, holdout, 60, 1), NOON)
    assert [each.below for each in cut] == sorted(each.below for each in cut)
    assert cut[-1].below == 1.0 and (cut[0].cause == "holdout") == bool(holdout)


# --- the judgement ---------------------------------------------------------------------------------------------------


def test_the_two_proportion_test_agrees_with_the_reference() -> None:
    assert z_test(90, 1000, 120, 1000) == (pytest.approx(2.188266, abs=1e-6), pytest.approx(0.028650, abs=1e-6))
    assert z_test(0, 10, 0, 10) == (0.0, 1.0)
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert z_test_holds([60, 90], [1000, 1000]) and not z_test_holds([2, 3], [1000, 1000])


@pytest.mark.parametrize(
    ("clicks", "sent", "winner", "said"),
    [
        ((90, 120), (1000, 1000), "B", "A 90 clicks of 1,000 (9.0%), B 120 clicks of 1,000 (12.0%); B is"),
        ((120, 90), (1000, 1000), "A", "A is better"),
        ((100, 105), (1000, 1000), "", "no clear winner (p = 0.71)"),
        ((9, 30), (90, 100), "", "too few to tell: 10 more of A were asked for"),
        ((1, 6), (100, 100), "", "too few clicks to tell"),
        ((0, 0), (100, 100), "", "too few clicks to tell"),
        ((0, 0), (0, 0), "", "too few to tell"),
        ((60, 0), (1000, 1000), "A", "A is better"),
        ((90, 118, 100), (1000, 1000, 1000), "", "no clear winner"),
        ((90, 118, 60), (1000, 1000, 1000), "B", "B is better (p = 0.04)"),
        ((90, 140, 60), (1000, 1000, 1000), "B", "B is better"),
        ((30, 120), (1000, 1000), "B", "B is better (p < 0.001)"),
    ],
)
def test_a_winner_is_named_only_when_chance_does_not_explain_it(
    clicks: tuple[int, ...], sent: tuple[int, ...], winner: str, said: str
) -> None:
    figures = [Figures(LETTERS[n], sent[n], sent[n], clicks=clicks[n]) for n in range(len(sent))]
    judgement = judge(figures, "clicks", 100)
    assert judgement.winner == winner and said in judgement.because


# --- the decision ----------------------------------------------------------------------------------------------------


def test_the_rest_gets_the_winner_when_its_time_has_come_and_not_before(world: World) -> None:
    campaign = a_test(world)
    sample = world.send(campaign)
    click(world, campaign, "A", 2)
    click(world, campaign, "B", 18)
    click(world, campaign, "A", 30, human=False)
    world.later(DAY - timedelta(seconds=1))
    assert world.send(campaign) == [] and world.variants.standing(campaign).test.decided_at is None  # type: ignore[union-attr]
    world.later(timedelta(seconds=1))
    standing = world.variants.standing(campaign)
    assert standing.test is not None and standing.test.winner == "B" and "B is better" in standing.test.because
    rest = world.claim(campaign)
    assert {each.variant for each in rest} == {"B"}
    assert len(sample) + len(rest) + world.publishing.counts(campaign).suppressed == 200
    waiting = world.publishing.deliveries(campaign, state=State.QUEUED)
    assert {(each.reason, each.cause) for each in waiting} == {("", "")}


def test_without_a_clear_winner_the_first_goes_and_the_figures_say_so(world: World) -> None:
    campaign = a_test(world, goal="replies")
    world.send(campaign)
    for letter in "AB":
        click(world, campaign, letter, 9, kind="replied")
    world.later()
    test = world.variants.standing(campaign).test
    assert test is not None and test.winner == "A"
    assert "9 replies of" in test.because and "no clear winner" in test.because
    assert test.because.endswith("A, the first, goes to the rest")
    assert {each.variant for each in world.claim(campaign)} == {"A"}


def test_without_a_clear_winner_a_person_may_be_asked(world: World) -> None:
    campaign = a_test(world, unclear="ask")
    world.send(campaign)
    world.later(9 * DAY)
    standing = world.variants.standing(campaign)
    assert standing.test is not None and standing.test.decided_at is None and "too few" in standing.test.because
    assert world.send(campaign) == []
    assert world.variants.choose(campaign, "B") == standing.waiting > 0
    world.tick()
    assert {each.variant for each in world.claim(campaign)} == {"B"}


def test_nothing_is_decided_twice(world: World) -> None:
    campaign = a_test(world)
    world.send(campaign)
    world.later()
    before = world.variants.standing(campaign).test
    click(world, campaign, "B", 30)
    world.later()
    assert world.variants.standing(campaign).test == before
    with pytest.raises(IllegalTransition, match="decided"):
        world.variants.choose(campaign, "B")


def test_it_is_decided_only_after_the_last_of_the_sample_went(world: World) -> None:
    campaign = a_test(world)
    claimed = world.claim(campaign)
    for each in claimed[1:]:
        world.settle(each)
    world.later(3 * DAY)
    assert world.variants.standing(campaign).decision_at is None
    world.settle(claimed[0])
    assert world.variants.standing(campaign).decision_at == world.clock.at + DAY


def test_a_variant_that_goes_later_is_as_long_at_work_before_it_is_judged(world: World) -> None:
    world.people(*(f"p{number}" for number in range(200)))
    campaign = world.campaign()
    world.variants.add(campaign, wait_minutes=300)
    world.variants.set_test(Trial(campaign, "clicks", 50, 0, IN_A_DAY, 20))
    world.start(campaign)
    world.send(campaign)
    click(world, campaign, "A", 2)
    world.later(timedelta(minutes=300))
    world.send(campaign)
    world.later(DAY - timedelta(minutes=100))
    click(world, campaign, "A", 30)  # more than a day after it went
    click(world, campaign, "B", 20)
    world.later(timedelta(minutes=100))
    test = world.variants.standing(campaign).test
    assert test is not None and test.winner == "B" and test.because.startswith("A 2 clicks of")
    assert world.claim(campaign) == [], "the rest gets it at B's hour too"
    world.later(timedelta(minutes=300))
    assert {each.variant for each in world.claim(campaign)} == {"B"}


def test_a_paused_test_is_decided_when_it_goes_on_and_a_cancelled_one_never(world: World) -> None:
    campaign = a_test(world)
    world.send(campaign)
    world.publishing.pause(campaign)
    world.later(2 * DAY)
    test = world.variants.standing(campaign).test
    assert test is not None and test.decided_at is None
    world.publishing.cancel(campaign)
    world.later()
    assert world.publishing.counts(campaign).deferred == 0 and world.claim(campaign) == []


def test_those_held_out_can_be_compared(world: World) -> None:
    campaign = a_test(world, holdout_percent=20)
    world.send(campaign)
    for name, got in variants_of(world, campaign).items():
        if got in ("A", ""):
            world.event(name, "converted")
    standing = world.variants.standing(campaign)
    assert standing.holdout is not None and standing.holdout.sent == 0 < standing.holdout.converted
    assert [each.converted > 0 for each in standing.figures] == [True, False]


# --- setting it up ---------------------------------------------------------------------------------------------------


def test_each_variant_says_its_own_words_and_all_of_them_need_approval(world: World) -> None:
    world.people(*(f"p{number}" for number in range(20)))
    campaign = world.campaign()
    world.variants.add(campaign, subject="Hello {{ email }}")
    other = world.content("Other words")
    world.variants.add(campaign, content_id=other)
    world.publishing.approve(campaign)
    world.workspace.contents.save(other, Draft("Changed", "Changed"))
    with pytest.raises(ApprovalNeeded):
        world.publishing.start(campaign)
    assert world.variants.standing(campaign).subjects == ("Step 1", "Hello {{ email }}", "Changed")


def test_a_wrong_variant_stops_the_start(world: World) -> None:
    world.people("ann")
    campaign = world.campaign()
    world.variants.add(campaign, subject="{{ shoe_size }}")
    report = world.publishing.check(campaign)
    assert any(each.message.startswith("Variant B: shoe_size is missing") for each in report.problems)
    world.variants.remove(campaign, "B")
    assert world.publishing.check(campaign).ok


def test_what_makes_no_sense_is_refused(world: World) -> None:
    world.people("ann")
    campaign = world.campaign()
    blog = world.workspace.contents.create("blog", "A post", Draft("A", "B")).id
    for refused in (
        lambda: world.variants.add(campaign),
        lambda: world.variants.add(campaign, content_id=blog),
        lambda: world.variants.remove(campaign, "A"),
        lambda: world.variants.set_test(Trial(campaign, "opens", 20, 0, 60, 10)),
        lambda: world.variants.set_test(Trial(campaign, "clicks", 0, 0, 60, 10)),
        lambda: world.variants.set_test(Trial(campaign, "clicks", 20, 60, 60, 10)),
        lambda: world.variants.set_test(Trial(campaign, "clicks", 20, 0, 0, 10)),
        lambda: world.variants.set_test(Trial(campaign, "clicks", 20, 0, 60, 10, "wait")),
    ):
        with pytest.raises(InvalidInput):
            refused()
    for missing in (
        lambda: world.variants.remove(campaign, "B"),
        lambda: world.variants.drop_test(campaign),
        lambda: world.variants.choose(campaign, "A"),
    ):
        with pytest.raises(NotFound):
            missing()
    for _ in LETTERS[1:]:
        world.variants.add(campaign, subject="Another")
    with pytest.raises(InvalidInput):
        world.variants.add(campaign, subject="One too many")
    world.start(campaign)
    with pytest.raises(IllegalTransition):
        world.variants.remove(campaign, "B")


def test_newcomers_and_a_test_do_not_go_together_but_newcomers_and_variants_do(world: World) -> None:
    world.people("ann")
    campaign = world.sequence(IN_A_DAY, joins=True)
    world.variants.add(campaign, subject="Another")
    with pytest.raises(InvalidInput):
        world.variants.set_test(Trial(campaign, "clicks", 20, 0, 60, 10))
    world.start(campaign)
    world.send(campaign)
    world.people(*(f"p{number}" for number in range(30)))
    world.later()
    assert set(variants_of(world, campaign).values()) == {"A", "B"}


def test_in_a_sequence_the_rest_goes_on_from_when_it_got_the_winner(world: World) -> None:
    world.people(*(f"p{number}" for number in range(60)))
    campaign = world.campaign()
    world.sequences.edit(campaign, Add(world.content("Step 2"), IN_A_DAY))
    world.variants.add(campaign, subject="Another")
    world.variants.set_test(Trial(campaign, "clicks", 50, 0, 2 * IN_A_DAY, 5))
    world.start(campaign)
    sample = {name for name, _ in world.send(campaign)}
    world.later()
    assert {step for _, step in world.send(campaign)} == {2}
    world.later()
    rest = {name for name, step in world.send(campaign) if step == 1}
    assert sample | rest == {f"p{number}" for number in range(60)} and not sample & rest
    world.later()
    assert {name for name, step in world.send(campaign) if step == 2} == rest
