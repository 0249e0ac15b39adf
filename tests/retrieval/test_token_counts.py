"""What is looked up word by word is what the tokenizer makes of the whole text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer, ByteLevel, PreTokenizer

from retrieval.token_counts import MAX_SENTENCE_CHARACTERS, MAX_WORD_CHARACTERS, TextTokenizer

PIECES = ("[UNK]", "bee", "bees", "##s", "##hive", "b", "##e", "e", "1", "##2", ".", "-", "e\u0301")
# All that some call white space, and what BERT removes, joins or takes for words of their own.
TEXTS = st.text(
    st.sampled_from(
        " \n\n\t\r\x0b\x0c\x1c\x85\xa0\u2003\u2028\u200b\x00\u0301\u8702bBeEshiv12.-[]MASK"
    )
)


def make_tokenizer(pre_tokenizer: PreTokenizer) -> Tokenizer:
    pieces = {piece: number for number, piece in enumerate(PIECES)}
    tokenizer = Tokenizer(WordPiece(pieces, unk_token=PIECES[0], max_input_chars_per_word=100))
    tokenizer.normalizer = BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.add_special_tokens(["[MASK]"])
    return tokenizer


WORDS = make_tokenizer(BertPreTokenizer())
LOOK_UP = TextTokenizer(WORDS)


@given(TEXTS)
def test_words_add_up(text: str) -> None:
    encoding = WORDS.encode(text, add_special_tokens=False)
    assert LOOK_UP.starts(text) == [start for start, _ in encoding.offsets]
    assert LOOK_UP.ids(text) == encoding.ids
    assert LOOK_UP.count(text) == len(encoding)


LONG = "bees" * MAX_WORD_CHARACTERS
LONG_SENTENCE = " ".join(["bee 12"] * MAX_SENTENCE_CHARACTERS)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "bees",
        "bees bees\nbeehive, 12.",
        "a\x0bb",
        "a\x85b",
        f"bee {LONG} bee",
        "bee. bees. bee.",
        "bee.  1. ",
        ". .",
        f"bee. {LONG_SENTENCE}. bee",
    ],
)
def test_words_add_up_in(text: str) -> None:
    encoding = WORDS.encode(text, add_special_tokens=False)
    assert LOOK_UP.starts(text) == [start for start, _ in encoding.offsets]
    assert LOOK_UP.ids(text) == encoding.ids
    assert LOOK_UP.count(text) == len(encoding)


def test_other_tokenizers_see_the_whole_text() -> None:
    tokenizer = make_tokenizer(ByteLevel())  # makes a token of each blank, too
    text = "bee  bee"
    offsets = tokenizer.encode(text, add_special_tokens=False).offsets
    assert TextTokenizer(tokenizer).starts(text) == [start for start, _ in offsets]
    assert TextTokenizer(tokenizer).count(text) == len(offsets)


def test_a_token_of_two_words_is_one() -> None:
    tokenizer = make_tokenizer(BertPreTokenizer())
    tokenizer.add_tokens([AddedToken("queen bee", normalized=False)])
    assert TextTokenizer(tokenizer).starts("queen bee bee") == [0, 10]
    assert TextTokenizer(tokenizer).count("queen bee bee") == 2
