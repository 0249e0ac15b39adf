"""How much of an answer is right, without a judge: by its words, its numbers and what it cites.

Words are compared as SQuAD's official script does (Rajpurkar et al., EMNLP 2016).
"""

import re
import string
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import isclose

from eval.questions import Fact
from eval.spans import RetrievedSpan, score_spans

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)
_WORD = re.compile(r"\w+")

_SEPARATORS = ",.'\u2019\u00a0\u202f\u2009"
# Digits with separators, then perhaps a word or sign that says of what.
_QUANTITY = re.compile(
    rf"(?P<before>[$\u20ac\u00a3\u00a5])?\s?(?<![\w.,])(?P<sign>[-\u2212])?"
    rf"(?P<number>\d+(?:[{_SEPARATORS}]\d+)*)"
    r"(?:[\s-]?(?P<scale>thousand|million|billion|trillion)\b)?"
    r"\s?-?(?P<unit>[%\u2030\u00b0$\u20ac\u00a3\u00a5]?[^\W\d_]*)",
    re.IGNORECASE,
)
_SCALES = {"thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12}
_UNITS = {
    spelling: unit
    for unit, spellings in {
        "%": "% percent pct prozent",
        "kg": "kg kilogram kilograms kilo kilos",
        "g": "g gram grams",
        "mg": "mg milligram milligrams",
        "t": "t tonne tonnes ton tons",
        "km": "km kilometre kilometres kilometer kilometers",
        "m": "m metre metres meter meters",
        "cm": "cm centimetre centimetres centimeter centimeters",
        "mm": "mm millimetre millimetres millimeter millimeters",
        "l": "l litre litres liter liters",
        "ml": "ml millilitre millilitres milliliter milliliters",
        "\u00b0c": "\u00b0c celsius",
        "\u00b0f": "\u00b0f fahrenheit",
        "ms": "ms millisecond milliseconds",
        "s": "s sec second seconds",
        "min": "min minute minutes",
        "h": "h hour hours",
        "day": "day days",
        "week": "week weeks",
        "month": "month months",
        "year": "year years",
        "kb": "kb kilobyte kilobytes",
        "mb": "mb megabyte megabytes",
        "gb": "gb gigabyte gigabytes",
        "$": "$ usd dollar dollars",
        "\u20ac": "\u20ac eur euro euros",
        "\u00a3": "\u00a3 gbp pound pounds",
        "\u00a5": "\u00a5 jpy yen",
    }.items()
    for spelling in spellings.split()
}


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


def token_recall(answer: str, right_answers: Iterable[str]) -> float:
    """Return the largest share, in [0, 1], of the words of a right answer that an answer has.

    Models answer in sentences, which F1 punishes; of the scores without a judge this one agrees
    best with people about them (Adlakha et al., TACL 2024). Without right answers it is 0.
    """
    words = Counter(normalize(answer).split())
    return max((_recall(words, normalize(right).split()) for right in right_answers), default=0.0)


def rouge_l(answer: str, right_answers: Iterable[str]) -> float:
    """Return the best ROUGE-L F1, in [0, 1]: of the longest common subsequence of words.

    With its length L: precision = L / words of the answer, recall = L / words of the right one
    (Lin, 2004). Words are compared in lower case. Without words on a side it is 0.
    """
    words = _WORD.findall(answer.lower())
    return max(
        (_rouge(words, _WORD.findall(right.lower())) for right in right_answers), default=0.0
    )


def numeric_match(answer: str, right_answers: Iterable[str]) -> float | None:
    """Tell whether an answer has all numbers of one of the right ones.

    Separators of thousands, decimal commas and words such as `million` do not count, and a unit
    only when both name one: `1,234.5 kg` is `1234.50 kilograms` and `1.234,5`, but not `1,234.5 g`.

    Returns:
        1 or 0; None when no right answer has a number.
    """
    wanted = [numbers for right in right_answers if (numbers := list(_quantities(right)))]
    if not wanted:
        return None
    found = list(_quantities(answer))
    return float(
        any(all(any(_agree(one, two) for two in found) for one in right) for right in wanted)
    )


@dataclass(frozen=True, slots=True)
class Abstention:
    """How well is told apart what can be answered.

    Attributes:
        precision: share of the refusals to answer that were right; None: there was none.
        recall: share of the unanswerable questions that were refused; None: there was none.
    """

    precision: float | None
    recall: float | None


def score_abstention(abstained: Sequence[bool], answerable: Sequence[bool]) -> Abstention:
    """Score refusals to answer, over questions with and without an answer."""
    right = sum(
        refused and not can_be for refused, can_be in zip(abstained, answerable, strict=True)
    )
    return Abstention(
        precision=_share(right, sum(abstained)), recall=_share(right, answerable.count(False))
    )


@dataclass(frozen=True, slots=True)
class CitationScores:
    """How well an answer cites.

    Attributes:
        precision: share of the cited passages that overlap evidence; None: none is cited.
        recall: share of the facts that the cited passages state, see `FACT_HIT_COVERAGE`.
    """

    precision: float | None
    recall: float


def score_citations(facts: Sequence[Fact], cited: Sequence[RetrievedSpan]) -> CitationScores:
    """Score the passages that an answer cites.

    Args:
        facts: one or more, with anchored spans.
        cited: each passage once.
    """
    num_right = sum(score_spans(facts, [passage]).recall > 0 for passage in cited)
    recall = score_spans(facts, cited).fact_hit if cited else 0.0
    return CitationScores(_share(num_right, len(cited)), recall)


class Fault(StrEnum):
    """What a wrong answer is to be blamed on."""

    NONE = "none"
    """The answer is right."""
    READER = "reader"
    """All evidence was in the context, and the answer says something else."""
    RETRIEVAL = "retrieval"
    """Evidence was missing from the context."""
    ABSTENTION = "abstention"
    """An answer where there is none, or none though all evidence was in the context."""
    UNJUDGED = "unjudged"
    """The judge gave no verdict, so it may be right."""


# Quality below which an answer is wrong.
RIGHT = 0.5


def find_fault(
    quality: float, *, is_sufficient: bool, is_answerable: bool, abstained: bool
) -> Fault:
    """Say what an answer is to be blamed on.

    Args:
        quality: of the answer, in [0, 1].
        is_sufficient: whether all evidence there is was in the context.
        is_answerable: whether there is any.
        abstained: whether it says that there is none.
    """
    if quality >= RIGHT:
        return Fault.NONE
    if not is_answerable:
        return Fault.ABSTENTION
    if not is_sufficient:
        return Fault.RETRIEVAL
    return Fault.ABSTENTION if abstained else Fault.READER


def _f1(words: list[str], right: list[str]) -> float:
    if not words or not right:
        return float(words == right)
    shared = (Counter(words) & Counter(right)).total()
    return 2 * shared / (len(words) + len(right))


def _recall(words: Counter[str], right: list[str]) -> float:
    return (words & Counter(right)).total() / len(right) if right else 0.0


def _rouge(words: Sequence[str], right: Sequence[str]) -> float:
    return 2 * _common(words, right) / max(1, len(words) + len(right))


def _common(these: Sequence[str], others: Sequence[str]) -> int:
    """Return the length of the longest common subsequence."""
    row = [0] * (len(others) + 1)
    for word in these:
        before = 0
        for place, other in enumerate(others, start=1):
            before, row[place] = (
                row[place],
                (before + 1 if word == other else max(row[place], row[place - 1])),
            )
    return row[-1]


@dataclass(frozen=True, slots=True)
class _Quantity:
    values: tuple[float, ...]
    unit: str | None


def _quantities(text: str) -> Iterator[_Quantity]:
    for match in _QUANTITY.finditer(text):
        factor = _SCALES.get((match["scale"] or "").lower(), 1.0)
        if match["sign"]:
            factor = -factor
        unit = match["before"] or match["unit"].lower()
        # What reads as no number is one of versions, sections or dates.
        if values := tuple(factor * value for value in _readings(match["number"])):
            yield _Quantity(values, _UNITS.get(unit))


def _readings(number: str) -> list[float]:
    """Return what a number may mean: `1.234` is one and a bit in some countries, not in others."""
    readings = []
    for decimal in ".,":
        whole, _, rest = number.partition(decimal)
        groups = re.split(f"[{_SEPARATORS}]", whole)
        is_grouped = all(len(group) == 3 for group in groups[1:])  # noqa: PLR2004
        if is_grouped and (rest.isdigit() or not rest):
            readings.append(float(f"{''.join(groups)}.{rest or 0}"))
    return readings


def _agree(one: _Quantity, other: _Quantity) -> bool:
    if one.unit and other.unit and one.unit != other.unit:
        return False
    return any(
        isclose(value, another, rel_tol=1e-9) for value in one.values for another in other.values
    )


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
