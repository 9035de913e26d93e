"""The outside world on loopback, in a process of its own: for the demo, the tests and the benchmarks.

Two SMTP servers that fail as a fault script tells them, an IMAP mailbox, 300 sample people, and a record on disk of
every message that was accepted. The adapters reach it through their configured addresses and cannot tell it from the
real one. It knows nothing of the rest of AICMO, and its servers are never imported into the process that uses them::

    with start_sandbox(folder, faults=[Fault("dot", "drop", server="smtp-a", times=1)]) as sandbox:
        send_to(sandbox.smtp["smtp-a"].port)
        assert [mail.rcpt_to for mail in sandbox.received()] == [("zoe@atelier.example",)]

Rooms: ``faults`` (the script), ``mail`` (the record), ``people``, ``running`` (the parent's handle); in the process
itself ``server``, ``smtp``, ``imap``.
"""

from __future__ import annotations

from aicmo.sandbox.faults import Fault
from aicmo.sandbox.mail import Received, read_mail
from aicmo.sandbox.people import Person, sample_people, write_csv
from aicmo.sandbox.running import RunningSandbox, Status, start_sandbox

USER = "ada@example.com"
PASSWORD = "sandbox"
"""The one account of the mailbox; SMTP takes it too, and asks for none."""

__all__ = [
    "PASSWORD",
    "USER",
    "Fault",
    "Person",
    "Received",
    "RunningSandbox",
    "Status",
    "read_mail",
    "sample_people",
    "start_sandbox",
    "write_csv",
]
