"""The outside world on loopback, in a process of its own: for the demo, the tests and the benchmarks.

Two SMTP servers, an IMAP mailbox, an OAuth token server, the HTTP APIs of Apollo, Dropcontact and Airtable, a webhook
and a web site, all of which fail as a fault script tells them; 300 sample people, whom the providers know more or less;
on request a seeded audience that reads the mail, fetches what is on this machine, answers, bounces and complains by
known true rates; and a record on disk of every message that was accepted, every request that was handled and everything
the audience did. The adapters reach it through their configured addresses and cannot tell it from the real one. It
knows nothing of the rest of AICMO, and its servers are never imported into the process that uses them::

    with start_sandbox(folder, faults=[Fault("dot", "drop", server="smtp-a", times=1)]) as sandbox:
        send_to(sandbox.smtp["smtp-a"].port)
        assert [mail.rcpt_to for mail in sandbox.received()] == [("zoe@atelier.example",)]

Rooms: ``faults`` (the script), ``mail`` and ``http_log`` (the records), ``people`` and ``known`` (the truth of them),
``audience`` (who reads the mail, and what they did), ``running`` (the parent's handle), ``proxy`` (cuts connections at
a byte); in the process itself ``server``, ``smtp``, ``imap`` and ``http``, with one module per provider behind it.
"""

from __future__ import annotations

from aicmo.sandbox.audience import Act, AudienceRates, read_audience
from aicmo.sandbox.faults import Fault
from aicmo.sandbox.http_log import Handled, read_http_log
from aicmo.sandbox.mail import Received, read_mail
from aicmo.sandbox.people import Person, sample_people, write_csv
from aicmo.sandbox.running import RunningSandbox, Status, start_sandbox

USER = "ada@example.com"
PASSWORD = "sandbox"
"""The one account of the mailbox; SMTP takes it too, and asks for none."""

KEYS = {
    "apollo": "sandbox-apollo-4f1c9a7e2d",
    "dropcontact": "sandbox-dropcontact-8b03e6",
    "airtable": "patSandboxAAAAAAA.5d2e8f7a1c",
}
"""The one key of each HTTP provider that asks for one."""

CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN = "sandbox-client", "sandbox-client-3f7c51", "sandbox-refresh-9d20e4"
"""What its token server takes at the start. With the access tokens it gives, ``USER`` gets in by XOAUTH2."""

__all__ = [
    "CLIENT_ID",
    "CLIENT_SECRET",
    "KEYS",
    "PASSWORD",
    "REFRESH_TOKEN",
    "USER",
    "Act",
    "AudienceRates",
    "Fault",
    "Handled",
    "Person",
    "Received",
    "RunningSandbox",
    "Status",
    "read_audience",
    "read_http_log",
    "read_mail",
    "sample_people",
    "start_sandbox",
    "write_csv",
]
