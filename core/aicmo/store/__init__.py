"""The store: all SQL of AICMO, over one local SQLite file (and ``health.db`` beside it).

``open_database(path)`` creates, migrates and opens it. Every other module here is one family of tables: plain functions
that take a ``sqlite3.Connection`` and parameters and give frozen records; ``Database`` decides on which thread they
run::

    count = database.read(lambda db: contacts.count(db, query))
    await database.awrite(lambda db: claiming.claim(db, campaign_id, now, most=1))

======================  =============================================
``database``            threads, transactions, SQLite's errors as ours
``migrations``          the schema, as the steps that built it
``contacts``, ``tags``  people, their tags, free text search
``people``              all that is held about one of them, in whatever table
``changes``             what was changed; ``undoing`` takes it back, and does it again
``stages``, ``events``  where they stand and why; what happened with them
``timeline``            all of that in order of time
``next_actions``        what is planned with them
``touches``             when we were last in touch
``fields``              what the custom fields are
``imports``, ``bulk``   what was imported, from where; room for many people at once
``suppressions``        who must not be written to
``contents``            content, its versions, approvals; ``channel_texts`` the same on a channel
``review_notes``        what is said about it, which nothing that sends may read
``campaigns``           campaigns, ``campaign_options`` what was chosen for them, ``leases`` who may send
``messages``            all that a campaign says: its first message, variants, later steps
``sequences``           who is where in them; ``variants`` who got which, and what came of it
``agenda``              what goes out when
``audiences``           whom a query selects right now
``deliveries``          the ledger: its states, and what a person does to it
``claiming``            the sender's way through it
``gates``               what keeps a delivery back: hours, caps of a domain, how often
``outcomes``            how a campaign fares; ``failures`` how a mailbox does, ``warming`` how an account does
``syncs``               which row of another CRM is whose, and what both sides said last
``unknown``             what in it nobody knows the outcome of
``whereabouts``         whether this is still the database that last sent, or a copy of it
``set_back``            its times, after the clock was set back
``health``              ``health.db``: the providers' state
``limits``, ``checks``  in the same file: what was used of limits and budgets; what self-checks found
======================  =============================================
"""

from aicmo.store.database import Database
from aicmo.store.migrations import open_database

__all__ = ["Database", "open_database"]
