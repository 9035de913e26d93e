"""Step 2: the CRM. What was changed and how it is taken back, why somebody is where they are, what happened with whom.

Whatever is held about one person names them in a column ``contact_id``, so that ``store.people`` can find all of it: to
show it, to move it in a merge, to erase it. Those whose rows may come back after a deletion never give a number twice
(``AUTOINCREMENT``).
"""

from __future__ import annotations

PEOPLE = (
    # --- what was changed, and what it takes to change it back
    """CREATE TABLE change (
        id INTEGER PRIMARY KEY,
        kind TEXT NOT NULL,                         -- add, import, edit, tag, merge, delete, enrich, sync
        summary TEXT NOT NULL,                      -- one phrase for a person: 'Tagged 12 people vip'
        actor TEXT NOT NULL,                        -- who did it: 'you', or the command that ran
        by_person INTEGER NOT NULL DEFAULT 1,       -- whether undo, without a number, may mean this one
        at TEXT NOT NULL,
        undone_at TEXT                              -- while it is undone
    ) STRICT""",
    """CREATE TABLE change_row (
        change_id INTEGER NOT NULL REFERENCES change (id) ON DELETE CASCADE,
        contact_id INTEGER NOT NULL,                -- may be gone: that is what undoing a deletion is about
        before TEXT,                                -- JSON; NULL: there was no such contact
        after TEXT,                                 -- JSON; NULL: there is none any more
        PRIMARY KEY (change_id, contact_id)
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX change_row_contact ON change_row (contact_id)",
    "ALTER TABLE import ADD COLUMN change_id INTEGER REFERENCES change (id) ON DELETE SET NULL",
    "ALTER TABLE import ADD COLUMN fingerprint TEXT NOT NULL DEFAULT ''",  # of the file: which one to resume with
    "ALTER TABLE import ADD COLUMN options TEXT NOT NULL DEFAULT '{}'",  # JSON: mapping, policy, tags, encoding
    "ALTER TABLE import ADD COLUMN rows_read INTEGER NOT NULL DEFAULT 0",  # of the file, blank ones too: where to go on
    "ALTER TABLE import ADD COLUMN undone_at TEXT",
    """CREATE TABLE import_mapping (
        header TEXT PRIMARY KEY,                    -- the columns' titles, a JSON array: which files it is for
        name TEXT NOT NULL,                         -- of the file it was first made for
        mapping TEXT NOT NULL,                      -- JSON: column title to field
        used_at TEXT NOT NULL
    ) STRICT, WITHOUT ROWID""",
    # --- who somebody also is, and is not
    """CREATE TABLE alias (
        address TEXT PRIMARY KEY,                   -- normalised, of one who was merged away
        contact_id INTEGER NOT NULL REFERENCES contact (id) ON DELETE CASCADE,
        change_id INTEGER REFERENCES change (id) ON DELETE SET NULL
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX alias_contact ON alias (contact_id)",
    """CREATE TABLE not_duplicate (
        contact_id INTEGER NOT NULL REFERENCES contact (id) ON DELETE CASCADE,      -- which of the two means nothing
        other_contact_id INTEGER NOT NULL REFERENCES contact (id) ON DELETE CASCADE,
        at TEXT NOT NULL,
        PRIMARY KEY (contact_id, other_contact_id)
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX not_duplicate_other ON not_duplicate (other_contact_id)",
    # --- why somebody is where they are
    "ALTER TABLE contact ADD COLUMN score INTEGER",  # 0-100; NULL: nothing to judge by
    """CREATE TABLE stage_change (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        contact_id INTEGER NOT NULL REFERENCES contact (id) ON DELETE CASCADE,
        from_stage TEXT NOT NULL,
        to_stage TEXT NOT NULL,
        cause TEXT NOT NULL,                        -- one phrase: 'replied to Autumn news', 'verified by dropcontact'
        actor TEXT NOT NULL,
        event_id INTEGER REFERENCES event (id) ON DELETE SET NULL,
        change_id INTEGER REFERENCES change (id) ON DELETE SET NULL,
        at TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX stage_change_contact ON stage_change (contact_id)",
    """CREATE TABLE event (                          -- what happened with whom; our own sending is in delivery
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        contact_id INTEGER NOT NULL REFERENCES contact (id) ON DELETE CASCADE,
        kind TEXT NOT NULL,                         -- see store.events.KINDS
        at TEXT NOT NULL,                           -- when it happened, as far as is known
        channel TEXT NOT NULL DEFAULT '',           -- email, phone, web, ...
        campaign_id INTEGER REFERENCES campaign (id) ON DELETE SET NULL,
        delivery_id INTEGER REFERENCES delivery (id) ON DELETE SET NULL,
        human INTEGER,                              -- 1 a person did it, 0 a machine; NULL nobody can tell
        because TEXT NOT NULL DEFAULT '',           -- why we think so
        text TEXT NOT NULL DEFAULT '',              -- a note's words, a link, a subject
        actor TEXT NOT NULL DEFAULT '',             -- who wrote it down
        origin TEXT UNIQUE,                         -- whatever tells it apart: heard twice, it is written once
        pinned INTEGER NOT NULL DEFAULT 0
    ) STRICT""",
    "CREATE INDEX event_contact ON event (contact_id, at)",
    "CREATE INDEX event_kind ON event (kind, campaign_id, at)",
    "CREATE INDEX delivery_contact ON delivery (contact_id)",
    """CREATE TABLE next_action (                    -- at most one a person
        contact_id INTEGER PRIMARY KEY REFERENCES contact (id) ON DELETE CASCADE,
        due TEXT NOT NULL,                          -- a day (2026-11-24), in the person's own zone
        text TEXT NOT NULL,
        at TEXT NOT NULL                            -- when it was written down
    ) STRICT""",
    "CREATE INDEX next_action_due ON next_action (due)",
    # Few of many are in touch with us: who of them has not been for long is asked whenever the day begins.
    "CREATE INDEX contact_in_touch ON contact (stage) WHERE stage IN ('ENGAGED', 'CONVERTED')",
    # --- what a custom field is
    """CREATE TABLE field (
        key TEXT PRIMARY KEY,                       -- as it stands in contact.fields and in templates
        title TEXT NOT NULL,
        type TEXT NOT NULL CHECK (type IN ('text', 'number', 'date', 'select', 'multi', 'url', 'bool')),
        options TEXT NOT NULL DEFAULT '[]',         -- JSON: what a select or multi may be
        created_at TEXT NOT NULL
    ) STRICT, WITHOUT ROWID""",
    # --- what others say of them
    """CREATE TABLE enrichment (                     -- one fact, and whose word it is
        contact_id INTEGER NOT NULL REFERENCES contact (id) ON DELETE CASCADE,
        field TEXT NOT NULL,
        provider TEXT NOT NULL,
        value TEXT NOT NULL,
        at TEXT NOT NULL,
        lookup_id INTEGER REFERENCES lookup (id) ON DELETE SET NULL,    -- what it cost stands there
        preferred TEXT,                             -- what a person chose instead: while it stands, no conflict
        PRIMARY KEY (contact_id, field, provider)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE lookup (                         -- one question about one person to one provider, and its answer
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        contact_id INTEGER NOT NULL REFERENCES contact (id) ON DELETE CASCADE,
        capability TEXT NOT NULL,                   -- lead_enrichment, email_verification
        provider TEXT NOT NULL,
        batch TEXT NOT NULL,                        -- asked together, paid together
        place INTEGER NOT NULL,                     -- among those asked together, from 0: whose answer is whose
        outcome TEXT NOT NULL CHECK (outcome IN ('asked', 'found', 'no_match', 'failed', 'unknown')),
        reference TEXT NOT NULL DEFAULT '',         -- the provider's own: an answer that is still to be fetched
        millicredits INTEGER NOT NULL DEFAULT 0,    -- thousandths of the provider's credit
        at TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX lookup_contact ON lookup (contact_id, capability, provider)",
    "CREATE INDEX lookup_batch ON lookup (batch)",
    "CREATE INDEX lookup_open ON lookup (capability) WHERE outcome IN ('asked', 'unknown')",
    """CREATE TABLE verification (                   -- the last word on an address
        contact_id INTEGER PRIMARY KEY REFERENCES contact (id) ON DELETE CASCADE,
        status TEXT NOT NULL CHECK (status IN ('valid', 'risky', 'invalid', 'unknown')),
        word TEXT NOT NULL DEFAULT '',              -- the provider's own
        provider TEXT NOT NULL,
        at TEXT NOT NULL
    ) STRICT""",
    """CREATE TRIGGER verification_address AFTER UPDATE OF address ON contact WHEN old.address <> new.address BEGIN
        DELETE FROM verification WHERE contact_id = new.id;     -- nobody has judged the other address
    END""",
    """CREATE TABLE consent (                        -- what they agreed to; the newest of a purpose holds
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        contact_id INTEGER NOT NULL REFERENCES contact (id) ON DELETE CASCADE,
        purpose TEXT NOT NULL,                      -- 'newsletter'
        given INTEGER NOT NULL,                     -- 1 given, 0 withdrawn
        source TEXT NOT NULL,                       -- where: a form, a fair, a mail
        wording TEXT NOT NULL DEFAULT '',           -- what they agreed to, as they read it
        at TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX consent_contact ON consent (contact_id)",
    # --- groups that are questions
    """CREATE TABLE segment (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL,
        key TEXT NOT NULL UNIQUE,                   -- what two spellings have in common
        query TEXT NOT NULL,
        created_at TEXT NOT NULL,
        looked_at TEXT                              -- when segment_member was last written
    ) STRICT""",
    """CREATE TABLE segment_member (                 -- who was in it then: who joined and who left since
        segment_id INTEGER NOT NULL REFERENCES segment (id) ON DELETE CASCADE,
        contact_id INTEGER NOT NULL REFERENCES contact (id) ON DELETE CASCADE,
        PRIMARY KEY (segment_id, contact_id)
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX segment_member_contact ON segment_member (contact_id)",
    # --- the same people in somebody else's CRM
    """CREATE TABLE sync_link (
        contact_id INTEGER NOT NULL REFERENCES contact (id) ON DELETE CASCADE,
        provider TEXT NOT NULL,
        record_id TEXT NOT NULL,                    -- the CRM's own
        seen TEXT NOT NULL,                         -- JSON: what both sides said when they last agreed
        at TEXT NOT NULL,                           -- what contact.updated_at said then; '': something waits
        gone INTEGER NOT NULL DEFAULT 0,            -- deleted there
        PRIMARY KEY (contact_id, provider),
        UNIQUE (provider, record_id)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE sync_event (                     -- events that are rows there
        event_id INTEGER NOT NULL REFERENCES event (id) ON DELETE CASCADE,
        provider TEXT NOT NULL,
        record_id TEXT NOT NULL,
        PRIMARY KEY (event_id, provider)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE sync_delivery (                  -- deliveries that are rows there
        delivery_id INTEGER NOT NULL REFERENCES delivery (id) ON DELETE CASCADE,
        provider TEXT NOT NULL,
        at TEXT NOT NULL,                           -- what delivery.at said then
        PRIMARY KEY (delivery_id, provider)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE sync_cursor (
        provider TEXT NOT NULL,
        name TEXT NOT NULL,                         -- see store.syncs
        value TEXT NOT NULL,
        PRIMARY KEY (provider, name)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE sync_conflict (
        contact_id INTEGER NOT NULL REFERENCES contact (id) ON DELETE CASCADE,
        provider TEXT NOT NULL,
        field TEXT NOT NULL,
        ours TEXT NOT NULL,
        theirs TEXT NOT NULL,
        original TEXT NOT NULL,
        kept TEXT NOT NULL CHECK (kept IN ('ours', 'theirs', 'neither')),
        at TEXT NOT NULL,
        PRIMARY KEY (contact_id, provider, field)
    ) STRICT, WITHOUT ROWID""",
)
