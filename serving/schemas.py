"""What goes over the wire."""

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    StrictBool,
    StrictInt,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from ingest.documents import Document, Reindexing, ReindexingStatus, Status
from ingest.library import CollectionState
from retrieval.chunks import Chunk, Hit
from retrieval.explanation import Explanation
from retrieval.filters import Filter, parse_filter
from retrieval.languages import Language
from retrieval.profiles import MAX_TOP_K, Mode
from serving.alarms import Alarm
from serving.keys import KeyLimits, Scope
from serving.money import MAX_USD, to_nano_usd
from serving.profiles import MAX_SAMPLES, AnsweringProfile, Verification

# Of older and newer requests for the same thing.
TOOL_FIELDS = ("tools", "tool_choice", "functions", "function_call", "parallel_tool_calls")
# What asks for none in any of them.
NO_TOOLS: tuple[object, ...] = (None, False, "none", [])
# Described in docs/api.md; a schema of something that nests in itself helps nobody.
MetadataFilter = Annotated[
    Filter | None,
    PlainValidator(lambda source: None if source is None else parse_filter(source)),
    WithJsonSchema({"type": ["object", "null"], "description": "OpenAI's file-search form."}),
]
# JSON has its own numbers; text and booleans are none.
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
# Longer than any that there can be: no file system is asked for it.
CollectionName = Annotated[str, Field(max_length=64)]
# Levels of a JSON schema; much deeper ones nobody can copy.
MAX_SCHEMA_DEPTH = 100
# Of requests or tokens.
Amount = Annotated[int, Field(ge=1, le=10**15, strict=True)]


class Request(BaseModel):
    """A request body; unknown fields are errors, never silently dropped. Null asks for nothing."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _read(cls, body: Any) -> Any:
        """Leave out null, and refuse what JSON can write and UTF-8 cannot."""
        try:
            json.dumps(body, ensure_ascii=False, default=repr).encode()
        except UnicodeEncodeError as error:
            raise ValueError("The text holds half of a surrogate pair; send Unicode.") from error
        except RecursionError as error:
            raise ValueError("The body is nested too deep.") from error
        if not isinstance(body, dict):
            return body
        required = {name for name, field in cls.model_fields.items() if field.is_required()}
        return {k: value for k, value in body.items() if value is not None or k in required}


class SearchRequest(Request):
    """Body of POST /v1/search."""

    query: str
    collection: CollectionName = "default"
    top_k: int | None = Field(default=None, ge=1, le=MAX_TOP_K, strict=True)
    mode: Mode | None = None
    profile: AnsweringProfile | str | None = None
    rerank: bool | None = Field(default=None, strict=True)
    explain: StrictBool = False
    filter: MetadataFilter = None


class ServedProfile(Request):
    """Body of PUT /v1/collections/{name}/profile."""

    profile: str


class ReindexRequest(Request):
    """Body of POST /v1/collections/{name}/reindex, which may be left out."""

    language: Language | None = None


class TextPart(BaseModel):
    """A part of a message; pictures and sounds are refused, because nothing here reads them."""

    type: Literal["text"]
    text: str


class Message(BaseModel):
    """One turn of a conversation; what clients echo of an answer, like annotations, is let by."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart] | None = None

    @field_validator("content", mode="before")
    @classmethod
    def _refuse_what_is_no_text(cls, content: Any) -> Any:
        parts = content if isinstance(content, list) else []
        kinds = {str(part.get("type"))[:50] for part in parts if isinstance(part, dict)} - {"text"}
        if kinds:
            raise ValueError(f"Nothing here reads {', '.join(sorted(kinds))}; send text alone.")
        return content

    @property
    def text(self) -> str:
        """The message as plain text."""
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content)
        return self.content or ""


class StreamOptions(Request):
    """OpenAI's stream_options."""

    include_usage: StrictBool = False
    include_obfuscation: Literal[False] | None = None


class BudgetOptions(Request):
    """What an answer may take at most."""

    max_prompt_tokens: int | None = Field(default=None, gt=0, strict=True)
    max_cost_usd: Number | None = Field(default=None, gt=0)
    max_latency_ms: Number | None = Field(default=None, gt=0)
    max_steps: int | None = Field(default=None, gt=0, strict=True)


class SufficeOptions(Request):
    """Our extension of the chat request; what is not given is as the profile says."""

    collection: CollectionName = "default"
    top_k: int | None = Field(default=None, ge=1, le=MAX_TOP_K, strict=True)
    max_context_tokens: int | None = Field(default=None, ge=1, strict=True)
    profile: AnsweringProfile | str | None = None
    filter: MetadataFilter = None
    budget: BudgetOptions = BudgetOptions()
    thinking: StrictBool | Annotated[int, Field(ge=1, strict=True)] | None = None
    samples: int | None = Field(default=None, ge=1, le=MAX_SAMPLES, strict=True)
    verify: StrictBool | Verification | None = None


