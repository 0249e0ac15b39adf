"""The share of prompts that a model server would read from its prefix cache, by simulation.

The cache is that of vLLM: whole blocks of tokens, each known by itself and all before it, the least
recently used of them dropped first (Kwon et al., arXiv 2309.06180). What it finds depends on the
order of the passages in a context, so a trace of prompts is replayed under several orders.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count, takewhile

from retrieval.packing import Order, in_order

BLOCK_TOKENS = 16
Tokens = tuple[Hashable, ...]
_ROOT = 0


class PrefixCache:
    """Blocks of the prompts that were read, the least recently used first."""

    def __init__(
        self, capacity_tokens: int | None = None, block_tokens: int = BLOCK_TOKENS
    ) -> None:
        """Start empty.

        Args:
            capacity_tokens: that are kept at most; None: all.
            block_tokens: tokens of a block, at least one.
        """
        self._block_tokens = block_tokens
        self._capacity = None if capacity_tokens is None else capacity_tokens // block_tokens
        # (block before, tokens) -> the block. What is dropped has nothing behind it: a block is
        # used whenever one behind it is.
        self._blocks: OrderedDict[tuple[int, Tokens], int] = OrderedDict()
        self._numbers = count(_ROOT + 1)

    def cached_tokens(self, prompt: Tokens) -> int:
        """Return how many tokens of a prompt would come from the cache; never the last one."""
        block = _ROOT
        cached = 0
        for tokens in self._split(prompt[: len(prompt) - 1]):
            found = self._blocks.get((block, tokens))
            if found is None:
                break
            block = found
            cached += self._block_tokens
        return cached

    def read(self, prompt: Tokens) -> int:
        """Read a prompt and keep it; return how many of its tokens came from the cache."""
        cached = self.cached_tokens(prompt)
        used = []
        block = _ROOT
        for tokens in self._split(prompt):
            key = (block, tokens)
            if key not in self._blocks:
                self._blocks[key] = next(self._numbers)
            block = self._blocks[key]
            used.append(key)
        for key in reversed(used):
            self._blocks.move_to_end(key)
        while self._capacity is not None and len(self._blocks) > self._capacity:
            self._blocks.popitem(last=False)
        return cached

    def _split(self, prompt: Tokens) -> Iterator[Tokens]:
        size = self._block_tokens
        for start in range(0, len(prompt) - size + 1, size):
            yield prompt[start : start + size]


@dataclass(frozen=True, slots=True)
class Part:
    """A passage of a context: where it is from, and its tokens."""

    document_id: str
    revision: str
    start: int
    tokens: Tokens


@dataclass(frozen=True, slots=True)
class Request:
    """A prompt whose passages may stand in any order.

    Attributes:
        head: tokens before the passages.
        parts: the passages, best first, each once.
        tail: tokens behind them.
        follows: number of the earlier request whose prompt stands before all of this, as that of an
            earlier turn does; None: there is none.
    """

    head: Tokens
    parts: tuple[Part, ...]
    tail: Tokens
    follows: int | None = None


@dataclass(frozen=True, slots=True)
class CachedShares:
    """Shares of all prompt tokens.

    Attributes:
        by_order: what came from the cache, for each order.
        possible: what could have, in the best order: whole blocks of what a prompt has in common
            with one earlier prompt, if different passages begin differently and nothing is dropped.
    """

    by_order: dict[str, float]
    possible: float


def simulate(
    requests: Sequence[Request],
    capacity_tokens: int | None = None,
    block_tokens: int = BLOCK_TOKENS,
) -> CachedShares:
    """Replay requests in their order under each order of their passages.

    Args:
        requests: at least one.
        capacity_tokens: of the cache; None: nothing is dropped.
        block_tokens: of the cache.
    """
    lengths = _lengths(requests)
    total = sum(lengths)
    by_order = {}
    for name, arrange in _ORDERS.items():
        cache = PrefixCache(capacity_tokens, block_tokens)
        prompts: list[Tokens] = []
        cached = 0
        for one in requests:
            head = (*(() if one.follows is None else prompts[one.follows]), *one.head)
            for part in arrange(head, one.parts, cache):
                head += part.tokens
            prompts.append(head + one.tail)
            cached += cache.read(prompts[-1])
        by_order[name] = cached / total
    possible = 0
    for number, length in enumerate(lengths):
        common = max((_common(requests, number, other) for other in range(number)), default=0)
        possible += min(common, length - 1) // block_tokens * block_tokens
    return CachedShares(by_order, possible / total)


def _lengths(requests: Sequence[Request]) -> list[int]:
    """Return the tokens of each prompt."""
    lengths: list[int] = []
    for one in requests:
        before = 0 if one.follows is None else lengths[one.follows]
        inside = sum(len(part.tokens) for part in one.parts)
        lengths.append(before + len(one.head) + inside + len(one.tail))
    return lengths


def _common(requests: Sequence[Request], one: int, other: int) -> int:
    """Return the most tokens that two prompts can begin with in common."""
    common = 0
    for left, right in zip(_turns(requests, one), _turns(requests, other), strict=False):
        same_head = _common_prefix(left.head, right.head)
        common += same_head
        if same_head < max(len(left.head), len(right.head)):
            return common
        shared = set(left.parts) & set(right.parts)
        common += sum(len(part.tokens) for part in shared)
        if len(shared) < max(len(left.parts), len(right.parts)):
            return common
        same_tail = _common_prefix(left.tail, right.tail)
        common += same_tail
        if same_tail < max(len(left.tail), len(right.tail)):
            return common
    return common


def _turns(requests: Sequence[Request], number: int) -> list[Request]:
    """Return a request with those before it, the first turn first."""
    turns = []
    follows: int | None = number
    while follows is not None:
        turns.append(requests[follows])
        follows = requests[follows].follows
    return turns[::-1]


def _common_prefix(one: Tokens, other: Tokens) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


Arrange = Callable[[Tokens, Sequence[Part], PrefixCache], Sequence[Part]]


def _by(order: Order, _head: Tokens, parts: Sequence[Part], _cache: PrefixCache) -> Sequence[Part]:
    """Order as the service would."""
    return in_order(parts, order)


def _reverse(_head: Tokens, parts: Sequence[Part], _cache: PrefixCache) -> Sequence[Part]:
    """Order the best one last, next to the question."""
    return parts[::-1]


def _cache_aware(head: Tokens, parts: Sequence[Part], cache: PrefixCache) -> Sequence[Part]:
    """Take the passage with which most comes from the cache, while there is one."""
    left = list(in_order(parts, Order.STABLE))
    taken: list[Part] = []
    cached = cache.cached_tokens(head)
    while left:
        reached = [cache.cached_tokens(head + part.tokens) for part in left]
        if max(reached) <= cached:
            break
        cached = max(reached)
        taken.append(left.pop(reached.index(cached)))
        head += taken[-1].tokens
    return [*taken, *left]


_ORDERS: dict[str, Arrange] = {
    **{str(order): partial(_by, order) for order in Order},
    "reverse": _reverse,
    "cache_aware": _cache_aware,
}
