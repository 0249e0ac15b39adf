"""Settings of the service, read from SERVING_* variables."""

import ipaddress
from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from serving.backends import ThinkingSwitch
from serving.money import MAX_USD


class ServingSettings(BaseSettings):
    """Where the service listens and how it answers."""

    model_config = SettingsConfigDict(
        env_prefix="SERVING_", env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True
    )

    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8321, ge=0, le=65535, description="Port to listen on; 0: any free.")
    api_key: SecretStr | None = Field(
        default=None,
        description="A key with all scopes, for a start; `suffice keys` makes others. Without any, "
        "the service listens on loopback only.",
    )
    allowed_origins: str | None = Field(
        default=None,
        description="Origins of web pages that may call from a browser, separated by commas, such "
        "as https://chat.example.com; unset: none.",
    )
    database_url: str | None = Field(
        default=None,
        description="SQLAlchemy URL of the database of keys and usage; unset: that of "
        "INGEST_DATABASE_URL, or SQLite under SUFFICE_HOME.",
    )
    trace_days: int = Field(
        default=30,
        ge=0,
        description="Days for which the traces of answers are kept, with questions and answers; 0: "
        "none are.",
    )
    fall_back_when_stale: bool = Field(
        default=False,
        description="Whether a collection whose certificate is stale is served with the profile "
        "`default` until its own is served anew.",
    )
    shadow_profile: str | None = Field(
        default=None,
        description="Saved profile that answers a share of the questions once more, for nobody to "
        "see, to be compared with what is served; unset: none does.",
    )
    shadow_share: float = Field(
        default=0, ge=0, le=1, description="That share of the questions, from 0 to 1."
    )
    shadow_usd_per_day: float | None = Field(
        default=None,
        gt=0,
        le=MAX_USD,
        description="Most dollars for that in a day of UTC; unset: any.",
    )
    usage_days: int = Field(
        default=400, ge=1, description="Days for which the usage of each answer is kept."
    )
    max_concurrent: int = Field(
        default=64, ge=1, description="Answers given at a time, and as many searches."
    )
    max_waiting: int = Field(
        default=32,
        ge=0,
        description="Questions that may wait for that, and as many searches; others get 429.",
    )
    max_wait_seconds: float = Field(
        default=5, ge=0, description="Longest wait for that, in seconds; then it is 429, too."
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
    max_request_bytes: int = Field(
        default=1024**2,
        ge=1024,
        description="Largest body of a call that is no upload, in bytes.",
    )
    refusal_threshold: float = Field(
        default=0.29,
        ge=0,
        le=1,
        description="Extractive answers below this support say that the documents have no answer.",
    )
    llm_url: str | None = Field(
        default=None,
        pattern="^https?://",
        description="OpenAI-compatible server that writes the answers, such as "
        "http://localhost:8000/v1; unset: answers are extracted from the documents.",
    )
    llm_model: str | None = Field(
        default=None, description="Model to ask for; unset: the first one the server lists."
    )
    llm_api_key: SecretStr | None = Field(default=None, description="Key of that server.")
    llm_thinking: ThinkingSwitch = Field(
        default=ThinkingSwitch.NONE,
        description="How that model is told whether to think: none, enable_thinking (by its chat "
        "template: Qwen3, GLM, DeepSeek) or reasoning_effort (gpt-oss, hosted models).",
    )
    llm_gpu_usd_per_hour: float | None = Field(
        default=None,
        gt=0,
        description="What the GPU of that server costs; with the rates that `suffice cost "
        "calibrate` measures it gives each answer its price.",
    )
    backends_file: Path | None = Field(
        default=None,
        description="TOML file with further models, each with server, price and limits; see "
        "docs/serving.md.",
    )
    llm_timeout_seconds: float = Field(
        default=60, gt=0, description="Longest silence of that server before it counts as failed."
    )
    max_answer_tokens: int = Field(
        default=1024, ge=1, description="Longest generated answer, in tokens, unless asked for."
    )

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the service."""
        return is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Whether a name or address means the machine itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
