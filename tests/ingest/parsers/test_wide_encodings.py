import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.parsers.wide_encodings import SAMPLE_BYTES, wide_encoding

EIGHT_BIT = {
    "utf-8": "abcdefghijklmnoprstuvwzäöüéèжзйлжд",
    "windows-1252": "abcdefghijklmnoprstuvwzäöüéè",
    "windows-1251": "абвгдежзийклмнопрстуфхцчшщъыьэюя",
    "koi8-r": "абвгдежзийклмнопрстуфхцчшщъыьэюя",
    "windows-1253": "βγδεζηθκλμξπςτφχψωάέή",
    "shift_jis": "あいうえおかきくけこさしすせそ日本語漢字文章アイウエオ",
    "euc_jp": "あいうえおかきくけこさしすせそ日本語漢字文章アイウエオ",
}
LINES = st.lists(st.integers(0, 999), min_size=20, max_size=80)


@given(LINES, st.sampled_from(sorted(EIGHT_BIT)), st.integers(0, 80), st.sampled_from([b"", b"\0"]))
def test_text_in_bytes_is_not_wide_even_with_a_stray_nul(
    numbers: list[int], encoding: str, place: int, stray: bytes
) -> None:
    letters = EIGHT_BIT[encoding] + " " * 5
    data = "".join(letters[number % len(letters)] for number in numbers).encode(encoding)
    assert wide_encoding(data[:place] + stray + data[place:]) is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        b"\0\1",
        b"\1\2\3text",
        bytes(range(256)),
        bytes(SAMPLE_BYTES),
        b"GIF89a\1\0\1\0\x80\0\0\xff\xff\xff\0\0\0!\xf9\4\1\0\0\0\0,\0\0\0\0\1\0\1\0\0\2\2D\1\0;",
        b"xref\n0000000000 00000 n\n" * 9 + bytes(20) + b"\xff" * 9,
    ],
)
def test_other_bytes_are_not_wide(data: bytes) -> None:
    assert wide_encoding(data) is None


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_character_at_the_end_of_the_sample_may_be_cut(encoding: str) -> None:
    text = "a" + "🐝 " * SAMPLE_BYTES
    assert wide_encoding(text.encode(encoding)) == encoding
