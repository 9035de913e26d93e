"""Step 3: campaigns that send in several steps, variants and hours, and content that differs by channel."""

from __future__ import annotations

SENDING = (
    # --- what is said, per channel
    """CREATE TABLE channel_version (                -- what one channel says in place of the content's own words
        id INTEGER PRIMARY KEY,
        content_id INTEGER NOT NULL REFERENCES content (id) ON DELETE CASCADE,
        channel TEXT NOT NULL,                      -- linkedin, x, instagram, website, ...
        number INTEGER NOT NULL,                    -- 1, 2, 3 ... of this channel
        original INTEGER NOT NULL,                  -- the number of the content's version that it was written over
        subject TEXT,                               -- NULL: what the content's own latest version says
        body TEXT,                                  -- NULL: the same
        format TEXT CHECK (format IN ('markdown', 'html')),     -- of its body; NULL where it has none
        hash TEXT NOT NULL,                         -- of what the channel would show: what is approved
        created_at TEXT NOT NULL,
        UNIQUE (content_id, channel, number)
    ) STRICT""",
    """CREATE TABLE review_note (                    -- for those who write and approve; no message ever carries it
        id INTEGER PRIMARY KEY,
        content_id INTEGER NOT NULL REFERENCES content (id) ON DELETE CASCADE,
        hash TEXT NOT NULL,                         -- of the words that it was written about
        text TEXT NOT NULL,
        at TEXT NOT NULL,
        settled_at TEXT                             -- when what it asks for was done
    ) STRICT""",
    "CREATE INDEX review_note_content ON review_note (content_id)",
    # --- to whom, when, and in how many ways
    "ALTER TABLE campaign ADD COLUMN kind TEXT NOT NULL DEFAULT 'once' CHECK (kind IN ('once', 'sequence'))",
    "ALTER TABLE campaign ADD COLUMN exclude TEXT NOT NULL DEFAULT ''",  # a contact query: who gets nothing of it
    "ALTER TABLE campaign ADD COLUMN options TEXT NOT NULL DEFAULT '{}'",  # JSON: see store.campaign_options
    "ALTER TABLE campaign ADD COLUMN resumed_at TEXT",  # on a person's word; what was before pauses it no more
    "ALTER TABLE campaign ADD COLUMN joins_at TEXT",  # when newcomers are looked for next; NULL: nobody joins later
    """CREATE TABLE campaign_message (               -- what a campaign says besides its first message: steps, variants
        campaign_id INTEGER NOT NULL REFERENCES campaign (id) ON DELETE CASCADE,
        step INTEGER NOT NULL,                      -- its name for good; position is its place
        variant TEXT NOT NULL DEFAULT '',           -- B, C ... of the first message; '' of a step
        content_id INTEGER NOT NULL REFERENCES content (id),
        version_id INTEGER REFERENCES content_version (id),     -- what is being sent; fixed at the start
        subject TEXT NOT NULL DEFAULT '',           -- in place of the content's own
        position INTEGER NOT NULL,                  -- in the order of the steps; the first message's is 1
        wait_minutes INTEGER NOT NULL DEFAULT 0,    -- after the step before went; of a variant: after the start
        only_if TEXT NOT NULL DEFAULT '',           -- a condition on what the person did: see publishing.sequences
        removed INTEGER NOT NULL DEFAULT 0,         -- nobody gets it any more; who had it, had it
        PRIMARY KEY (campaign_id, step, variant)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE campaign_test (                  -- which variant is better, tried on a part of the audience
        campaign_id INTEGER PRIMARY KEY REFERENCES campaign (id) ON DELETE CASCADE,
        goal TEXT NOT NULL CHECK (goal IN ('clicks', 'replies')),
        sample_percent INTEGER NOT NULL,            -- of the audience, all variants together
        holdout_percent INTEGER NOT NULL DEFAULT 0, -- who get nothing, to compare with
        wait_minutes INTEGER NOT NULL,              -- from the start until the winner is looked for
        least INTEGER NOT NULL,                     -- sent of each variant before anything is concluded
        unclear TEXT NOT NULL DEFAULT 'first' CHECK (unclear IN ('first', 'ask')),  -- who decides then
        decided_at TEXT,
        winner TEXT NOT NULL DEFAULT '',            -- the variant that the rest gets
        because TEXT NOT NULL DEFAULT ''            -- the figures, in a sentence
    ) STRICT""",
    """CREATE TABLE enrolment (                      -- who is where in a sequence
        campaign_id INTEGER NOT NULL REFERENCES campaign (id) ON DELETE CASCADE,
        contact_id INTEGER NOT NULL REFERENCES contact (id) ON DELETE CASCADE,
        step INTEGER NOT NULL DEFAULT 1,            -- the last one that was queued for them, or passed over
        passed_at TEXT,                             -- when that one was passed over; NULL: the ledger knows of it
        due_at TEXT,                                -- when to look at them; '': at once; NULL: once the ledger moves
        state TEXT NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'done', 'stopped')),
        cause TEXT NOT NULL DEFAULT '',             -- why it stopped, in one word: see store.sequences
        because TEXT NOT NULL DEFAULT '',           -- the same, for people
        entered_at TEXT NOT NULL,
        at TEXT NOT NULL,                           -- of the last change
        PRIMARY KEY (campaign_id, contact_id)
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX enrolment_contact ON enrolment (contact_id)",
    "CREATE INDEX enrolment_due ON enrolment (campaign_id, due_at) WHERE state = 'active'",
    # It is time to look at who is in a sequence; what settles a delivery says so too: see store.sequences.
    """CREATE TRIGGER enrolment_event AFTER INSERT ON event
    WHEN new.kind IN ('replied', 'converted', 'bounced', 'unsubscribed', 'complained') BEGIN
        UPDATE enrolment SET due_at = '' WHERE contact_id = new.contact_id AND state = 'active';
    END""",
    # --- the ledger
    "ALTER TABLE delivery ADD COLUMN variant TEXT NOT NULL DEFAULT ''",  # '' of a test's rest: not yet decided
    "ALTER TABLE delivery ADD COLUMN cause TEXT NOT NULL DEFAULT ''",  # of its state, in one word: deliveries.CAUSES
    """ALTER TABLE delivery ADD COLUMN domain TEXT
        GENERATED ALWAYS AS (substr(address, instr(address, '@') + 1)) VIRTUAL""",
    "CREATE INDEX delivery_domain ON delivery (domain, sending_at) WHERE sending_at IS NOT NULL",
    "CREATE INDEX delivery_retry ON delivery (campaign_id, retry_at) WHERE state = 'deferred'",
    "CREATE INDEX delivery_slot ON delivery (domain, retry_at) WHERE state = 'deferred' AND cause = 'limit'",
    """CREATE TABLE domain_hold (                    -- a receiving domain asked for less: nothing goes there until then
        domain TEXT PRIMARY KEY,
        until TEXT NOT NULL,
        wait_s INTEGER NOT NULL                     -- how long this time; twice that when it asks again at once
    ) STRICT, WITHOUT ROWID""",
)
