"""What every provider reached by HTTP shares: one request, one ``Attempt``, and nothing tried twice.

What decides everything is whether the request can have arrived. One that provably never left is ``Applied.NO``; one
whose answer is lost, cut, too large or unreadable is unknown, unless asking could not do anything. What a whole answer
means stands in ``http_answer``. No redirect is followed, for it would carry the key to a stranger, and every key is
masked in whatever comes back.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar
from urllib.parse import quote

from aicmo.clock import SYSTEM_CLOCK, Clock
from aicmo.errors import AicmoError, AuthNeeded, ConfigInvalid
from aicmo.gateways.attempt import Answer, Applied, Attempt, Outcome
from aicmo.gateways.http_answer import COMMON_RULES, DONE, Document, Effect, Reply, Rule, lost, retry_after, rule_for
from aicmo.gateways.http_settings import HttpSettings
from aicmo.gateways.tls import tls_problem, verifying_context
from aicmo.text import one_line

if TYPE_CHECKING:
    import ssl

    import httpx

DETAIL_LIMIT = 300
LARGEST_ANSWER = 16 * 1024 * 1024
LARGEST_REFUSAL = 64 * 1024
"""Bytes read of an answer, and of one that says no: its beginning says why."""
CONNECT_S = 10.0
SHORTEST_SECRET = 6
"""What is shorter is no secret, and masking it would only garble answers."""
_MASK = "•••"
_NO_HEADERS: Mapping[str, str] = {}
_KEY = re.compile(r"[\x21-\x7e]+")


S = TypeVar("S", bound=HttpSettings)
D = TypeVar("D", bound=Document)


class HttpProvider(ABC, Generic[S]):
    """The base of an HTTP provider: how it shows its key, how it words its refusals and what they mean is its own."""

    kind: ClassVar[str]
    capabilities: ClassVar[frozenset[str]]
    label: ClassVar[str]
    """What a person calls it: ``Apollo``."""
    check_cost: ClassVar[str] = ""
    """What ``check`` costs; empty: nothing."""
    rules: ClassVar[tuple[Rule, ...]] = ()

    def __init__(
        self,
        name: str,
        settings: S,
        *,
        secret: Callable[[], str] | None = None,
        clock: Clock = SYSTEM_CLOCK,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """``secret`` fetches the key; it may block and raise ``AuthNeeded``. ``transport`` stands for the network."""
        self.name = name
        self.settings = settings
        self._fetch_secret = secret
        self._clock = clock
        self._transport = transport
        self._key: str | None = None
        self._secrets: list[str] = []
        """Every key that was ever used here, and whatever else must not come back."""
        self._opening = asyncio.Lock()
        self._clients: dict[bool, httpx.AsyncClient] = {}
        for secret_part in self.private:
            self._keep_secret(secret_part)

    # --- what a provider says of itself -------------------------------------------------------------------------------

    @property
    @abstractmethod
    def address(self) -> str:
        """What the paths of its requests are added to."""

    @property
    def wants_key(self) -> bool:
        """Whether its requests show a key."""
        return True

    @property
    def private(self) -> tuple[str, ...]:
        """What must not come back in any answer, besides the key."""
        return ()

    @abstractmethod
    def credentials(self, key: str, headers: Mapping[str, str], content: bytes) -> dict[str, str]:
        """The headers that show ``key`` in a request with these ``headers`` and this body."""

    def words(self, document: Any) -> tuple[str, str]:
        """The provider's code and message in an answer's JSON; empty where it gives none."""
        return "", ""

    def allowed(self, headers: Mapping[str, str]) -> Mapping[str, int]:
        """Span -> how many calls the provider says it allows within it, by an answer's headers; empty: it says nothing.

        It may only lower what is configured, so a header that cannot be read is left out.
        """
        return {}

    # --- what a chain and the registry ask for ------------------------------------------------------------------------

    @property
    def limits(self) -> Mapping[str, int]:
        """Span of time -> how many requests may be made in it; only the spans that are limited."""
        return self.settings.limits.model_dump(exclude_none=True)

    def fingerprint(self) -> str:
        """See ``Provider``. Of the key only 16 bits go in: enough to see it change, too few to guess it from."""
        secret = self._fetch_secret() if self._fetch_secret and self.wants_key else ""
        where = self.settings.model_dump_json(exclude={"api_key"})
        key = hashlib.blake2b(secret.encode(), digest_size=2).hexdigest()
        return f"{hashlib.blake2b(where.encode(), digest_size=8).hexdigest()}-{key}"

    async def close(self) -> None:
        """Close every connection."""
        clients, self._clients = self._clients, {}
        for client in clients.values():
            await client.aclose()

    # --- one request --------------------------------------------------------------------------------------------------

    async def ask(
        self,
        method: str,
        path: str,
        model: type[D],
        *,
        effect: Effect = Effect.NONE,
        params: Mapping[str, str | Sequence[str]] | None = None,
        body: object = None,
    ) -> Answer[D]:
        """Send ``body`` as JSON and read the answer's JSON as ``model``; an answer that is not that is no answer."""
        content = b"" if body is None else json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
        headers = {"content-type": "application/json"}
        answer = await self.exchange(method, path, effect=effect, params=params, content=content, headers=headers)
        reply, attempt = answer.value, answer.attempt
        if reply is None:
            return Answer(attempt)
        try:
            return Answer(attempt, model.model_validate(reply.document))
        except ValueError:  # pydantic's ValidationError among them
            sentence = (
                "{label} answered something else than it should; a proxy or a wrong address may speak in its place."
            )
            return Answer(self._unreadable(sentence, effect, attempt.code, attempt.latency_s))

    async def exchange(
        self,
        method: str,
        path: str,
        *,
        effect: Effect,
        params: Mapping[str, str | Sequence[str]] | None = None,
        content: bytes = b"",
        headers: Mapping[str, str] = _NO_HEADERS,
        rules: tuple[Rule, ...] | None = None,
    ) -> Answer[Reply]:
        """One request and its answer; the ``Reply`` is there when the attempt is ``OK``.

        ``path`` is already percent-encoded. ``rules`` stand in for the provider's own.
        """
        started, way = self._clock.monotonic(), _Way()
        try:
            key = await self._current_key()
            credentials = self.credentials(key, headers, content) if key else {}
            client = await self._client(alone=effect is Effect.ONCE)
        except AicmoError as error:
            return Answer(self._attempt(Outcome.AUTH, Applied.NO, "check", "", error.message, started))
        import httpx

        try:
            async with asyncio.timeout(self.settings.timeout_seconds):
                request = client.build_request(
                    method,
                    self.address + path,
                    params=params,
                    content=content,
                    headers={**headers, **credentials},
                    extensions={"trace": way.trace},
                )
                reply = await self._carry(client, request)
        except _TooLarge as error:
            sentence = f"{{label}} sent more than {LARGEST_ANSWER // 2**20} MB; the answer was not read."
            return Answer(self._unreadable(sentence, effect, str(error), self._clock.monotonic() - started))
        except (httpx.HTTPError, OSError) as error:
            return Answer(self._broken(error, way, effect, started))
        attempt = self._judged(reply, self.rules if rules is None else rules, effect, started)
        if allowed := self.allowed(reply.headers):
            attempt = replace(attempt, allowed=tuple(allowed.items()))
        return Answer(attempt, reply if attempt.outcome is Outcome.OK else None)

    async def _carry(self, client: httpx.AsyncClient, request: httpx.Request) -> Reply:
        response = await client.send(request, stream=True, follow_redirects=False)
        try:
            limit = LARGEST_ANSWER if response.is_success else LARGEST_REFUSAL
            body = bytearray()
            async for piece in response.aiter_bytes():
                body += piece
                if len(body) > limit:
                    if response.is_success:
                        raise _TooLarge(str(response.status_code))
                    break
        finally:
            await response.aclose()
        return Reply(response.status_code, response.headers, self._masked(bytes(body)))

    async def _client(self, *, alone: bool) -> httpx.AsyncClient:
        """The client whose connections are kept, or the one whose connections carry one request each."""
        async with self._opening:
            if alone not in self._clients:
                await asyncio.to_thread(_load_httpx)
                import httpx

                logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs whole addresses, which may hold a token
                way: dict[str, Any] = {"transport": self._transport}
                if self._transport is None:
                    direct = {f"all://{host}": None for host in ("127.0.0.1", "localhost", "[::1]")}
                    way = {"verify": await self._trusted(), "mounts": direct}
                try:
                    self._clients[alone] = httpx.AsyncClient(
                        headers={"user-agent": "aicmo", "accept": "application/json", "accept-encoding": "identity"},
                        # Shorter than the whole: a handshake that is cancelled would leave its socket behind.
                        timeout=httpx.Timeout(None, connect=min(CONNECT_S, self.settings.timeout_seconds / 2)),
                        limits=httpx.Limits(max_keepalive_connections=0 if alone else 10),
                        **way,
                    )
                except (ImportError, ValueError) as error:
                    raise ConfigInvalid(f"The environment's proxy cannot be used: {one_line(str(error))}") from error
            return self._clients[alone]

    async def _trusted(self) -> ssl.SSLContext:
        """Whom to believe that they are who they say; read in a thread, for it takes longer than a screen may wait."""
        try:
            return await asyncio.to_thread(verifying_context, self.settings.ca_file)
        except OSError as error:
            why = error.strerror or str(error)
            raise ConfigInvalid(f"ca_file {self.settings.ca_file} cannot be used: {one_line(why)}.") from error

    async def _current_key(self) -> str:
        if not self.wants_key:
            return ""
        async with self._opening:  # requests that start together ask the person's password manager once
            if self._key is None:
                if self._fetch_secret is None:
                    raise AuthNeeded(f"{self.name} has no key; set api_key_env in [providers.{self.name}].")
                key = (await asyncio.to_thread(self._fetch_secret)).strip()
                if not _KEY.fullmatch(key):
                    raise AuthNeeded(f"The key of {self.name} has characters that no key has; was it copied whole?")
                self._key = key
                self._keep_secret(key)
            return self._key

    def forget_key(self) -> None:
        """It was refused and may since have been changed: it is fetched anew for the next request."""
        self._key = None

    def _keep_secret(self, secret: str) -> None:
        """From now on ``secret`` is masked in whatever comes back, in each form in which it could."""
        for form in (secret, secret.replace("/", r"\/"), quote(secret, safe="")):
            if len(form) >= SHORTEST_SECRET and form not in self._secrets:
                self._secrets.append(form)

    def _masked(self, body: bytes) -> bytes:
        for secret in self._secrets:
            body = body.replace(secret.encode(), _MASK.encode())
        return body

    # --- what came of it ----------------------------------------------------------------------------------------------

    def _judged(self, reply: Reply, rules: tuple[Rule, ...], effect: Effect, started: float) -> Attempt:
        code, message = self._words_of(reply)
        codes = f"{reply.status} {code}".strip()
        rule = rule_for((*rules, *COMMON_RULES, DONE), reply.status, f"{code} {message}")
        if rule is None:
            return self._attempt(*lost(effect), "reply", codes, f"{self.label} answered oddly. {message}", started)
        if rule.outcome is Outcome.OK:
            applied = Applied.NO if effect is Effect.NONE else Applied.YES
            return self._attempt(Outcome.OK, applied, "reply", codes, message, started)
        if rule.outcome is Outcome.AUTH:
            self.forget_key()
        outcome: Outcome = rule.outcome
        applied = Applied.NO
        told = retry_after(reply.headers.get("retry-after", ""), self._clock.now())
        if reply.status >= 500 and not (reply.status == 503 and told):
            outcome, applied = lost(effect)
        detail = " ".join(part for part in (rule.sentence.format(label=self.label), message) if part)
        return self._attempt(outcome, applied, "reply", codes, detail, started, self._wait_until(rule, told))

    def _wait_until(self, rule: Rule, told: datetime | None) -> datetime | None:
        if told is None and not (rule.wait_s or rule.least_wait_s):
            return None
        now = self._clock.now()
        return max(told or now + timedelta(seconds=rule.wait_s), now + timedelta(seconds=rule.least_wait_s))

    def _words_of(self, reply: Reply) -> tuple[str, str]:
        try:
            code, message = self.words(reply.document)
        except (ValueError, AttributeError, TypeError, LookupError):  # not JSON, or of a shape nobody told us of
            is_page = reply.body.lstrip()[:1] == b"<"
            code, message = "", "" if is_page else reply.body[:2000].decode("utf-8", "replace")
        if 200 <= reply.status < 300 and not code:
            message = ""
        return one_line(self._mask(code), limit=80), one_line(self._mask(message), limit=500)

    def _broken(self, error: Exception, way: _Way, effect: Effect, started: float) -> Attempt:
        """No answer, or a part of one."""
        phase = _phase_of(error) or way.phase
        if problem := tls_problem(_innermost(error), ports="Look at the address."):
            return self._attempt(Outcome.AUTH, Applied.NO, "tls", "", f"{self.label}: {problem}", started)
        if phase in ("connect", "check"):
            why = one_line(str(error)) or "no answer in time"
            detail = f"{self.label} cannot be reached: {why}"
            return self._attempt(Outcome.TRANSIENT, Applied.NO, phase, "", detail, started)
        if isinstance(error, TimeoutError) or "Timeout" in type(error).__name__:
            detail = f"{self.label} did not answer within {self.settings.timeout_seconds:g} s."
        else:
            detail = f"The connection to {self.label} broke before its answer was there."
        if effect is not Effect.NONE:
            detail += " Whether it did what it was asked is not known."
        return self._attempt(*lost(effect), phase, "", detail, started)

    def _unreadable(self, sentence: str, effect: Effect, code: str, latency_s: float) -> Attempt:
        outcome, applied = lost(effect)
        detail = one_line(sentence.format(label=self.label), limit=DETAIL_LIMIT)
        return Attempt(self.name, outcome, applied, "reply", code, detail, latency_s=latency_s)

    def _attempt(
        self,
        outcome: Outcome,
        applied: Applied,
        phase: str,
        code: str,
        detail: str,
        started: float,
        retry_at: datetime | None = None,
    ) -> Attempt:
        return Attempt(
            self.name,
            outcome,
            applied,
            phase,
            code,
            one_line(self._mask(detail), limit=DETAIL_LIMIT),
            retry_at=retry_at,
            latency_s=self._clock.monotonic() - started,
        )

    def _mask(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, _MASK)
        return text


