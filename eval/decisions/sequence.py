"""The cheapest candidate that is not worse, certified by testing in a fixed sequence."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from eval.decisions.items import Floats
from eval.decisions.pvalues import PairedTest, paired_p_value


class Mode(StrEnum):
    """What a candidate is compared with.

    Attributes:
        REFERENCE: the reference alone.
        BEST: every other candidate, so that it is certified against the best one, whichever that
            is; needs more items.
    """

    REFERENCE = "reference"
    BEST = "best"


class Stop(StrEnum):
    """Why a sequence ended.

    Attributes:
        NOT_SHOWN: the candidate looked at last was not shown to be good enough.
        END: no candidate was left.
    """

    NOT_SHOWN = "not_shown"
    END = "end"


@dataclass(frozen=True, slots=True)
class Look:
    """A candidate, by its row in the qualities, and its p-value."""

    candidate: int
    p_value: float


@dataclass(frozen=True, slots=True)
class Certification:
    """What the sequence says.

    Attributes:
        certified: the last candidate before the first failure, by its row; None if the first one
            failed, then the reference stays.
        looks: all p-values that were looked at, in this order.
        stop: why no further one was.
    """

    certified: int | None
    looks: tuple[Look, ...]
    stop: Stop


def certify(
    quality: Floats,
    order: Sequence[int],
    *,
    eps: float,
    delta: float,
    test: PairedTest = PairedTest.WSR,
    mode: Mode = Mode.REFERENCE,
    rivals: Floats | None = None,
) -> Certification:
    """Certify candidates one after the other, until one cannot be shown to be good enough.

    With a probability of at least 1 - delta, what is certified is worse by less than eps, however
    many candidates there are: each is tested at the full delta, because a sequence that stops at
    its first failure errs only where it errs at the first bad candidate (fixed-sequence testing;
    Learn then Test, Angelopoulos et al., arXiv:2110.01052). In mode BEST the p-value is the
    largest over all comparisons (intersection-union test; Berger, Technometrics 24, 1982).

    Args:
        quality: (num_candidates, num_items) in [0, 1], see `cluster_means`. The items must have
            had no part in the choice of the candidates and their order.
        order: rows of quality to test, usually by falling cost. In mode REFERENCE the first one is
            the reference, which itself is not tested.
        eps: how much worse a candidate may be, in [0, 1).
        delta: the error rate, in (0, 1).
        test: of one pair.
        mode: what a candidate is compared with.
        rivals: quality of the same rows where candidates are compared with them, if it is another
            one: where items are uncertain, their worst as a candidate and their best as a rival.

    Raises:
        ValueError: an argument is out of its range, or a row is not there or named twice.
    """
    if not order or len(set(order)) < len(order) or not set(order) <= set(range(len(quality))):
        raise ValueError(
            f"order is {list(order)}, but must name the reference and then other rows of quality, "
            f"each once, from 0 to {len(quality) - 1}"
        )
    against = quality if rivals is None else rivals
    candidates = order if mode is Mode.BEST else order[1:]
    # All at once, because the bets of a row of items cost as much as those of many.
    differences = [
        (np.delete(against, one, axis=0) if mode is Mode.BEST else against[[order[0]]])
        - quality[one]
        for one in candidates
    ]
    certified = None
    looks = []
    p_values = paired_p_value(test, np.array(differences), eps, delta) if differences else ()
    for candidate, of_rivals in zip(candidates, p_values, strict=True):
        looks.append(Look(candidate, float(np.max(of_rivals, initial=0.0))))
        if looks[-1].p_value > delta:
            return Certification(certified, tuple(looks), Stop.NOT_SHOWN)
        certified = candidate
    return Certification(certified, tuple(looks), Stop.END)
