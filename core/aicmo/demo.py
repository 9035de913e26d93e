"""A workspace on the sandbox: sample people who answer, a campaign under way, a mail server that fails for a while.

Nothing is pretended: the real adapters speak to real sockets, the ledger is a real database, and what the sandbox
received can be compared with it afterwards.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aicmo.clock import SYSTEM_CLOCK, Clock
from aicmo.config import Config
from aicmo.paths import Paths, make_private_dir
from aicmo.publishing import Draft, PublishingCampaign
from aicmo.sandbox import PASSWORD, USER, AudienceRates, Fault, RunningSandbox, start_sandbox
from aicmo.sandbox.people import write_csv
from aicmo.workspace import Workspace, open_workspace

PER_SECOND = 10
"""How many messages leave in a second at speed 1: slow enough to watch."""
OUTAGE_S = (2.0, 8.0)
"""From when to when smtp-a fails, in seconds at speed 1."""
HOUR_S = 1.0
"""What an hour of the audience's life takes at speed 1: the first answers come while the campaign goes out."""
AUDIENCE = AudienceRates(
    hard_bounce=0.01,
    soft_bounce=0.01,
    open=0.35,
    click=0.06,
    reply=0.06,
    auto_reply=0.04,
    complaint=0.005,
    unsubscribe=0.01,
    unsubscribe_in_words=0.007,
)
"""People who talk more than most, so that 300 of them fill an inbox."""
AIRTABLE_BASE = "appSandboxAAAAAAA"
"""The one base that the sandbox's Airtable has."""

SUBJECT = "What changed this autumn, {{ first_name | default('dear reader') }}"
PREHEADER = "Three things, two minutes"
# SITE stands for the address of the sandbox's web site, where the audience can go without leaving the machine.
BODY = """\
Hello {{ first_name | default('there') }},

this autumn three things changed{% if company %} that people at **{{ company }}** may like{% endif %}:

1. Answers come within the hour, weekends included.
2. The price stays; the trial is now thirty days.
3. There is a [tour of two minutes](SITE/tour).

Reply to this mail and a person reads it.

{{ sender.name }}
"""


@dataclass(frozen=True, slots=True)
class Demo:
    workspace: Workspace
    sandbox: RunningSandbox
    campaign: PublishingCampaign

    def compare(self) -> dict[str, Any]:
        """What the ledger says beside what the two servers received."""
        received = self.sandbox.received()
        copies = Counter(mail.message_id for mail in received)
        counts = self.workspace.publishing.counts(self.campaign.id)
        ledger = self.workspace.publishing.deliveries(self.campaign.id)
        return {
            "status": self.workspace.publishing.campaign(self.campaign.id).status.value,
            "counts": counts.as_dict(),
            "received": len(received),
            "received_by": dict(sorted(Counter(mail.server for mail in received).items())),
            "sent_by": dict(sorted(Counter(each.provider for each in ledger if each.state == "sent").items())),
            "audience": dict(sorted(Counter(act.kind for act in self.sandbox.acts()).items())),
            "received_twice": sum(1 for count in copies.values() if count > 1),
            "sent_but_not_received": sum(
                1 for each in ledger if each.state == "sent" and each.message_id not in copies
            ),
            "events": [
                {
                    "at": event.at.isoformat(),
                    "provider": event.name,
                    "from": event.before,
                    "to": event.after,
                    "why": event.why,
                }
                for event in reversed(self.workspace.registry.events())
            ],
        }


@contextmanager
def open_demo(
    *, folder: Path | None = None, seed: int = 1, speed: float = 1.0, clock: Clock = SYSTEM_CLOCK
) -> Iterator[Demo]:
    """A demo with its campaign started; the caller runs the outbox. Its data lie in ``folder``, or vanish."""
    with tempfile.TemporaryDirectory(prefix="aicmo-demo-") as temporary:
        home = folder or Path(temporary)
        make_private_dir(home)
        scale = HOUR_S / 3600 / speed
        with start_sandbox(home / "sandbox", seed=seed, audience=AUDIENCE, audience_scale=scale) as sandbox:
            paths = Paths(config_file=home / "config.toml", data_dir=home / "data")
            _forget(paths)
            with open_workspace(paths, _config(sandbox, speed), clock=clock) as workspace:
                campaign = _fill(workspace, home / "people.csv", seed, site=sandbox.http["site"].base_url)
                sandbox.set_faults(_faults(speed))
                yield Demo(workspace, sandbox, campaign)


def _forget(paths: Paths) -> None:
    """Each demo begins anew: take away what an earlier one in the same folder left."""
    for database in (paths.database, paths.health_database):
        for left in database.parent.glob(database.name + "*"):
            left.unlink()


def _config(sandbox: RunningSandbox, speed: float) -> Config:
    limits = {"second": max(1, round(PER_SECOND * speed))}
    mail = {
        name: {
            "kind": "smtp",
            "host": where.host,
            "port": where.port,
            "security": "none",
            "connections": 4,
            "limits": limits,
        }
        for name, where in sandbox.smtp.items()
    }
    return Config.model_validate(
        {
            "sender": {
                "name": "Ada Lovelace",
                "email": "ada@example.com",
                "postal_address": "1 Analytical Way, London",
            },
            "health": {"check_interval_seconds": 10},
            "chains": {
                "email_sending": list(mail),
                "lead_enrichment": ["apollo", "dropcontact"],
                "email_verification": ["dropcontact"],
                "crm_sync": ["airtable"],
                "reply_fetching": ["inbox"],
                "webhook_dispatch": ["webhook"],
            },
            "providers": {**mail, **_others(sandbox)},
        }
    )


def _others(sandbox: RunningSandbox) -> dict[str, dict[str, Any]]:
    """Everybody but the mail servers, with the sandbox's keys."""
    http: dict[str, dict[str, Any]] = {
        name: {"kind": name, "base_url": sandbox.http[name].base_url, "api_key": key}
        for name, key in sandbox.keys.items()
    }
    http["apollo"]["monthly_credits"] = 500
    http["airtable"]["base_id"] = AIRTABLE_BASE
    return {
        **http,
        "webhook": {"kind": "webhook", "url": sandbox.http["webhook"].base_url, "signed": False},
        "inbox": {
            "kind": "imap",
            "host": sandbox.imap.host,
            "port": sandbox.imap.port,
            "security": "none",
            "username": USER,
            "password": PASSWORD,
        },
    }


def _faults(speed: float) -> list[Fault]:
    begins, ends = (moment / speed for moment in OUTAGE_S)
    return [
        Fault("connect", "refuse", server="smtp-a", after_s=begins, until_s=ends),
        Fault("mail", "drop", server="smtp-a", after_s=begins, until_s=ends),
        Fault("rcpt", "reply", reply="550 5.1.1 no such user here", recipient="*7@*", times=3),
        Fault("rcpt", "reply", reply="451 4.7.1 greylisted, try again in 5 minutes", recipient="*3@*", times=3),
        Fault("dot", "drop", server="smtp-b", times=1),
    ]


def _fill(workspace: Workspace, people: Path, seed: int, *, site: str) -> PublishingCampaign:
    write_csv(people, seed=seed)
    workspace.crm.import_file(people)
    draft = Draft(SUBJECT, BODY.replace("SITE", site), PREHEADER)
    content = workspace.contents.create("email", "Autumn news", draft)
    campaign = workspace.publishing.create_campaign("Autumn news", content.id, "")
    return workspace.publishing.start(campaign.id, approve=True)
