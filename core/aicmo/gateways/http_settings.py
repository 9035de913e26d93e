"""What the configuration says of any provider reached by HTTP, and which addresses it may name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from aicmo.gateways.local_fault import is_here
from aicmo.gateways.settings import Limits

_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\.?", re.IGNORECASE)


def _web_address(value: str) -> str:
    parts = urlsplit(value)
    host = parts.hostname or ""
    here = is_here(host.rstrip("."))
    if not value.isascii() or not value.isprintable() or " " in value or parts.port == 0:
        raise ValueError("must be a web address in plain ASCII")
    if parts.scheme != "https" and not (parts.scheme == "http" and here):
        raise ValueError("must begin with https:// (http:// only for this machine): the key travels with every request")
    if not _HOST.fullmatch(host) and not here:
        raise ValueError("must name a host")
    if parts.username is not None or parts.fragment:
        raise ValueError("must have no user name and no #")
    return value


def _base_address(value: str) -> str:
    if "?" in value:
        raise ValueError("must have no ?")
    return _web_address(value).rstrip("/")


WebAddress = Annotated[str, AfterValidator(_web_address)]
"""``https://``, or ``http://`` on this machine; neither credentials nor a fragment."""
BaseAddress = Annotated[str, AfterValidator(_base_address)]
"""The same without a query, and without a slash at its end: paths are added to it."""


class HttpSettings(BaseModel):
    """What every block ``[providers.NAME]`` of an HTTP provider may say."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    api_key_env: str | None = None
    api_key_cmd: list[str] | None = Field(default=None, min_length=1)
    api_key: SecretStr | None = None
    timeout_seconds: float = Field(default=30, gt=0, le=600)
    """For one request and its whole answer."""
    limits: Limits = Limits()
    ca_file: Path | None = None
    """Certificates to trust instead of the system's, for a private authority."""
