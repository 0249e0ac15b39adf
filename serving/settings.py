"""Settings of the service, read from SERVING_* variables."""

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class ServingSettings(BaseSettings):
    """Where the service listens and how it answers."""

    model_config = SettingsConfigDict(
        env_prefix="SERVING_", env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True
    )

    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8321, ge=0, le=65535, description="Port to listen on; 0: any free.")
    api_key: SecretStr | None = Field(
        default=None,
        description="Key that callers send as a bearer token; needed unless host is loopback.",
    )
    top_k: int = Field(
        default=10, ge=1, le=200, description="Chunks retrieved for an answer, unless asked for."
    )
    max_context_tokens: int | None = Field(
        default=None,
        ge=1,
        description="Most tokens of the context, by the embedder's tokenizer, unless asked for; "
        "unset: as many as the chunks have.",
    )
    max_question_characters: int = Field(
        default=8000, ge=1, description="Longest question or query accepted, in characters."
    )
    refusal_threshold: float = Field(
        default=0.29,
        ge=0,
        le=1,
        description="Extractive answers below this support say that the documents have no answer.",
    )
    llm_url: str | None = Field(
        default=None,
        description="OpenAI-compatible server that writes the answers, such as "
        "http://localhost:8000/v1; unset: answers are extracted from the documents.",
    )
    llm_model: str | None = Field(
        default=None, description="Model to ask for; unset: the first one the server lists."
    )
    llm_api_key: SecretStr | None = Field(default=None, description="Key of that server.")
    llm_timeout_seconds: float = Field(
        default=60, gt=0, description="Longest silence of that server before it counts as failed."
    )
    max_answer_tokens: int = Field(
        default=1024, ge=1, description="Longest generated answer, in tokens, unless asked for."
    )
