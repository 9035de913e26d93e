"""Is it them, or is it our own network?

When two different hosts cannot be reached within ten seconds and nobody has answered since, the fault is here. It is
then booked on nobody; everything waits, and one call every five seconds finds out whether the network is back. What
lives on this machine needs no network, and neither pauses nor counts.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from aicmo.gateways.attempt import Applied, Attempt, Outcome
from aicmo.gateways.providers import Provider

WINDOW_S = 10.0
RETRY_S = 5.0


class Network:
    """What this process believes of the way to the outside. Times are of a monotonic clock, in seconds."""

    def __init__(self) -> None:
        self._failed: dict[str, float] = {}
        self._next_try_s = 0.0
        self.down = False

    @property
    def in_doubt(self) -> bool:
        """Whether an answer from anywhere would be news."""
        return self.down or bool(self._failed)

    def heard(self, provider: Provider, attempt: Attempt, now_s: float) -> None:
        """Take note of how a call went."""
        host = host_of(provider)
        if is_here(host):
            return
        if not unreachable(attempt):
            if attempt.outcome in (Outcome.OK, Outcome.MISS) or attempt.code:
                self._failed.clear()
                self.down = False
            return
        self._failed = {other: at for other, at in self._failed.items() if now_s - at <= WINDOW_S}
        self._failed[host] = now_s
        if len(self._failed) >= 2 and not self.down:
            self.down, self._next_try_s = True, now_s + RETRY_S

    def wait_s(self, provider: Provider, now_s: float) -> float:
        """How long a call to ``provider`` has to wait for the network; 0 when it may go."""
        if not self.down or is_here(host_of(provider)):
            return 0.0
        return max(self._next_try_s - now_s, 0.0)

    def tried(self, now_s: float) -> None:
        """A call goes out to see whether the network is back; the next one in five seconds."""
        self._next_try_s = now_s + RETRY_S


def unreachable(attempt: Attempt) -> bool:
    """Whether the call never got as far as anybody who could have answered."""
    return (
        attempt.outcome is Outcome.TRANSIENT
        and attempt.applied is Applied.NO
        and attempt.phase in ("connect", "dns")
        and not attempt.code
    )


def host_of(provider: Provider) -> str:
    """Where a provider's service lives, by its settings; its own name when they do not say."""
    settings = getattr(provider, "settings", None)
    host = getattr(settings, "host", None) or urlsplit(str(getattr(settings, "base_url", ""))).hostname
    return str(host).lower() if host else provider.name


def is_here(host: str) -> bool:
    """Whether it is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
