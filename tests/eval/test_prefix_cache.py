"""The simulated prefix cache is compared with one that keeps whole prefixes in a list."""

from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from eval.prefix_cache import Part, PrefixCache, Request, Tokens, simulate

BLOCK = 2


class ListedPrefixes:
    """The same cache in the plainest way: a list of prefixes, the least recently used first."""

    def __init__(self, capacity_tokens: int | None) -> None:
        self.capacity = None if capacity_tokens is None else capacity_tokens // BLOCK
        self.prefixes: list[Tokens] = []

    def read(self, prompt: Tokens) -> int:
        prefixes = [prompt[:end] for end in range(BLOCK, len(prompt) + 1, BLOCK)]
        cached = max((len(one) for one in self.prefixes if one in prefixes), default=0)
        if cached and cached == len(prompt):
            cached -= BLOCK  # the last token is always read
        self.prefixes = [one for one in self.prefixes if one not in prefixes]
        self.prefixes += reversed(prefixes)
        if self.capacity is not None:
            self.prefixes = self.prefixes[max(0, len(self.prefixes) - self.capacity) :]
        return cached


@given(
    st.lists(st.text("ab", max_size=9).map(tuple), max_size=20),
    st.none() | st.integers(0, 24),
)
def test_cache_is_that_of_the_list_of_prefixes(
    prompts: list[Tokens], capacity_tokens: int | None
) -> None:
    cache = PrefixCache(capacity_tokens, BLOCK)
    reference = ListedPrefixes(capacity_tokens)
    assert [cache.read(one) for one in prompts] == [reference.read(one) for one in prompts]


def test_whole_blocks_are_cached_and_never_the_last_token() -> None:
    cache = PrefixCache(block_tokens=2)
    assert cache.read(tuple("abcde")) == 0
    assert cache.read(tuple("abcd")) == 2
    assert cache.read(tuple("abcde")) == 4
    assert cache.read(tuple("bcde")) == 0  # a block is known only behind what was before it


def test_what_was_not_used_for_longest_is_dropped_its_end_first() -> None:
    cache = PrefixCache(capacity_tokens=6, block_tokens=2)
    cache.read(tuple("aaaa"))
    cache.read(tuple("bbbb"))
    assert cache.cached_tokens(tuple("aaaa.")) == 2
    assert cache.cached_tokens(tuple("bbbb.")) == 4


def part(name: str, document: str = "d", start: int = 0) -> Part:
    """Return a passage of two blocks that begins like no other."""
    return Part(document, "r", start, tuple(f"{name}{number}" for number in range(2 * BLOCK)))


PARTS = {name: part(name, name, ord(name)) for name in "abcd"}


def ask(best_first: str, question: str, follows: int | None = None) -> Request:
    return Request(("head", "head"), tuple(PARTS[one] for one in best_first), (question,), follows)


def test_shares_by_order_are_those_counted_by_hand() -> None:
    """Both prompts have a head of 2 tokens, two passages of 4 and a question of 1."""
    shares = simulate([ask("ba", "q1"), ask("ab", "q2")], block_tokens=BLOCK)
    assert shares.by_order == {
        "score": 2 / 22,  # ba, then ab
        "position": 2 / 22,
        "edges": 2 / 22,
        "reverse": 2 / 22,
        "stable": 10 / 22,  # ab twice
        "cache_aware": 10 / 22,
    }
    assert shares.possible == 10 / 22


def test_cache_aware_order_begins_with_what_was_read() -> None:
    """The second prompt shares b with the first one, which it began with by its score."""
    shares = simulate([ask("ba", "q1"), ask("bc", "q2"), ask("cb", "q3")], block_tokens=BLOCK)
    # In a stable order the second prompt finds the head only, the third one all of the second.
    assert shares.by_order["stable"] == (0 + 2 + 10) / 33
    assert simulate([ask("cb", "q1"), ask("ac", "q2")], block_tokens=BLOCK).by_order == {
        "score": 2 / 22,
        "position": 2 / 22,
        "edges": 2 / 22,
        "reverse": 2 / 22,
        "stable": 2 / 22,  # bc, then ac
        "cache_aware": 2 / 22,  # bc is known, ca is not: c stood behind b
    }


def test_later_turns_stand_behind_what_was_said() -> None:
    turns = [ask("ab", "q1"), ask("cd", "q2", 0), ask("ab", "q3", 1)]
    shares = simulate(turns, block_tokens=BLOCK)
    # Of 11, 22 and 33 tokens the second finds 10 and the third 22.
    assert set(shares.by_order.values()) == {32 / 66}
    assert shares.possible == 32 / 66


REQUESTS = st.lists(
    st.tuples(st.permutations("abcd"), st.integers(1, 4), st.integers(0, 2), st.booleans()),
    min_size=1,
    max_size=8,
).map(
    lambda asked: [
        ask("".join(order[:size]), f"q{question}", number - 1 if turn and number else None)
        for number, (order, size, question, turn) in enumerate(asked)
    ]
)


@given(REQUESTS, st.none() | st.integers(0, 60))
def test_no_order_finds_more_than_is_possible(
    requests: list[Request], capacity_tokens: int | None
) -> None:
    shares = simulate(requests, capacity_tokens, BLOCK)
    assert all(0 <= share <= shares.possible < 1 for share in shares.by_order.values())


@given(st.lists(st.permutations("abc"), min_size=1, max_size=3))
def test_possible_is_no_less_than_the_best_of_all_orders(orders: list[list[str]]) -> None:
    """Every order of every prompt is tried."""
    requests = [ask("".join(order[: 1 + number]), "q") for number, order in enumerate(orders)]

    def best(number: int, read: tuple[Tokens, ...]) -> int:
        if number == len(requests):
            cache = PrefixCache(block_tokens=BLOCK)
            return sum(cache.read(prompt) for prompt in read)
        one = requests[number]
        return max(
            best(number + 1, (*read, (*one.head, *sum((p.tokens for p in parts), ()), *one.tail)))
            for parts in permutations(one.parts)
        )

    shares = simulate(requests, block_tokens=BLOCK)
    total = sum(3 + 4 * len(one.parts) for one in requests)
    assert best(0, ()) <= round(shares.possible * total)
    assert round(max(shares.by_order.values()) * total) <= best(0, ())
