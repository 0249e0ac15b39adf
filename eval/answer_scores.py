"""How much of a short answer is right, by its words.

The scores of SQuAD (Rajpurkar et al., EMNLP 2016), as its official script computes them.
"""

import re
import string
from collections import Counter
from collections.abc import Iterable

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalize(answer: str) -> str:
    """Return an answer in lower case without punctuation, English articles and extra space."""
    lowered = answer.lower().translate(_WITHOUT_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", lowered).split())


def exact_match(answer: str, right_answers: Iterable[str]) -> float:
    """Return 1 if the answer is one of the right ones once both are normalized, else 0."""
    return float(normalize(answer) in map(normalize, right_answers))


def token_f1(answer: str, right_answers: Iterable[str]) -> float:
    """Return the best F1, in [0, 1], of the words that an answer shares with a right one.

    Without words on either side it is whether both have none, as for unanswerable questions in
    SQuAD 2.0; without right answers it is 0.
    """
    words = normalize(answer).split()
    return max((_f1(words, normalize(right).split()) for right in right_answers), default=0.0)


def _f1(words: list[str], right: list[str]) -> float:
    if not words or not right:
        return float(words == right)
    shared = (Counter(words) & Counter(right)).total()
    return 2 * shared / (len(words) + len(right))
