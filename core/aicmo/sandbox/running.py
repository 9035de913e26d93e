"""A running sandbox as its parent holds it: addresses, orders, and what was received."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from aicmo.errors import InvalidInput, ProviderUnavailable
from aicmo.sandbox.audience import Act, AudienceRates, read_audience
from aicmo.sandbox.faults import Fault, parse_faults
from aicmo.sandbox.http_log import Handled, read_http_log
from aicmo.sandbox.mail import Received, read_mail
from aicmo.text import one_line

_ORDER_S = 10.0
_STOP_S = 5.0


@dataclass(frozen=True, slots=True)
class Address:
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class HttpAddress(Address):
    path: str
    """What the provider's base address ends in, such as ``/api/v1``."""

    @property
    def base_url(self) -> str:
        """What stands for ``https://api.apollo.io/api/v1`` here: with the path, without a slash at its end."""
        return f"http://{self.host}:{self.port}{self.path}"


@dataclass(frozen=True, slots=True)
class ServerStatus:
    listening: bool
    connections: int
    """Connections taken since the start."""
    open: int
    """Connections that stand now."""


@dataclass(frozen=True, slots=True)
class AudienceStatus:
    waiting: int
    """People who have something left to do with a message that was read."""
    done: int
    """Acts recorded since the start or the last reset."""


@dataclass(frozen=True, slots=True)
class Status:
    received: int
    """Messages accepted since the start or the last reset."""
    smtp: dict[str, ServerStatus]
    http: dict[str, ServerStatus]
    imap: ServerStatus
    faults: tuple[Fault, ...]
    """The rules that can still happen, with ``times`` as what is left of it."""
    audience: AudienceStatus | None
    """None when nobody reads the mail."""


