"""How much of a text is in the vocabulary of a tokenizer, and so in the language of its model."""

import re
from collections import Counter

from tokenizers import Tokenizer

# Measured: the lowest with which no language of XQuAD is 0.005 worse off than by words alone.
COVERAGE_POWER = 3
# Of one language or two, vocabularies have up to some 80,000 tokens; of many, 100,000 and more.
# What a model of many languages spells it may know all the same: Qwen's spells Greek.
NUM_TOKENS_OF_MANY_LANGUAGES = 100_000
# Han characters and Hangul syllables are words or roots by themselves; what spells Korean takes its
# syllables apart. A kana says no more than a letter.
_WORD_CHARACTER = re.compile(
    "[\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff\U00020000-\U000323af]"
)
# SentencePiece's mark of a word's beginning. On its own it holds nothing of the letter after it.
_WORD_START = "\u2581"


def vocabulary_coverage(tokenizer: Tokenizer, unknown_id: int | None, text: str) -> float:
    """Return the share of a text's letters in words and parts of words that a vocabulary has.

    A letter counts unless its token is the unknown one, or that letter alone out of the middle of
    a word, or less than it: a vocabulary that was not made of a language spells it. How finely a
    tokenizer cuts a language goes with how well its model does there (Rust et al., "How Good is
    Your Tokenizer?", ACL 2021). Of a vocabulary of many languages it tells nothing, so all counts.

    Args:
        tokenizer: without truncation and padding.
        unknown_id: of the token that stands for what is not in the vocabulary, if there is one.
        text: any; without letters nothing of it is unknown.

    Returns:
        0 to 1.
    """
    letters = [place for place, character in enumerate(text) if character.isalpha()]
    if not letters or tokenizer.get_vocab_size() >= NUM_TOKENS_OF_MANY_LANGUAGES:
        return 1.0
    encoding = tokenizer.encode(text, add_special_tokens=False)
    known: set[int] = set()
    single: Counter[int] = Counter()
    tokens = zip(encoding.ids, encoding.tokens, encoding.offsets, strict=True)
    for token_id, token, (start, end) in tokens:
        if token_id == unknown_id or token == _WORD_START:
            continue
        if len(text[start:end].strip()) > 1:
            known.update(range(start, end))
        else:
            single[end - 1] += 1
    # One of several tokens of a character holds some of its bytes.
    known |= {place for place, times in single.items() if times == 1 and _is_word(text, place)}
    return sum(place in known for place in letters) / len(letters)


def covered_weight(dense_weight: float, coverage: float) -> float:
    """Return the weight of the vector of a query, given how much of it the vocabulary has.

    The vector of a query in a language that the model does not know says nothing of it.
    """
    return dense_weight * coverage**COVERAGE_POWER


def _is_word(text: str, place: int) -> bool:
    """Whether a character is a word by itself."""
    if _WORD_CHARACTER.match(text, place):
        return True
    around = text[max(0, place - 1) : place + 2]
    return sum(character.isalnum() for character in around) == 1
