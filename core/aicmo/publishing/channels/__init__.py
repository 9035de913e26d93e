"""Where a text goes besides a mailbox: each channel's rules, as data and as the counting behind them.

::

    CHANNELS     the channels there are
    post_of()    a draft as one of them would show it, and as it would go over the wire (posting.py)
    counts_of()  how long it is there, by that channel's own way of counting, against its limits (limits.py)
    folded()     what its readers see at first
    counting.py  those ways of counting

Nothing here speaks to a network; a provider does, with what ``post_of`` gives.
"""

from aicmo.publishing.channels.limits import CHANNELS, Channel, Count, Limit, counts_of, folded
from aicmo.publishing.channels.posting import Post, post_of

__all__ = ["CHANNELS", "Channel", "Count", "Limit", "Post", "counts_of", "folded", "post_of"]
