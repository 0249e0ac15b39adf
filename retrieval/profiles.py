"""Retrieval profiles: every choice on the way from a query to its hits, in one frozen object."""

import re
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Generic, Self, TypeVar
from urllib.parse import quote, unquote

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from retrieval.adaptive import Rule
from retrieval.errors import ProfileError, ProfileInUseError, ProfileNotFoundError
from retrieval.packing import PackingPolicy
from retrieval.whole_files import write_whole

DEFAULT = "default"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
MAX_TOP_K = 200
MAX_CANDIDATES = 1000


class Mode(StrEnum):
    """Which of the two searches to run."""

    HYBRID = "hybrid"
    DENSE = "dense"
    LEXICAL = "lexical"


class Fusion(StrEnum):
    """How the rankings of the two searches become one, see `retrieval.fusion`."""

    CONVEX_COMBINATION = "convex_combination"
    RECIPROCAL_RANK = "reciprocal_rank"


class RetrievalProfile(BaseModel):
    """Choices of one kind of search. Two equal profiles find the same, and in the same order.

    Attributes:
        mode: which searches run.
        num_candidates: hits taken from each search, at least as many as are asked for.
        fusion: how the two rankings become one.
        dense_weight: share of the dense search in the fused score, from 0 to 1.
        rrf_k: of reciprocal rank fusion; ranks count from 1.
        rerank: whether the best hits go through the reranker, if there is one.
        min_score: hits whose last score is lower are dropped. Scores of different modes and
            fusions do not compare: cosine, BM25, or a fused score from 0 to 1.
        top_k: most hits to return; None leaves it to the rule, or to the caller.
        rule: how many of them to return, by their scores; None: `top_k`.
        packing: how hits become the context of an answer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    mode: Mode = Mode.HYBRID
    num_candidates: int = Field(default=30, ge=1, le=MAX_CANDIDATES, strict=True)
    fusion: Fusion = Fusion.CONVEX_COMBINATION
    dense_weight: float = Field(default=0.7, ge=0, le=1, strict=True)
    rrf_k: int = Field(default=60, ge=0, le=10_000, strict=True)
    rerank: bool = Field(default=True, strict=True)
    min_score: float | None = Field(default=None, strict=True)
    top_k: int | None = Field(default=None, ge=1, le=MAX_TOP_K, strict=True)
    rule: Rule | None = None
    packing: PackingPolicy = PackingPolicy()

    def most_hits(self, asked: int | None, default: int) -> int:
        """Return the most hits to return, given what a request asks for, if it does."""
        by_rule = None if self.rule is None else min(self.rule.k_max, MAX_TOP_K)
        return asked or self.top_k or by_rule or default

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a profile from a JSON file.

        Raises:
            ProfileError: the file is no profile; the message names the field.
            OSError: it cannot be read.
        """
        try:
            return cls.parse(path.read_bytes())
        except ProfileError as error:
            raise ProfileError(f"{path}: {error}") from None

    @classmethod
    def parse(cls, content: bytes) -> Self:
        """Read a profile from JSON.

        Raises:
            ProfileError: it is no profile; the message names the field.
        """
        try:
            return cls.model_validate_json(content)
        except ValidationError as error:
            problem = error.errors()[0]
            field = ".".join(str(part) for part in problem["loc"])
            raise ProfileError(f"{field}: {problem['msg']}." if field else problem["msg"]) from None

    def save(self, path: Path) -> None:
        """Write the profile to a JSON file, whole or not at all."""
        write_whole(path, self.model_dump_json(indent=2).encode() + b"\n")


P = TypeVar("P", bound=RetrievalProfile)


class ProfileStore(Generic[P]):
    """Profiles by name, and which of them a collection is served with.

    `default` is the one the settings make. It cannot be saved over, and serves every collection
    that no other one was chosen for.
    """

    def __init__(self, folder: Path, default: P) -> None:
        self._folder = folder
        self._default = default

    def names(self) -> list[str]:
        """Return all names, the default first."""
        return [DEFAULT, *sorted(path.stem for path in self._folder.glob("*.json"))]

    def get(self, name: str) -> P:
        """Return a profile.

        Raises:
            ProfileNotFoundError: there is none of this name.
            ProfileError: its file is damaged, or no name is like this.
        """
        if name == DEFAULT:
            return self._default
        path = self._path(name)
        try:
            return type(self._default).parse(path.read_bytes())
        except FileNotFoundError:
            raise ProfileNotFoundError(
                f"There is no profile {name!r}. Saved ones: {', '.join(self.names())}."
            ) from None
        except ProfileError as error:
            raise ProfileError(
                f"The profile {name!r} is damaged or of another version; save it anew. {error}"
            ) from None

    def save(self, name: str, profile: P) -> None:
        """Keep a profile, in place of the one that had its name.

        Raises:
            ProfileError: the name is taken by the default, or none.
        """
        if name == DEFAULT:
            raise ProfileError(
                f"The profile {DEFAULT!r} is made of the RETRIEVAL_* settings; choose another name."
            )
        path = self._path(name)
        self._folder.mkdir(parents=True, exist_ok=True)
        profile.save(path)

    def delete(self, name: str) -> None:
        """Forget a profile.

        Raises:
            ProfileNotFoundError: there is none of this name that was saved.
            ProfileInUseError: a collection is served with it.
        """
        users = [collection for collection, served in self._served() if served == name]
        if users:
            raise ProfileInUseError(
                f"The profile {name!r} serves the collection {users[0]!r}. Give that another one "
                "first."
            )
        try:
            self._path(name).unlink()
        except FileNotFoundError:
            raise ProfileNotFoundError(f"There is no saved profile {name!r}.") from None

    def serve(self, collection: str, name: str) -> None:
        """Serve a collection with a profile from now on.

        Raises:
            ProfileNotFoundError: there is none of this name.
            ProfileError: its file is damaged, or no name is like this.
        """
        self.get(name)
        path = self._served_path(collection)
        if name == DEFAULT:
            path.unlink(missing_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, name.encode())

    def served(self, collection: str) -> str:
        """Return the name of the profile that a collection is served with."""
        try:
            return self._served_path(collection).read_text(encoding="utf-8")
        except FileNotFoundError:
            return DEFAULT

    def _served(self) -> Iterator[tuple[str, str]]:
        for path in self._served_path("x").parent.glob("*.served"):
            yield unquote(path.stem), path.read_text(encoding="utf-8")

    def _served_path(self, collection: str) -> Path:
        return self._folder / "collections" / f"{quote(collection, safe='')}.served"

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise ProfileError(
                f"{name[:80]!r} is no profile name: use 1 to 64 of a-z, 0-9, - and _, beginning "
                "with a letter or digit."
            )
        return self._folder / f"{name}.json"
