"""What the configuration says of one mail server."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from aicmo.gateways.oauth import OAuthSettings, goes_with_xoauth2
from aicmo.gateways.settings import Limits, WarmUp, WarmUpTable, warm_up_caps

DEFAULT_PORTS = {"starttls": 587, "tls": 465, "none": 25}
"""By ``security``."""


class SmtpSettings(BaseModel):
    """A block ``[providers.NAME]`` of kind ``smtp``."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    kind: Literal["smtp"] = "smtp"
    host: str = Field(min_length=1, max_length=253, pattern=r"^[^\s\x00-\x1f\x7f]+$")
    port: int | None = Field(default=None, ge=1, le=65535)
    """Default: 587 with ``starttls``, 465 with ``tls``, 25 with ``none``."""
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: str | None = None
    auth: Literal["password", "xoauth2"] = "password"
    """With ``xoauth2`` an access token is shown: from ``oauth``, else the secret is one, best from ``password_cmd``."""
    oauth: OAuthSettings | None = None
    """How access tokens are got; with it no password is asked for."""
    password_env: str | None = None
    password_cmd: list[str] | None = Field(default=None, min_length=1)
    password: SecretStr | None = None
    connections: int = Field(default=5, ge=1, le=50)
    messages_per_connection: int = Field(default=500, ge=1)
    idle_seconds: float = Field(default=60, gt=0)
    timeout_seconds: float = Field(default=30, gt=0)
    """For every step but the last."""
    final_reply_seconds: float = Field(default=600, gt=0)
    """For the answer to the final dot."""
    limits: Limits = Limits()
    warm_up: WarmUp | WarmUpTable | None = None
    """For a new account: so many a day at first, more on each day of sending."""
    ca_file: Path | None = None
    """Certificates to trust instead of the system's, for a private authority."""
    hostname: str = Field(default="[127.0.0.1]", pattern=r"^[\x21-\x7e]+$")
    """Our name in EHLO. The default, an address literal, needs no name lookup and tells nothing of this machine."""

    _oauth_is_shown = field_validator("oauth")(goes_with_xoauth2)

    @model_validator(mode="after")
    def _warm_up_ends(self) -> SmtpSettings:
        warm_up_caps(self.warm_up, self.limits)
        return self
