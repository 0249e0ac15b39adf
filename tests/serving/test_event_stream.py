"""Events are read the same however their bytes are split."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.event_stream import EventReader

STREAM = (
    b": hello\n\n"
    b'data: {"a": 1}\n\n'
    b"event: news\nid: 7\ndata:no blank\nretry: 3\n\n"
    b"data:  two\ndata\ndata: lines\n\n"
    b"\n\ndata: \xc3\xa9\n\ndata: [DONE]\n\ndata: cut off\n"
)
EVENTS = [b'{"a": 1}', b"no blank", b" two\nlines", b"\xc3\xa9", b"[DONE]"]
line_ends = pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])


def read(*pieces: bytes) -> list[bytes]:
    reader = EventReader()
    return [event for piece in pieces for event in reader.feed(piece)]


@line_ends
@given(places=st.lists(st.integers(0, 150)))
def test_any_split_gives_the_same_events(places: list[int], line_end: bytes) -> None:
    stream = STREAM.replace(b"\n", line_end)
    cuts = [0, *sorted(places), len(stream)]
    pieces = [stream[start:end] for start, end in pairwise(cuts)]
    assert read(*pieces) == EVENTS


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
def test_an_event_is_there_with_its_last_byte(line_end: bytes) -> None:
    *most, last = [bytes([one]) for one in b"data: now" + 2 * line_end]
    reader = EventReader()
    assert [event for piece in most for event in reader.feed(piece)] == []
    assert reader.feed(last) == [b"now"]


def test_a_large_event_comes_in_small_pieces() -> None:
    """In one second, not in a minute: what has come is not looked through with each piece."""
    data = b"x" * 1024 * 40_000
    pieces = [data[start : start + 1024] for start in range(0, len(data), 1024)]
    assert read(b"data: ", *pieces, b"\n", b"\n") == [data]
