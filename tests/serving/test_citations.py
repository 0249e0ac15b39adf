"""A citation is a verbatim slice of a document, whatever the answer looks like."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.chunks import Chunk, Hit
from retrieval.packing import Passage
from serving.citations import Citation, cite, find_quote, without_indexes, without_lists
from serving.context import Context, ContextItem

# What the chunks stand behind in their documents, so that offsets are not those of the passage.
OFFSET = 100
PAGE_LENGTH = 50


def make_chunk(number: int, text: str) -> Chunk:
    return Chunk(
        chunk_id=f"chunk-{number}",
        document_id=f"document-{number}",
        revision=f"revision-{number}",
        start=OFFSET,
        end=OFFSET + len(text),
        text=text,
        headings=(),
        page_start=1,
        page_end=1,
        token_count=1,
        parent_start=0,
        parent_end=OFFSET + len(text),
    )


def make_item(number: int, *chunks: Chunk) -> ContextItem:
    """Return a passage of chunks of one document, each beginning where the one before ends."""
    first, last = chunks[0], chunks[-1]
    passage = Passage(
        document_id=first.document_id,
        revision=first.revision,
        start=first.start,
        end=last.end,
        text="".join(chunk.text for chunk in chunks),
        headings=first.headings,
        table_header=first.table_header,
        hits=tuple(Hit(chunk, 1.0) for chunk in chunks),
        num_tokens=1,
    )
    return ContextItem(number, passage, f"file-{number}.md")


def make_context(*texts: str) -> list[ContextItem]:
    return [
        make_item(number, make_chunk(number, text)) for number, text in enumerate(texts, start=1)
    ]


def locate(document_id: str, revision: str, offset: int) -> tuple[int | None, str | None]:
    """Number the pages of every document by its characters; document 2 has no pages."""
    assert document_id.partition("-")[2] == revision.partition("-")[2]
    page = offset // PAGE_LENGTH + 1
    return (None, None) if document_id == "document-2" else (page, f"page {page}")


def cited(answer: str, context: Context) -> list[Citation]:
    return cite(answer, context, locate)


def markers(citations: Sequence[Citation]) -> list[tuple[str, str]]:
    return [(citation.marker, citation.document_id) for citation in citations]


BEES = "Bees dance to talk. They sleep at night in the hive. Smoke calms them."
SLEEP = "They sleep at night in the hive."
TIDES = "The moon pulls the ocean. Tides come twice a day."


def test_citation_tells_everything() -> None:
    start = OFFSET + BEES.index("They")
    assert cited("At night they sleep [1].", make_context(BEES)) == [
        Citation(
            marker="[1]",
            document_id="document-1",
            revision="revision-1",
            filename="file-1.md",
            page=3,
            place="page 3",
            start=start,
            end=start + len("They sleep at night in the hive."),
            quote="They sleep at night in the hive.",
            text_start=20,
            text_end=23,
        )
    ]


def test_format_without_pages_has_none() -> None:
    assert [c.page for c in cited("a [1] b [2]", make_context(BEES, TIDES))] == [3, None]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param("", [], id="no answer"),
        pytest.param("Bees sleep.", [], id="no marker"),
        pytest.param("Bees sleep [1].", ["1"], id="one"),
        pytest.param("Bees sleep [1][2].", ["1", "2"], id="side by side"),
        pytest.param("Bees sleep [2], [1]; [2].", ["2", "1", "2"], id="list"),
        pytest.param("[1] Bees sleep.", ["1"], id="marker first"),
        pytest.param("[1]", ["1"], id="only a marker"),
        pytest.param("Bees sleep [0].", [], id="zero"),
        pytest.param("Bees sleep [3] or [99].", [], id="beyond the context"),
        pytest.param("Bees sleep [1234].", [], id="four digits"),
        pytest.param("Bees [sleep] [] [-1] [1.5] [ 1 ] (1) [1", [], id="no markers"),
        pytest.param("[[1]]", ["1"], id="in brackets"),
        pytest.param("[99][1]", ["1"], id="unknown beside known"),
    ],
)
def test_marker(answer: str, expected: list[str]) -> None:
    citations = cited(answer, make_context(BEES, TIDES))
    assert markers(citations) == [(f"[{number}]", f"document-{number}") for number in expected]


def test_empty_context_has_no_citations() -> None:
    assert cited("Bees sleep [1].", []) == []


def test_markers_side_by_side_stand_behind_the_same_claim() -> None:
    context = make_context(BEES, "Nothing here. Insects sleep at night, too. Nor here.")
    quotes = [citation.quote for citation in cited("They sleep at night [1][2].", context)]
    assert quotes == ["They sleep at night in the hive.", "Insects sleep at night, too."]


@pytest.mark.parametrize("between", [" and ", ", and ", " und ", " et ", " & ", ", ", ""])
def test_markers_that_a_conjunction_joins_stand_behind_the_same_claim(between: str) -> None:
    context = make_context(BEES, BEES)
    for answer in ("They sleep at night [1]{}[2].", "By [1]{}[2], they sleep at night."):
        quotes = [citation.quote for citation in cited(answer.format(between), context)]
        assert quotes == [SLEEP, SLEEP]


def test_claim_begins_behind_the_marker_before() -> None:
    first, second = cited("Smoke calms them [1]. Bees dance to talk [1].", make_context(BEES))
    assert (first.quote, second.quote) == ("Smoke calms them.", "Bees dance to talk.")


@pytest.mark.parametrize(
    ("answer", "quotes"),
    [
        ("According to [1], smoke calms them well.", ["Smoke calms them."]),
        ("[1] says that smoke calms them.", ["Smoke calms them."]),
        ("Well.\n\n[1] Smoke will calm them.", ["Smoke calms them."]),
        (
            "In the hive [1], bees sleep. Smoke [1] is what calms them.",
            [SLEEP, "Smoke calms them."],
        ),
        (
            "They sleep in the hive [1] at night. [1] Smoke [1]!",
            [SLEEP, SLEEP, "Smoke calms them."],
        ),
        ("They sleep [1] and smoke calms them [1].", [SLEEP, "Smoke calms them."]),
    ],
)
def test_what_a_sentence_says_behind_its_last_marker_belongs_to_the_claim(
    answer: str, quotes: list[str]
) -> None:
    assert [citation.quote for citation in cited(answer, make_context(BEES))] == quotes


@pytest.mark.parametrize("beginning", ["According to [1], ", "- [1] says that "])
def test_what_stands_before_a_marker_is_no_quote_where_the_claim_comes_behind_it(
    beginning: str,
) -> None:
    context = make_context("According to a survey - the first one - bees dance. Smoke calms them.")
    [citation] = cited(f"{beginning}smoke calms them.", context)
    assert citation.quote == "Smoke calms them."


def test_claim_begins_with_its_paragraph() -> None:
    answer = "Smoke calms them, and this has no marker.\n\nBees dance to talk [1]."
    (citation,) = cited(answer, make_context(BEES))
    assert citation.quote == "Bees dance to talk."


def test_copied_paragraphs_are_quoted_whole() -> None:
    """Also a header that shares no word with the row the fuzzy match would take."""
    table = "| Size | Price |\n|---|---|\n| small | 5 |\n\n"
    answer = f"{table}See (2) for more. Prices rise. [1]"
    text = f"{table}See [2] for more.\nPrices rise."
    (citation,) = cited(answer, make_context(text))
    assert citation.quote == text


def test_copied_words_are_quoted_with_their_sentences() -> None:
    (citation,) = cited("night in the hive. Smoke calms [1].", make_context(BEES))
    assert citation.quote == "They sleep at night in the hive. Smoke calms them."


def test_part_of_a_word_is_no_copy() -> None:
    (citation,) = cited("the [1]", make_context("Theology is hard. They sing. See the sea."))
    assert citation.quote == "See the sea."


def test_quote_of_an_unlike_claim_is_the_first_sentence() -> None:
    (citation,) = cited("Unrelated words entirely [1].", make_context(BEES))
    assert citation.quote == "Bees dance to talk."


@pytest.mark.parametrize(
    ("claim", "quote"),
    [
        pytest.param("Tides come twice a day.", "Tides come twice a day.", id="equal"),
        pytest.param(TIDES, TIDES, id="two sentences"),
        pytest.param("The OCEAN is pulled by the moon", "The moon pulls the ocean.", id="reworded"),
        pytest.param("", "The moon pulls the ocean.", id="no claim"),
        pytest.param("...", "The moon pulls the ocean.", id="no words"),
    ],
)
def test_find_quote(claim: str, quote: str) -> None:
    start, end = find_quote(TIDES, claim)
    assert TIDES[start:end] == quote


PRICES = """\
| Product | Price | Stock |
|---|---|---|
| Honey | 7.90 EUR | 1,250 |
| Candle | 12.50 EUR | 310 |"""


@pytest.mark.parametrize(
    ("claim", "quote"),
    [
        ("A candle costs 12.50 EUR", "| Candle | 12.50 EUR | 310 |"),
        ("and 310 are in stock", "| Candle | 12.50 EUR | 310 |"),
        ("Of the product honey, 1250 are in stock", "| Honey | 7.90 EUR | 1,250 |"),
        ("2. Candle: 12,50 EUR", "| Candle | 12.50 EUR | 310 |"),
        (" |\n| Candle | 12.50 EUR", "| Candle | 12.50 EUR | 310 |"),
        ("It tells product, price and stock", "| Product | Price | Stock |"),
    ],
)
def test_what_is_quoted_of_a_table_is_the_row_with_the_number(claim: str, quote: str) -> None:
    start, end = find_quote(PRICES, claim)
    assert PRICES[start:end] == quote


@pytest.mark.parametrize(
    ("text", "claim", "quote"),
    [
        pytest.param("蜜蜂跳舞。熊喜欢蜂蜜。", "熊很喜欢吃蜂蜜", "熊喜欢蜂蜜。", id="Chinese"),
        pytest.param("# ผึ้ง\nผึ้งเต้นรำ\n\nหมีชอบน้ำผึ้ง", "หมีชอบกินน้ำผึ้งมาก", "หมีชอบน้ำผึ้ง", id="Thai"),
    ],
)
def test_words_without_spaces_are_compared_too(text: str, claim: str, quote: str) -> None:
    start, end = find_quote(text, claim)
    assert text[start:end] == quote


@pytest.mark.parametrize("text", ["", " ", "\n\n", "word", "...", "| a | b |\n|---|---|"])
def test_quote_of_any_text_lies_in_it(text: str) -> None:
    start, end = find_quote(text, "a word")
    assert 0 <= start <= end <= len(text)


ANSWERS = st.lists(
    st.one_of(
        st.text(max_size=20),
        st.integers(0, 120).map(lambda number: f"[{number}]"),
        st.sampled_from(
            ["Bees sleep. ", "\n\n", "[", "]", ", ", "At night. ", "\u0663", "[\u0661]"]
        ),
    ),
    max_size=12,
).map("".join)
TEXTS = st.lists(
    st.one_of(st.text(max_size=30), st.sampled_from(["Bees sleep. ", "\n\n", "- item\n"])),
    max_size=6,
).map("".join)


@given(ANSWERS, st.lists(TEXTS, max_size=4))
def test_every_citation_is_exact(answer: str, texts: list[str]) -> None:
    context = make_context(*texts)
    citations = cited(answer, context)

    assert [c.text_start for c in citations] == sorted(c.text_start for c in citations)
    for citation in citations:
        assert answer[citation.text_start : citation.text_end] == citation.marker
        item = context[int(citation.marker[1:-1]) - 1]
        document = "\0" * OFFSET + item.passage.text
        assert citation.document_id == item.passage.document_id
        assert OFFSET <= citation.start <= citation.end <= len(document)
        assert document[citation.start : citation.end] == citation.quote
        assert bool(citation.quote.strip()) == bool(item.passage.text.strip())


@given(st.lists(st.integers(0, 5), max_size=8))
def test_each_marker_of_the_context_is_cited_once(numbers: list[int]) -> None:
    answer = " ".join(f"Claim [{number}]." for number in numbers)
    found = [citation.marker for citation in cited(answer, make_context(BEES, TIDES))]
    assert found == [f"[{number}]" for number in numbers if number in {1, 2}]


@pytest.mark.parametrize(
    ("answer", "blanked"),
    [
        ('{"a": [1], "b": "so [2]"}', '{"a":    , "b": "so [2]"}'),
        ("[1]", "   "),
        (r'{"a": "say \"[1]\" [2]"}', r'{"a": "say \"[1]\" [2]"}'),
        ('{"a": "cut here [3]', '{"a": "cut here [3]'),
        ('{"a": [[1], [10, 2]]}', '{"a": [   , [10, 2]]}'),
    ],
    ids=["list and string", "list alone", "quotation marks", "cut", "nested"],
)
def test_lists_of_one_number_are_no_markers_of_json(answer: str, blanked: str) -> None:
    assert without_lists(answer) == blanked


@pytest.mark.parametrize(
    ("answer", "blanked"),
    [
        ("Take `argv[1]` [2].", "Take `argv   ` [2]."),
        ("```\nx = f(a)[1][2]\n```\nSo [1].", "```\nx = f(a)      \n```\nSo [1]."),
        ("```\ncut off a[3]", "```\ncut off a   "),
        ("`[1]` and a[2]", "`[1]` and a[2]"),
        ("An ` alone, a[1]\nand a[2]", "An ` alone, a   \nand a[2]"),
    ],
    ids=["in a line", "block", "cut", "marker and text", "missing end"],
)
def test_indexes_of_code_are_no_markers(answer: str, blanked: str) -> None:
    assert without_indexes(answer) == blanked
