"""Filters: what is refused, what each operator means, and that every index finds the same."""

import json
import random
import uuid
import warnings
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.attributes import Attributes, Kind, kind_of, to_attributes, to_magnitude
from retrieval.chunks import Chunk, Hit
from retrieval.edge import EdgeStore
from retrieval.errors import InvalidFilterError
from retrieval.filters import (
    MAX_DEPTH,
    Comparison,
    Compound,
    Filter,
    check_keys,
    matches,
    parse_filter,
    to_json,
)
from retrieval.index import ChunkIndex, IndexStore
from retrieval.profiles import Mode, RetrievalProfile
from retrieval.qdrant import QdrantStore
from retrieval.search import Searcher
from tests.fakes import HashEmbedder
from tests.qdrant_local import LocalClient

EMBEDDER = HashEmbedder()
YEAR = {"type": "eq", "key": "year", "value": 2024}


def found(source: Mapping[str, Any], metadata: Mapping[str, Any]) -> bool:
    return matches(parse_filter(source), to_attributes(metadata))


def test_openai_s_form_is_read() -> None:
    source = {"type": "or", "filters": [YEAR, {"type": "nin", "key": "lang", "value": ["de", 1]}]}
    assert parse_filter(source) == Compound(
        "or", (Comparison("year", "eq", (2024.0,)), Comparison("lang", "nin", ("de", 1.0)))
    )


def nested(depth: int) -> dict[str, Any]:
    source: dict[str, Any] = YEAR
    for _ in range(depth - 1):
        source = {"type": "and", "filters": [source]}
    return source


def test_filters_nest_to_a_limit() -> None:
    parse_filter(nested(MAX_DEPTH))
    with pytest.raises(InvalidFilterError, match=r"^filters\[0\].*: filters are nested more than"):
        parse_filter(nested(MAX_DEPTH + 1))
    with pytest.raises(InvalidFilterError, match="nested"):
        parse_filter(nested(900))


@pytest.mark.parametrize(
    ("source", "says"),
    [
        pytest.param([], "^The filter: a filter is a JSON object", id="list"),
        pytest.param("year=2024", "^The filter: .*JSON object", id="text"),
        pytest.param({}, "^type: must be one of eq, ne, .*, and, or, not None", id="no-type"),
        pytest.param({"type": "like"}, "^type: .*not 'like'", id="unknown-type"),
        pytest.param({"type": ["eq"]}, "^type: must be one of", id="list-as-type"),
        pytest.param({"type": "eq", "value": 1}, "^key: is missing", id="no-key"),
        pytest.param({"type": "eq", "key": "a"}, "^value: is missing", id="no-value"),
        pytest.param({**YEAR, "key": 7}, "^key: must be text, not 7", id="number-as-key"),
        pytest.param({**YEAR, "boost": 2}, "^boost: is no field of eq", id="unknown-field"),
        pytest.param({**YEAR, "value": None}, "^value: must be text, a number", id="null"),
        pytest.param({**YEAR, "value": [2024]}, "^value: must be text, a number", id="eq-list"),
        pytest.param({**YEAR, "value": float("nan")}, "^value: must be .* not nan", id="nan"),
        pytest.param({**YEAR, "value": float("inf")}, "^value: must be .* not inf", id="infinity"),
        pytest.param({**YEAR, "value": "x" * 513}, "^value: is longer than 512", id="long-text"),
        pytest.param({**YEAR, "type": "in"}, "^value: in needs a list", id="in-scalar"),
        pytest.param({**YEAR, "type": "nin", "value": []}, "^value: nin needs", id="nin-nothing"),
        pytest.param(
            {**YEAR, "type": "in", "value": ["a", None]}, r"^value\[1\]: must be text", id="in-null"
        ),
        pytest.param({**YEAR, "type": "gt", "value": "new"}, "^value: gt compares", id="gt-text"),
        pytest.param({**YEAR, "type": "lt", "value": True}, "^value: lt compares", id="lt-boolean"),
        pytest.param(
            {**YEAR, "type": "gte", "value": "2024-13-01"}, "^value: gte compares", id="no-date"
        ),
        pytest.param({"type": "and"}, "^filters: is missing", id="and-nothing"),
        pytest.param({"type": "or", "filters": []}, "^filters: or needs", id="or-empty"),
        pytest.param({"type": "and", "filters": YEAR}, "^filters: and needs a list", id="and-dict"),
        pytest.param(
            {
                "type": "and",
                "filters": [YEAR, {"type": "or", "filters": [YEAR, {**YEAR, "key": 1}]}],
            },
            r"^filters\[1\]\.filters\[1\]\.key: must be text",
            id="deep-inside",
        ),
        pytest.param(
            {"type": "and", "filters": [YEAR, 7]}, r"^filters\[1\]: a filter is", id="number-inside"
        ),
        pytest.param(
            {**YEAR, "type": "in", "value": list(range(1001))}, "1,001 values", id="too-many"
        ),
    ],
)
def test_a_malformed_filter_is_refused_with_the_place(source: object, says: str) -> None:
    with pytest.raises(InvalidFilterError, match=says):
        parse_filter(source)


