"""The webhook: what a receiver is given, and what is known when it does not answer."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from fakes import ManualClock
from http_server import Recording, reply
from pydantic import ValidationError

from aicmo.gateways import Applied, Attempt, Outcome
from aicmo.gateways.providers.webhook import WebhookProvider, WebhookSettings, sign

URL = "https://hooks.example/services/T0CANARY/B1?token=abcdef123"
SECRET = "whsec-like words are a secret too".replace(" ", "-")


@asynccontextmanager
async def webhook(*answers: Any, **settings: Any) -> AsyncIterator[tuple[WebhookProvider, Recording]]:
    transport, secret = Recording(*answers), settings.pop("secret", SECRET)
    provider = WebhookProvider(
        "hook",
        WebhookSettings(**{"url": URL, **settings}),
        secret=lambda: secret,
        clock=ManualClock(),
        transport=transport,
    )
    try:
        yield provider, transport
    finally:
        await provider.close()


async def post(answer: Any, **settings: Any) -> Attempt:
    async with webhook(answer, **settings) as (provider, transport):
        attempt = await provider.post({"event": "reply"}, key="event-1")
    assert len(transport.asked) <= 1
    return attempt


async def test_an_event_is_posted_with_its_key_and_signed() -> None:
    async with webhook(reply(204)) as (provider, transport):
        attempt = await provider.post({"event": "reply", "who": "Zoë"}, key="event-1")
    assert (attempt.outcome, attempt.applied) == (Outcome.OK, Applied.YES)
    asked = transport.asked[0]
    assert (asked.method, str(asked.url)) == ("POST", URL)
    assert asked.headers["content-type"] == "application/json"
    assert asked.headers["idempotency-key"] == asked.headers["webhook-id"] == "event-1"
    assert asked.headers["webhook-timestamp"] == str(int(ManualClock().now().timestamp()))
    assert json.loads(asked.content) == {"event": "reply", "who": "Zoë"}
    signed = f"event-1.{asked.headers['webhook-timestamp']}.".encode() + asked.content
    mac = base64.b64encode(hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()).decode()
    assert asked.headers["webhook-signature"] == f"v1,{mac}"
    assert SECRET not in str(asked.headers)


def test_the_signature_is_that_of_the_specification() -> None:
    # The example of the Standard Webhooks specification.
    signature = sign(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", b'{"test": 2432232314}'
    )
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


async def test_a_secret_that_is_no_base64_is_said_before_anything_is_sent() -> None:
    attempt = await post(reply(200), secret="whsec_not*base64")
    assert (attempt.outcome, attempt.applied, attempt.phase) == (Outcome.AUTH, Applied.NO, "check")


async def test_an_unsigned_event_asks_for_no_secret() -> None:
    transport = Recording(reply(200, "ok"))
    provider = WebhookProvider("hook", WebhookSettings(url=URL, signed=False), transport=transport)
    assert (await provider.post({}, key="k")).outcome is Outcome.OK
    assert provider.fingerprint()
    await provider.close()
    assert "webhook-signature" not in transport.asked[0].headers


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_every_2xx_is_a_yes_whatever_it_says(status: int) -> None:
    assert (await post(reply(status, "whatever"))).outcome is Outcome.OK


@pytest.mark.parametrize(
    ("answer", "outcome", "applied"),
    [
        (reply(400), Outcome.INPUT, Applied.NO),
        (reply(422), Outcome.INPUT, Applied.NO),
        (reply(401), Outcome.AUTH, Applied.NO),
        (reply(403), Outcome.AUTH, Applied.NO),
        (reply(404), Outcome.AUTH, Applied.NO),
        (reply(405), Outcome.AUTH, Applied.NO),
        (reply(410), Outcome.AUTH, Applied.NO),
        (reply(429), Outcome.RATE_LIMITED, Applied.NO),
        (reply(503, retry_after="9"), Outcome.TRANSIENT, Applied.NO),
        (reply(308, location="https://other.example"), Outcome.AUTH, Applied.NO),
        (reply(302, location="https://other.example"), Outcome.AMBIGUOUS, Applied.UNKNOWN),
        (reply(409), Outcome.AMBIGUOUS, Applied.UNKNOWN),
        (reply(500), Outcome.AMBIGUOUS, Applied.UNKNOWN),
        (reply(503), Outcome.AMBIGUOUS, Applied.UNKNOWN),
        (reply(504), Outcome.AMBIGUOUS, Applied.UNKNOWN),
        (httpx.ConnectError("refused"), Outcome.TRANSIENT, Applied.NO),
        (httpx.ReadTimeout("slow"), Outcome.AMBIGUOUS, Applied.UNKNOWN),
        (httpx.RemoteProtocolError("gone"), Outcome.AMBIGUOUS, Applied.UNKNOWN),
    ],
)
async def test_what_a_receiver_answers_decides_whether_it_has_the_event(
    answer: Any, outcome: Outcome, applied: Applied
) -> None:
    attempt = await post(answer)
    assert (attempt.outcome, attempt.applied) == (outcome, applied)
    assert attempt.detail.startswith("The ")


@pytest.mark.parametrize(
    "body", ["Cannot POST /services/T0CANARY/B1", "token=abcdef123 is unknown", f"bad signature by {SECRET}"]
)
async def test_neither_address_nor_secret_come_back_in_an_answer(body: str) -> None:
    detail = (await post(reply(404, body))).detail
    assert not any(part in detail for part in ("T0CANARY", "abcdef123", SECRET))


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (reply(204), Outcome.OK),
        (reply(401), Outcome.OK),
        (reply(405), Outcome.OK),
        (reply(404), Outcome.AUTH),
        (reply(410), Outcome.AUTH),
        (reply(500), Outcome.TRANSIENT),
        (httpx.ConnectError("refused"), Outcome.TRANSIENT),
    ],
)
async def test_the_check_only_asks_whether_anybody_is_there(answer: Any, outcome: Outcome) -> None:
    async with webhook(answer) as (provider, transport):
        attempt = await provider.check()
    assert (attempt.outcome, attempt.applied) == (outcome, Applied.NO)
    assert transport.asked[0].method == "OPTIONS"


@pytest.mark.parametrize("key", ["", "two words", "x" * 256, "line\nbreak", "ü"])
async def test_an_event_without_a_usable_key_is_not_sent(key: str) -> None:
    async with webhook(reply(200)) as (provider, transport):
        with pytest.raises(ValueError, match="key"):
            await provider.post({}, key=key)
    assert not transport.asked


@pytest.mark.parametrize("url", ["http://hooks.example/x", "hooks.example", "https://u:p@hooks.example/"])
def test_an_address_that_is_not_safe_is_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        WebhookSettings(url=url)
