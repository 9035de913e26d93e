"""What filters often hold against a subject line, and what readers do. Warnings only: reputation weighs far more.

The first rules are those of SpamAssassin (SUBJ_ALL_CAPS, PLING_QUERY, NO_REAL_NAME in its 20_head_tests.cf, and its
rules for answers that answer nothing); lengths are RFC 5322 2.1.1 and what a telephone shows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from aicmo.publishing.preflight.report import Problem, problem
from aicmo.text import shown

CUT_AT = 60
"""Characters that most mail programs show in a list; a telephone shows about 40."""
_REPLY = re.compile(r"\s*(re|aw|sv|antw|fwd?|wg|tr|vs)\s*(\[\d+\])?\s*:", re.IGNORECASE)
"""Answering and forwarding, in the languages whose mail programs say so."""
_EMOJI = re.compile("[\U0001f000-\U0001faff\u2600-\u27bf\u2b50\u2b55]")
_MONEY = re.compile(r"[$€£¥]{2,}|[$€£¥]\s?\d{1,3}(?:[.,]\d{3})+|[$€£¥]\s?\d{5,}")
_WORDS = re.compile(
    r"\b(?:act now|100 ?% free|risk[- ]free|free money|make money|earn cash|extra income|double your|"
    r"you(?:'ve| have)? won|winner|lottery|casino|viagra|weight loss|miracle|no obligation|cash bonus|click here|"
    r"guaranteed|once in a lifetime)\b",
    re.IGNORECASE,
)
MOST_EMOJI = 2


def subject_problems(subject: str, preheader: str) -> Iterator[Problem]:
    """Of a subject as it arrives, fields filled."""
    letters = [each for each in subject if each.isalpha() and each.lower() != each.upper()]
    if len(letters) >= 8 and sum(map(str.isupper, letters)) > 0.8 * len(letters):
        yield problem(
            "subject_shouts", "The subject is in capitals; filters often hold that against it.", "Write it small."
        )
    if re.search(r"!.*!|\?.*!|!.*\?|\?\s*\?", subject):
        text = "The subject has several exclamation or question marks; filters often hold that against it."
        yield problem("subject_punctuation", text, "One is enough.")
    if found := _REPLY.match(subject):
        text = f"The subject begins with {shown(found[0])}, though it answers nothing."
        yield problem(
            "subject_pretends_reply", text, "It misleads readers, which the law forbids (CAN-SPAM). Leave it out."
        )
    if len(subject) > CUT_AT:
        text = f"The subject has {len(subject)} characters; after about {CUT_AT} most mail programs cut it."
        yield problem("subject_long", text, "Say what matters first.")
    if len(_EMOJI.findall(subject)) > MOST_EMOJI:
        text = f"The subject has more than {MOST_EMOJI} pictures in it; filters often hold that against it."
        yield problem("subject_emoji", text, "One is enough.")
    if found := _MONEY.search(subject):
        text = f"The subject says {shown(found[0])}; filters often hold sums of money against it."
        yield problem("subject_money", text, "Say it in the body.")
    if found := _WORDS.search(subject):
        text = f"The subject says {shown(found[0])}; filters often hold such words against it."
        yield problem("subject_words", text, "Say what is inside in words of your own.")
    if not preheader.strip():
        text = "There is no preheader, so inboxes show the first words of the body beside the subject."
        yield problem("no_preheader", text, "Write the line that makes somebody open it.")
