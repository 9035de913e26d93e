"""What there is to tell about one person, table by table, each as rows that begin with the latest.

Every source can begin at a moment (``until``, inclusive), so that a page far back costs what the first one does.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

Rows = Iterator[sqlite3.Row]
END = "9999"
"""Later than every moment: begin with the latest."""


def events(db: sqlite3.Connection, contact_id: int, until: str = END) -> Rows:
    """What happened, with the name of the campaign it answers. Pinned notes stand apart."""
    return db.execute(
        """SELECT event.*, campaign.name AS campaign FROM event LEFT JOIN campaign ON campaign.id = campaign_id
           WHERE contact_id = ? AND event.at <= ? AND NOT pinned ORDER BY event.at DESC, event.id DESC""",
        (contact_id, until),
    )


def pinned(db: sqlite3.Connection, contact_id: int) -> Rows:
    return db.execute(
        """SELECT event.*, campaign.name AS campaign FROM event LEFT JOIN campaign ON campaign.id = campaign_id
           WHERE contact_id = ? AND pinned ORDER BY event.at DESC, event.id DESC""",
        (contact_id,),
    )


def deliveries(db: sqlite3.Connection, contact_id: int, until: str = END) -> Rows:
    """Those of which something came: sent, failed, bounced, unknown, not sent for a reason."""
    return db.execute(
        """SELECT delivery.*, campaign.name AS campaign FROM delivery JOIN campaign ON campaign.id = campaign_id
           WHERE contact_id = ? AND delivery.at <= ? AND state NOT IN ('queued', 'claimed', 'deferred')
           ORDER BY delivery.at DESC, delivery.id DESC""",
        (contact_id, until),
    )


def stages(db: sqlite3.Connection, contact_id: int, until: str = END) -> Rows:
    return db.execute(
        "SELECT * FROM stage_change WHERE contact_id = ? AND at <= ? ORDER BY at DESC, id DESC", (contact_id, until)
    )


def changes(db: sqlite3.Connection, contact_id: int, until: str = END) -> Rows:
    """What was changed of them; not how they came, nor how they went."""
    return db.execute(
        """SELECT change.*, before, after FROM change_row JOIN change ON change.id = change_id
           WHERE contact_id = ? AND at <= ? AND before IS NOT NULL AND after IS NOT NULL
           ORDER BY at DESC, change.id DESC""",
        (contact_id, until),
    )


def enrichments(db: sqlite3.Connection, contact_id: int, until: str = END) -> Rows:
    """A row for each answer of a provider: its facts, as a JSON object."""
    return db.execute(
        """SELECT min(number) AS id, provider, at, json_group_object(field, value) AS facts FROM (
               SELECT row_number() OVER (ORDER BY provider, field) AS number, * FROM enrichment WHERE contact_id = ?
           ) WHERE at <= ? GROUP BY provider, at ORDER BY at DESC, id DESC""",
        (contact_id, until),
    )


def fruitless_lookups(db: sqlite3.Connection, contact_id: int, until: str = END) -> Rows:
    """Questions to providers that brought no fact."""
    return db.execute(
        """SELECT * FROM lookup WHERE contact_id = ? AND at <= ? AND outcome <> 'found' ORDER BY at DESC, id DESC""",
        (contact_id, until),
    )


def verifications(db: sqlite3.Connection, contact_id: int, until: str = END) -> Rows:
    return db.execute("SELECT 1 AS id, * FROM verification WHERE contact_id = ? AND at <= ?", (contact_id, until))


def consents(db: sqlite3.Connection, contact_id: int, until: str = END) -> Rows:
    return db.execute(
        "SELECT * FROM consent WHERE contact_id = ? AND at <= ? ORDER BY at DESC, id DESC", (contact_id, until)
    )


def arrival(db: sqlite3.Connection, contact_id: int, until: str = END) -> Rows:
    """How they came: imported from where, or added by whom, as far as is still known."""
    return db.execute(
        """SELECT contact.id, created_at AS at, import_id, import.source,
                  (SELECT kind FROM change_row JOIN change ON change.id = change_id
                   WHERE contact_id = contact.id AND before IS NULL ORDER BY change.id LIMIT 1) AS kind,
                  (SELECT actor FROM change_row JOIN change ON change.id = change_id
                   WHERE contact_id = contact.id AND before IS NULL ORDER BY change.id LIMIT 1) AS actor
           FROM contact LEFT JOIN import ON import.id = import_id WHERE contact.id = ? AND created_at <= ?""",
        (contact_id, until),
    )


def to_come(db: sqlite3.Connection, contact_id: int) -> Rows:
    """Deliveries that wait for their time, the soonest first; ``due`` is empty where nothing but the queue holds it."""
    return db.execute(
        """SELECT delivery.*, campaign.name AS campaign, campaign.status AS status, coalesce(retry_at, '') AS due
           FROM delivery JOIN campaign ON campaign.id = campaign_id
           WHERE contact_id = ? AND state IN ('queued', 'claimed', 'deferred') ORDER BY due, delivery.id""",
        (contact_id,),
    )


def scheduled(db: sqlite3.Connection) -> Rows:
    """Campaigns that begin later, the soonest first. Whom they will reach is decided then: see ``audience``."""
    return db.execute(
        "SELECT id, name, audience, scheduled_at AS at FROM campaign WHERE status = 'scheduled' ORDER BY scheduled_at"
    )
