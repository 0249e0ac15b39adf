import pytest

from ingest.errors import UnreadableFileError
from ingest.parsers.decoding import decode

SENTENCE = "Größe und Übermaß: zwei Cafés."


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "windows-1252"])
def test_common_encodings_are_recognised(encoding: str) -> None:
    assert decode(SENTENCE.encode(encoding)) == SENTENCE


@pytest.mark.parametrize(
    ("encoding", "text"),
    [("iso-2022-jp", "日本語のテキスト"), ("koi8-r", "Привет"), ("shift_jis", "日本語です")],
)
def test_declared_encoding_is_believed(encoding: str, text: str) -> None:
    assert decode(text.encode(encoding), encoding) == text


@pytest.mark.parametrize("label", ["shift-jis-2000", "hex", "iso-8859-1"])
def test_utf8_outweighs_a_wrong_label(label: str) -> None:
    assert decode(SENTENCE.encode(), label) == SENTENCE


def test_latin_1_means_windows_1252() -> None:
    assert decode(b"\x93quoted\x94 \xe9", "ISO-8859-1") == "\u201cquoted\u201d é"


def test_one_broken_byte_keeps_the_rest_utf8() -> None:
    assert decode(("é" * 20).encode() + b"\xff") == "é" * 20 + "\ufffd"


def test_line_ends_nul_and_mark_are_normalised() -> None:
    assert decode(b"\xef\xbb\xbfa\r\nb\rc\0\n") == "a\nb\nc\n"


def test_undecodable_bytes_are_damaged() -> None:
    with pytest.raises(UnreadableFileError) as caught:
        decode(bytes(range(128, 256)) * 3 + b"\x81\x8d\x8f\x90\x9d\x00\x01\x02\x03" * 50)
    assert caught.value.code == "damaged"
