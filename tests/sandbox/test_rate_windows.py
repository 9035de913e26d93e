"""What time does to the providers: windows that open again, a penalty that ends, a job that gets ready."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx
from hand_clock import HandClock

from aicmo.sandbox import KEYS
from aicmo.sandbox.airtable import Airtable
from aicmo.sandbox.apollo import Apollo
from aicmo.sandbox.dropcontact import Dropcontact
from aicmo.sandbox.providers import Provider, Window

KEY_HEADERS = {
    "x-api-key": KEYS["apollo"],
    "X-Access-Token": KEYS["dropcontact"],
    "Authorization": f"Bearer {KEYS['airtable']}",
}
CONTACTS = "/v0/appSandboxAAAAAAA/Contacts"


@asynccontextmanager
async def client_of(provider: Provider) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(provider.app())
    async with httpx.AsyncClient(transport=transport, base_url="http://sandbox", headers=KEY_HEADERS) as client:
        yield client


def test_a_window_opens_with_its_first_request() -> None:
    clock = HandClock()
    window = Window(60, clock)
    clock.at += 50
    assert (window.used, window.shuts_in_s) == (0, 0)
    window.take()
    clock.at += 59
    assert (window.used, window.shuts_in_s) == (1, 1)
    clock.at += 1
    assert window.used == 0


async def test_apollo_answers_again_after_exactly_what_retry_after_said() -> None:
    clock = HandClock()
    apollo = Apollo(1, clock)
    apollo.account = replace(apollo.account, minute_limit=1, hourly_limit=2)
    async with client_of(apollo) as client:

        async def match() -> httpx.Response:
            return await client.post("/api/v1/people/match", json={})

        assert (await match()).status_code == 200
        clock.at += 20.5
        assert (await match()).headers["retry-after"] == "40"
        clock.at += 39
        assert (await match()).status_code == 429  # Too early by half a second cannot succeed.
        clock.at += 1
        assert (await match()).status_code == 200
        clock.at += 60
        late = await match()
        assert (late.status_code, late.headers["retry-after"]) == (429, "3480")
        assert "per hour" in late.json()["message"]


async def test_airtable_stays_shut_for_its_penalty_whoever_asks_meanwhile() -> None:
    clock = HandClock()
    async with client_of(Airtable(1, clock)) as client:
        assert [(await client.get(CONTACTS)).status_code for _ in range(6)] == [200] * 5 + [429]
        for _ in range(3):
            clock.at += 9.9
            assert (await client.get(CONTACTS)).status_code == 429
        clock.at += 0.4
        assert (await client.get(CONTACTS)).status_code == 200


async def test_an_airtable_page_is_forgotten_after_a_while() -> None:
    clock = HandClock()
    async with client_of(Airtable(1, clock)) as client:
        offset = (await client.get(CONTACTS)).json()["offset"]
        clock.at += 299
        assert (await client.get(CONTACTS, params={"offset": offset})).status_code == 200
        clock.at += 2
        assert (await client.get(CONTACTS, params={"offset": offset})).status_code == 422


async def test_a_dropcontact_job_is_ready_after_its_delay_and_its_credits_are_back() -> None:
    clock = HandClock()
    dropcontact = Dropcontact(1, clock)
    dropcontact.account = replace(dropcontact.account, ready_after_s=30)
    async with client_of(dropcontact) as client:
        sent = (await client.post("/v1/enrich/all", json={"data": [{"company": "Nobody knows it"}]})).json()
        job = f"/v1/enrich/all/{sent['request_id']}"
        clock.at += 29
        assert (await client.get(job)).json()["success"] is False
        clock.at += 1
        assert (await client.get(job)).json()["credits_left"] == sent["credits_left"] + 1


async def test_the_month_of_apollos_credits_ends_where_the_next_begins() -> None:
    clock = HandClock()
    async with client_of(Apollo(1, clock)) as client:
        for days, end in ((0, "2026-02-01"), (334, "2027-01-01")):
            clock.at = 1000 + days * 86_400
            usage = (await client.post("/api/v1/usage_stats/credit_usage_stats")).json()
            assert usage["current_credit_cycle"]["end_date"] == f"{end}T00:00:00.000Z"
