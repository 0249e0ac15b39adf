"""The payload of a chunk: fields of attributes."""

from hypothesis import example, given
from hypothesis import strategies as st

from retrieval.payload import order_field

# Underscores and hexadecimal digits, which the escapes are made of, beside what is escaped.
KEYS = st.one_of(st.text(), st.text(alphabet="_25f a", max_size=6))


@given(KEYS, KEYS)
@example("a b", "a_20_b")
@example("", "_")
def test_two_keys_never_share_a_field(one: str, other: str) -> None:
    assert (order_field(one, "number") == order_field(other, "number")) is (one == other)
