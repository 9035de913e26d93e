"""Which providers log in with OAuth tokens of ours, where those are kept, and how each stands.

Here the token files are plugged into the gateways. Telling how things stand loads no provider and asks nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aicmo.clock import Clock
from aicmo.errors import StoreError
from aicmo.secrets import SecretSource
from aicmo.token_file import TokenFile
from aicmo.token_state import TRANSIENT, TokenStanding

if TYPE_CHECKING:
    from aicmo.gateways.oauth import OAuthSettings, TokenKeeper


class SignIns:
    """Those of one configuration. ``close`` it when a provider was called."""

    def __init__(self, folder: Path, providers: Mapping[str, Mapping[str, Any]], *, clock: Clock) -> None:
        """``providers`` are the blocks of the configuration."""
        self.names = tuple(name for name, block in providers.items() if block.get("oauth"))
        self._folder = folder
        self._clock = clock
        self._keepers: dict[str, TokenKeeper] = {}

    def keeper(self, name: str, oauth: OAuthSettings) -> TokenKeeper:
        """Who has the access tokens of the provider ``name``: one for all who ask."""
        from aicmo.gateways.oauth import TokenKeeper

        if name not in self._keepers:
            has_secret = oauth.client_secret_env or oauth.client_secret_cmd
            self._keepers[name] = TokenKeeper(
                name,
                oauth,
                TokenFile(self._folder, name),
                seed=_secret(name, "refresh token", oauth.refresh_token_env, oauth.refresh_token_cmd),
                client_secret=_secret(name, "client secret", oauth.client_secret_env, oauth.client_secret_cmd)
                if has_secret
                else None,
                clock=self._clock,
            )
        return self._keepers[name]

    def standings(self) -> Mapping[str, TokenStanding]:
        """How each provider's tokens stand, as kept; one that cannot be read says why."""
        return {name: self._standing(name) for name in self.names}

    async def close(self) -> None:
        """Let every refresh under way be finished, and its tokens be kept."""
        for keeper in self._keepers.values():
            await keeper.close()

    def _standing(self, name: str) -> TokenStanding:
        try:
            return TokenFile(self._folder, name).load().standing
        except StoreError as error:
            return TokenStanding(trouble=TRANSIENT, why=error.message)


def _secret(name: str, what: str, env: str | None, command: list[str] | None) -> SecretSource:
    return SecretSource(name, env=env, command=command, what=what, key=f"oauth.{what.replace(' ', '_')}")
