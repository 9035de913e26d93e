"""Providers are asked about people at most once, what they say is kept beside what is known, and nothing is lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from aicmo.crm import CRMRepository, EnrichmentPipeline
from aicmo.crm.enrichment import EMAIL_VERIFICATION, EnrichmentResult, Rules, Wish
from aicmo.crm.history import History
from aicmo.errors import StoreLocked
from aicmo.gateways import Applied, Attempt, HealthRegistry, Outcome, ProviderChain
from aicmo.gateways.attempt import Answer
from aicmo.gateways.estimate import ChainEstimate, estimate
from aicmo.gateways.leads import EmailStatus, Enrichment, FieldValue, Lead, Verification
from aicmo.gateways.limit_store import MemoryLimitStore
from aicmo.gateways.limits import Budgets
from aicmo.store import Database, lookups, stages, suppressions
from aicmo.store.file_lock import file_lock

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
ONE = Decimal(1)


class MovableClock:
    """The wall clock moves by hand, and by as much as somebody waits; waiting is over at once."""

    def __init__(self) -> None:
        self.at = NOW

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)
        await asyncio.sleep(0)


class Knows:
    """A provider that knows some people by address, and charges a credit for each it finds."""

    monthly: Mapping[str, int] = {}

    def __init__(
        self, name: str, people: Mapping[str, Mapping[str, str]] | None = None, *, batch_size: int = 2
    ) -> None:
        self.name, self.people, self.batch_size = name, dict(people or {}), batch_size
        self.verdicts: dict[str, EmailStatus] = {}
        self.do_not_contact: set[str] = set()
        self.asked: list[list[str]] = []
        self.goes_wrong: Callable[[], Attempt | None] = lambda: None

    def fingerprint(self) -> str:
        return "key"

    @property
    def whom(self) -> list[str]:
        """Everybody it was asked about, as often as it was."""
        return [email for batch in self.asked for email in batch]

    async def enrich(self, people: Sequence[Lead]) -> Answer[tuple[Enrichment | None, ...]]:
        self.asked.append([lead.email for lead in people])
        await asyncio.sleep(0)
        if (wrong := self.goes_wrong()) is not None:
            return Answer(wrong)
        found = tuple(self._found(lead.email) for lead in people)
        if not any(found):
            return Answer(Attempt(self.name, Outcome.MISS, Applied.NO))
        return Answer(Attempt(self.name, Outcome.OK, Applied.YES), found)

    def _found(self, email: str) -> Enrichment | None:
        emails = ()
        if email in self.verdicts:
            status = self.verdicts[email]
            emails = (Verification(email, status, str(status), self.name, NOW, email in self.do_not_contact),)
        if email not in self.people and not emails:
            return None
        said = self.people.get(email, {})
        return Enrichment({k: FieldValue(v, self.name, NOW, ONE) for k, v in said.items()}, emails, ONE)


class HandsOut(Knows):
    """One that takes a batch, gives a number, and has the answer later."""

    ready = True
    submitted = 0

    async def submit(self, people: Sequence[Lead]) -> Answer[str]:
        self.submitted += 1
        self.waiting = list(people)
        return Answer(Attempt(self.name, Outcome.OK, Applied.YES, reference="batch-7"), "batch-7")

    async def collect(self, number: str, people: Sequence[Lead]) -> Answer[tuple[Enrichment | None, ...]]:
        assert number == "batch-7"
        while not self.ready:
            await asyncio.sleep(0.01)
        return await self.enrich(people)


class OneByOne:
    """One that is free and only ever asked about one address."""

    name = "mx"

    def __init__(self, status: EmailStatus = EmailStatus.UNKNOWN) -> None:
        self.status, self.asked = status, list[str]()

    def fingerprint(self) -> str:
        return ""

    async def verify(self, email: str) -> Answer[Verification]:
        self.asked.append(email)
        verdict = Verification(email, self.status, "mx", self.name, NOW)
        return Answer(Attempt(self.name, Outcome.OK, Applied.NO), verdict)


class House:
    """A store with five people, and whoever is asked about them."""

    def __init__(self, db: Database, crm: CRMRepository, clock: MovableClock) -> None:
        self.db, self.crm, self.clock = db, crm, clock
        self.registry = HealthRegistry(clock=clock)
        self.providers: list[Any] = []
        self.pipeline = EnrichmentPipeline(
            db, crm, self.chain, self.estimate, Rules(batches_at_once=2), clock=clock, patience_s=0
        )

    def chain(self, capability: str) -> ProviderChain[Any]:
        return ProviderChain(capability, self.providers, self.registry, clock=self.clock)

    async def estimate(
        self, capability: str, people: int, cost: Callable[[Any, int], Mapping[str, int]]
    ) -> ChainEstimate:
        return await estimate(self.chain(capability), people, cost, Budgets(MemoryLimitStore(), {}), {})

    async def run(self, query: str = "", **wishes: Any) -> EnrichmentResult:
        result = await self.pipeline.run(query, Wish(**wishes))
        counts = result.counts_dict()
        said = ("found", "unknown", "failed", "remaining", "no_match")
        assert counts["selected"] == counts["skipped"] + sum(counts[name] for name in said)
        return result


EVERYBODY = [f"p{number}@x.example" for number in range(5)]


@pytest.fixture
async def house(db: Database) -> AsyncIterator[House]:
    clock = MovableClock()
    crm = CRMRepository(db, clock=clock)
    for email in EVERYBODY:
        crm.add(email, last_name="Doe")
    house = House(db, crm, clock)
    yield house
    await house.registry.close()


# --- who is asked -----------------------------------------------------------------------------------------------------


async def test_the_second_is_only_asked_about_whom_the_first_does_not_know(house: House) -> None:
    first = Knows("first", {EVERYBODY[0]: {"title": "CTO"}, EVERYBODY[1]: {"title": "Owner"}})
    second = Knows("second", {EVERYBODY[3]: {"title": "Buyer"}}, batch_size=3)
    house.providers = [first, second]
    result = await house.run()
    assert result.status == "done" and result.counts == {"found": 3, "no_match": 2, "remaining": 0}
    assert sorted(first.whom) == EVERYBODY and [len(batch) for batch in first.asked] == [2, 2, 1]
    assert [sorted(batch) for batch in second.asked] == [EVERYBODY[2:]], "one full batch, not three small ones"
    assert [each.credits for each in result.providers] == [2, 1]
    assert house.crm.get(EVERYBODY[3]).title == "Buyer"


async def test_in_parallel_everybody_is_asked_of_all_and_both_answers_stay_side_by_side(house: House) -> None:
    house.providers = [Knows("a", {EVERYBODY[0]: {"title": "CTO"}}), Knows("b", {EVERYBODY[0]: {"title": "Owner"}})]
    await house.run(EVERYBODY[0], parallel=True)
    (conflict,) = house.pipeline.conflicts()
    person = house.crm.get(EVERYBODY[0])
    assert {"CTO", "Owner"} == {person.title, conflict.says[0].value}
    assert {(fact.provider, fact.value) for fact in house.pipeline.facts(person.id)} == {("a", "CTO"), ("b", "Owner")}


async def test_nobody_is_asked_about_again_before_the_days_are_over_and_a_miss_counts(house: House) -> None:
    house.providers = [first := Knows("first", {EVERYBODY[0]: {"title": "CTO"}})]
    await house.run()
    house.clock.at += timedelta(days=89)
    again = await house.run()
    assert again.skipped == {"recent": 5} and len(first.asked) == 3
    assert (await house.run(EVERYBODY[1], again=True)).counts["no_match"] == 1
    house.clock.at += timedelta(days=2)
    assert (await house.run()).skipped == {"recent": 1}


async def test_who_must_not_be_written_to_is_not_paid_for(house: House) -> None:
    house.providers = [first := Knows("first")]
    house.db.write(lambda c: suppressions.add(c, EVERYBODY[2], suppressions.SuppressionReason.MANUAL, "test", NOW))
    assert (await house.run()).skipped == {"suppressed": 1}
    assert EVERYBODY[2] not in first.whom


async def test_without_a_provider_it_is_skipped_and_nobody_counts_as_asked(house: House) -> None:
    result = await house.run()
    assert result.status == "skipped" and "no provider" in result.why
    assert result.counts_dict()["asked"] == 0 and result.counts["remaining"] == 5


async def test_two_runs_do_not_go_on_at_once(house: House) -> None:
    house.providers = [Knows("first")]
    with file_lock(house.db.path.with_name("enrichment.lock")), pytest.raises(StoreLocked):
        await house.run()


# --- what it costs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("credits", [0, 1, 3])
async def test_no_more_credits_are_spent_than_the_person_allows(credits: int, house: House) -> None:
    house.providers = [first := Knows("first", {email: {"title": "CTO"} for email in EVERYBODY})]
    result = await house.run(max_credits=credits)
    assert result.providers[0].credits == credits == len(first.whom)
    assert result.counts["remaining"] == 5 - credits and result.status == "partial"


async def test_credits_that_a_miss_did_not_cost_are_spent_on_others(house: House) -> None:
    house.providers = [first := Knows("first", {EVERYBODY[4]: {"title": "CTO"}})]
    result = await house.run(max_credits=1)
    assert result.counts["found"] == 1 and len(first.whom) == 5


async def test_the_estimate_is_the_most_it_can_cost_and_asks_nobody(house: House) -> None:
    house.providers = [first := Knows("first"), Knows("second")]
    quote = await house.pipeline.quote("", Wish())
    assert (quote.credits, [each.calls for each in quote.providers]) == (10, [3, 3])
    assert (await house.pipeline.quote("", Wish(max_credits=4))).credits == 4
    assert first.asked == []


# --- what goes wrong --------------------------------------------------------------------------------------------------


def fails(name: str, outcome: Outcome, applied: Applied = Applied.NO) -> Callable[[], Attempt]:
    return lambda: Attempt(name, outcome, applied, detail="it is down")


async def test_what_one_found_stands_when_the_other_dies_and_the_rest_is_named(house: House) -> None:
    dead = Knows("dead", batch_size=1)
    dead.goes_wrong = fails("dead", Outcome.AUTH)
    house.providers = [Knows("first", {EVERYBODY[0]: {"title": "CTO"}}), dead]
    result = await house.run()
    assert result.status == "partial" and "it is down" in result.why
    assert result.counts == {"found": 1, "remaining": 4} and result.providers[1].not_asked == 4
    assert house.crm.get(EVERYBODY[0]).title == "CTO"
    dead.goes_wrong = lambda: None
    await house.registry.reset("dead")
    assert (await house.run()).counts["no_match"] == 4


async def test_a_failure_that_cost_nothing_goes_on_to_the_next_and_is_not_remembered(house: House) -> None:
    first, second = Knows("first", batch_size=5), Knows("second", {EVERYBODY[0]: {"title": "CTO"}}, batch_size=5)
    first.goes_wrong = fails("first", Outcome.INPUT)
    house.providers = [first]
    assert (await house.run()).counts["failed"] == 5
    first.goes_wrong = fails("first", Outcome.CANCELLED)
    house.providers = [first, second]
    result = await house.run()
    assert (result.counts["found"], result.counts["failed"]) == (1, 4)


async def test_what_may_have_been_paid_for_is_only_asked_again_on_a_persons_word(house: House) -> None:
    house.providers = [first := Knows("first", {email: {"title": "CTO"} for email in EVERYBODY}, batch_size=5)]
    first.goes_wrong = fails("first", Outcome.AMBIGUOUS, Applied.UNKNOWN)
    result = await house.run()
    assert result.counts["unknown"] == 5 and result.providers[0].credits_in_doubt == 5
    first.goes_wrong = lambda: None
    assert (await house.run()).skipped == (await house.run(again=True)).skipped == {"unknown": 5}
    assert len(first.asked) == 1
    assert (await house.run(retry_unknown=True)).counts["found"] == 5


async def test_too_fast_is_waited_for_and_nobody_is_asked_about_twice(house: House) -> None:
    house.providers = [first := Knows("first", {email: {"title": "CTO"} for email in EVERYBODY})]
    refusals = iter([Attempt("first", Outcome.RATE_LIMITED, Applied.NO, retry_at=NOW + timedelta(milliseconds=1))])

    first.goes_wrong = lambda: next(refusals, None)
    result = await house.run()
    assert result.counts["found"] == 5 and result.providers[0].asked == 5


async def test_a_person_deleted_while_asked_about_is_gone_and_nothing_breaks(house: House) -> None:
    house.providers = [first := Knows("first", {email: {"title": "CTO"} for email in EVERYBODY}, batch_size=5)]

    def delete_one() -> None:
        house.crm.delete(EVERYBODY[1])

    first.goes_wrong = delete_one
    await house.run()
    assert house.crm.count("title:CTO") == 4


async def test_who_opts_out_while_the_run_goes_on_is_not_asked_about_any_more(house: House) -> None:
    house.providers = [first := Knows("first", batch_size=1)]

    def opt_out() -> None:
        reason = suppressions.SuppressionReason.UNSUBSCRIBED
        house.db.write(lambda c: suppressions.add(c, EVERYBODY[4], reason, "test", NOW))

    first.goes_wrong = opt_out
    result = await house.run()
    assert result.skipped == {"gone": 1} and sorted(first.whom) == EVERYBODY[:4]


# --- a kill -----------------------------------------------------------------------------------------------------------


def question_left_behind(house: House, reference: str = "") -> None:
    """What a killed run leaves: the question is on disk, its outcome is not."""

    def work(connection: Any) -> None:
        ids = house.crm.select("")
        lookups.ask(connection, "lead_enrichment", "first", "batch", list(ids)[:2], NOW)
        if reference:
            lookups.keep_reference(connection, "batch", reference)

    house.db.write(work)


async def test_a_question_without_an_outcome_is_unknown_after_a_kill_and_not_put_again(house: House) -> None:
    question_left_behind(house)
    house.providers = [first := Knows("first")]
    result = await house.run()
    assert result.lost == 2 and result.skipped == {"unknown": 2}
    assert sorted(first.whom) == EVERYBODY[2:]


async def test_an_answer_that_was_paid_for_is_fetched_after_a_kill_and_costs_nothing_more(house: House) -> None:
    question_left_behind(house, "batch-7")
    house.crm.delete(EVERYBODY[0])
    house.providers = [first := HandsOut("first", {email: {"title": email} for email in EVERYBODY}, batch_size=5)]
    result = await house.run()
    assert (result.fetched, result.lost, first.submitted) == (1, 0, 1)
    assert house.crm.get(EVERYBODY[1]).title == EVERYBODY[1], "whose answer is whose is known, who was deleted or not"
    assert result.counts["found"] == 3 and result.skipped == {"recent": 1}


async def test_stopping_while_an_answer_is_waited_for_loses_nothing(house: House) -> None:
    house.providers = [first := HandsOut("first", {email: {"title": "CTO"} for email in EVERYBODY}, batch_size=3)]
    first.ready = False
    running = asyncio.ensure_future(house.run())
    while first.submitted < 2:
        await asyncio.sleep(0.01)
    await house.pipeline.stop()
    result = await running
    assert result.status == "stopped" and result.counts["unknown"] == 5
    first.ready = True
    assert (await house.run()).fetched == 5
    assert first.submitted == 2 and house.crm.count("title:CTO") == 5


async def test_a_number_is_on_disk_before_its_answer_is_waited_for(house: House) -> None:
    house.providers = [first := HandsOut("first", {email: {"title": "CTO"} for email in EVERYBODY}, batch_size=5)]
    first.ready = False
    running = asyncio.ensure_future(house.run())
    while not house.db.read(lambda db: lookups.waiting(db, "lead_enrichment", NOW)):
        await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    first.ready = True
    assert (await house.run()).fetched == 5 and first.submitted == 1


async def test_stopping_between_batches_leaves_the_rest_for_the_next_run(house: House) -> None:
    house.providers = [first := Knows("first", batch_size=1)]
    stopping: list[asyncio.Future[None]] = []

    def stop_at_the_first() -> None:
        stopping.append(asyncio.ensure_future(house.pipeline.stop()))

    first.goes_wrong = stop_at_the_first
    stopped = await house.run()
    assert stopped.status == "stopped" and 0 < stopped.counts["remaining"] < 5
    first.goes_wrong = lambda: None
    await house.run()
    assert sorted(first.whom) == EVERYBODY
    await asyncio.gather(*stopping)


# --- what becomes of the answers --------------------------------------------------------------------------------------


async def test_empty_fields_are_filled_known_ones_are_kept_and_the_difference_is_shown(house: House) -> None:
    said = {"title": "CTO", "last_name": "Roe", "city": "Lyon", "email": "other@y.example"}
    house.providers = [Knows("first", {EVERYBODY[0]: said})]
    result = await house.run(EVERYBODY[0])
    person = house.crm.get(EVERYBODY[0])
    assert (person.title, person.last_name, person.fields, person.stage) == ("CTO", "Doe", {"city": "Lyon"}, "ENRICHED")
    assert result.conflicts == 2
    assert {each.field: (each.value, each.says[0].value) for each in house.pipeline.conflicts()} == {
        "last_name": ("Doe", "Roe"),
        "email": (EVERYBODY[0], "other@y.example"),
    }
    steps = house.db.read(lambda db: stages.history(db, person.id))
    assert [(step.to_stage, step.cause) for step in steps] == [("ENRICHED", "enriched by first")]


async def test_what_a_person_chooses_settles_a_conflict_until_the_provider_says_something_new(house: House) -> None:
    house.providers = [first := Knows("first", {EVERYBODY[0]: {"last_name": "Roe"}})]
    await house.run(EVERYBODY[0])
    house.crm.edit_all(EVERYBODY[0], {"last_name": "Doe"})
    assert list(house.pipeline.conflicts()) == []
    await house.run(EVERYBODY[0], again=True)
    assert list(house.pipeline.conflicts()) == []
    first.people[EVERYBODY[0]] = {"last_name": "Poe"}
    await house.run(EVERYBODY[0], again=True)
    assert [each.says[0].value for each in house.pipeline.conflicts()] == ["Poe"]


async def test_one_undo_takes_back_a_whole_run_and_keeps_what_was_said(house: House) -> None:
    house.providers = [Knows("first", {email: {"title": "CTO"} for email in EVERYBODY})]
    result = await house.run()
    history = History(house.db, clock=house.clock)
    assert history.undo().change.summary == "Enriched 5 people"
    assert house.crm.count("title:CTO") == 0 and house.crm.count("stage:new") == 5
    assert house.pipeline.facts(house.crm.get(EVERYBODY[0]).id)
    assert result.change_id is not None and history.redo().people == 5


async def test_who_stands_further_on_is_not_moved_back(house: House) -> None:
    house.crm.edit_all("", {"stage": "CONVERTED"})
    house.providers = [Knows("first", {email: {"title": "CTO"} for email in EVERYBODY})]
    await house.run()
    assert house.crm.count("stage:converted") == 5
    undone = History(house.db, clock=house.clock).undo()
    assert undone.kept == () and house.crm.count("stage:converted title:CTO") == 0


async def test_a_run_that_changes_nobody_is_no_step_of_undo(house: House) -> None:
    house.providers = [Knows("first", {email: {"title": "CTO"} for email in EVERYBODY})]
    assert (await house.run()).changed == 5
    again = await house.run(again=True)
    assert (again.changed, again.change_id) == (0, None)


async def test_whoever_asked_a_provider_not_to_be_written_to_is_suppressed(house: House) -> None:
    house.providers = [first := Knows("first")]
    first.verdicts[EVERYBODY[0]] = EmailStatus.INVALID
    first.do_not_contact = {EVERYBODY[0]}
    result = await house.run()
    assert result.suppressed == (EVERYBODY[0],)
    assert house.db.read(lambda db: suppressions.reason_for(db, EVERYBODY[0])) == "unsubscribed"


async def test_a_verdict_alone_is_no_find_and_its_price_is_booked(house: House) -> None:
    house.providers = [first := Knows("first"), second := Knows("second")]
    first.verdicts[EVERYBODY[0]] = EmailStatus.VALID
    result = await house.run(EVERYBODY[0])
    assert result.counts == {"no_match": 1, "remaining": 0} and result.providers[0].credits == 1
    assert second.asked == [[EVERYBODY[0]]]
    prices = "SELECT provider, sum(millicredits) FROM lookup GROUP BY provider"
    assert dict(house.db.read(lambda db: db.execute(prices).fetchall())) == {"first": 1000, "second": 0}
    person = house.crm.get(EVERYBODY[0])
    verdict = house.pipeline.verdict(person.id)
    assert verdict is not None and verdict.status == "valid" and person.stage == "VERIFIED"


# --- verification -----------------------------------------------------------------------------------------------------


async def test_verification_asks_the_next_where_the_first_does_not_know_and_keeps_the_date(house: House) -> None:
    house.providers = [first := HandsOut("first", batch_size=5), mx := OneByOne()]
    first.verdicts = {EVERYBODY[0]: EmailStatus.VALID, EVERYBODY[1]: EmailStatus.INVALID}
    result = await house.run(capability=EMAIL_VERIFICATION)
    assert result.counts["found"] == 5 and sorted(mx.asked) == EVERYBODY[2:]
    assert house.crm.count("verified:valid") == house.crm.count("verified:invalid") == 1
    assert house.crm.get(EVERYBODY[0]).stage == "VERIFIED" and house.crm.get(EVERYBODY[2]).stage == "NEW"
    assert (await house.run(capability=EMAIL_VERIFICATION)).skipped == {"recent": 5}


async def test_not_to_know_does_not_replace_what_somebody_knew(house: House) -> None:
    house.providers = [first := HandsOut("first")]
    first.verdicts = {EVERYBODY[0]: EmailStatus.VALID}
    await house.run(EVERYBODY[0], capability=EMAIL_VERIFICATION)
    house.providers = [OneByOne()]
    await house.run(EVERYBODY[0], capability=EMAIL_VERIFICATION, again=True)
    assert house.crm.count("verified:valid") == 1
    house.providers = [OneByOne(EmailStatus.INVALID)]
    await house.run(EVERYBODY[0], capability=EMAIL_VERIFICATION, again=True)
    assert house.crm.count("verified:invalid") == 1


async def test_the_free_last_resort_never_moves_anybody_to_verified(house: House) -> None:
    house.providers = [OneByOne()]
    result = await house.run(capability=EMAIL_VERIFICATION)
    assert result.verdicts == {"unknown": 5} and house.crm.count("stage:verified") == 0
    assert (await house.pipeline.quote("", Wish(EMAIL_VERIFICATION, again=True))).credits == 0


async def test_progress_ends_where_everybody_is(house: House) -> None:
    house.providers = [Knows("a", {EVERYBODY[0]: {"title": "CTO"}}), Knows("b")]
    for parallel in (False, True):
        seen = []
        await house.pipeline.run("", Wish(parallel=parallel, again=True), progress=seen.append)
        assert [replace(seen[-1], providers=())] == [replace(seen[0], done=5, providers=())]
        assert [each.done for each in seen] == sorted(each.done for each in seen)