class RunningSandbox:
    """The handle on a sandbox process; ``start_sandbox`` makes it. A context manager: leaving it stops the process."""

    def __init__(self, process: subprocess.Popen[bytes], ready: dict[str, Any]) -> None:
        self._process = process
        self._control = Address(**ready["control"])
        self.smtp = {name: Address(**where) for name, where in ready["smtp"].items()}
        self.http = {name: HttpAddress(**where) for name, where in ready["http"].items()}
        self.imap = Address(**ready["imap"])
        self.keys: dict[str, str] = ready["keys"]
        """By HTTP provider."""
        self.folder = Path(ready["folder"])
        self.people = Path(ready["people"])
        """A CSV of 300 sample people; see ``people``."""
        self.certificate = Path(ready["certificate"]) if ready["certificate"] else None
        """What a client has to trust to use STARTTLS; None when it is not offered."""

    def set_faults(self, faults: Iterable[Fault]) -> None:
        """Put a script in force in place of the last one, with its clock at zero. It holds when this returns."""
        self._order({"do": "faults", "rules": [fault.as_dict() for fault in faults]})

    def set_account(self, server: str, **settings: object) -> None:
        """Change what the user has at an HTTP provider, such as ``credits`` or ``scopes``, until the next reset.

        What there is to change are the fields of ``Account`` in the provider's module. Raises ``InvalidInput``.
        """
        self._order({"do": "account", "server": server, "settings": settings})

    def keep_copies(self, kept: bool = True) -> None:
        """Let the mail servers file a copy of each message they accept in Sent, as large providers do, or not.

        They do not until this is called, nor after a reset.
        """
        self._order({"do": "copies", "kept": kept})

    def reset(self) -> None:
        """No faults, no mail, no copies from now on, no requests, the providers as at the start; connections and the
        mailbox stay."""
        self._order({"do": "reset"})

    def status(self) -> Status:
        """How things stand now; cheap, so it can be asked in a loop."""
        answer = self._order({"do": "status"})
        return Status(
            received=answer["received"],
            smtp={name: ServerStatus(**server) for name, server in answer["smtp"].items()},
            http={name: ServerStatus(**server) for name, server in answer["http"].items()},
            imap=ServerStatus(**answer["imap"]),
            faults=parse_faults(answer["faults"]),
            audience=AudienceStatus(**answer["audience"]) if answer["audience"] else None,
        )

    def settle(self, timeout_s: float = 60.0) -> None:
        """Wait until the audience has done all it will do with what was received; at once when there is none.

        Raises ``ProviderUnavailable`` when that takes longer.
        """
        self._order({"do": "settle"}, timeout_s)

    def received(self) -> list[Received]:
        """Every message accepted since the start or the last reset, in order. Works on a stopped sandbox too."""
        return read_mail(self.folder)

    def acts(self) -> list[Act]:
        """What the audience did since the start or the last reset, in order. Works on a stopped sandbox too.

        Raises ``NotFound`` when it has no audience.
        """
        return read_audience(self.folder)

    def http_log(self) -> list[Handled]:
        """Every request handled since the start or the last reset, in order. Works on a stopped sandbox too."""
        return read_http_log(self.folder)

    def stop(self) -> None:
        """End the process, gently if it will. Does nothing when it has ended."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        for harder in (self._process.terminate, self._process.kill):
            try:
                self._process.wait(_STOP_S)
                break
            except subprocess.TimeoutExpired:
                harder()
        self._process.wait()
        self._process.stdout.close()

    def __enter__(self) -> RunningSandbox:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.stop()

    def _order(self, order: dict[str, Any], timeout_s: float = _ORDER_S) -> dict[str, Any]:
        try:
            with (
                socket.create_connection((self._control.host, self._control.port), timeout=timeout_s) as connection,
                connection.makefile("rwb") as lines,
            ):
                lines.write(json.dumps(order).encode() + b"\n")
                lines.flush()
                answer: dict[str, Any] = json.loads(lines.readline() or b"{}")
        except OSError as error:
            raise ProviderUnavailable("The sandbox does not answer.", hint=_last_words(self.folder)) from error
        if not answer.pop("ok", False):
            raise InvalidInput(answer.get("error", "The sandbox hung up."), hint=_last_words(self.folder))
        return answer


def start_sandbox(
    folder: Path,
    *,
    faults: Iterable[Fault] = (),
    starttls: bool = False,
    seed: int = 1,
    audience: AudienceRates | None = None,
    audience_scale: float = 0.0,
    timeout_s: float = 30.0,
) -> RunningSandbox:
    """Start a sandbox process that keeps what it receives in ``folder``, and wait until it listens.

    With ``audience`` somebody reads what is sent, and a second of their time takes ``audience_scale`` seconds: at 0
    everything happens at once. What was in the folder from an earlier sandbox is replaced. Blocks for about half a
    second; call it in a thread from an event loop. Raises ``ProviderUnavailable`` when it does not come up in
    ``timeout_s``.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    command = [sys.executable, "-P", "-m", "aicmo.sandbox", "--folder", os.fspath(folder), "--seed", str(seed)]
    if script := [fault.as_dict() for fault in faults]:
        (folder / "faults.json").write_text(json.dumps(script))
        command += ["--faults", os.fspath(folder / "faults.json")]
    if starttls:
        command.append("--starttls")
    if audience is not None:
        command += ["--audience", json.dumps(asdict(audience)), "--audience-scale", str(audience_scale)]
    with open(folder / "sandbox.log", "wb") as log:
        # A process group of its own: Ctrl-C in the terminal is for the parent, which then stops the sandbox.
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, process_group=0)
    assert process.stdin is not None and process.stdout is not None
    too_late = threading.Timer(timeout_s, process.kill)
    too_late.start()
    try:
        ready = process.stdout.readline()
    finally:
        too_late.cancel()
    if not ready.endswith(b"\n"):
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()
        raise ProviderUnavailable("The sandbox did not start.", hint=_last_words(folder))
    return RunningSandbox(process, json.loads(ready))


def _last_words(folder: Path) -> str:
    """The end of what the process wrote to standard error; empty when it wrote nothing."""
    lines = (folder / "sandbox.log").read_text(errors="replace").strip().splitlines()
    return f"It says: {one_line(lines[-1], limit=200)}" if lines else ""