class _TooLarge(Exception):
    """Carries the status of an answer that is larger than anything we ask for."""


@dataclass(slots=True)
class _Way:
    """How far a request got, by what the connection reports. One that reports nothing counts as having sent."""

    phase: str = "send"

    async def trace(self, event: str, info: Mapping[str, Any]) -> None:
        if event.endswith("connect_tcp.started"):
            self.phase = "connect"
        elif event.endswith("send_request_headers.started"):
            self.phase = "send"
        elif event.endswith("receive_response_headers.started"):
            self.phase = "reply"


def _phase_of(error: Exception) -> str:
    """What an exception of httpx proves about how far the request got; empty when it proves nothing."""
    import httpx

    phases: tuple[tuple[tuple[type[Exception], ...], str], ...] = (
        ((httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError), "connect"),
        ((httpx.UnsupportedProtocol, httpx.LocalProtocolError), "check"),
        ((httpx.WriteError, httpx.WriteTimeout), "send"),
        ((httpx.ReadError, httpx.ReadTimeout, httpx.RemoteProtocolError, httpx.DecodingError), "reply"),
    )
    return next((phase for kinds, phase in phases if isinstance(error, kinds)), "")


def _load_httpx() -> None:
    """With what it would load by itself at its first request. In a thread, for a screen may not wait so long."""
    for name in ("httpx", "httpcore", "anyio"):
        import_module(name)


def _innermost(error: BaseException) -> BaseException:
    """What it all began with; httpx keeps it as the context of an error without a cause."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return error
