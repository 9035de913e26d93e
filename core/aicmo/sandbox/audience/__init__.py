"""The simulated audience: people who read what the sandbox's mail servers accept, and the machines around them.

They open, click, answer, bounce, complain and leave by known true rates, drawn from a seed, and everything they did is
on disk, so analytics and the inbox can be compared with the truth. Mails go into the sandbox's mailbox; requests go to
this machine and nowhere else.

Rooms: ``rates`` (who does what), ``log`` (what was done); in the sandbox's own process ``crowd`` (all of them at
work), ``letter`` (what they read), ``answers`` with ``words``, and ``reports`` (what they write), ``loopback`` (what
they fetch).
"""

from __future__ import annotations

from aicmo.sandbox.audience.log import Act, read_audience
from aicmo.sandbox.audience.rates import AudienceRates

__all__ = ["Act", "AudienceRates", "read_audience"]
