"""Hits become passages: within the budget, no character twice, every one a slice of its text."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ingest.chunker import Chunker
from ingest.parsers.markdown import parse_markdown
from retrieval.analyzer import get_analyzer
from retrieval.chunks import Chunk, Hit
from retrieval.packing import Dropped, Order, Packing, PackingPolicy, Reason, pack
from retrieval.sentence_ranking import SentenceRanker
from tests.fakes import HashEmbedder

TOKEN = re.compile(r"\w+|[^\w\s]")
REVISION = "r1"


def count_words(text: str) -> int:
    return len(text.split())


def count_letters(text: str) -> int:
    """White space counts, so two texts side by side cost more than each."""
    return len(text)


def count_pieces(text: str) -> int:
    """Of two texts side by side it may be less or more than of each alone."""
    return len(re.findall(r"\w+\s\w+|\S", text))


def split(
    document_id: str, text: str, max_tokens: int = 32, overlap_tokens: int = 0, min_tokens: int = 0
) -> list[Chunk]:
    def tokenize(part: str) -> list[int]:
        return [match.start() for match in TOKEN.finditer(part)]

    chunker = Chunker(max_tokens, tokenize, overlap_tokens, min_tokens)
    return chunker.split(document_id, REVISION, parse_markdown(text.encode()))


def rank(chunks: Sequence[Chunk]) -> list[Hit]:
    return [Hit(chunk, 1 - place / 100) for place, chunk in enumerate(chunks)]


def pack_chunks(
    chunks: Sequence[Chunk],
    texts: Mapping[str, str],
    policy: PackingPolicy | None = None,
    label_tokens: int = 0,
) -> Packing:
    return pack(
        rank(chunks),
        lambda document_id, _revision: texts.get(document_id),
        count_words,
        policy or PackingPolicy(),
        lambda _: label_tokens,
    )


def rank_sentences(chunks: Sequence[Chunk], margin: float | None = None) -> list[Chunk]:
    return SentenceRanker(get_analyzer("english"), lambda _: [], HashEmbedder()).rank(
        "Do bees dance at night?", chunks, margin=margin
    )


def pack_sentences(
    chunks: Sequence[Chunk], policy: PackingPolicy, texts: Mapping[str, str] | None = None
) -> Packing:
    return pack(
        rank(chunks),
        lambda document_id, _revision: (texts or {}).get(document_id),
        count_words,
        policy,
        sentences=rank_sentences(chunks, policy.sentence_margin),
    )


def spans(packing: Packing) -> list[tuple[str, int, int]]:
    return [(one.document_id, one.start, one.end) for one in packing.passages]


def paragraphs(*names: str) -> str:
    """Return paragraphs of one chunk each."""
    return "\n\n".join(f"{name} " + " ".join([f"{name.lower()}s"] * 20) + "." for name in names)


BEES = paragraphs("Ant", "Bee", "Cat", "Dog", "Elk", "Fox")


@pytest.fixture
def bees() -> list[Chunk]:
    chunks = split("bees", BEES)
    assert len(chunks) == 6
    return chunks


def test_neighbours_are_stitched_over_white_space(bees: list[Chunk]) -> None:
    packing = pack_chunks([bees[2], bees[0], bees[1]], {"bees": BEES})
    [passage] = packing.passages
    assert passage.text == paragraphs("Ant", "Bee", "Cat")
    assert [hit.chunk for hit in passage.hits] == [bees[2], bees[0], bees[1]]
    assert passage.score == 1.0


def test_stitching_saves_labels(bees: list[Chunk]) -> None:
    packing = pack_chunks(bees[:3], {"bees": BEES}, label_tokens=5)
    assert (packing.tokens_before, packing.tokens_after) == (3 * (21 + 5), 3 * 21 + 5)


def test_what_is_apart_stays_apart(bees: list[Chunk]) -> None:
    packing = pack_chunks([bees[0], bees[2]], {"bees": BEES})
    assert spans(packing) == [("bees", c.start, c.end) for c in (bees[0], bees[2])]


def test_revisions_of_a_document_are_not_stitched(bees: list[Chunk]) -> None:
    packing = pack_chunks([bees[0], replace(bees[1], revision="r2")], {"bees": BEES})
    assert [passage.revision for passage in packing.passages] == ["r1", "r2"]


def test_overlap_is_sent_once_also_without_the_text() -> None:
    text = " ".join(f"Number {i} is here." for i in range(30))
    chunks = split("numbers", text, overlap_tokens=10)
    assert any(one.end > following.start for one, following in pairwise(chunks))
    [passage] = pack_chunks(chunks[:3], {}).passages
    assert passage.text == text[chunks[0].start : chunks[2].end]


def test_without_the_text_nothing_is_stitched_over_white_space(bees: list[Chunk]) -> None:
    assert len(pack_chunks(bees[:2], {}).passages) == 2


def test_title_that_a_passage_begins_with_is_not_set_above_it() -> None:
    text = f"# Animals\n\n{paragraphs('Ant')}\n\n## Bees\n\n{paragraphs('Bee', 'Cat')}"
    chunks = split("animals", text)
    assert [chunk.headings for chunk in chunks] == [("Animals",), *[("Animals", "Bees")] * 2]
    first, second, third = (pack_chunks([chunk], {"animals": text}).passages[0] for chunk in chunks)
    assert [one.headings for one in (first, second, third)] == [
        (),
        ("Animals",),
        ("Animals", "Bees"),
    ]
    assert second.prompt_text == f"Animals\n{chunks[1].text}"
    [whole] = pack_chunks(chunks[::-1], {"animals": text}).passages
    assert whole.prompt_text == text


def test_table_header_is_above_rows_that_go_on_and_only_there() -> None:
    rows = "\n".join(f"| item {i} | {i} |" for i in range(12))
    text = f"| Article | Price |\n|---|---|\n{rows}"
    chunks = split("table", text)
    assert chunks[1].table_header
    [alone] = pack_chunks([chunks[1]], {"table": text}).passages
    assert alone.prompt_text == f"| Article | Price |\n{chunks[1].text}"
    [both] = pack_chunks(chunks[:2], {"table": text}).passages
    assert both.prompt_text == text[: chunks[1].end]


def test_same_page_of_another_document_is_dropped(bees: list[Chunk]) -> None:
    copies = split("copy", BEES.replace(" ", "  "))
    packing = pack_chunks([bees[0], bees[1], copies[1], copies[3]], {"bees": BEES})
    assert packing.dropped == (
        Dropped(copies[1].chunk_id, Reason.DUPLICATE, duplicate_of=bees[0].chunk_id),
    )
    assert {passage.document_id for passage in packing.passages} == {"bees", "copy"}


def test_chunk_that_says_less_is_dropped_and_one_that_says_more_is_not() -> None:
    [short] = split("short", "Bees sleep at night. Smoke calms them.")
    [long] = split("long", "Bees sleep at night. They dance. Smoke calms them.")
    assert [one.chunk_id for one in pack_chunks([long, short], {}).dropped] == [short.chunk_id]
    assert pack_chunks([short, long], {}).dropped == ()


def test_chunk_whose_sentences_stand_in_several_passages_is_no_duplicate() -> None:
    [night] = split("night", "Bees sleep at night.")
    [smoke] = split("smoke", "Smoke calms them.")
    [both] = split("both", "Bees sleep at night. Smoke calms them.")
    assert pack_chunks([night, smoke, both], {}).dropped == ()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param("The price in 2023 is 5 euros.", "The price in 2024 is 5 euros.", id="year"),
        pytest.param("| tea | 5 |\n| rum | 9 |", "| tea | 9 |\n| rum | 5 |", id="table"),
        pytest.param("Guests may smoke here.", "Guests may not smoke here.", id="not"),
        pytest.param("Ann keeps bees.", "Bob keeps bees.", id="name"),
        pytest.param("# Tea\n\nIt costs 5 euros.", "# Rum\n\nIt costs 5 euros.", id="heading"),
    ],
)
def test_other_number_name_or_heading_is_no_duplicate(one: str, other: str) -> None:
    filler = "\n\nThis is said on every page of every document of ours."
    chunks = [split(name, text + filler)[0] for name, text in (("one", one), ("other", other))]
    assert pack_chunks(chunks, {}).dropped == ()


def test_last_chunk_is_cut_behind_a_sentence() -> None:
    text = "One two three four. Five six seven. Eight nine ten. Eleven twelve."
    [chunk] = split("numbers", text)
    packing = pack_chunks([chunk], {}, PackingPolicy(max_tokens=9))
    assert [passage.text for passage in packing.passages] == ["One two three four. Five six seven."]
    assert packing.tokens_after == 7


def test_nothing_is_taken_after_a_cut(bees: list[Chunk]) -> None:
    [small] = split("small", "Just this.")
    [cut] = split("cut", "One two three four. " * 6)
    policy = PackingPolicy(max_tokens=32)
    packing = pack_chunks([bees[0], cut, small], {"bees": BEES}, policy)
    assert [passage.num_tokens for passage in packing.passages] == [21, 8]
    assert packing.dropped == (Dropped(small.chunk_id, Reason.OVER_BUDGET),)


def test_chunk_without_a_sentence_that_fits_is_passed_over(bees: list[Chunk]) -> None:
    [small] = split("small", "Just this.")
    packing = pack_chunks([bees[0], small], {"bees": BEES}, PackingPolicy(max_tokens=20))
    assert spans(packing) == [("small", 0, len("Just this."))]
    assert packing.dropped == (Dropped(bees[0].chunk_id, Reason.OVER_BUDGET),)


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (Order.SCORE, ["d4", "a2", "c0", "a0", "c4"]),
        (Order.POSITION, ["d4", "a0", "a2", "c0", "c4"]),
        (Order.EDGES, ["d4", "c0", "c4", "a0", "a2"]),
        (Order.STABLE, ["a0", "a2", "c0", "c4", "d4"]),
    ],
)
def test_order(order: Order, expected: list[str]) -> None:
    texts = {
        name: paragraphs(*(f"{name.upper()}{letter}" for letter in "abcdef")) for name in "acd"
    }
    chunks = {
        f"{name}{place}": chunk
        for name, text in texts.items()
        for place, chunk in enumerate(split(name, text))
    }
    names = {chunk.chunk_id: name for name, chunk in chunks.items()}
    found = [chunks[name] for name in ("d4", "a2", "c0", "a0", "c4")]
    packing = pack_chunks(found, texts, PackingPolicy(order=order))
    assert [names[one.hits[0].chunk.chunk_id] for one in packing.passages] == expected


def test_expansion_spends_what_is_left_on_the_section_of_the_best_hit() -> None:
    text = f"# Ants\n\n{paragraphs('Ant', 'Aphid')}\n\n# Bees\n\n{paragraphs('Bee', 'Bumble')}"
    chunks = split("insects", text)
    hits = [chunks[3], chunks[0]]
    policy = PackingPolicy(expand=True, order=Order.SCORE)
    whole = pack_chunks(hits, {"insects": text}, policy)
    assert [passage.text for passage in whole.passages] == [text]
    some = pack_chunks(hits, {"insects": text}, policy.model_copy(update={"max_tokens": 70}))
    assert [passage.text for passage in some.passages] == [
        text[text.index("# Bees") :],
        chunks[0].text,
    ]
    assert some.passages[0].headings == ()


def test_sentences_that_share_most_with_the_question_fill_the_budget() -> None:
    dances = "A scout dances in the dark. Others follow her. She shows the way."
    [dance] = split("dance", dances)
    [night] = split("night", "Honey is sweet. At night bees rest. It keeps for years.")
    hits = rank([dance, night])
    policy = PackingPolicy(max_tokens=10, sentences=True, order=Order.SCORE)

    packing = pack_sentences([dance, night], policy)

    assert [one.text for one in packing.passages] == [
        "At night bees rest.",
        "A scout dances in the dark.",
    ]
    assert [one.hits for one in packing.passages] == [(hits[1],), (hits[0],)]
    assert (packing.num_chunks, packing.tokens_after) == (2, 10)


def test_sentences_of_a_chunk_stand_in_as_many_passages_as_they_make() -> None:
    text = "Bees dance. Wax is soft. Drones are lazy. At night they rest."
    [chunk] = split("bees", text)
    policy = PackingPolicy(max_tokens=6, sentences=True)
    packing = pack_sentences([chunk], policy)
    assert [one.text for one in packing.passages] == ["Bees dance.", "At night they rest."]
    assert packing.num_chunks == 1
    whole = pack_sentences([chunk], PackingPolicy(sentences=True), {"bees": text})
    assert [one.text for one in whole.passages] == [text]


def test_hit_without_a_sentence_in_the_context_is_dropped_with_the_reason() -> None:
    [first] = split("first", "Bees sleep at night. They dance.")
    [copy] = split("copy", "They dance. Bees sleep at night.")
    [other] = split("other", "Tides come and go with the moon all year.")
    chunks = [first, copy, other]
    policy = PackingPolicy(max_tokens=8, sentences=True)
    packing = pack_sentences(chunks, policy)
    assert packing.dropped == (
        Dropped(copy.chunk_id, Reason.DUPLICATE, duplicate_of=first.chunk_id),
        Dropped(other.chunk_id, Reason.OVER_BUDGET),
    )


def test_sentences_far_below_the_best_are_left_out() -> None:
    [first] = split("first", "Bees dance at night. Bees are insects. Wax is soft.")
    [other] = split("other", "Tides come and go with the moon all year.")
    policy = PackingPolicy(sentences=True, sentence_margin=0.9)
    packing = pack_sentences([first, other], policy)
    assert [one.text for one in packing.passages] == ["Bees dance at night.", "Bees are insects."]
    assert packing.dropped == (Dropped(other.chunk_id, Reason.LOW_SCORE),)


def test_a_chunk_of_which_not_all_is_said_is_no_duplicate() -> None:
    [first] = split("first", "Bees dance at night. Bees are insects.")
    [copy] = split("copy", "Bees dance at night.")
    [more] = split("more", "Bees dance at night. Tides come and go.")
    policy = PackingPolicy(sentences=True, sentence_margin=0.9)
    packing = pack_sentences([first, copy, more], policy)
    assert [one.text for one in packing.passages] == ["Bees dance at night.", "Bees are insects."]
    assert packing.dropped == (
        Dropped(copy.chunk_id, Reason.DUPLICATE, duplicate_of=first.chunk_id),
        Dropped(more.chunk_id, Reason.LOW_SCORE),
    )


def test_nothing_found_gives_nothing() -> None:
    assert pack_chunks([], {}) == Packing((), (), 0, 0)


def test_policy_survives_json_and_refuses_what_it_does_not_know() -> None:
    policy = PackingPolicy(max_tokens=1000, order=Order.EDGES, expand=True)
    assert PackingPolicy.model_validate_json(policy.model_dump_json()) == policy
    with pytest.raises(ValidationError, match="order"):
        PackingPolicy.model_validate({"order": "random"})
    with pytest.raises(ValidationError, match="exclude each other"):
        PackingPolicy(expand=True, sentences=True)
    with pytest.raises(ValidationError, match="`sentence_margin` is about `sentences`"):
        PackingPolicy(sentence_margin=0.5)
    with pytest.raises(ValidationError, match="extra"):
        PackingPolicy.model_validate({"budget": 5})


PARTS = st.sampled_from(
    [
        "Bees sleep at night. ",
        "A queen lives for five years, says one who counted them. ",
        "They dance",
        "\n\n",
        "\n\n# Hives\n\n",
        "\n\n## Honey\n\n",
        "\n\n| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |\n| 5 | 6 |\n| 7 | 8 |\n\n",
        "word ",
        "\U0001f41d ",
    ]
)
DOCUMENTS = st.lists(st.lists(PARTS, min_size=1, max_size=40).map("".join), min_size=1, max_size=3)
POLICIES = st.builds(
    PackingPolicy,
    max_tokens=st.none() | st.integers(1, 200),
    order=st.sampled_from(Order),
    expand=st.booleans(),
) | st.builds(
    PackingPolicy,
    max_tokens=st.none() | st.integers(1, 200),
    order=st.sampled_from(Order),
    sentences=st.just(True),
    sentence_margin=st.none() | st.sampled_from([0, 0.3, 0.6]),
)


@given(
    documents=DOCUMENTS,
    overlap=st.sampled_from([0, 12]),
    policy=POLICIES,
    count_tokens=st.sampled_from([count_words, count_letters, count_pieces]),
    label_tokens=st.integers(0, 5),
    has_texts=st.booleans(),
    data=st.data(),
)
def test_every_packing(
    documents: list[str],
    overlap: int,
    policy: PackingPolicy,
    count_tokens: object,
    label_tokens: int,
    has_texts: bool,
    data: st.DataObject,
) -> None:
    assert callable(count_tokens)
    texts = {str(number): text for number, text in enumerate(documents)}
    chunks = [one for name, text in texts.items() for one in split(name, text, 32, overlap)]
    found = (
        data.draw(st.lists(st.sampled_from(chunks), unique_by=lambda one: one.chunk_id))
        if chunks
        else []
    )
    hits = rank(found)

    def text_of(document_id: str, _revision: str) -> str | None:
        return texts[document_id] if has_texts else None

    def run(some: Sequence[Hit]) -> Packing:
        sentences = rank_sentences([hit.chunk for hit in some], policy.sentence_margin)
        return pack(some, text_of, count_tokens, policy, lambda _: label_tokens, sentences)

    packing = run(hits)

    for passage in packing.passages:
        assert passage.text == texts[passage.document_id][passage.start : passage.end] != ""
        assert passage.num_tokens == count_tokens(passage.prompt_text) + label_tokens
        for hit in passage.hits:
            assert passage.document_id == hit.chunk.document_id
            assert passage.start < hit.chunk.end
            assert hit.chunk.start < passage.end
            assert policy.sentences or passage.start <= hit.chunk.start
    assert packing.tokens_after == sum(passage.num_tokens for passage in packing.passages)
    assert policy.max_tokens is None or packing.tokens_after <= policy.max_tokens
    for (document, _, end), (following, start, _) in pairwise(sorted(spans(packing))):
        assert document != following or end <= start
    kept = [hit.chunk.chunk_id for passage in packing.passages for hit in passage.hits]
    dropped = [one.chunk_id for one in packing.dropped]
    assert policy.sentences or len(kept) == packing.num_chunks
    assert len(set(kept)) == packing.num_chunks
    assert sorted([*set(kept), *dropped]) == sorted(hit.chunk.chunk_id for hit in hits)
    assert run(hits) == packing
    if not policy.expand and not policy.sentences:
        again = run([hit for hit in hits if hit.chunk.chunk_id in kept])
        assert again.passages == packing.passages


@given(documents=DOCUMENTS, label_tokens=st.integers(0, 5))
def test_packing_costs_no_more_words_than_what_was_found(
    documents: list[str], label_tokens: int
) -> None:
    texts = {str(number): text for number, text in enumerate(documents)}
    chunks = [one for name, text in texts.items() for one in split(name, text, 32, 12)]
    packing = pack_chunks(chunks, texts, label_tokens=label_tokens)
    assert packing.tokens_after <= packing.tokens_before
    assert {one.reason for one in packing.dropped} <= {Reason.DUPLICATE}
