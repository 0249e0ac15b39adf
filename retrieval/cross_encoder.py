"""The reranker that runs a cross-encoder, which reads query and passage together."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from sentence_transformers import CrossEncoder
from tokenizers import Tokenizer
from transformers.utils import logging as transformers_logging

from retrieval.errors import RerankerFailedError, RerankerUnavailableError
from retrieval.sentence_transformer import NUM_CORES

# Passages read at a time. On a CPU few: what they need stays in the cache.
CPU_BATCH = 4
GPU_BATCH = 32
# Models that were made to judge. Any other would be given a head with random weights.
HEADS = ("ForSequenceClassification", "ForCausalLM")
# A word that is cut in two may take a token more at either end.
CUT_TOKENS = 2


class CrossEncoderReranker:
    """Any cross-encoder of sentence-transformers that gives one score; the scores are logits.

    Nothing is cut off a passage: one that does not fit into the model's window beside the query is
    read in pieces of like length, and scores as its best piece (MaxP; Dai and Callan, SIGIR 2019).
    Of a query, as much is read as fills half of the window.

    On a CPU each batch is computed on one core, and batches side by side.
    """

    def __init__(self, name: str, device: str | None = None) -> None:
        """Load the model; code that comes with it is not run.

        Args:
            name: a folder or a hub name.
            device: torch device; None takes the best there is.

        Raises:
            RerankerUnavailableError: the model is not to be had, or is no such cross-encoder.
        """
        self.name = name
        folder = Path(name).expanduser()
        transformers_logging.disable_progress_bar()
        try:
            self._model = CrossEncoder(str(folder) if folder.is_dir() else name, device=device)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise _unavailable(name, str(error)) from error
        architectures = self._model.config.architectures or [""]
        if len(self._model) == 1 and not architectures[0].endswith(HEADS):
            raise _unavailable(name, f"{architectures[0]} was not made to judge pairs of texts")
        if self._model.num_labels != 1:
            raise _unavailable(name, f"it gives {self._model.num_labels} scores instead of one")
        is_cpu = self._model.device.type == "cpu"
        if is_cpu:
            torch.set_num_threads(1)
        self._batch_size = CPU_BATCH if is_cpu else GPU_BATCH
        self._workers = ThreadPoolExecutor(NUM_CORES if is_cpu else 1)
        self._tokenizer = Tokenizer.from_str(self._model.tokenizer.backend_tokenizer.to_str())
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        num_special_tokens = self._tokenizer.num_special_tokens_to_add(is_pair=True)
        self._max_tokens = _window(self._model) - num_special_tokens
        # The first call sets the tokenizer's padding; later calls only read it, from any thread.
        self._score_batch("warm up", ["warm up"])

    def score(self, query: str, passages: Sequence[str], deadline: float) -> Iterator[list[float]]:
        """Yield logits, see `Reranker`; the batch that is under way at the deadline is finished."""
        starts = range(0, len(passages), self._batch_size)
        batches = [passages[start : start + self._batch_size] for start in starts]
        try:
            yield from self._workers.map(self._score_batch, [query] * len(batches), batches)
        except RuntimeError as error:  # torch's, for example when memory is full
            raise RerankerFailedError(f"The reranker {self.name!r} failed: {error}") from error

    def _score_batch(self, query: str, passages: Sequence[str]) -> list[float]:
        query = self._start(query, self._max_tokens // 2)
        num_left = self._max_tokens - self._num_tokens(query)
        pieces = [self._pieces(passage, num_left) for passage in passages]
        scores = iter(
            self._model.predict(
                [(query, piece) for of_passage in pieces for piece in of_passage],
                batch_size=self._batch_size,
                activation_fn=torch.nn.Identity(),
                show_progress_bar=False,
            )
        )
        return [max(float(next(scores)) for _ in of_passage) for of_passage in pieces]

    def _num_tokens(self, text: str) -> int:
        return len(self._tokenizer.encode(text, add_special_tokens=False))

    def _start(self, text: str, max_tokens: int) -> str:
        offsets = self._tokenizer.encode(text, add_special_tokens=False).offsets
        return text if len(offsets) <= max_tokens else text[: offsets[max_tokens - 1][1]]

    def _pieces(self, text: str, max_tokens: int) -> list[str]:
        """Cut a text that is too long into the fewest pieces of like length that fit."""
        offsets = self._tokenizer.encode(text, add_special_tokens=False).offsets
        if len(offsets) <= max_tokens:
            return [text]
        num_pieces = -(-len(offsets) // (max_tokens - CUT_TOKENS))
        firsts = [len(offsets) * piece // num_pieces for piece in range(num_pieces)]
        starts = [offsets[first][0] for first in firsts]
        return [
            text[start:end] for start, end in zip(starts, [*starts[1:], len(text)], strict=True)
        ]


def _window(model: CrossEncoder) -> int:
    """Return how many tokens the model reads, special tokens included."""
    # Tokenizers without a limit say 10^30.
    limits = [model.max_seq_length, getattr(model.config, "max_position_embeddings", None)]
    return min(int(limit) for limit in limits if limit)


def _unavailable(name: str, why: str) -> RerankerUnavailableError:
    return RerankerUnavailableError(
        f"The reranker {name!r} cannot be used: {why}. RETRIEVAL_RERANKER must be "
        "late_interaction, or the folder or hub name of a cross-encoder."
    )
