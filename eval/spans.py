"""How much of the evidence retrieved spans hold, in characters, however documents are cut.

For a question, X is the union of what was retrieved, `sent` the characters retrieved, counted as
often as they were, and G the union of the gold spans, one per fact: of alternatives those that
give the highest recall. Spans that only touch share nothing.

recall = |G & X| / |G|, precision = |G & X| / sent, IoU = |G & X| / (sent + |G| - |G & X|)
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

from eval.passages import Interval
from eval.questions import Fact, Span

# A fact counts as found when this share of one of its spans was retrieved.
FACT_HIT_COVERAGE = 0.8


@dataclass(frozen=True, slots=True)
class RetrievedSpan:
    """A piece of a document that was retrieved.

    Attributes:
        document: name (external id) of the document.
        start: first character in the canonical text.
        end: one past the last character.
        token_count: tokens it takes in the context.
    """

    document: str
    start: int
    end: int
    token_count: int


@dataclass(frozen=True, slots=True)
class SpanScores:
    """Scores of one question, all in [0, 1].

    Attributes:
        fact_hit: share of facts with at least 80 % of a span retrieved.
        sufficient: 1 when that is so of all facts, else 0.
    """

    recall: float
    precision: float
    iou: float
    fact_hit: float
    sufficient: float


def score_spans(facts: Sequence[Fact], retrieved: Sequence[RetrievedSpan]) -> SpanScores:
    """Score what was retrieved for a question.

    With more context recall never falls, unless facts with alternatives overlap each other.

    Args:
        facts: one or more, with anchored spans.
        retrieved: in any order.
    """
    context = _union((span.document, (span.start, span.end)) for span in retrieved)
    gold = _union((span.document, _interval(span)) for span in _best_gold(facts, context))
    found = sum(_covered(document, span, context) for document, span in _flatten(gold))
    num_gold = sum(end - start for _, (start, end) in _flatten(gold))
    num_sent = sum(span.end - span.start for span in retrieved)
    hits = [_coverage(fact, context) >= FACT_HIT_COVERAGE for fact in facts]
    return SpanScores(
        recall=found / num_gold,
        precision=found / num_sent if num_sent else 0.0,
        iou=found / (num_sent + num_gold - found),
        fact_hit=sum(hits) / len(hits),
        sufficient=float(all(hits)),
    )


def coverage_at(
    facts: Sequence[Fact], retrieved: Sequence[RetrievedSpan], max_tokens: int
) -> float:
    """Return Coverage@T: the recall of the longest prefix of a ranking that fits T tokens.

    Args:
        facts: one or more, with anchored spans.
        retrieved: best first.
        max_tokens: T.
    """
    totals: list[int] = []
    for span in retrieved:
        totals.append(span.token_count + (totals[-1] if totals else 0))
    num_fitting = sum(1 for _ in takewhile(lambda total: total <= max_tokens, totals))
    return score_spans(facts, retrieved[:num_fitting]).recall


_Union = Mapping[str, Sequence[Interval]]


def _union(spans: Iterable[tuple[str, Interval]]) -> _Union:
    """Return for each document the disjoint intervals that its spans cover together, in order."""
    union: defaultdict[str, list[Interval]] = defaultdict(list)
    for document, (start, end) in sorted(spans):
        intervals = union[document]
        if intervals and start <= intervals[-1][1]:
            intervals[-1] = (intervals[-1][0], max(end, intervals[-1][1]))
        else:
            intervals.append((start, end))
    return union


def _flatten(union: _Union) -> list[tuple[str, Interval]]:
    return [(document, interval) for document, intervals in union.items() for interval in intervals]


def _covered(document: str, span: Interval, context: _Union) -> int:
    start, end = span
    return sum(
        max(0, min(end, last) - max(start, first)) for first, last in context.get(document, ())
    )


def _coverage(fact: Fact, context: _Union) -> float:
    return max(_covered(span.document, _interval(span), context) / _length(span) for span in fact)


def _best_gold(facts: Sequence[Fact], context: _Union) -> list[Span]:
    """Choose the span of each fact so that found / length over all facts is highest.

    Choosing each for its own coverage would let recall fall when context is added. The ratio is
    maximised by Dinkelbach's iteration (Management Science 13, 1967), exact for disjoint facts.
    """
    recall = 0.0
    while True:
        chosen = [_most_profitable(fact, context, recall) for fact in facts]
        found = sum(_covered(span.document, _interval(span), context) for span in chosen)
        improved = found / sum(_length(span) for span in chosen)
        if improved <= recall:
            return chosen
        recall = improved


def _most_profitable(fact: Fact, context: _Union, price: float) -> Span:
    def profit(span: Span) -> tuple[float, int]:
        found = _covered(span.document, _interval(span), context)
        return found - price * _length(span), -_length(span)

    return max(fact, key=profit)


def _interval(span: Span) -> Interval:
    if span.start is None or span.end is None:
        raise ValueError(
            f"the span {span.text[:40]!r} has no place yet; anchor the questions first"
        )
    return span.start, span.end


def _length(span: Span) -> int:
    start, end = _interval(span)
    return end - start
