"""Carry what is due, once each, and know of each what became of it.

``outbox`` is the one sender: it takes from the ledger, lets the chain carry, and writes down; ``sender_lock`` makes it
the only one, ``whereabouts`` asks first whether this is still the database that last sent. ``ledger`` gathers its
workers' writes into one transaction, ``verdicts`` says what an answer means for a delivery, ``watching`` when a
campaign pauses itself. ``rules`` is what the configuration says about when and how much, ``allowance`` what that leaves
for today and the days to come. ``evidence`` looks in mailboxes for what nobody can say.
"""
