"""Access tokens for those who log in with XOAUTH2: fetched, kept and renewed, once for everybody.

A refresh token is shown by one caller at a time, over all processes; whoever comes meanwhile gets what came of it. An
access token is renewed a little before its end, beside the work, which goes on with the old one. Only the server's own
word, in the codes of RFC 6749 5.2, ends a grant; whatever else goes wrong passes, and takes nothing away. Nobody gets
an access token before the refresh token that came with it is kept.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo

from aicmo.clock import SYSTEM_CLOCK, Clock
from aicmo.errors import AicmoError, AuthNeeded, ProviderUnavailable, StoreDamaged, StoreError
from aicmo.gateways.attempt import Applied, Attempt
from aicmo.gateways.http_settings import WebAddress
from aicmo.gateways.token_server import Granted, TokenServer, trouble_of
from aicmo.text import one_line
from aicmo.token_state import SIGN_IN, TRANSIENT, Tokens

if TYPE_CHECKING:
    import httpx

REFRESH_S = 15.0
"""For one request and its whole answer."""
LOCK_PATIENCE_S, LOCK_POLL_S = REFRESH_S + 5.0, 0.05
"""How long somebody else's refresh is waited for: as long as it can take, and its writing."""
EARLY_S, EARLY_SHARE = 300.0, 0.2
"""An access token is renewed about so long before its end, and of a short-lived one in the last fifth of its life."""
LEAST_LEFT_S, LEAST_LEFT_SHARE = 10.0, 0.05
"""One that ends sooner is not shown any more: it could end on the way."""
RETRY_S, LONGEST_RETRY_S = 10.0, 900.0
"""About so long a server that failed is left alone, and the most when it asks for more."""
HOPELESS_S = 60.0
"""So long the process that heard a final no does not ask again. Another asks at once: it may have been set right."""


class OAuthSettings(BaseModel):
    """``oauth`` in a block ``[providers.NAME]``: how access tokens are got (RFC 6749 6)."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    token_url: WebAddress
    client_id: str = Field(min_length=1, max_length=500, pattern=r"^[\x20-\x7e]+$")
    client_secret_env: str | None = None
    client_secret_cmd: list[str] | None = Field(default=None, min_length=1)
    """With neither it is a public client, which has no secret."""
    refresh_token_env: str | None = None
    refresh_token_cmd: list[str] | None = Field(default=None, min_length=1)
    """With neither the keyring is asked. It is where tokens begin: when the server gives a newer one, that is kept in
    the data folder and used instead, until another one is configured."""
    scope: str = Field(default="", pattern=r"^[\x21\x23-\x5b\x5d-\x7e ]*$")
    """What is asked for; empty: all that was granted."""
    ca_file: Path | None = None
    """Certificates to trust instead of the system's, when ``token_url`` has a private authority."""


def goes_with_xoauth2(oauth: OAuthSettings | None, block: ValidationInfo) -> OAuthSettings | None:
    """A validator for the blocks that may have an ``oauth``."""
    if oauth is not None and (block.data.get("auth") != "xoauth2" or not block.data.get("username")):
        raise ValueError('goes with auth = "xoauth2" and a username')
    return oauth


class TokenStore(Protocol):
    """Where one provider's tokens are kept. ``load`` and ``save`` may block for as long as a disk does."""

    def load(self) -> Tokens:
        """What is kept, ``Tokens()`` when nothing is. Raises ``StoreError``."""
        ...

    def hold(self) -> AbstractContextManager[bool]:
        """Whether it is ours alone, over all processes, while inside. Does not wait. Raises ``StoreError``."""
        ...

    def save(self, tokens: Tokens) -> None:
        """On the disk when it returns. Raises ``StoreError``."""
        ...


