"""Settings of ingestion, read from INGEST_* variables."""

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict


class IngestSettings(BaseSettings):
    """What is accepted and how it is cut."""

    model_config = SettingsConfigDict(
        env_prefix="INGEST_", env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True
    )

    database_url: str | None = Field(
        default=None,
        description="SQLAlchemy URL of the catalog and the jobs, such as "
        "postgresql+psycopg://user:password@host/suffice; unset: SQLite under SUFFICE_HOME.",
    )
    chunk_tokens: int = Field(
        default=200,
        ge=32,
        description="Longest chunk, heading path and table header included, in tokens of the "
        "embedder.",
    )
    chunk_overlap_tokens: int = Field(
        default=0,
        ge=0,
        description="Most tokens of a chunk that the next one of its section repeats; at most half "
        "of INGEST_CHUNK_TOKENS.",
    )
    chunk_min_tokens: int | None = Field(
        default=None,
        ge=0,
        description="Chunks with less text are joined with a neighbour where both fit into one; at "
        "most half of INGEST_CHUNK_TOKENS; unset: a quarter of it.",
    )
    max_upload_bytes: int = Field(
        default=100 * 1024 * 1024, ge=1, description="Largest file accepted, in bytes."
    )
    max_pages: int = Field(
        default=5000, ge=1, description="Longest PDF or scan accepted, in pages."
    )
    ocr_languages: str = Field(
        default="eng",
        pattern=r"^[A-Za-z_]+(\+[A-Za-z_]+)*$",
        description="Languages of scanned pages: codes of Tesseract joined by +, such as eng+deu.",
    )
    parse_timeout_seconds: float = Field(
        default=600, gt=0, description="Time after which a parser is stopped, in seconds."
    )
    parse_memory_bytes: int = Field(
        default=2 * 1024**3,
        ge=256 * 1024**2,
        description="Address space of a parser, in bytes; a file that needs more fails.",
    )
    concurrent_jobs: int = Field(
        default=4,
        ge=1,
        le=64,
        description="Documents worked on at a time: some are embedded while others are parsed "
        "or written to the index.",
    )
    max_queued: int = Field(
        default=10_000,
        ge=1,
        description="Documents that may wait; while there are as many, uploads are answered "
        "with 429.",
    )
    min_free_bytes: int = Field(
        default=256 * 1024**2,
        ge=0,
        description="Room that stays free on the disk, in bytes: with less, uploads are answered "
        "with 507, and documents wait.",
    )

    @field_validator("chunk_overlap_tokens", "chunk_min_tokens")
    @classmethod
    def _check_half(cls, value: int | None, info: ValidationInfo) -> int | None:
        limit = info.data.get("chunk_tokens")
        if value is not None and limit is not None and value > limit // 2:
            raise PydanticCustomError(
                "above_half",
                "Input should be at most half of INGEST_CHUNK_TOKENS, {half}",
                {"half": limit // 2},
            )
        return value