BIG = 10**400


@pytest.mark.parametrize(
    ("operator", "value", "stored", "expected"),
    [
        ("eq", 1, 1.0, True),
        ("eq", True, 1, False),
        ("eq", 1, True, False),
        ("eq", "1", 1, False),
        ("eq", "a", ["b", "a"], True),
        ("eq", 0, -0.0, True),
        ("eq", BIG, BIG + 1, True),
        ("ne", "a", ["b", "a"], False),
        ("ne", "a", "b", True),
        ("ne", "a", 1, True),
        ("in", ["a", 1], 1.0, True),
        ("in", ["a", 1], "b", False),
        ("in", ["a", "c"], ["b", "c"], True),
        ("nin", ["a", "c"], ["b", "c"], False),
        ("nin", ["a", "c"], "b", True),
        ("gt", 1, 1, False),
        ("gt", 1, 1.5, True),
        ("gte", 1, 1.0, True),
        ("lt", 1, [5, 0], True),
        ("lte", 1, True, False),
        ("gt", 1, "2", False),
        ("gt", "2024-05-01", "2024-05-01T00:00:01", True),
        ("lte", "2024-05-01", "2024-05-01T00:00:01", False),
        ("gte", "2024-05-01T02:00:00+02:00", "2024-05-01", True),
        ("eq", "2024-05-01", "2024-05-01T00:00:00", False),
        ("gt", 5, "2024-05-01", False),
        ("lt", "2024-05-01", "sometime", False),
        ("eq", "x", {"x": "x"}, False),
        ("eq", "x", [["x"]], False),
    ],
)
def test_what_an_operator_means(
    operator: str, value: object, stored: object, *, expected: bool
) -> None:
    assert found({"type": operator, "key": "k", "value": value}, {"k": stored}) == expected


@pytest.mark.parametrize("metadata", [{}, {"k": None}, {"k": []}, {"k": {}}, {"k": "x" * 513}])
def test_without_the_key_only_negations_hold(metadata: dict[str, Any]) -> None:
    for operator, value in (("eq", 1), ("gt", 1), ("lte", 1), ("in", [1])):
        assert not found({"type": operator, "key": "k", "value": value}, metadata)
    for operator, value in (("ne", 1), ("nin", [1])):
        assert found({"type": operator, "key": "k", "value": value}, metadata)


def test_unknown_keys_and_kinds_are_named() -> None:
    known: dict[str, list[Kind]] = {"year": ["number"], "lang": ["text"], "day": ["text", "time"]}
    for key, value in (("year", 1), ("lang", "de"), ("day", "2024-05-01")):
        check_keys(parse_filter({"type": "eq", "key": key, "value": value}), known)
    check_keys(parse_filter({"type": "gt", "key": "day", "value": "2024-05-01"}), known)
    for source, says in (
        ({**YEAR, "key": "yeer"}, "key 'yeer'. There are: day, lang, year.$"),
        ({**YEAR, "value": "2024"}, "'year' is compared with a text, .*: number.$"),
        ({"type": "gt", "key": "lang", "value": 3}, "'lang' is compared with a number"),
        ({"type": "gt", "key": "lang", "value": "2024-05-01"}, "'lang' .* with a time"),
        ({"type": "and", "filters": [YEAR, {**YEAR, "key": "x"}]}, "key 'x'"),
    ):
        with pytest.raises(InvalidFilterError, match=says):
            check_keys(parse_filter(source), known)


