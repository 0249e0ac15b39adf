"""Ids of chunks and what their points are called: the same chunk both ways."""

import uuid

from hypothesis import given
from hypothesis import strategies as st

from retrieval.chunk_ids import make_chunk_id, to_chunk_id, to_point_id


def test_an_id_is_the_beginning_of_the_sha_256_of_a_name() -> None:
    assert make_chunk_id("abc") == "ba7816bf8f01cfea"  # FIPS 180-2, appendix B.1


@given(st.text(), st.text())
def test_names_make_ids(first: str, second: str) -> None:
    assert (make_chunk_id(first) == make_chunk_id(second)) is (first == second)


@given(st.integers(0, 2**64 - 1))
def test_a_number_and_its_digits_are_one_id(number: int) -> None:
    assert to_chunk_id(number) == f"{number:016x}"
    assert to_point_id(to_chunk_id(number)) == number


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_ids_are_in_the_order_of_their_numbers(first: int, second: int) -> None:
    assert (to_chunk_id(first) < to_chunk_id(second)) is (first < second)


@given(st.uuids())
def test_a_uuid_stays_one(one: uuid.UUID) -> None:
    assert to_point_id(str(one)) == to_chunk_id(one) == to_chunk_id(str(one)) == str(one)
