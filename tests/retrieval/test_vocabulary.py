"""How much of a text a vocabulary has: of languages that it was made of, and of others."""

from pathlib import Path
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from eval.beir import load_dataset
from retrieval.sentence_transformer import find_model
from retrieval.settings import RetrievalSettings
from retrieval.vocabulary import (
    NUM_TOKENS_OF_MANY_LANGUAGES,
    covered_weight,
    vocabulary_coverage,
)

ENGLISH = "bees make honey in summer and the bees sleep in winter near the hives"
RUSSIAN = "пчёлы делают мёд летом и зимой пчёлы спят около ульев"
UNKNOWN = "[UNK]"
KINDS = ("word pieces", "unigram", "byte-level")


def make_tokenizer(kind: str, text: str) -> Tokenizer:
    """Make a tokenizer that has each word of a text as one token."""
    if kind == "word pieces":
        tokenizer = Tokenizer(models.WordPiece({UNKNOWN: 0}, unk_token=UNKNOWN))
        tokenizer.normalizer = normalizers.BertNormalizer(strip_accents=False)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        letters = sorted({*ENGLISH, *RUSSIAN} - {" "})
        tokenizer.train_from_iterator(
            [text] * 20,
            trainers.WordPieceTrainer(
                vocab_size=1000, special_tokens=[UNKNOWN], initial_alphabet=letters
            ),
        )
    elif kind == "unigram":
        words = {f"▁{word}" for word in text.split()}
        signs = {*ENGLISH, *RUSSIAN, "▁"} - {" "}
        scored = [(UNKNOWN, 0.0), *((one, -1.0) for one in sorted(words))]
        scored += [(one, -10.0) for one in sorted(signs)]
        tokenizer = Tokenizer(models.Unigram(scored, unk_id=0, byte_fallback=False))
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    else:
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.train_from_iterator(
            [text] * 20,
            trainers.BpeTrainer(
                vocab_size=1000, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
            ),
        )
    return tokenizer


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("known", "foreign"), [(ENGLISH, RUSSIAN), (RUSSIAN, ENGLISH)])
def test_a_language_is_known_to_the_vocabulary_that_was_made_of_it(
    kind: str, known: str, foreign: str
) -> None:
    tokenizer = make_tokenizer(kind, known)
    assert vocabulary_coverage(tokenizer, 0, known) > 0.9
    assert vocabulary_coverage(tokenizer, 0, foreign) < 0.1
    mixed = vocabulary_coverage(tokenizer, 0, f"{known} {foreign}")
    assert 0.4 < mixed < 0.7


@pytest.mark.parametrize(("num_missing", "coverage"), [(0, 1), (1, 0)])
def test_a_vocabulary_of_many_languages_does_not_tell(num_missing: int, coverage: float) -> None:
    num_tokens = NUM_TOKENS_OF_MANY_LANGUAGES - num_missing
    pieces = {UNKNOWN: 0, **{f"piece {number}": number for number in range(1, num_tokens)}}
    tokenizer = Tokenizer(models.WordPiece(pieces, unk_token=UNKNOWN))
    assert vocabulary_coverage(tokenizer, 0, RUSSIAN) == coverage


@pytest.mark.parametrize(("text", "coverage"), [("蜂", 1), ("蜂 蜜", 1), ("蜂蜜", 1), ("x", 0)])
def test_the_mark_of_a_beginning_holds_no_letter(text: str, coverage: float) -> None:
    pieces = [(UNKNOWN, 0.0), ("▁", -1.0), ("蜂", -1.0), ("蜜", -1.0)]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    assert vocabulary_coverage(tokenizer, 0, text) == coverage


PIECES = (UNKNOWN, "bee", "bees", "##s", "##hi", "##ve", "a", "e", "##x", "蜂", "1")


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    pieces = {piece: number for number, piece in enumerate(PIECES)}
    tokenizer = Tokenizer(models.WordPiece(pieces, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


@pytest.mark.parametrize(
    ("text", "coverage"),
    [
        ("", 1),
        ("12.5 % !?", 1),  # no letters
        ("Bees", 1),
        ("beehive", 1),  # bee, ##hi, ##ve
        ("beex", 3 / 4),  # bee, ##x: a letter out of a word
        ("ex", 0),  # both letters are out of a word
        ("a bee", 1),  # a word of one letter
        ("E-1", 1),
        ("wasp bee", 3 / 7),  # the first word is unknown
        ("蜂", 1),  # an ideograph is a word
        ("蜂蜜", 1 / 2),  # the second one is unknown
    ],
)
def test_letters_count_by_their_tokens(tokenizer: Tokenizer, text: str, coverage: float) -> None:
    assert vocabulary_coverage(tokenizer, 0, text) == coverage


@pytest.mark.parametrize(
    ("pieces", "coverage"),
    [
        (("꿀벌", "##은", "꿀", "##을"), 1),  # 꿀벌 bee, 꿀 honey, each with a particle
        (("꿀벌", "꿀"), 0),  # the particles, and so the words, are unknown
        (("ᄁ", "##ᅮ", "##ᆯ", "##ᄇ", "##ᅥ", "##ᄋ", "##ᅳ", "##ᆫ"), 0),  # spelled
    ],
)
def test_a_syllable_of_hangul_counts_unless_it_is_spelled(
    pieces: tuple[str, ...], coverage: float
) -> None:
    numbers = {piece: number for number, piece in enumerate((UNKNOWN, *pieces))}
    tokenizer = Tokenizer(models.WordPiece(numbers, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.NFD() if "ᄁ" in pieces else normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    assert vocabulary_coverage(tokenizer, 0, "꿀벌은 꿀을") == coverage


@given(st.text())
def test_it_is_a_share(text: str) -> None:
    for kind in KINDS:
        assert 0 <= vocabulary_coverage(TOKENIZERS[kind], 0, text) <= 1


TOKENIZERS = {kind: make_tokenizer(kind, ENGLISH) for kind in KINDS}


def test_the_weight_falls_faster_than_the_coverage() -> None:
    assert covered_weight(0.8, 1) == 0.8
    assert covered_weight(0.8, 0.5) == 0.8 / 8
    assert covered_weight(0.8, 0) == 0


@pytest.mark.data
def test_the_default_embedder_has_words_of_european_languages_only(data_dir: Path) -> None:
    folder = find_model(RetrievalSettings().embedder)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    unknown = tokenizer.token_to_id(UNKNOWN)
    coverage = {}
    for folder in (data_dir / "xquad").iterdir():
        if folder.is_dir():
            queries = load_dataset(folder).queries[:200]
            shares = [vocabulary_coverage(tokenizer, unknown, one.text) for one in queries]
            coverage[folder.name] = median(shares)
    assert coverage["en"] == 1
    assert {one for one, share in coverage.items() if share > 0.8} == {
        *("de", "en", "es", "ro", "tr", "vi")
    }
    assert {one for one, share in coverage.items() if share < 0.3} == {
        *("ar", "el", "ru", "th", "zh")
    }
    assert 0.4 < coverage["hi"] < 0.6  # without its vowel signs many a word is a letter