# Few keys and values, so that filters find something; odd ones, so that nothing is escaped badly.
KEYS = ["year", 'a "b".c[0]', "größe", "", "%22"]
SCALARS: list[str | float] = [
    *("a", "b", 'é"\\', "", "2024-05-01", "2024-05-01T10:00:00+02:00", "1", "true"),
    *(True, False, 0, 1, 1.0, -1.5, 2**60, 1e300, 5e-324),
]


def random_metadata(chooser: random.Random) -> dict[str, Any]:
    return {
        key: chooser.choice(
            [None, chooser.choice(SCALARS), chooser.choices(SCALARS, k=chooser.randrange(4))]
        )
        for key in chooser.sample(KEYS, chooser.randrange(len(KEYS)))
    }


def comparisons(
    kinds: list[str], values: st.SearchStrategy[Any]
) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {"type": st.sampled_from(kinds), "key": st.sampled_from(KEYS), "value": values}
    )


SCALAR = st.sampled_from(SCALARS)
COMPARISONS = (
    comparisons(["eq", "ne"], SCALAR)
    | comparisons(["in", "nin"], st.lists(SCALAR, min_size=1, max_size=4))
    | comparisons(
        ["gt", "gte", "lt", "lte"],
        st.sampled_from([0, 1, -1.5, 2**60, "2024-05-01", "2024-05-01T09:00:00"]),
    )
)
FILTERS = st.recursive(
    COMPARISONS,
    lambda inner: st.fixed_dictionaries(
        {"type": st.sampled_from(["and", "or"]), "filters": st.lists(inner, min_size=1, max_size=3)}
    ),
    max_leaves=6,
).map(parse_filter)


@pytest.fixture(scope="module", params=["edge", "qdrant"])
def store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[IndexStore]:
    store: IndexStore
    if request.param == "edge":
        store = EdgeStore(tmp_path_factory.mktemp("index"), EMBEDDER.dimension, "none")
    else:
        store = QdrantStore(LocalClient(":memory:"), EMBEDDER.dimension, "none", owner="me")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Payload indexes have no effect")
        yield store
    store.close()


def make_chunk(document: str) -> Chunk:
    text = f"cat {document}"
    chunk_id = str(uuid.uuid5(uuid.NAMESPACE_OID, document))
    return Chunk(chunk_id, document, "r", 0, len(text), text, (), None, None, 2, 0, len(text))


def add(index: ChunkIndex, document: str, attributes: Attributes) -> str:
    chunk = make_chunk(document)
    index.upsert([chunk], EMBEDDER.embed_passages([chunk.text]), attributes)
    return chunk.chunk_id


def found_by(index: ChunkIndex, where: Filter, limit: int = 1000) -> set[str]:
    """Return what both searches find and the count counts: the same, as all texts say "cat"."""
    dense = index.rank_dense(EMBEDDER.embed_query("cat"), limit, where=where)
    lexical = index.rank_lexical("cat", limit, where=where)
    assert dense.keys() == lexical.keys()
    assert index.count(where=where) == len(dense)
    return set(dense)


@pytest.fixture(scope="module")
def random_index(store: IndexStore) -> tuple[ChunkIndex, dict[str, Attributes]]:
    """An index of documents with random metadata, and these by the id of their chunk."""
    index, chooser = store.open("random"), random.Random(5)  # noqa: S311 - test data
    library = [to_attributes(random_metadata(chooser)) for _ in range(80)]
    documents: dict[str, Attributes] = {
        add(index, f"doc{n}", attributes): attributes for n, attributes in enumerate(library)
    }
    return index, documents


@given(FILTERS)
def test_a_filter_is_written_as_it_is_read(where: Filter) -> None:
    assert parse_filter(json.loads(json.dumps(to_json(where)))) == where


@settings(max_examples=200)
@given(FILTERS)
def test_an_index_finds_what_the_definition_says(
    random_index: tuple[ChunkIndex, dict[str, Attributes]], where: Filter
) -> None:
    index, documents = random_index
    expected = {key for key, attributes in documents.items() if matches(where, attributes)}
    assert found_by(index, where) == expected


