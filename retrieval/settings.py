"""Settings of retrieval, read from RETRIEVAL_* variables."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from retrieval.languages import Language
from retrieval.profiles import RetrievalProfile

# The value of RETRIEVAL_RERANKER that names no model.
LATE_INTERACTION = "late_interaction"

Precision = Literal["auto", "fp32", "bf16", "fp16"]

Quantization = Literal["none", "scalar"]

Lexical = Literal["engine", "rank_bm25"]


class RetrievalSettings(BaseSettings):
    """How chunks are embedded, indexed and found."""

    model_config = SettingsConfigDict(
        env_prefix="RETRIEVAL_", env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True
    )

    embedder: str = Field(
        default="sentence-transformers/all-MiniLM-L6-v2",
        description="Sentence-transformers model: a folder or a hub name.",
    )
    device: str | None = Field(
        default=None, description="Torch device of the embedder, such as cpu or cuda; unset: best."
    )
    embedder_precision: Precision = Field(
        default="auto",
        description="Numbers the embedder computes with: auto, fp32, bf16 or fp16; auto takes bf16 "
        "where the device is faster with it, else fp32.",
    )
    vector_cache_bytes: int = Field(
        default=512 * 1024 * 1024,
        ge=0,
        description="Room for the vectors of passages that were embedded before, in bytes; 0: none "
        "are kept.",
    )
    language: Language = Field(
        default="english",
        description="Language of new collections: stemmer and stop words; none switches both off.",
    )
    lexical: Lexical = Field(
        default="engine",
        description="What ranks by words: engine, or rank_bm25 for collections of at most 10,000 "
        "chunks.",
    )
    num_candidates: int = Field(
        default=30, ge=1, le=1000, description="Hits taken from each of the two searches."
    )
    dense_weight: float = Field(
        default=0.7, ge=0, le=1, description="Share of the dense score in the hybrid score."
    )
    reranker: str | None = Field(
        default=None,
        description="Judge of the best hits: late_interaction, the embedder token by token, or the "
        "folder or hub name of a cross-encoder; unset: none.",
    )
    reranker_url: str | None = Field(
        default=None,
        pattern="^https?://",
        description="Server with /v1/rerank, such as http://localhost:8001/v1 of a vLLM, that runs "
        "the model RETRIEVAL_RERANKER; unset there: the first one it lists.",
    )
    reranker_api_key: SecretStr | None = Field(default=None, description="Key of that server.")
    reranker_calibration: Path | None = Field(
        default=None,
        description="File that turns the reranker's scores into probabilities; unset: they stay as "
        "they are.",
    )
    rerank_depth: int = Field(
        default=30, ge=1, le=1000, description="Hits that the reranker judges."
    )
    rerank_seconds: float = Field(
        default=5,
        gt=0,
        le=600,
        description="Time after which the order without the reranker stands, in seconds.",
    )
    qdrant_url: str | None = Field(
        default=None,
        description="Qdrant server (1.20 or newer) to use instead of the embedded index.",
    )
    qdrant_api_key: SecretStr | None = Field(
        default=None, description="Key of the Qdrant server, if it asks for one."
    )
    qdrant_grpc_port: int = Field(
        default=6334,
        ge=0,
        le=65535,
        description="Port of the Qdrant server's gRPC interface; 0: speak HTTP instead.",
    )
    qdrant_timeout_seconds: int = Field(
        default=10, ge=1, description="Longest wait for one answer of the Qdrant server."
    )
    qdrant_prefix: str | None = Field(
        default=None,
        pattern="^[a-zA-Z0-9._-]*$",
        max_length=64,
        description="What the names of collections on the server begin with: letters, digits, "
        "dots, - and _. Services that share a server need one each.",
    )
    qdrant_quantization: Quantization = Field(
        default="none",
        description="Compression of vectors in the server's memory, for collections made from now "
        "on: none, or scalar (a quarter of the memory).",
    )
    qdrant_on_disk: bool = Field(
        default=False,
        description="Whether the server reads whole vectors from disk, for collections made from "
        "now on.",
    )
    qdrant_shards: int | None = Field(
        default=None,
        ge=1,
        description="Shards of a collection made from now on; unset: the server's default.",
    )
    qdrant_replicas: int | None = Field(
        default=None,
        ge=1,
        description="Copies of each shard of a collection made from now on; unset: the server's "
        "default.",
    )
    qdrant_write_consistency: int | None = Field(
        default=None,
        ge=1,
        description="Copies that must take a write before it counts, for collections made from now "
        "on; unset: the server's default.",
    )

    def profile(self) -> RetrievalProfile:
        """Return the profile `default`."""
        return RetrievalProfile(num_candidates=self.num_candidates, dense_weight=self.dense_weight)
