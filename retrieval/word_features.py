"""What a model reads of passages, from the tokens of words that are known since they were cut."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from tokenizers import Tokenizer

from retrieval.token_counts import TextTokenizer
from retrieval.traced_model import MASK, Features

IDS = "input_ids"
TYPES = "token_type_ids"
PROBES = ("bees", "", "E-1234 Größe 漢字 [SEP] e\u0301\n\tx ", "a bee " * 20)


def word_features(
    words: TextTokenizer,
    tokenizer: Tokenizer,
    max_tokens: int,
    read: Callable[[list[str]], Features],
) -> "WordFeatures | None":
    """Return what gives the features that a model's own tokenizer gives, or None.

    Args:
        words: tells the tokens of a text.
        tokenizer: the same without truncation and padding, with special tokens.
        max_tokens: of a passage, special tokens left out.
        read: the model's own way.
    """
    if not words.takes_words:
        return None
    probes = [*PROBES, "bees " * (max_tokens + 1)]
    expected = read(probes)
    features = WordFeatures(words, tokenizer, max_tokens, expected)
    return features if _are_equal(features(probes), expected) else None


class WordFeatures:
    """Looks up the tokens of passages word by word; cuts them to what the model reads.

    It takes a tenth of the time of the tokenizer. Safe to call from several threads.
    """

    def __init__(
        self, words: TextTokenizer, tokenizer: Tokenizer, max_tokens: int, example: Features
    ) -> None:
        self._words = words
        self._max_tokens = max_tokens
        bee = tokenizer.encode("bee")
        mask = bee.special_tokens_mask
        num_before, num_after = mask.index(0), mask[::-1].index(0)
        self._before = bee.ids[:num_before]
        self._after = bee.ids[len(mask) - num_after :]
        self._padding = int(example[IDS][example[MASK] == 0][0])
        self._has_types = TYPES in example
        self._others = {
            name: value for name, value in example.items() if not torch.is_tensor(value)
        }

    def __call__(self, texts: Sequence[str]) -> Features:
        """Return the features of at least one text, padded to the longest."""
        rows = [
            [*self._before, *self._words.ids(text)[: self._max_tokens], *self._after]
            for text in texts
        ]
        ids = np.full((len(rows), max(map(len, rows))), self._padding, np.int64)
        mask = np.zeros_like(ids)
        for number, row in enumerate(rows):
            ids[number, : len(row)] = row
            mask[number, : len(row)] = 1
        features = {**self._others, IDS: torch.from_numpy(ids), MASK: torch.from_numpy(mask)}
        if self._has_types:
            features[TYPES] = torch.zeros_like(features[IDS])
        return features


def _are_equal(features: Features, expected: Features) -> bool:
    return features.keys() == expected.keys() and all(
        torch.equal(features[name], value) if torch.is_tensor(value) else features[name] == value
        for name, value in expected.items()
    )
