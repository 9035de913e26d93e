"""Step 1: people, what is said to them, and the ledger of who got it."""

from __future__ import annotations

FIRST_CAMPAIGN = (
    # What belongs to this database as a whole: the key of its hashes, its identity.
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID",
    # --- people
    """CREATE TABLE contact (
        id INTEGER PRIMARY KEY,
        address TEXT NOT NULL UNIQUE,               -- the normalised address: who this is
        email TEXT NOT NULL,                        -- the address as its owner writes it
        first_name TEXT NOT NULL DEFAULT '',
        last_name TEXT NOT NULL DEFAULT '',
        company TEXT NOT NULL DEFAULT '',
        title TEXT NOT NULL DEFAULT '',
        phone TEXT NOT NULL DEFAULT '',
        domain TEXT NOT NULL,                       -- the registrable part of the address's domain
        stage TEXT NOT NULL DEFAULT 'NEW'
            CHECK (stage IN ('NEW', 'ENRICHED', 'VERIFIED', 'ENGAGED', 'CONVERTED', 'DISQUALIFIED')),
        fields TEXT NOT NULL DEFAULT '{}',          -- custom fields, a JSON object of strings
        import_id INTEGER REFERENCES import (id),
        created_at TEXT NOT NULL,
        updated_at TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX contact_domain ON contact (domain)",
    """CREATE VIRTUAL TABLE contact_fts USING fts5 (
        email, first_name, last_name, company, title,
        content='contact', content_rowid='id', tokenize='unicode61 remove_diacritics 2'
    )""",
    """CREATE TRIGGER contact_fts_insert AFTER INSERT ON contact BEGIN
        INSERT INTO contact_fts (rowid, email, first_name, last_name, company, title)
        VALUES (new.id, new.email, new.first_name, new.last_name, new.company, new.title);
    END""",
    """CREATE TRIGGER contact_fts_delete AFTER DELETE ON contact BEGIN
        INSERT INTO contact_fts (contact_fts, rowid, email, first_name, last_name, company, title)
        VALUES ('delete', old.id, old.email, old.first_name, old.last_name, old.company, old.title);
    END""",
    """CREATE TRIGGER contact_fts_update AFTER UPDATE OF email, first_name, last_name, company, title ON contact BEGIN
        INSERT INTO contact_fts (contact_fts, rowid, email, first_name, last_name, company, title)
        VALUES ('delete', old.id, old.email, old.first_name, old.last_name, old.company, old.title);
        INSERT INTO contact_fts (rowid, email, first_name, last_name, company, title)
        VALUES (new.id, new.email, new.first_name, new.last_name, new.company, new.title);
    END""",
    """CREATE TABLE tag (
        id INTEGER PRIMARY KEY,
        key TEXT NOT NULL UNIQUE,                   -- what two spellings have in common
        name TEXT NOT NULL                          -- as it was first written
    ) STRICT""",
    """CREATE TABLE contact_tag (
        tag_id INTEGER NOT NULL REFERENCES tag (id) ON DELETE CASCADE,
        contact_id INTEGER NOT NULL REFERENCES contact (id) ON DELETE CASCADE,
        PRIMARY KEY (tag_id, contact_id)
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX contact_tag_contact ON contact_tag (contact_id)",
    """CREATE TABLE import (
        id INTEGER PRIMARY KEY,
        source TEXT NOT NULL,                       -- the file's name
        status TEXT NOT NULL CHECK (status IN ('running', 'done', 'cancelled')),
        counts TEXT NOT NULL DEFAULT '{}',          -- JSON: rows, created, updated, unchanged, skipped, rejected
        started_at TEXT NOT NULL,
        finished_at TEXT
    ) STRICT""",
    """CREATE TABLE suppression (
        key BLOB PRIMARY KEY,                       -- suppression_key(address): outlives the contact
        reason TEXT NOT NULL CHECK (reason IN ('unsubscribed', 'bounced', 'complained', 'manual')),
        source TEXT NOT NULL,                       -- who or what said so
        created_at TEXT NOT NULL
    ) STRICT, WITHOUT ROWID""",
    # --- what is said to them
    """CREATE TABLE content (
        id INTEGER PRIMARY KEY,
        type TEXT NOT NULL,
        title TEXT NOT NULL,
        created_at TEXT NOT NULL
    ) STRICT""",
    """CREATE TABLE content_version (
        id INTEGER PRIMARY KEY,
        content_id INTEGER NOT NULL REFERENCES content (id) ON DELETE CASCADE,
        number INTEGER NOT NULL,                    -- 1, 2, 3 ...
        subject TEXT NOT NULL,
        preheader TEXT NOT NULL,
        body TEXT NOT NULL,
        format TEXT NOT NULL CHECK (format IN ('markdown', 'html')),
        hash TEXT NOT NULL,                         -- of subject, preheader, body, format: what is approved
        created_at TEXT NOT NULL,
        UNIQUE (content_id, number)
    ) STRICT""",
    """CREATE TABLE approval (
        content_hash TEXT PRIMARY KEY,
        approved_at TEXT NOT NULL
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE campaign (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL,
        content_id INTEGER NOT NULL REFERENCES content (id),
        audience TEXT NOT NULL,                     -- a contact query
        status TEXT NOT NULL DEFAULT 'draft'
            CHECK (status IN ('draft', 'approved', 'scheduled', 'running', 'paused', 'cancelled')),
        pause_reason TEXT NOT NULL DEFAULT '',      -- why the program itself paused it
        version_id INTEGER REFERENCES content_version (id),   -- what is being sent; fixed at the start
        sender TEXT,                                -- JSON: who it is sent as; fixed at the start
        created_at TEXT NOT NULL,
        scheduled_at TEXT,
        started_at TEXT
    ) STRICT""",
    # --- the ledger: who got it, who did not, and why
    """CREATE TABLE delivery (
        id INTEGER PRIMARY KEY,
        campaign_id INTEGER NOT NULL REFERENCES campaign (id),
        step INTEGER NOT NULL DEFAULT 1,
        address TEXT NOT NULL,                      -- normalised; unique in the campaign's step: nobody is queued twice
        contact_id INTEGER REFERENCES contact (id) ON DELETE SET NULL,
        state TEXT NOT NULL CHECK (state IN ('queued', 'claimed', 'sending', 'sent', 'deferred', 'failed', 'unknown',
                                             'suppressed', 'cancelled', 'bounced')),
        message_id TEXT,                            -- on disk before the first byte of the body leaves
        provider TEXT,                              -- who carried it, or tried last
        code TEXT NOT NULL DEFAULT '',              -- the server's own
        reason TEXT NOT NULL DEFAULT '',
        reference TEXT NOT NULL DEFAULT '',         -- the server's queue id
        attempts INTEGER NOT NULL DEFAULT 0,        -- since it was queued; decides how long the next one waits
        claim INTEGER NOT NULL DEFAULT 0,           -- grows with every claim: an older claim moves nothing any more
        retry_at TEXT,                              -- of a deferred one
        sending_at TEXT,                            -- when the body was let go: what the throttles count
        at TEXT NOT NULL,                           -- of the last change
        UNIQUE (campaign_id, step, address)
    ) STRICT""",
    "CREATE INDEX delivery_state ON delivery (campaign_id, state)",
    "CREATE INDEX delivery_throttle ON delivery (provider, sending_at) WHERE sending_at IS NOT NULL",
    """CREATE TABLE lease (
        name TEXT PRIMARY KEY,
        pid INTEGER NOT NULL,
        host TEXT NOT NULL,
        what TEXT NOT NULL,                         -- the command, for whoever asks who it is
        since TEXT NOT NULL,
        seen_at TEXT NOT NULL
    ) STRICT, WITHOUT ROWID""",
)