def test_an_index_knows_the_kinds_of_values_it_holds(
    random_index: tuple[ChunkIndex, dict[str, Attributes]],
) -> None:
    index, documents = random_index
    kinds: dict[str, set[str]] = {}
    for attributes in documents.values():
        for key, values in attributes.items():
            for value in values:
                magnitude = to_magnitude(value)
                kinds.setdefault(key, set()).update(
                    {kind_of(value)} | ({magnitude[0]} if magnitude else set())
                )
    assert index.attribute_kinds() == kinds


def test_filters_see_the_attributes_set_last(store: IndexStore) -> None:
    index = store.open("changing")
    first, second = add(index, "one", {"year": (1.0,)}), add(index, "two", {"year": (1.0,)})
    index.set_attributes("one", {"year": (2.0,), "lang": ("de",)})
    index.set_attributes("nowhere", {"ghost": (1.0,)})
    assert found_by(index, Comparison("year", "eq", (1.0,))) == {second}
    assert found_by(index, Comparison("year", "gt", (1.0,))) == {first}
    assert index.attribute_kinds() == {"year": {"number"}, "lang": {"text"}}
    index.set_attributes("one", {})
    assert index.attribute_kinds() == {"year": {"number"}}
    assert found_by(index, Comparison("year", "ne", (1.0,))) == {first}


def test_kinds_are_those_of_the_chunks_there_are(store: IndexStore) -> None:
    index = store.open("kinds")
    assert index.attribute_kinds() == {}
    add(index, "one", to_attributes({"k": [1, "a", True], 'odd "key"': "2024-05-01"}))
    add(index, "two", {"gone": ("x",)})
    index.delete("two")
    assert index.attribute_kinds() == {
        "k": {"number", "text", "boolean"},
        'odd "key"': {"text", "time"},
    }


def test_a_filter_finds_nothing_of_another_collection(store: IndexStore) -> None:
    here = add(store.open("here"), "same", {"year": (1.0,)})
    there = add(store.open("there"), "other", {"year": (1.0,), "only": ("there",)})
    for where in (Comparison("year", "eq", (1.0,)), Comparison("only", "ne", ("x",))):
        assert found_by(store.open("here"), where) == {here}
        assert found_by(store.open("there"), where) == {there}
    assert found_by(store.open("here"), Comparison("only", "eq", ("there",))) == set()
    assert store.open("here").attribute_kinds() == {"year": {"number"}}


def search(
    index: ChunkIndex,
    text: str,
    top_k: int,
    profile: RetrievalProfile,
    where: Filter | None = None,
) -> list[Hit]:
    with closing(Searcher()) as searcher:
        return searcher.search(index, EMBEDDER, text, profile, top_k, where).hits


@pytest.mark.parametrize("mode", list(Mode))
def test_search_finds_the_best_chunks_that_a_filter_leaves(store: IndexStore, mode: Mode) -> None:
    """As many and the same as a search through everything, filtered afterwards."""
    name = f"selective-{mode}"
    index = store.open(name)
    years = {add(index, f"cat{number} dog{number % 7}", {"n": (number % 20.0,)}): number % 20
             for number in range(200)}  # fmt: skip
    everything = search(index, "cat dog3", 200, RetrievalProfile(mode=mode, num_candidates=200))
    expected = [hit.chunk.chunk_id for hit in everything if years[hit.chunk.chunk_id] == 3]
    where = parse_filter({"type": "eq", "key": "n", "value": 3})
    shallow = RetrievalProfile(mode=mode, num_candidates=10)
    hits = search(index, "cat dog3", 10, shallow, where)
    assert len(hits) == 10
    assert {hit.chunk.chunk_id for hit in hits} == set(expected)


def test_a_search_for_an_unknown_key_is_refused(store: IndexStore) -> None:
    index = store.open("unknown")
    add(index, "one", {"year": (1.0,)})
    with pytest.raises(InvalidFilterError, match="'yeer'"):
        search(index, "cat", 10, RetrievalProfile(), parse_filter({**YEAR, "key": "yeer"}))
    assert search(index, "cat", 10, RetrievalProfile(), parse_filter(YEAR)) == []