class TokenKeeper:
    """The access token of one provider. ``close`` it, so that what a server is just giving is kept."""

    def __init__(
        self,
        provider: str,
        settings: OAuthSettings,
        store: TokenStore,
        *,
        seed: Callable[[], str],
        client_secret: Callable[[], str] | None = None,
        clock: Clock = SYSTEM_CLOCK,
        rng: Callable[[], float] = random.random,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """``seed`` fetches the configured refresh token, ``client_secret`` the client's, if it has one; both may block
        and raise ``AuthNeeded``. ``transport`` stands for the network."""
        self.provider = provider
        self.settings = settings
        self._store = store
        self._fetch_seed = seed
        self._fetch_client_secret = client_secret
        self._clock = clock
        self._rng = rng
        self._sooner = 0.75 + 0.5 * rng()  # programs that run side by side do not all come at once
        self._server = TokenServer(
            settings.token_url, REFRESH_S, ca_file=settings.ca_file, clock=clock, transport=transport
        )
        self._tokens = Tokens()
        self._looked = False
        """Whether ``_tokens`` is what was kept, or came after it."""
        self._unkept: Tokens | None = None
        """What a server gave and the disk would not take: nobody gets it before it is kept, and it is not lost."""
        self._refused = ""
        self._hopeless_until = float("-inf")
        """Of the monotonic clock: since this process itself was told that a person is needed."""
        self._renewal: asyncio.Task[Tokens] | None = None

    # --- what is asked for --------------------------------------------------------------------------------------------

    async def access_token(self) -> str:
        """One to show now.

        Raises ``ProviderUnavailable`` when none can be had for the moment, and ``AuthNeeded`` when a person is needed.
        A caller that is cancelled does not keep a refresh from being finished, nor its tokens from being kept.
        """
        if not self._looked:
            try:
                self._settle(await self._found())
            except StoreError as error:
                raise _as_error(self.provider, self._unstored(error)) from None
        for _ in range(2):  # a renewal under way may have begun before the token was refused
            if self._fresh(self._tokens):
                break
            renewal = self._renewal or self._renew()
            if self._usable(self._tokens):
                break  # the work does not wait: the old one still holds
            self._settle(await asyncio.shield(renewal))
        if self._usable(self._tokens):
            return self._tokens.access_token
        raise _as_error(self.provider, self._tokens)

    def refused(self, token: str) -> None:
        """The mail server would not have ``token``: it is not shown again, whatever time it had left."""
        self._refused = token

    async def refresh(self) -> Tokens:
        """Renew it now, because a person asked; what is then known. Raises as ``access_token`` does."""
        self._settle(await asyncio.shield(self._renewal or self._renew(asked=True)))
        if self._tokens.trouble:
            raise _as_error(self.provider, self._tokens)
        return self._tokens

    def fingerprint(self) -> str:
        """Changes when the credentials do; see ``Provider``. Of the secrets only 16 bits go in. Blocks.

        Raises ``AuthNeeded`` or ``StoreError``.
        """
        kept = self._matched(self._store.load(), self._seed_or_nothing())
        refresh_token = kept.refresh_token or self._fetch_seed()
        client_secret = self._fetch_client_secret() if self._fetch_client_secret else ""
        secret = hashlib.blake2b(f"{refresh_token}\0{client_secret}".encode(), digest_size=2).hexdigest()
        return f"{hashlib.blake2b(self.settings.model_dump_json().encode(), digest_size=4).hexdigest()}{secret}"

    async def close(self) -> None:
        """Wait for a refresh under way, which is bounded in time, and part from the server."""
        if self._renewal is not None:
            await asyncio.wait([self._renewal])
        await self._server.close()

    # --- one renewal --------------------------------------------------------------------------------------------------

    def _renew(self, *, asked: bool = False) -> asyncio.Task[Tokens]:
        # A task of its own: cancelled with its caller, it would lose an answer on its way, and a refresh token in it.
        self._renewal = asyncio.create_task(self._renewed(asked), name="aicmo-token")
        self._renewal.add_done_callback(self._renewal_done)
        return self._renewal

    def _renewal_done(self, task: asyncio.Task[Tokens]) -> None:
        self._renewal = None
        if not task.cancelled() and task.exception() is None:
            self._settle(task.result())

    def _settle(self, tokens: Tokens) -> None:
        self._tokens, self._looked = tokens, True

    async def _renewed(self, asked: bool) -> Tokens:
        """The tokens after asking for new ones, or without it where another was quicker or it would be too soon."""
        try:
            waits = asked or not self._usable(self._tokens)  # with a token that still holds nobody is waited for
            async with self._alone(LOCK_PATIENCE_S if waits else 0.0) as alone:
                if not alone:
                    waited = "Another AICMO has been renewing its token for too long."
                    return self._troubled(self._tokens, TRANSIENT, waited) if waits else self._tokens
                if self._unkept is not None:
                    await self._save(self._unkept)
                    return self._tokens_kept()
                found = await self._found()
                if not asked and (self._fresh(found) or self._too_soon(found)):
                    return found
                return await self._asked(found)
        except StoreError as error:
            return self._unstored(error)

    @asynccontextmanager
    async def _alone(self, patience_s: float) -> AsyncIterator[bool]:
        """Hold the store; whether that went well."""
        give_up = self._clock.monotonic() + patience_s
        while True:
            with self._store.hold() as mine:
                if mine or self._clock.monotonic() >= give_up:
                    yield mine
                    return
            await self._clock.sleep(LOCK_POLL_S)

    async def _asked(self, found: Tokens) -> Tokens:
        """Ask the server, and keep what came of it."""
        try:
            refresh_token = found.refresh_token or (await asyncio.to_thread(self._fetch_seed)).strip()
            client_secret = ""
            if self._fetch_client_secret is not None:
                client_secret = (await asyncio.to_thread(self._fetch_client_secret)).strip()
        except AuthNeeded as error:
            return self._troubled(found, SIGN_IN, error.message)
        begun_at = self._clock.now()
        # Shows that what comes back can be kept, before the refresh token is spent on it.
        await self._save(replace(found, asked_at=begun_at))
        client_id, scope = self.settings.client_id, self.settings.scope
        answer = await self._server.refresh(client_id, client_secret, refresh_token, scope)
        if answer.value is not None:
            after = _granted(found, answer.value, begun_at, shown=refresh_token)
        else:
            after = self._failed(found, answer.attempt, begun_at)
        self._unkept = after
        await self._save(after)
        return self._tokens_kept()

    def _failed(self, found: Tokens, attempt: Attempt, begun_at: datetime) -> Tokens:
        trouble = trouble_of(attempt)
        why = ": ".join(part for part in (attempt.code, attempt.detail) if part)
        if trouble == TRANSIENT:
            lost_at = begun_at if attempt.applied is Applied.UNKNOWN else found.asked_at
            return self._troubled(replace(found, asked_at=lost_at), TRANSIENT, why, attempt.retry_at)
        if found.asked_at is not None:
            why += f" (The answer to an earlier refresh, at {found.asked_at:%Y-%m-%d %H:%M} UTC, may have been lost.)"
        self._hopeless_until = self._clock.monotonic() + HOPELESS_S
        return self._troubled(found, trouble, why)

    def _tokens_kept(self) -> Tokens:
        kept, self._unkept = self._unkept, None
        assert kept is not None
        return kept

    async def _save(self, tokens: Tokens) -> None:
        await asyncio.to_thread(self._store.save, tokens)

    # --- what is known ------------------------------------------------------------------------------------------------

    async def _found(self) -> Tokens:
        """What is kept, unless another refresh token was configured since."""
        return self._matched(await asyncio.to_thread(self._store.load), await asyncio.to_thread(self._seed_or_nothing))

    def _seed_or_nothing(self) -> str:
        """A newer token may be kept, and then the configured one is not needed: so its absence is no fault yet."""
        try:
            return self._fetch_seed()
        except AuthNeeded:
            return ""

    def _matched(self, kept: Tokens, seed: str) -> Tokens:
        if not seed or (kept.seed_key and self._mark(seed, kept.seed_key) == kept.seed_mark):
            return kept
        key = secrets.token_hex(16)
        return Tokens(seed_key=key, seed_mark=self._mark(seed, key))

    def _mark(self, seed: str, key: str) -> str:
        """Whose grant it is: the configured refresh token, the server and the client it was given to."""
        grant = "\0".join((seed, self.settings.token_url, self.settings.client_id))
        return hashlib.blake2b(grant.encode(), key=key.encode()[:64], digest_size=16).hexdigest()

    def _usable(self, tokens: Tokens) -> bool:
        """Whether its access token can be shown."""
        lasts = self._left_s(tokens) > min(LEAST_LEFT_S, LEAST_LEFT_SHARE * _life_s(tokens))
        return lasts and tokens.access_token not in ("", self._refused)

    def _fresh(self, tokens: Tokens) -> bool:
        """Whether it need not be renewed yet."""
        early_s = min(EARLY_S, EARLY_SHARE * _life_s(tokens)) * self._sooner
        return self._usable(tokens) and self._left_s(tokens) > early_s

    def _left_s(self, tokens: Tokens) -> float:
        return (tokens.expires_at - self._clock.now()).total_seconds() if tokens.expires_at else 0.0

    def _too_soon(self, found: Tokens) -> bool:
        """Whether the server said no so lately that it is not asked again."""
        now = self._clock.now()
        if found.standing.needs_person:
            return self._clock.monotonic() < self._hopeless_until
        # A time further ahead was written by a clock that was wrong.
        return found.retry_at is not None and now < found.retry_at <= now + timedelta(seconds=LONGEST_RETRY_S)

    def _troubled(self, tokens: Tokens, trouble: str, why: str, told: datetime | None = None) -> Tokens:
        now = self._clock.now()
        soonest = now + timedelta(seconds=RETRY_S * (0.5 + self._rng()))
        retry_at = min(max(told or soonest, soonest), now + timedelta(seconds=LONGEST_RETRY_S))
        return replace(tokens, trouble=trouble, why=one_line(why, limit=300), trouble_at=now, retry_at=retry_at)

    def _unstored(self, error: StoreError) -> Tokens:
        """What this process knows goes on; a damaged file has to be seen to by a person."""
        trouble = SIGN_IN if isinstance(error, StoreDamaged) else TRANSIENT
        return self._troubled(self._tokens, trouble, f"{error.message} {error.hint}")


def _granted(found: Tokens, granted: Granted, at: datetime, *, shown: str) -> Tokens:
    """``found`` with what was given at ``at``. A refresh token that is empty, or the one shown, changes nothing."""
    given = granted.refresh_token
    return Tokens(
        refresh_token=given if given and given != shown else found.refresh_token,
        access_token=granted.access_token,
        expires_at=at + timedelta(seconds=granted.life_s),
        refreshed_at=at,
        seed_key=found.seed_key,
        seed_mark=found.seed_mark,
    )


def _life_s(tokens: Tokens) -> float:
    if tokens.expires_at is None or tokens.refreshed_at is None:
        return 0.0
    return max((tokens.expires_at - tokens.refreshed_at).total_seconds(), 0.0)


def _as_error(provider: str, tokens: Tokens) -> AicmoError:
    if tokens.standing.needs_person:
        return AuthNeeded(
            f"{provider} has no access token: {tokens.why}",
            hint=f"Sign in again and put the refresh token where oauth of [providers.{provider}] says.",
        )
    return ProviderUnavailable(
        f"{provider} has no access token now: {tokens.why or 'the server gave one that has ended already.'}",
        hint=f"Nothing is lost; to try again: aicmo auth refresh {provider}",
    )