class JsonSchema(Request):
    """A schema that the answer must satisfy."""

    name: str
    description: str | None = None
    schema_: dict[str, Any] = Field(alias="schema")
    strict: bool | None = None

    @field_validator("schema_")
    @classmethod
    def _check_that_it_can_be_passed_on(cls, schema: dict[str, Any]) -> dict[str, Any]:
        level: list[Any] = [schema]
        for _ in range(MAX_SCHEMA_DEPTH + 1):
            level = [part for one in level for part in _parts(one)]
        if level:
            raise ValueError(f"It is nested more than {MAX_SCHEMA_DEPTH} deep.")
        try:
            json.dumps(schema, allow_nan=False)
        except ValueError as error:
            raise ValueError("NaN and Infinity are no numbers of JSON.") from error
        return schema


def _parts(value: Any) -> Iterable[Any]:
    """Return what a value of JSON is made of."""
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


class ResponseFormat(Request):
    """OpenAI's response_format."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None

    @model_validator(mode="after")
    def _check_schema(self) -> "ResponseFormat":
        if (self.type == "json_schema") != (self.json_schema is not None):
            raise ValueError("json_schema comes with the type json_schema, and only with it")
        return self


class ChatRequest(Request):
    """Body of POST /v1/chat/completions."""

    model: str = "suffice"
    messages: list[Message] = Field(min_length=1)
    stream: StrictBool = False
    stream_options: StreamOptions | None = None
    temperature: Number | None = Field(default=None, ge=0, le=2)
    top_p: Number | None = Field(default=None, gt=0, le=1)
    seed: StrictInt | None = None
    stop: str | list[str] | None = None
    max_tokens: int | None = Field(default=None, ge=1, strict=True)
    max_completion_tokens: int | None = Field(default=None, ge=1, strict=True)
    n: int = Field(default=1, ge=1, le=MAX_SAMPLES, strict=True)
    response_format: ResponseFormat | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = None
    logprobs: StrictBool = False
    top_logprobs: int | None = Field(default=None, ge=0, le=20, strict=True)
    presence_penalty: Number | None = Field(default=None, ge=-2, le=2)
    frequency_penalty: Number | None = Field(default=None, ge=-2, le=2)
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    metadata: dict[str, str] | None = None
    service_tier: Literal["auto", "default"] | None = None
    store: Literal[False] | None = None
    suffice: SufficeOptions = SufficeOptions()

    @model_validator(mode="before")
    @classmethod
    def _refuse_tools(cls, body: Any) -> Any:
        if not isinstance(body, dict):
            return body
        if any(body.get(name) not in NO_TOOLS for name in TOOL_FIELDS):
            raise ValueError(
                "Tools are not supported: answers come from the documents alone. Leave out tools, "
                "tool_choice and functions; docs/chat-uis.md says how to in a chat UI."
            )
        return {name: value for name, value in body.items() if name not in TOOL_FIELDS}


class ErrorView(BaseModel):
    """Why a call is refused or failed.

    Attributes:
        message: what happened, and what to do.
        type: as OpenAI's API groups errors.
        param: the place in the request, such as `suffice.budget`.
        code: what programs tell apart.
    """

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(BaseModel):
    """The answer to a call that is refused or failed."""

    error: ErrorView


class Progress(BaseModel):
    """How far ingestion got."""

    pages: int | None
    chunks: int | None
    embedded: int


class DocumentError(BaseModel):
    """Why a document failed or is only partly searchable."""

    code: str
    reason: str | None


class DocumentView(BaseModel):
    """A document as the API shows it."""

    id: str
    collection: str
    external_id: str
    filename: str
    media_type: str
    status: Status
    revision: str
    searchable_revision: str | None
    bytes: int
    num_chunks: int | None
    progress: Progress
    error: DocumentError | None
    metadata: dict[str, Any]
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, document: Document) -> "DocumentView":
        """Show a document."""
        error = None
        if document.error_code is not None:
            error = DocumentError(code=document.error_code, reason=document.error_reason)
        return cls(
            id=document.id,
            collection=document.collection,
            external_id=document.external_id,
            filename=document.filename,
            media_type=document.media_type,
            status=document.status,
            revision=document.revision,
            searchable_revision=document.searchable_revision,
            bytes=document.num_bytes,
            num_chunks=document.num_chunks,
            progress=Progress(
                pages=document.num_pages,
                chunks=document.num_chunks,
                embedded=document.num_embedded,
            ),
            error=error,
            metadata=dict(document.metadata),
            created_at=document.created_at,
            updated_at=document.updated_at,
        )


class ReindexingView(BaseModel):
    """How far a reindexing got."""

    status: ReindexingStatus
    language: str
    num_documents: int
    num_chunks: int
    started_at: datetime
    reason: str | None

    @classmethod
    def of(cls, reindexing: Reindexing) -> "ReindexingView":
        """Show a reindexing."""
        return cls(
            status=reindexing.status,
            language=reindexing.target.analyzer,
            num_documents=reindexing.num_done,
            num_chunks=reindexing.num_chunks,
            started_at=reindexing.started_at,
            reason=reindexing.error_reason,
        )


class CollectionView(BaseModel):
    """A collection as the API shows it."""

    name: str
    num_documents: int
    num_chunks: int
    embedder: str
    language: str
    fingerprints: dict[str, str]
    outdated: list[str]
    reindexing: ReindexingView | None
    profile: str
    alarm: dict[str, str] | None

    @classmethod
    def of(cls, state: CollectionState, profile: str, alarm: Alarm | None) -> "CollectionView":
        """Show a collection, its profile's name, and why that one's certificate is stale."""
        collection = state.collection
        return cls(
            name=collection.name,
            num_documents=collection.num_documents,
            num_chunks=state.num_chunks,
            embedder=collection.embedder,
            language=collection.analyzer,
            fingerprints={
                "embedder": collection.embedder_fingerprint,
                "chunker": collection.chunker_fingerprint,
                "analyzer": collection.analyzer,
            },
            outdated=state.outdated,
            reindexing=ReindexingView.of(state.reindexing) if state.reindexing else None,
            profile=profile,
            alarm=alarm.describe() if alarm else None,
        )


class HitView(BaseModel):
    """A hit as the API shows it."""

    chunk_id: str
    document_id: str
    filename: str
    place: str | None
    page_start: int | None
    page_end: int | None
    start: int
    end: int
    heading: str
    table_header: str
    text: str
    parent_start: int
    parent_end: int
    token_count: int
    score: float
    scores: dict[str, float]
    ranks: dict[str, int] | None

    @classmethod
    def of(cls, hit: Hit, filename: str, explanation: Explanation | None = None) -> "HitView":
        """Show a hit."""
        chunk = hit.chunk
        return cls(
            chunk_id=chunk.chunk_id,
            document_id=chunk.document_id,
            filename=filename,
            place=chunk.place,
            page_start=chunk.page_start,
            page_end=chunk.page_end,
            start=chunk.start,
            end=chunk.end,
            heading=chunk.heading_path,
            table_header=chunk.table_header,
            text=chunk.text,
            parent_start=chunk.parent_start,
            parent_end=chunk.parent_end,
            token_count=chunk.token_count,
            score=hit.score,
            scores=dict(hit.scores),
            ranks=None if explanation is None else dict(explanation.ranks),
        )


class DroppedView(BaseModel):
    """A candidate that is no hit, as the API shows it."""

    chunk_id: str
    document_id: str
    filename: str
    place: str | None
    heading: str
    text: str
    scores: dict[str, float]
    ranks: dict[str, int]
    reason: str

    @classmethod
    def of(cls, chunk: Chunk, filename: str, explanation: Explanation) -> "DroppedView":
        """Show why a chunk is no hit."""
        return cls(
            chunk_id=chunk.chunk_id,
            document_id=chunk.document_id,
            filename=filename,
            place=chunk.place,
            heading=chunk.heading_path,
            text=chunk.text,
            scores=dict(explanation.scores),
            ranks=dict(explanation.ranks),
            reason=explanation.dropped or "",
        )


class KeyRequest(Request):
    """Body of POST /v1/keys."""

    name: str
    scopes: list[Scope] = [Scope.READ]
    collections: list[str] | None = None
    expires_at: AwareDatetime | None = None
    requests_per_minute: Amount | None = None
    tokens_per_minute: Amount | None = None
    max_concurrent: Amount | None = None
    tokens_per_day: Amount | None = None
    usd_per_day: Number | None = Field(default=None, gt=0, le=MAX_USD)

    @property
    def limits(self) -> KeyLimits:
        """How much the key may ask for."""
        budget = self.usd_per_day
        return KeyLimits(
            requests_per_minute=self.requests_per_minute,
            tokens_per_minute=self.tokens_per_minute,
            max_concurrent=self.max_concurrent,
            tokens_per_day=self.tokens_per_day,
            nano_usd_per_day=None if budget is None else to_nano_usd(budget),
        )
