"""Counting the tokens of a text without making them all, where a tokenizer takes word by word."""

from collections.abc import Callable
from functools import lru_cache

from tokenizers import Tokenizer
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

# A word with its count takes about 150 bytes.
MAX_WORDS = 100_000


def make_counter(tokenizer: Tokenizer) -> Callable[[str], int]:
    """Return what counts the tokens of a text, special tokens left out; for several threads.

    BERT's kind of tokenizer (Devlin et al., NAACL 2019) splits at white space before anything else
    and looks at each word alone, so the tokens of a text are those of its words, and most words
    have been counted before. Blanks and line ends are white space to all; what else is, differs.
    """

    def count(text: str) -> int:
        return len(tokenizer.encode(text, add_special_tokens=False))

    if not _takes_words(tokenizer):
        return count
    count_word = lru_cache(MAX_WORDS)(count)
    return lambda text: sum(map(count_word, text.replace("\n", " ").split(" ")))


def _takes_words(tokenizer: Tokenizer) -> bool:
    return (
        isinstance(tokenizer.normalizer, BertNormalizer)
        and isinstance(tokenizer.pre_tokenizer, BertPreTokenizer)
        and not any(
            any(character.isspace() for character in token.content)
            for token in tokenizer.get_added_tokens_decoder().values()
        )
    )
