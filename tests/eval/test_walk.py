"""Amounts of a ranking: how many hits go into each context."""

import numpy as np

from eval.walk import Amounts
from retrieval.adaptive import Threshold
from retrieval.packing import PackingPolicy
from retrieval.profiles import RetrievalProfile

SCORES = [0.9, 0.8, 0.4, 0.3]


def test_each_profile_keeps_what_it_says() -> None:
    profiles = [
        RetrievalProfile(),
        RetrievalProfile(top_k=2),
        RetrievalProfile(top_k=9),
        RetrievalProfile(top_k=3, min_score=0.5),
        RetrievalProfile(rule=Threshold(threshold=0.35, k_max=9)),
        RetrievalProfile(top_k=1, rule=Threshold(threshold=0.35, k_max=9)),
    ]
    amounts = Amounts(profiles, default_k=3)
    assert amounts.num_hits(SCORES).tolist() == [3, 2, 4, 2, 3, 1]
    assert np.all(amounts.num_hits([]) == 0)


def test_budgets_end_with_the_least() -> None:
    packings = [
        PackingPolicy(max_tokens=500),
        PackingPolicy(),
        PackingPolicy(max_tokens=200),
        PackingPolicy(max_tokens=100, expand=True),
        PackingPolicy(expand=True),
    ]
    amounts = Amounts([RetrievalProfile(packing=one) for one in packings], default_k=3)
    assert amounts.budgets == [(500, 0), (200, 2)]
    assert amounts.expanded == [3, 4]
