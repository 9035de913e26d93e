"""The budgets, each with its peer beside it: ``python -m bench`` runs all, ``python -m bench.send`` one.

===============  ==================================================================
``start``        the time until a command answers, or the app stands on the screen
``import_csv``   a large CSV into the store
``table``        the contacts screen over a large store
``send``         a campaign through the whole way to an SMTP server
``crash``        not a budget but a promise: kill -9 in the middle of a send
``failover``     providers that fail in twelve ways, with what other libraries make of it
===============  ==================================================================

``budget`` prints the tables and measures memory, ``sink`` is the SMTP server they send to. Everything stays on
loopback and in temporary folders, and ends by itself. None of it is a test: a stopwatch on somebody's laptop fails for
reasons of its own.
"""
