"""What is made of known words is what the model's own tokenizer makes of the text."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer, ByteLevel, PreTokenizer
from tokenizers.processors import BertProcessing
from transformers import BertTokenizerFast

from retrieval.token_counts import TextTokenizer
from retrieval.traced_model import Features
from retrieval.word_features import WordFeatures, word_features

PIECES = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "bee", "##s", "b", "##e", "e", "-", ".", "1", "##2")
NUMBERS = {piece: number for number, piece in enumerate(PIECES)}
MAX_TOKENS = 6


def make_tokenizer(pre_tokenizer: PreTokenizer) -> Tokenizer:
    tokenizer = Tokenizer(WordPiece(NUMBERS, unk_token=PIECES[1]))
    tokenizer.normalizer = BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.post_processor = BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return tokenizer


def reader(tokenizer: Tokenizer, prompt: str = "") -> Callable[[list[str]], Features]:
    """Return the way of Hugging Face, which cuts and pads by itself."""
    whole = BertTokenizerFast(tokenizer_object=Tokenizer.from_str(tokenizer.to_str()))

    def read(texts: list[str]) -> Features:
        features = whole(
            [prompt + text for text in texts],
            padding=True,
            truncation=True,
            max_length=MAX_TOKENS + 2,
            return_tensors="pt",
        )
        return {**features, "modality": "text"}

    return read


def make_features(tokenizer: Tokenizer, read: Callable[[list[str]], Features]) -> WordFeatures:
    features = word_features(TextTokenizer(tokenizer), tokenizer, MAX_TOKENS, read)
    assert features is not None
    return features


WORDS = make_tokenizer(BertPreTokenizer())
READ = reader(WORDS)
FEATURES = make_features(WORDS, READ)


def test_short_texts_are_padded_and_long_ones_cut() -> None:
    features = FEATURES(["bees", "bee 12 bee bee bee bee"])
    assert features["input_ids"].tolist() == [
        [2, 4, 5, 3, 0, 0, 0, 0],
        [2, 4, 11, 12, 4, 4, 4, 3],
    ]
    assert features["attention_mask"].tolist() == [[1, 1, 1, 1, 0, 0, 0, 0], [1] * 8]
    assert features["token_type_ids"].tolist() == [[0] * 8] * 2
    assert features["modality"] == "text"


@given(st.lists(st.text(st.sampled_from(" \n\tbBeEs12.-\u8702\u0301x")), min_size=1))
def test_features_are_those_of_the_tokenizer(texts: list[str]) -> None:
    expected = READ(texts)
    features = FEATURES(texts)
    for name in ("input_ids", "attention_mask", "token_type_ids"):
        assert torch.equal(features[name], expected[name])


@pytest.mark.parametrize(
    ("tokenizer", "prompt"),
    [
        pytest.param(make_tokenizer(ByteLevel()), "", id="takes more than words"),
        pytest.param(WORDS, "bee: ", id="has a prompt"),
    ],
)
def test_other_models_keep_their_way(tokenizer: Tokenizer, prompt: str) -> None:
    read = reader(tokenizer, prompt)
    assert word_features(TextTokenizer(tokenizer), tokenizer, MAX_TOKENS, read) is None
