"""Settings of ingestion, read from INGEST_* variables."""

from pydantic import Field
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
        description="Longest chunk, heading path included, in tokens of the embedder.",
    )
    max_upload_bytes: int = Field(
        default=100 * 1024 * 1024, ge=1, description="Largest file accepted, in bytes."
    )
    max_pages: int = Field(default=5000, ge=1, description="Longest PDF accepted, in pages.")
    parse_timeout_seconds: float = Field(
        default=600, gt=0, description="Time after which a parser is stopped, in seconds."
    )
