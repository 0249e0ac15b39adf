"""Sentences of chunks: those first that share most with a question."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from math import log2

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.parsers.markdown import parse_markdown
from ingest.sections import Sections
from retrieval.analyzer import get_analyzer
from retrieval.chunks import Chunk
from retrieval.embedding import Matrix
from retrieval.sentence_ranking import (
    MAX_READ_CHUNKS,
    RANK_DISCOUNT,
    READ_TOGETHER,
    SentenceRanker,
    split,
    whole_id,
)
from tests.fakes import HashEmbedder
from tests.retrieval.test_packing import PARTS
from tests.retrieval.test_packing import split as cut


def parts(text: str, max_tokens: int = 100, min_tokens: int = 0) -> list[Chunk]:
    """Cut a text and return the sentences of its chunks."""
    sections = Sections(parse_markdown(text.encode()))
    return [
        one
        for chunk in cut("d", text, max_tokens, min_tokens=min_tokens)
        for one in split(chunk, sections.heads(chunk.start, chunk.end))
    ]


def rank(query: str, *texts: str) -> list[str]:
    chunks = [one for number, text in enumerate(texts) for one in cut(f"d{number}", text, 100)]
    ranker = SentenceRanker(get_analyzer("english"), lambda _: [], HashEmbedder())
    return [sentence.text for sentence in ranker.rank(query, chunks)]


def test_words_of_the_question_lead() -> None:
    text = "Hives are boxes. Bees dance at night. Smoke calms them. Bees are insects."
    assert rank("Why do bees dance?", text)[:2] == ["Bees dance at night.", "Bees are insects."]


def test_rare_words_are_worth_more() -> None:
    text = "Bees buzz. Bees sleep. Bees fly. The queen rests. Bees eat."
    assert rank("bees queen", text)[0] == "The queen rests."


def test_what_was_found_first_leads_among_equals() -> None:
    assert RANK_DISCOUNT == 0.15
    assert rank("bees", "Bees sleep.", "Bees fly.", "Bees eat.") == [
        "Bees sleep.",  # 1 word of 1
        "Bees fly.",  # and 0.15 less
        "Bees eat.",
    ]
    # The second chunk's sentence loses 0.15, the first one's has none of the words.
    assert rank("bees", "Honey is sweet.", "Bees sleep.") == ["Bees sleep.", "Honey is sweet."]


def test_a_question_without_words_keeps_the_order() -> None:
    texts = ("Bees sleep. Wax is soft.", "Smoke calms them.")
    assert rank("Why?", *texts) == ["Bees sleep.", "Wax is soft.", "Smoke calms them."]


def test_scores_are_shares_of_the_words_less_what_the_rank_takes() -> None:
    chunks = [*cut("a", "Bees sleep. Wax is soft.", 100), *cut("b", "Bees fly.", 100)]
    ranker = SentenceRanker(get_analyzer("english"), lambda _: [], HashEmbedder())
    scored = ranker.score("bees", chunks)
    assert [(score, one.text) for score, one in scored] == [
        (1, "Bees sleep."),
        (1 - RANK_DISCOUNT, "Bees fly."),
        (0, "Wax is soft."),
    ]
    for margin, num in ((None, 3), (0, 1), (0.1, 1), (0.3, 2), (1, 3)):
        assert len(ranker.rank("bees", chunks, margin=margin)) == num
    assert ranker.rank("bees", [], margin=0.3) == []


def test_vectors_find_what_words_do_not() -> None:
    chunks = cut("d", "Bees dance. It was so. Wax is soft.", 100)
    ranker = SentenceRanker(get_analyzer("english"), lambda _: [], HashEmbedder())
    # For the analyzer both are stop words; the fake embedder knows all words alike.
    assert ranker.rank("It was?", chunks)[0].text == "Bees dance."
    for weight in (0.3, 1):
        best, *_ = ranker.rank("It was?", chunks, dense_weight=weight)
        assert best.text == "It was so."


def test_the_most_similar_vector_scores_as_all_words_do() -> None:
    chunks = cut("d", "Bees sleep. Bees sleep here. Wax melts.", 100)
    ranker = SentenceRanker(get_analyzer("english"), lambda _: [], HashEmbedder())
    scored = {one.text: score for score, one in ranker.score("bees sleep", chunks, 0.6)}
    assert scored["Bees sleep."] == pytest.approx(1)
    assert 0.4 < scored["Bees sleep here."] < 1  # all words, and a vector that is less similar
    assert scored["Wax melts."] == 0


def test_similarities_are_of_the_query_that_is_asked_now() -> None:
    chunks = cut("d", "Bees sleep. Wax melts.", 100)
    ranker = SentenceRanker(get_analyzer("english"), lambda _: [], HashEmbedder())
    for query in ("bees", "wax", "bees"):
        again = SentenceRanker(get_analyzer("english"), lambda _: [], HashEmbedder())
        assert ranker.score(query, chunks, 1) == again.score(query, chunks, 1)


def test_reading_ends_when_nobody_waits_for_it() -> None:
    chunks = cut("d", " ".join(f"Bee {number} sleeps." for number in range(300)), 1000)
    embedder = CountingEmbedder()
    ranker = SentenceRanker(get_analyzer("english"), lambda _: [], embedder)
    ranker.read("bees", chunks, lambda: embedder.num_read > 0)
    assert embedder.num_read == READ_TOGETHER
    ranker.read("bees", chunks)
    assert embedder.num_read == 300


def test_of_what_was_found_far_down_words_alone_count() -> None:
    texts = [*["Wax is soft."] * MAX_READ_CHUNKS, "It was so."]
    chunks = [chunk for text in texts for chunk in cut(text, text, 100)]
    ranker = SentenceRanker(get_analyzer("english"), lambda _: [], HashEmbedder())
    # Both words are stop words for the analyzer.
    near, far = ranker.score("It was?", chunks[1:], 1)[0], ranker.score("It was?", chunks, 1)[-1]
    assert (near[1].text, far[1].text) == ("It was so.", "It was so.")
    assert near[0] == pytest.approx(1 - RANK_DISCOUNT * log2(MAX_READ_CHUNKS))
    assert far[0] == -RANK_DISCOUNT * log2(1 + MAX_READ_CHUNKS)


class CountingEmbedder(HashEmbedder):
    """Counts the passages that it reads."""

    num_read = 0

    def embed_passages(self, texts: Sequence[str]) -> Matrix:
        self.num_read += len(texts)
        return super().embed_passages(texts)


class RoundingEmbedder(HashEmbedder):
    """Vectors differ a little from row to row, as those of batches of other shapes do."""

    def embed_passages(self, texts: Sequence[str]) -> Matrix:
        noise = np.arange(len(texts), dtype=np.float32)[:, None] * 1e-4
        return np.asarray(super().embed_passages(texts) * (1 + noise), np.float32)


def test_equal_sentences_are_as_similar() -> None:
    chunks = [chunk for name in "abc" for chunk in cut(name, "Bees sleep.", 100)]
    ranker = SentenceRanker(get_analyzer("english"), lambda _: [], RoundingEmbedder())
    documents = [one.document_id for one in ranker.rank("bees", chunks, dense_weight=1)]
    assert documents == ["a", "b", "c"]


def test_vectors_weigh_nothing_where_the_embedder_has_no_words() -> None:
    chunks = [*cut("a", "Пчёлы спят. Воск мягкий.", 100), *cut("b", "Пчёлы летают.", 100)]
    ranker = SentenceRanker(get_analyzer("russian"), lambda _: [], HashEmbedder())
    assert ranker.score("Где пчёлы?", chunks, 1) == ranker.score("Где пчёлы?", chunks)


def test_without_sentences_nothing_is_compared() -> None:
    ranker = SentenceRanker(get_analyzer("english"), lambda _: [], HashEmbedder())
    assert ranker.score("bees", [], 1) == []


def test_words_are_those_of_the_collections_language() -> None:
    assert rank("dancing", "A bee. She dances.")[0] == "She dances."


def test_headings_go_with_what_is_below_them() -> None:
    text = "# Bees\n\nDrones\n======\n\n## Sleep\n\nThey sleep. They dance."
    assert [one.text for one in parts(text)] == [
        "# Bees\n\nDrones\n======\n\n## Sleep\n\nThey sleep.",
        "They dance.",
    ]


def test_headings_stand_above_the_sentences_of_their_section_alone() -> None:
    text = "# Bees\n\n## Wax\n\nIt is soft. It melts.\n\n# Ants\n\nThey bite. They dig."
    assert len(cut("d", text, 100, min_tokens=50)) == 1
    assert [(one.headings, one.text) for one in parts(text, min_tokens=50)] == [
        (("Bees",), "# Bees\n\n## Wax\n\nIt is soft."),
        (("Bees", "Wax"), "It melts."),
        (("Ants",), "# Ants\n\nThey bite."),
        (("Ants",), "They dig."),
    ]


def test_rows_of_a_table_keep_its_header() -> None:
    table = "| Tea | Price |\n|---|---|\n| green | 5 |\n| black | 7 |"
    text = f"Prices are low.\n\n{table}\n\nPay in cash."
    before, first, second, after = parts(text)
    assert first.text == "| Tea | Price |\n|---|---|\n| green | 5 |"
    assert second.passage == "| Tea | Price |\n| black | 7 |"
    assert (before.passage, after.passage) == ("Prices are low.", "Pay in cash.")


def test_header_is_not_repeated_above_itself() -> None:
    text = "# Prices\n\n| Tea | Price |\n|---|---|\n| green | 5 |"
    [sentence] = parts(text)
    assert sentence.text == text
    assert sentence.table_header == ""


def test_rows_without_values_make_no_header() -> None:
    table = "| Tea | Price |\n|---|---|\n| - | - |\n| green | 5 |\n|  |  |\n| black | 7 |"
    assert [one.passage for one in parts(table)] == [
        "| Tea | Price |\n|---|---|\n| - | - |\n| green | 5 |",
        "| Tea | Price |\n|  |  |",
        "| Tea | Price |\n| black | 7 |",
    ]


def test_header_stands_above_the_rest_of_a_row_but_not_behind_the_table() -> None:
    rest = "bees fly. They eat. | 7 |\n| black | 7 |\n\nPay in cash.\n\n| 5 is even."
    chunk = replace(cut("d", rest, 100)[0], table_header="| Tea | Price |")
    assert [(one.table_header, one.text) for one in split(chunk, [])] == [
        ("| Tea | Price |", "bees fly."),
        ("| Tea | Price |", "They eat."),
        ("| Tea | Price |", "| 7 |"),
        ("| Tea | Price |", "| black | 7 |"),
        ("", "Pay in cash."),
        ("", "| 5 is even."),
    ]


@given(text=st.lists(PARTS, min_size=1, max_size=30).map("".join))
def test_sentences_say_all_of_a_chunk_once(text: str) -> None:
    canonical = parse_markdown(text.encode())
    sections = Sections(canonical)
    for chunk in cut("d", text, min_tokens=16):
        sentences = list(split(chunk, sections.heads(chunk.start, chunk.end)))
        for one in sentences:
            path = canonical.heading_path(one.start)
            assert path[len(path) - len(one.headings) :] == one.headings
            assert one.text == text[one.start : one.end]
            assert whole_id(one.chunk_id) == chunk.chunk_id
        assert len({one.chunk_id for one in sentences}) == len(sentences)
        assert all(one.end <= after.start for one, after in pairwise(sentences))
        said = "".join("".join(one.text.split()) for one in sentences)
        assert said == "".join(chunk.text.split())


def test_sentences_are_known_by_their_chunk() -> None:
    chunk: Chunk = cut("d", "Bees sleep. They dance.", 100)[0]
    ranker = SentenceRanker(get_analyzer("english"), lambda _: [], HashEmbedder())
    assert ranker.sentences(chunk) == list(split(chunk, []))
    assert {whole_id(one.chunk_id) for one in ranker.sentences(chunk)} == {chunk.chunk_id}
