"""What every server of the sandbox is: a port that can stop listening and come back, and a script it obeys."""

from __future__ import annotations

import asyncio
import socket
import struct
from abc import ABC, abstractmethod
from typing import Any

from aicmo.clock import Clock
from aicmo.sandbox.faults import Fault, FaultScript


class Server(ABC):
    """One server on 127.0.0.1, whose port stays its own while it refuses connections."""

    def __init__(self, name: str, clock: Clock) -> None:
        self.name = name
        self.clock = clock
        self.script = FaultScript(clock=clock)
        self.connections = 0
        """Connections taken since the start."""
        self.peers: set[int] = set()
        """The clients' ports of the connections that stand now."""
        self._listener: asyncio.Server | None = None
        # Bound and never listening: while the listener is closed, nobody else on the machine gets the port.
        self._holder = _bind(0)
        self.port: int = self._holder.getsockname()[1]

    @abstractmethod
    def protocol(self) -> asyncio.BaseProtocol:
        """What speaks on one connection."""

    @property
    def listening(self) -> bool:
        return self._listener is not None

    async def listen(self, wanted: bool) -> None:
        """Open or close the port; connections that stand are left alone."""
        if wanted and self._listener is None:
            loop = asyncio.get_running_loop()
            self._listener = await loop.create_server(self.protocol, sock=_bind(self.port), backlog=512)
        elif not wanted and self._listener is not None:
            self._listener.close()
            self._listener = None

    def pick(self, phase: str, *subjects: str) -> Fault | None:
        """The fault of the script that happens now, if one does; see ``FaultScript.pick``."""
        return self.script.pick(self.name, phase, *subjects)

    def close(self) -> None:
        if self._listener is not None:
            self._listener.close()
        self._holder.close()


def reset_connection(transport: Any) -> None:
    """End a connection so that its client sees a reset, whatever is still unread."""
    # Without lingering the kernel sends RST in place of FIN: the same end for every client.
    lost = transport.get_extra_info("socket")
    lost.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _bind(port: int) -> socket.socket:
    # The protocol by name: only then does asyncio turn Nagle's delay off for what is accepted here.
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.bind(("127.0.0.1", port))
    return bound
