"""One contract for every HTTP provider, against the sandbox: what an adapter reports is what the other side has done.

The sandbox knows the real paths, limits and error bodies from the providers' documentation, not from our adapters.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from aicmo.gateways import Applied, Attempt, Outcome, load
from aicmo.gateways.leads import EmailStatus, Lead
from aicmo.sandbox import Fault, RunningSandbox, start_sandbox
from aicmo.sandbox.known import Known, what_is_known
from aicmo.sandbox.proxy import CuttingProxy

pytest.importorskip("uvicorn", reason="the sandbox's HTTP servers")

PEOPLE = [known for known in what_is_known(1) if known.person.first_name.isascii()]
BASE = "appSandboxAAAAAAA"
KINDS = ("apollo", "dropcontact", "airtable", "webhook")


def lead(known: Known) -> Lead:
    person = known.person
    return Lead(first_name=person.first_name, last_name=person.last_name, domain=known.domain)


def somebody(case: str) -> Known:
    return next(known for known in PEOPLE if known.case == case)


async def _enrich(provider: Any) -> Attempt:
    attempt: Attempt = (await provider.enrich([lead(somebody("both"))])).attempt
    return attempt


async def _submit(provider: Any) -> Attempt:
    attempt: Attempt = (await provider.submit([lead(somebody("both"))])).attempt
    return attempt


async def _upsert(provider: Any) -> Attempt:
    attempt: Attempt = (await provider.upsert("contacts", [{"AICMO ID": "lead-1", "First name": "Ada"}])).attempt
    return attempt


async def _post(provider: Any) -> Attempt:
    attempt: Attempt = await provider.post({"event": "reply"}, key="event-1")
    return attempt


@dataclass(frozen=True)
class Acting:
    """What a provider does that must not be done twice unasked."""

    act: Callable[[Any], Awaitable[Attempt]]
    lost: Outcome
    """What a lost answer comes to."""


ACTS = {
    "apollo": Acting(_enrich, Outcome.AMBIGUOUS),
    "dropcontact": Acting(_submit, Outcome.AMBIGUOUS),
    "airtable": Acting(_upsert, Outcome.TRANSIENT),
    "webhook": Acting(_post, Outcome.AMBIGUOUS),
}


@pytest.fixture(scope="module")
def shared_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSandbox]:
    with start_sandbox(tmp_path_factory.mktemp("sandbox")) as running:
        yield running


@pytest.fixture
def sandbox(shared_sandbox: RunningSandbox) -> RunningSandbox:
    shared_sandbox.reset()
    return shared_sandbox


@asynccontextmanager
async def provider_of(sandbox: RunningSandbox, kind: str, *, key: str = "", **settings: Any) -> AsyncIterator[Any]:
    more: dict[str, dict[str, Any]] = {
        "dropcontact": {"poll_seconds": 1, "deadline_seconds": 10},
        "airtable": {"base_id": BASE},
        "webhook": {"signed": False},
    }
    where = "url" if kind == "webhook" else "base_url"
    values = {where: sandbox.http[kind].base_url, "timeout_seconds": 5, **more.get(kind, {}), **settings}
    provider_class = load(kind)
    secret = key or sandbox.keys.get(kind, "none-is-asked-for")
    provider = provider_class(kind, provider_class.Settings(**values), secret=lambda: secret)
    try:
        yield provider
    finally:
        await provider.close()


def effects(sandbox: RunningSandbox) -> int:
    return sum(bool(handled.effect) for handled in sandbox.http_log())


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_reported_as_done_was_done_once(sandbox: RunningSandbox, kind: str) -> None:
    async with provider_of(sandbox, kind) as provider:
        attempt = await ACTS[kind].act(provider)
    assert (attempt.outcome, attempt.applied) == (Outcome.OK, Applied.YES), attempt
    assert effects(sandbox) == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_the_check_is_free_and_does_nothing(sandbox: RunningSandbox, kind: str) -> None:
    async with provider_of(sandbox, kind) as provider:
        attempt = await provider.check()
    assert (attempt.outcome, attempt.applied) == (Outcome.OK, Applied.NO), attempt
    assert effects(sandbox) == 0 and sum(handled.credits for handled in sandbox.http_log()) == 0


@pytest.mark.parametrize("kind", ["apollo", "dropcontact", "airtable"])
async def test_a_wrong_key_is_told_as_one_and_does_nothing(sandbox: RunningSandbox, kind: str) -> None:
    async with provider_of(sandbox, kind, key="wrong-key-0123456789") as provider:
        attempts = [await provider.check(), await ACTS[kind].act(provider)]
    assert [attempt.outcome for attempt in attempts] == [Outcome.AUTH, Outcome.AUTH]
    assert "wrong-key" not in str(attempts) and effects(sandbox) == 0


LOST: list[tuple[str, str, dict[str, Any]]] = [
    ("request", "drop", {}),
    ("request", "hang", {}),
    ("request", "rubbish", {}),
    ("request", "huge", {"megabytes": 20}),
    ("request", "reply", {"status": 500}),
    ("request", "reply", {"status": 504}),
    ("response", "drop", {}),
    ("response", "hang", {}),
    ("response", "cut", {"body_bytes": 0}),
    ("response", "cut", {"body_bytes": 7}),
    ("response", "rubbish", {}),
    ("response", "huge", {"megabytes": 20}),
    ("response", "reply", {"status": 502}),
]
LOST_BY_KIND = [
    pytest.param(kind, Fault(phase, action, **more), id=f"{kind} {phase} {action} {more.get('status', '')}")
    for kind in KINDS
    for phase, action, more in LOST
    if (kind, action) != ("webhook", "rubbish")  # a receiver may say yes in any words
]


@pytest.mark.parametrize(("kind", "fault"), LOST_BY_KIND)
async def test_a_lost_answer_is_told_as_unknown_and_the_act_done_at_most_once(
    sandbox: RunningSandbox, kind: str, fault: Fault
) -> None:
    sandbox.set_faults([fault])
    async with provider_of(sandbox, kind, timeout_seconds=1 if fault.action == "hang" else 5) as provider:
        attempt = await ACTS[kind].act(provider)
    assert (attempt.outcome, attempt.applied) == (ACTS[kind].lost, Applied.UNKNOWN), attempt
    assert effects(sandbox) <= 1 and len(sandbox.http_log()) == 1, "and it is not asked for again"


REFUSED = [
    pytest.param(Fault(phase, action, **more), outcome, id=f"{phase} {action} {more.get('status', '')}")
    for phase, action, more, outcome in [
        ("connect", "refuse", {}, Outcome.TRANSIENT),
        ("request", "reply", {"status": 429}, Outcome.RATE_LIMITED),
        ("request", "reply", {"status": 429, "headers": {"Retry-After": "40"}}, Outcome.RATE_LIMITED),
        ("request", "reply", {"status": 503, "headers": {"Retry-After": "40"}}, Outcome.TRANSIENT),
        ("request", "reply", {"status": 401}, Outcome.AUTH),
        ("request", "reply", {"status": 400}, Outcome.INPUT),
    ]
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("fault", "outcome"), REFUSED)
async def test_what_was_refused_was_not_done(
    sandbox: RunningSandbox, kind: str, fault: Fault, outcome: Outcome
) -> None:
    sandbox.set_faults([fault])
    async with provider_of(sandbox, kind) as provider:
        attempt = await ACTS[kind].act(provider)
    assert (attempt.outcome, attempt.applied) == (outcome, Applied.NO), attempt
    assert effects(sandbox) == 0
    if fault.headers:
        assert attempt.retry_at is not None


@pytest.mark.parametrize("kind", KINDS)
async def test_a_slow_answer_is_waited_for(sandbox: RunningSandbox, kind: str) -> None:
    sandbox.set_faults([Fault("response", "slow", seconds=0.3)])
    async with provider_of(sandbox, kind) as provider:
        attempt = await ACTS[kind].act(provider)
    assert attempt.outcome is Outcome.OK and attempt.latency_s >= 0.3


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", ["cut_up", "cut_down"])
async def test_wherever_the_line_is_cut_the_report_agrees_with_what_was_done(
    sandbox: RunningSandbox, kind: str, way: str
) -> None:
    where, address = ("url" if kind == "webhook" else "base_url"), sandbox.http[kind]
    reported: set[Applied] = set()
    async with CuttingProxy(address.port) as proxy:
        through = f"http://127.0.0.1:{proxy.port}{address.path}"
        async with provider_of(sandbox, kind, **{where: through}) as provider:
            for cut in range(0, 10_000, 7):
                sandbox.reset()
                setattr(proxy, way, cut)
                attempt = await ACTS[kind].act(provider)
                if attempt.outcome is not Outcome.OK:  # else the connection may be kept
                    await proxy.settle()
                    while sandbox.status().http[kind].open:  # what did arrive may still be at work
                        await asyncio.sleep(0)
                agrees = {0: (Applied.NO, Applied.UNKNOWN), 1: (Applied.YES, Applied.UNKNOWN)}[effects(sandbox)]
                assert attempt.applied in agrees, cut
                reported.add(attempt.applied)
                if attempt.outcome is Outcome.OK:
                    break
    assert Applied.YES in reported and Applied.UNKNOWN in reported


# --- what each of them is asked for -----------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["holes", "dense", "reversed"])
async def test_apollo_tells_ten_people_apart_however_it_lists_them(sandbox: RunningSandbox, order: str) -> None:
    sandbox.set_account("apollo", matches=order)
    people = [somebody(case) for case in ("both", "neither", "only_apollo", "conflict")] + PEOPLE[10:16]
    async with provider_of(sandbox, "apollo") as provider:
        answer = await provider.enrich([lead(known) for known in people])
        quota = await provider.quota()
    assert answer.value is not None
    for known, found in zip(people, answer.value, strict=True):
        assert (found is not None) == known.in_apollo
        assert found is None or [email.email for email in found.emails] == [known.apollo_email][: bool(found.emails)]
    spent = sum(found.credits for found in answer.value if found)
    assert spent == sum(handled.credits for handled in sandbox.http_log())
    assert quota.value is not None and quota.value.left == 2520 - spent


@pytest.mark.parametrize(
    ("settings", "outcome", "words"),
    [
        ({"credits_used": 2520}, Outcome.QUOTA, "no credits left"),
        ({"plan": "free"}, Outcome.AUTH, "Your Apollo plan does not include this"),
        ({"scopes": "api/v1/organizations/enrich"}, Outcome.AUTH, "tick the endpoint"),
        ({"minute_limit": 0}, Outcome.RATE_LIMITED, "limit for the minute"),
        ({"daily_limit": 0}, Outcome.RATE_LIMITED, "limit for the day"),
    ],
)
async def test_apollo_refuses_for_reasons_of_the_account(
    sandbox: RunningSandbox, settings: dict[str, Any], outcome: Outcome, words: str
) -> None:
    sandbox.set_account("apollo", **settings)
    async with provider_of(sandbox, "apollo") as provider:
        attempt = await _enrich(provider)
        healthy = await provider.check()
    assert (attempt.outcome, attempt.applied) == (outcome, Applied.NO) and words in attempt.detail
    assert healthy.outcome is Outcome.OK, "none of this speaks against the key"
    assert (outcome is Outcome.RATE_LIMITED) == (attempt.retry_at is not None)


async def test_apollo_knows_companies(sandbox: RunningSandbox) -> None:
    async with provider_of(sandbox, "apollo") as provider:
        found = [await provider.enrich_company(Lead(domain=known.domain)) for known in PEOPLE if known.in_apollo][:6]
    assert {answer.attempt.outcome for answer in found} <= {Outcome.OK, Outcome.MISS}
    assert any(answer.value for answer in found)


@pytest.mark.parametrize("order", ["sent", "reversed"])
async def test_dropcontact_finds_and_verifies_in_one_batch(sandbox: RunningSandbox, order: str) -> None:
    sandbox.set_account("dropcontact", results=order)
    people = [somebody(case) for case in ("both", "neither", "only_dropcontact", "only_apollo")]
    async with provider_of(sandbox, "dropcontact") as provider:
        answer = await provider.enrich([lead(known) for known in people])
        quota = await provider.quota()
    assert answer.value is not None
    best = [found.emails[0].email if found else None for found in answer.value]
    assert best == [known.dropcontact_email for known in people]
    spent = sum(found.credits for found in answer.value if found)
    assert spent == 2 and quota.value is not None and quota.value.left == 1500 - 2


async def test_dropcontact_verifies_one_address(sandbox: RunningSandbox) -> None:
    async with provider_of(sandbox, "dropcontact") as provider:
        good = await provider.verify(somebody("both").person.email)
        bad = await provider.verify("nobody@nowhere.example")
    assert good.value is not None and good.value.status in (EmailStatus.VALID, EmailStatus.RISKY)
    assert bad.value is not None and bad.value.status is EmailStatus.INVALID


async def test_dropcontact_is_collected_by_a_later_run(sandbox: RunningSandbox) -> None:
    sandbox.set_account("dropcontact", ready_after_s=1.5)
    people = [lead(somebody("both"))]
    async with provider_of(sandbox, "dropcontact", deadline_seconds=0.5) as provider:
        early = await provider.enrich(people)
    assert (early.attempt.outcome, early.attempt.applied) == (Outcome.TRANSIENT, Applied.YES)
    async with provider_of(sandbox, "dropcontact") as provider:
        late = await provider.collect(early.attempt.reference, people)
    assert late.value is not None and late.value[0] is not None
    assert [handled.effect for handled in sandbox.http_log() if handled.effect] == ["submitted"]


async def test_dropcontact_without_credits_refuses_the_whole_batch(sandbox: RunningSandbox) -> None:
    sandbox.set_account("dropcontact", credits=1)
    async with provider_of(sandbox, "dropcontact") as provider:
        answer = await provider.submit([lead(somebody("both")), lead(somebody("neither"))])
    assert (answer.attempt.outcome, answer.attempt.applied) == (Outcome.QUOTA, Applied.NO)
    assert effects(sandbox) == 0


async def test_airtable_is_read_to_its_end_and_written_twice_without_a_double(sandbox: RunningSandbox) -> None:
    rows = [{"AICMO ID": f"lead-{place}", "First name": 'O\'Brien \\ "x"'} for place in range(10)]
    async with provider_of(sandbox, "airtable") as provider:
        before = await _all_ids(provider)
        first = await provider.upsert("contacts", rows)
        second = await provider.upsert("contacts", rows)
        mine = await provider.list_records("contacts", where={"First name": 'O\'Brien \\ "x"', "AICMO ID": "lead-3"})
    assert first.value is not None and second.value is not None
    assert first.value.ids == second.value.ids and len(first.value.created) == 10 and not second.value.created
    assert [row.id for row in mine.value.records] == [first.value.ids[3]]
    assert len(before) == 120


async def test_airtable_says_what_its_columns_hold(sandbox: RunningSandbox) -> None:
    async with provider_of(sandbox, "airtable") as provider:
        answer = await provider.columns("contacts")
    async with provider_of(sandbox, "airtable", typecast=True) as provider:
        open_ended = await provider.columns("contacts")
    async with provider_of(sandbox, "airtable", contacts_table="Nothing") as provider:
        missing = await provider.columns("contacts")
    by_name = {column.name: column for column in answer.value}
    assert {name: by_name[name].holds for name in ("AICMO ID", "Email", "Stage", "Tags", "Score", "Last modified")} == {
        "AICMO ID": "text",
        "Email": "text",
        "Stage": "choice",
        "Tags": "choices",
        "Score": "number",
        "Last modified": "modified",
    }
    assert by_name["AICMO ID"].can_merge and not by_name["Email"].can_merge
    assert by_name["Tags"].options == ("newsletter", "trial", "customer", "vip")
    assert {column.options for column in open_ended.value} == {()}, "with typecast, a select takes anything"
    assert missing.attempt.outcome is Outcome.MISS and "no table “Nothing”" in missing.attempt.detail


async def test_airtable_changes_rows_by_their_ids_all_or_none_and_a_deleted_one_does_not_come_back(
    sandbox: RunningSandbox,
) -> None:
    async with provider_of(sandbox, "airtable") as provider:
        (first, *_) = (await provider.list_records("contacts")).value.records
        done = await provider.update("contacts", [(first.id, {"First name": "Ada", "Company": None})])
        gone = await provider.update(
            "contacts", [(first.id, {"First name": "Bob"}), ("recGone00000000", {"City": "X"})]
        )
        page = await provider.list_records("contacts", columns=["First name", "Company"])
        healthy = await provider.check()
    assert (done.outcome, done.applied) == (Outcome.OK, Applied.YES)
    assert (gone.outcome, gone.applied) == (Outcome.MISS, Applied.NO)
    assert healthy.outcome is Outcome.OK, "nor does it speak against the token"
    cells = next(record.cells for record in page.value.records if record.id == first.id)
    assert cells == {"First name": "Ada"}
    assert len(page.value.records) == 100


async def _all_ids(provider: Any) -> set[str]:
    ids: set[str] = set()
    page = ""
    while True:
        answer = await provider.list_records("contacts", page=page)
        assert answer.value is not None, answer.attempt
        ids |= {row.id for row in answer.value.records}
        page = answer.value.next_page
        if not page:
            return ids


async def test_airtable_tells_what_has_changed(sandbox: RunningSandbox) -> None:
    async with provider_of(sandbox, "airtable") as provider:
        written = await provider.upsert("contacts", [{"AICMO ID": "lead-1", "First name": "Ada"}])
        assert written.value is not None
        row = (await provider.list_records("contacts", where={"AICMO ID": "lead-1"})).value.records[0]
        assert row.created_at is not None
        changed = await provider.list_records("contacts", since=row.created_at.replace(microsecond=0))
        none = await provider.list_records("contacts", since=row.created_at.replace(year=row.created_at.year + 1))
    assert {each.id for each in changed.value.records} >= {row.id}
    assert none.value.records == () and len(changed.value.records) < 100


@pytest.mark.parametrize("as_list", [False, True])
async def test_airtable_means_two_things_by_429(sandbox: RunningSandbox, as_list: bool) -> None:
    async with provider_of(sandbox, "airtable") as provider:
        sandbox.set_account("airtable", calls_left=0, errors_list=as_list)
        month = await _upsert(provider)
        assert (await provider.check()).outcome is Outcome.OK, "whoami is always free"
        sandbox.set_account("airtable", calls_left=1000, requests_per_second=0)
        fast = await _upsert(provider)
    assert (month.outcome, month.retry_at) == (Outcome.QUOTA, None)
    assert fast.outcome is Outcome.RATE_LIMITED and fast.retry_at is not None


@pytest.mark.parametrize(
    ("settings", "account", "words"),
    [
        ({"base_id": "appWrong"}, {}, "check base_id"),
        ({"contacts_table": "Nope"}, {}, "check base_id"),
        ({}, {"scopes": "x"}, "look at its scopes"),
    ],
)
async def test_airtable_says_what_to_look_at_when_the_base_or_the_rights_are_wrong(
    sandbox: RunningSandbox, settings: dict[str, Any], account: dict[str, Any], words: str
) -> None:
    sandbox.set_account("airtable", **account)
    async with provider_of(sandbox, "airtable", **settings) as provider:
        attempt = await _upsert(provider)
    assert (attempt.outcome, attempt.applied) == (Outcome.AUTH, Applied.NO) and words in attempt.detail


async def test_a_webhook_arrives_with_its_key_and_signature(sandbox: RunningSandbox) -> None:
    async with provider_of(sandbox, "webhook", signed=True, key="a-shared-secret") as provider:
        assert (await _post(provider)).outcome is Outcome.OK
    handled = sandbox.http_log()[0]
    assert handled.body == '{"event":"reply"}'
    assert handled.headers["idempotency-key"] == "event-1" and handled.headers["webhook-signature"].startswith("v1,")
