"""The extractive answerer: word for word, cited, and silent where the documents are."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.citations import cite
from serving.context import Context
from serving.extractive import (
    MAX_EXTRACTS,
    Extract,
    ExtractiveGenerator,
    choose_extracts,
    rank_extracts,
)
from serving.generation import NO_ANSWER, Delta, Finish, Sampling, Task
from tests.fakes import HashEmbedder
from tests.serving.test_citations import OFFSET, make_chunk, make_context, make_item

EMBEDDER = HashEmbedder(dimension=512)
THRESHOLD = 0.3
HIVE = "Bees sleep at night inside the hive. A queen lives for five years. Drones die in autumn."
QUESTION = "How long does a queen live?"


def answer(
    question: str, context: Context, threshold: float = THRESHOLD, num_choices: int = 1
) -> list[Delta | Finish]:
    async def collect() -> list[Delta | Finish]:
        generator = ExtractiveGenerator(threshold)
        sampling = Sampling(max_tokens=100, num_choices=num_choices)
        task = Task(question, context, [], sampling, EMBEDDER)
        return [piece async for piece in generator.generate(task)]

    return asyncio.run(collect())


def text_of(pieces: Sequence[Delta | Finish]) -> str:
    return "".join(piece.text for piece in pieces if isinstance(piece, Delta))


def rank(question: str, context: Context) -> list[Extract]:
    return rank_extracts(EMBEDDER, question, context).extracts


def test_answer_is_the_sentence_and_its_neighbours_with_a_marker() -> None:
    *pieces, finish = answer("Which queen lives for five years?", make_context(HIVE))
    assert pieces == [Delta(f"{HIVE} [1]")]
    assert isinstance(finish, Finish)
    assert finish.reasons == ("stop",)


def test_usage_counts_context_question_and_answer() -> None:
    context = make_context(HIVE)  # counted as one token by make_context
    *pieces, finish = answer(QUESTION, context)
    assert isinstance(finish, Finish)
    assert finish.usage.prompt_tokens == 1 + len(EMBEDDER.token_starts(QUESTION))
    assert finish.usage.completion_tokens == len(EMBEDDER.token_starts(text_of(pieces)))
    assert finish.usage.cached_tokens == 0
    *pieces, of_three = answer(QUESTION, context, num_choices=3)
    assert isinstance(of_three, Finish)
    assert of_three.usage.prompt_tokens == finish.usage.prompt_tokens
    assert of_three.usage.completion_tokens == 3 * finish.usage.completion_tokens


@pytest.mark.parametrize(
    "texts",
    [
        pytest.param((), id="no context"),
        pytest.param(("",), id="empty chunk"),
        pytest.param(("Yes. No. Oh.",), id="no sentence long enough"),
        pytest.param(("Granite erodes under steady rain over centuries.",), id="unrelated"),
    ],
)
def test_without_support_it_says_so(texts: tuple[str, ...]) -> None:
    *pieces, finish = answer(QUESTION, make_context(*texts))
    assert pieces == [Delta(NO_ANSWER)]
    assert isinstance(finish, Finish)


def test_question_without_a_token_has_no_answer() -> None:
    assert text_of(answer("", make_context(HIVE), threshold=0)) == NO_ANSWER


def test_threshold_decides() -> None:
    context = make_context(HIVE)
    support = rank_extracts(EMBEDDER, QUESTION, context).support
    above = np.nextafter(support, 1)
    assert text_of(answer(QUESTION, context, threshold=support)) != NO_ANSWER
    assert text_of(answer(QUESTION, context, threshold=float(above))) == NO_ANSWER


def test_pieces_are_separate_paragraphs_of_different_items() -> None:
    context = make_context("A queen can live long years.", "Long does any queen live, they say.")
    pieces = answer(QUESTION, context)[:-1]
    assert sorted(text_of([piece]).strip()[-3:] for piece in pieces) == ["[1]", "[2]"]
    assert [text_of([piece]).startswith("\n\n") for piece in pieces] == [False, True]


def test_passage_that_an_earlier_one_shows_is_left_out() -> None:
    chosen = choose_extracts(rank_extracts(EMBEDDER, QUESTION, make_context(HIVE)).extracts)
    assert len(chosen) == 1


def test_answer_is_short_however_long_the_context() -> None:
    context = make_context(*(f"Queen number {i} can live for years." for i in range(100)))
    ranked = rank_extracts(EMBEDDER, QUESTION, context).extracts
    assert len(ranked) == len(context)
    assert len(choose_extracts(ranked)) == MAX_EXTRACTS


def test_the_best_match_comes_first() -> None:
    context = make_context(
        "Bees sleep at night in winter.", "A queen can live long, they say.", HIVE
    )
    assert choose_extracts(rank(QUESTION, context))[0].item.number == 2


def test_support_is_judged_by_what_the_context_says_least_about() -> None:
    """Where one word in four is unknown, it alone decides."""
    context = make_context("A queen lives for five years.")
    question = "queen lives five furlongs"
    said = EMBEDDER.embed_query_tokens(context[0].passage.text)
    unknown = EMBEDDER.embed_query_tokens(question).vectors[-1]
    support = rank_extracts(EMBEDDER, question, context).support
    assert support == pytest.approx(float((said.vectors @ unknown).max()), abs=1e-5)
    assert support < rank_extracts(EMBEDDER, "queen lives five years", context).support


def test_table_header_supports_a_row_and_is_not_quoted() -> None:
    row = "| Ann Smith | forty years old |"
    chunk = make_chunk(1, row)
    item = make_item(1, chunk)
    with_header = make_item(1, replace(chunk, table_header="| Keeper | Age |"))
    question = "keeper age Smith"
    assert (
        rank_extracts(EMBEDDER, question, [with_header]).support
        > rank_extracts(EMBEDDER, question, [item]).support
    )
    assert text_of(answer(question, [with_header], threshold=0)) == f"{row} [1]"


def test_support_needs_one_chunk_that_speaks_of_it_all() -> None:
    question = "queen lives five years"
    together = rank_extracts(EMBEDDER, question, make_context("A queen lives for five years."))
    apart = rank_extracts(
        EMBEDDER, question, make_context("A queen lives in the hive.", "Five years passed by.")
    )
    assert apart.support < together.support


def test_sentences_of_all_chunks_of_a_passage_are_cited_by_its_number() -> None:
    first = make_chunk(1, "Bees sleep at night in winter. ")
    second = replace(
        make_chunk(1, "A queen can live long, they say."),
        chunk_id="second",
        start=first.end,
        end=first.end + 32,
    )
    context = [make_item(1, first, second)]
    (extract,) = choose_extracts(rank("How long does a queen live, they say?", context))[:1]
    assert extract.cited_text == f"{second.text} [1]"
    (citation,) = cite(extract.cited_text, context, lambda *_place: (None, None))
    assert (citation.start, citation.end) == (second.start, second.end)


def test_what_was_cut_off_a_chunk_is_no_answer() -> None:
    chunk = make_chunk(1, HIVE)
    item = make_item(1, chunk)
    end = HIVE.index(" A queen")
    cut = replace(item, passage=replace(item.passage, end=OFFSET + end, text=HIVE[:end]))
    assert [one.cited_text for one in rank(QUESTION, [cut])] == [f"{HIVE[:end]} [1]"]


def test_each_paragraph_of_an_extract_has_the_marker() -> None:
    text = "6.1 How long they live\n\nA queen can live\nfor five years, they say [4]."
    [extract] = choose_extracts(rank("How long can a queen live, they say?", make_context(text)))
    title, sentence = extract.cited_text.split("\n\n")
    assert title == "6.1 How long they live [1]"
    assert sentence == "A queen can live for five years, they say (4). [1]"


def test_extract_that_is_cut_at_a_blank_line_has_no_empty_paragraph() -> None:
    first, middle, last = "Bees sleep at night.", "A queen can live long.", "Drones die in autumn."
    (item,) = make_context(f"{first}\n\n{middle}\n\n{last}")
    at_middle = len(first) + 2
    at_last = at_middle + len(middle) + 2
    best = Extract(item, (at_middle, at_last + len(last)), (at_last, at_last + len(last)))
    next_best = Extract(item, (0, at_last - 2), (0, len(first)))
    chosen = choose_extracts([best, next_best])
    assert [one.cited_text for one in chosen] == [f"{middle} [1]\n\n{last} [1]", f"{first} [1]"]


def test_wrapped_lines_are_joined_and_list_items_are_not() -> None:
    context = make_context("A queen can live\nfor long years\n  in her hive.")
    assert text_of(answer(QUESTION, context)) == "A queen can live for long years in her hive. [1]"
    items = "\n- long and well in spring\n- in her hive until autumn"
    context = make_context(f"A queen can live:{items}")
    assert text_of(answer(QUESTION, context)).count("\n- ") == 2


def test_brackets_of_the_documents_are_no_citations() -> None:
    context = make_context("A queen can live long years, as [2] and [17] say.", "Granite erodes.")
    text = text_of(answer(QUESTION, context))
    assert text == "A queen can live long years, as (2) and (17) say. [1]"
    (citation,) = cite(text, context, lambda *_place: (None, None))
    assert citation.quote == context[0].passage.text


SENTENCES = st.sampled_from(
    ["A queen can live five years. ", "Bees sleep at night. ", "Oh. ", "\n\n", "- a b c d\n", "x "]
)
TEXTS = st.lists(st.one_of(SENTENCES, st.text(max_size=15)), max_size=6).map("".join)


@given(st.text(min_size=1, max_size=30), st.lists(TEXTS, max_size=3))
def test_any_question_is_answered_from_the_context_or_refused(
    question: str, texts: list[str]
) -> None:
    context = make_context(*texts)
    text = text_of(answer(question, context, threshold=0.0))
    if text == NO_ANSWER:
        return
    for citation in cite(text, context, lambda *_place: (None, None)):
        passage = context[int(citation.marker[1:-1]) - 1].passage
        assert citation.quote in passage.text
    words = [_words(item.passage.text) for item in context]
    for paragraphs in re.split(r" \[\d+\](?:\n\n|$)", text)[:-1]:
        assert any(_words(paragraphs) in source for source in words)


def _words(text: str) -> str:
    """Return a text with one space for each white space, and brackets as answers have them."""
    return " ".join(re.sub(r"\[(\d{1,3})\]", r"(\1)", text).split())
