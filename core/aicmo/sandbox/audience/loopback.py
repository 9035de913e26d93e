"""Requests as the audience's programs make them, to this machine and nowhere else.

The only idea is the refusal: an address is asked when its host is written as a loopback address or ``localhost``. No
name is ever resolved, no proxy used, no redirect followed, so no mail that somebody sends through the sandbox can make
it speak to the world.
"""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from contextlib import suppress
from urllib.parse import SplitResult, quote, urlsplit

_SAFE = "!$%&'()*+,;=:@/?~-._"
_MOST_BYTES = 1024 * 1024


def loopback_host(url: str) -> str:
    """The numeric host of ``url`` when that is this machine over HTTP or HTTPS; otherwise empty."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
        if parts.scheme not in ("http", "https"):
            return ""
        if host == "localhost":
            return "127.0.0.1"
        return host if ipaddress.ip_address(host).is_loopback and "%" not in host else ""
    except ValueError:  # No address, no port, or a name: which nobody here looks up.
        return ""


async def ask(method: str, url: str, *, user_agent: str, form: bytes = b"", timeout_s: float = 2.0) -> int:
    """The status of the answer; 0 when none came in time. Raises ``ValueError`` for anywhere but this machine."""
    host = loopback_host(url)
    if not host:
        raise ValueError("an address that is not on this machine")
    parts = urlsplit(url)
    with suppress(OSError, TimeoutError, asyncio.IncompleteReadError, ValueError):
        async with asyncio.timeout(timeout_s):
            return await _exchange(host, parts, _request(method, parts, user_agent, form))
    return 0


def _request(method: str, parts: SplitResult, user_agent: str, form: bytes) -> bytes:
    target = quote(parts.path or "/", safe=_SAFE) + (f"?{quote(parts.query, safe=_SAFE)}" if parts.query else "")
    lines = [f"{method} {target} HTTP/1.1", f"Host: {parts.netloc.rpartition('@')[2]}", f"User-Agent: {user_agent}"]
    lines += ["Accept: */*", "Connection: close"]
    if form:
        lines += ["Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(form)}"]
    return "\r\n".join((*lines, "", "")).encode("ascii") + form


async def _exchange(host: str, parts: SplitResult, request: bytes) -> int:
    tls = parts.scheme == "https"
    reader, writer = await asyncio.open_connection(
        host, parts.port or (443 if tls else 80), ssl=_any_certificate() if tls else None
    )
    try:
        writer.write(request)
        await writer.drain()
        status = int((await reader.readuntil(b"\r\n")).split(None, 2)[1])
        taken = 0
        # To the end of the answer, as a browser would, but not for ever.
        while taken < _MOST_BYTES and (piece := await reader.read(65536)):
            taken += len(piece)
        return status
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


def _any_certificate() -> ssl.SSLContext:
    """Nobody can vouch for this machine to itself."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
