from hypothesis import given
from hypothesis import strategies as st

from ingest.parsers.cleaning import clean, without_surrogates
from ingest.texts import CanonicalText, Heading, Place


def test_clean() -> None:
    assert clean("\ufb01le \ufb03 e\u0301\x00\x07 \t\r\nnext\ud800  \n\n") == "file ffi é\nnext"


def test_painted_soft_hyphen_is_a_hyphen() -> None:
    assert clean("spin\xadoff") == "spin-off"


# Half characters, too: hypothesis makes none by itself.
TEXTS = st.text(st.characters() | st.characters(categories=["Cs"]))


@given(TEXTS)
def test_any_text_can_be_encoded_and_keeps_its_offsets(source: str) -> None:
    text = without_surrogates(CanonicalText(source)).text
    text.encode()
    assert len(text) == len(source)
    assert all(b in {a, "\ufffd"} for a, b in zip(source, text, strict=True))


def test_every_word_of_a_text_can_be_encoded() -> None:
    half, whole = "\ud83d", "\ufffd"
    text = without_surrogates(
        CanonicalText(
            half,
            headings=(Heading(0, 1, 1, half),),
            places=(Place(0, half),),
            unreadable_reason=half,
            metadata={"title": half},
        )
    )
    assert text.headings == (Heading(0, 1, 1, whole),)
    assert text.places == (Place(0, whole),)
    assert (text.unreadable_reason, text.metadata) == (whole, {"title": whole})
