"""What is said, before anybody gets it.

``contents`` has the verbs: versions, a text per channel, approval, preview. ``content_types`` says what can be written
and where it fits, ``comparing`` what differs between two versions, ``fitness`` whether a text could go out on a
channel. ``reviewing`` keeps notes beside the words, which nothing that builds or sends ever reads.
"""
