"""A walk along a ranking: what contexts of its first 0, 1, 2, ... hits hold, and within budgets.

One context takes chunk after chunk. Up to where a budget is spent it is the one within that budget,
too; from there on only what the rest of the budget can hold is looked for.
"""

from collections.abc import Iterable, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from eval.gold import Context, Evidence, Gold
from retrieval.chunks import Chunk
from retrieval.packing import expand
from retrieval.profiles import RetrievalProfile
from retrieval.stitching import Draft, Stitcher


class Amounts:
    """How much of a ranking goes into contexts: how many hits, and packed how.

    Attributes:
        packings: of each context.
        budgets: the most tokens of each that has such, with its number, least last.
        expanded: the numbers of those that grow beyond their chunks.
    """

    def __init__(self, profiles: Sequence[RetrievalProfile], default_k: int) -> None:
        """Set up.

        Args:
            profiles: of the contexts; all rank alike.
            default_k: most hits of a profile that does not say.
        """
        self.packings = [profile.packing for profile in profiles]
        self.expanded = [number for number, one in enumerate(self.packings) if one.expand]
        self.budgets = sorted(
            (
                (one.max_tokens, number)
                for number, one in enumerate(self.packings)
                if one.max_tokens is not None and not one.expand
            ),
            reverse=True,
        )
        self._top_k = np.array([profile.most_hits(None, default_k) for profile in profiles])
        self._choosy = [
            (number, profile)
            for number, profile in enumerate(profiles)
            if profile.rule is not None or profile.min_score is not None
        ]

    def num_hits(self, scores: Sequence[float]) -> NDArray[np.int_]:
        """Return how many hits of a ranking go into each context."""
        num_hits: NDArray[np.int_] = np.minimum(self._top_k, len(scores))
        for number, profile in self._choosy:
            if profile.rule is not None:
                num_hits[number] = min(num_hits[number], profile.rule(scores))
            if profile.min_score is not None:
                num_good = sum(score >= profile.min_score for score in scores)
                num_hits[number] = min(num_hits[number], num_good)
        return num_hits


class Walk:
    """Measures contexts of the first hits of a ranking."""

    def __init__(self, chunks: Sequence[Chunk], stitcher: Stitcher, gold: Gold) -> None:
        """Set up.

        Args:
            chunks: best first.
            stitcher: that knows them.
            gold: what is looked for.
        """
        self._chunks = chunks
        self._stitcher = stitcher
        self._gold = gold
        self._near = [stitcher.neighbours[chunk.chunk_id] for chunk in chunks]
        self._fewest_tokens = [stitcher.fewest_tokens(chunk) for chunk in chunks]

    def measure(self, amounts: Amounts, scores: Sequence[float]) -> NDArray[np.float32]:
        """Return what each context holds.

        Args:
            amounts: of the contexts.
            scores: of the ranking, best first.

        Returns:
            (contexts, 4), see `Evidence`.
        """
        num_hits = amounts.num_hits(scores)
        unlimited, others = self._measure_all(num_hits.tolist(), amounts.budgets)
        expanded = cache(self._expand)
        for number in amounts.expanded:
            others[number] = expanded(int(num_hits[number]), amounts.packings[number].max_tokens)
        found = np.array(unlimited, np.float32)[num_hits]
        if others:
            found[list(others)] = np.array(list(others.values()), np.float32)
        return found

    def fill(self, num_chunks: Sequence[int], budgets: Sequence[int | None]) -> NDArray[np.float32]:
        """Return what contexts hold.

        Args:
            num_chunks: that go into each, if there is room.
            budgets: the most tokens of each; None: any.

        Returns:
            (contexts, 4), see `Evidence`.
        """
        limited = [(most, number) for number, most in enumerate(budgets) if most is not None]
        unlimited, within = self._measure_all(num_chunks, sorted(limited, reverse=True))
        found = [within.get(number, unlimited[num]) for number, num in enumerate(num_chunks)]
        return np.array(found, np.float32)

    def _measure_all(
        self, num_hits: Sequence[int], budgets: Iterable[tuple[int, int]]
    ) -> tuple[list[Evidence], dict[int, Evidence]]:
        """Return what the first 0, 1, 2, ... hits make, and those contexts that a budget ends."""
        waiting = list(budgets)
        context = Context(Draft(self._stitcher), self._gold)
        unlimited = [context.evidence]
        within: dict[int, Evidence] = {}
        for place, chunk in enumerate(self._chunks[: max(num_hits)]):
            draft = context.draft
            if not draft.twins(chunk):
                seam = draft.seam(chunk)
                num_tokens = draft.num_tokens + seam.num_tokens(chunk.end)
                while waiting and waiting[-1][0] < num_tokens:
                    max_tokens, number = waiting.pop()
                    if num_hits[number] > place:
                        rest = range(place, num_hits[number])
                        within[number] = self._fill(context, rest, max_tokens)
                context.add(seam, chunk.end)
            unlimited.append(context.evidence)
        return unlimited, within

    def _fill(self, context: Context, places: Iterable[int], max_tokens: int) -> Evidence:
        """Return what a context holds once chunks of some places have filled it up."""
        draft, room = context.draft, max_tokens - context.draft.num_tokens
        for place in places:
            if self._fewest_tokens[place] > room and draft.chunk_ids.isdisjoint(self._near[place]):
                continue
            chunk = self._chunks[place]
            seam = draft.seam(chunk)
            end = seam.last_end(room)
            if end is None or draft.twins(chunk):
                continue
            if end < chunk.end:
                return context.evidence_with(seam, end)
            context = context.copy()
            context.add(seam, end)
            draft, room = context.draft, max_tokens - context.draft.num_tokens
        return context.evidence

    def _expand(self, num_hits: int, max_tokens: int | None) -> Evidence:
        """Return what a context of the first hits holds that grows beyond its chunks."""
        draft = Draft(self._stitcher)
        for chunk in self._chunks[:num_hits]:
            draft.take(chunk, max_tokens)
        ranks = {chunk.chunk_id: rank for rank, chunk in enumerate(self._chunks)}
        expand(draft, ranks, max_tokens)
        return (*self._gold.score(draft), draft.num_tokens, len(draft.chunk_ids))
