"""A served model writes questions: what it claims is checked, what it costs is limited."""

import asyncio
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from itertools import pairwise
from pathlib import Path

import pytest

from eval.asking import CONCURRENCY, Asker, Spending, read_json
from eval.errors import EvalError
from eval.reply_cache import ReplyCache
from eval.synthesis.making import PARAMETRIC, Made, make_questions
from eval.synthesis.windows import LEAST_CHARACTERS, WINDOW_CHARACTERS, draw_windows
from eval.synthesis.written import Flaw
from serving.backends import Backend
from serving.openai_server import OpenAIGenerator
from serving.pricing import PriceList
from serving.served_tokens import ServedTokenCounter
from tests.eval.synthesis.author import Author
from tests.eval.synthesis.library import check_spans, corpus_of, library
from tests.serving.upstream import Upstream, error_reply, run_upstream, stream_reply

NUMBER = 20  # of which 18 can be answered, 9 of these written by the model
PRICE = PriceList(prompt=10.0, completion=20.0, as_of=date(2026, 11, 26))


@pytest.fixture(scope="module")
def server() -> Iterator[Upstream]:
    with run_upstream() as upstream:
        yield upstream


@pytest.fixture
def upstream(server: Upstream) -> Upstream:
    server.reset()
    return server


@pytest.fixture
def author(upstream: Upstream) -> Author:
    upstream.respond = author = Author()
    return author


def make(
    upstream: Upstream,
    folder: Path,
    *,
    max_usd: float | None = None,
    price: PriceList | None = PRICE,
    number: int = NUMBER,
) -> Made:
    """Make questions from the bundled documents, with the replies kept in a folder."""

    async def run() -> Made:
        backend = Backend(url=upstream.url, price=price)
        counter = ServedTokenCounter(upstream.url, None, None, None, None)
        generator = OpenAIGenerator("default", backend, counter, None, timeout_seconds=10)
        try:
            asker = Asker(generator, ReplyCache(folder / "q.replies"), Spending(max_usd))
            return await make_questions(library(), number, asker=asker)
        finally:
            await generator.close()

    return asyncio.run(run())


def test_questions_with_verbatim_quotes(upstream: Upstream, author: Author, tmp_path: Path) -> None:
    made = make(upstream, tmp_path)
    assert made.num_by_maker["written"] == 9
    assert made.num_by_maker["absent"] == 1
    assert (len(made.questions), made.warnings) == (NUMBER, ())
    for question in made.questions:
        check_spans(library(), question)
        assert (question.kind == "synthetic-llm") == (question.tags[0] in {"written", "absent"})
        assert question.answerable == (question.tags[0] not in {"absent", "swapped"})
    assert made.num_parametric == 0
    assert made.num_calls == author.num_asked.total() == len(upstream.requests)
    # What the scripted server says it reads and writes, see `upstream.USAGE`.
    assert made.spent_usd == pytest.approx(made.num_calls * (40 * 10 + 12 * 20) / 1e6)


def test_the_same_command_asks_nothing_again(
    upstream: Upstream, author: Author, tmp_path: Path
) -> None:
    first = make(upstream, tmp_path)
    num_asked = author.num_asked.total()
    again = make(upstream, tmp_path)
    assert author.num_asked.total() == num_asked
    assert again == replace(first, num_calls=0, spent_usd=0.0)


@pytest.mark.parametrize(
    ("quote", "flaw"),
    [
        ("This sentence stands in none of the documents.", Flaw.NO_QUOTE),
        ("a", Flaw.NO_QUOTE),
        ("", Flaw.NOTHING),
    ],
)
def test_other_quotes_are_counted(
    upstream: Upstream, author: Author, tmp_path: Path, quote: str, flaw: Flaw
) -> None:
    author.quote = quote
    made = make(upstream, tmp_path)
    assert "written" not in made.num_by_maker
    assert made.num_rejected[flaw] == author.num_asked["write"] > 9
    assert len(made.questions) == NUMBER  # by rules


def test_garbage_is_counted(upstream: Upstream, author: Author, tmp_path: Path) -> None:
    author.garbage = 3
    made = make(upstream, tmp_path)
    assert made.num_by_maker["written"] == 9
    assert made.num_rejected[Flaw.NO_JSON] == 5  # of the 14 that were looked at


def test_an_empty_reply_is_garbage(upstream: Upstream, tmp_path: Path) -> None:
    upstream.respond = None
    upstream.chat = stream_reply("")
    made = make(upstream, tmp_path)
    assert made.num_rejected[Flaw.NO_JSON] == 3 * 9 + 3 * 2
    assert len(made.questions) == NUMBER


def test_what_the_documents_answer_is_not_unanswerable(
    upstream: Upstream, author: Author, tmp_path: Path
) -> None:
    author.finds = True
    made = make(upstream, tmp_path)
    assert "absent" not in made.num_by_maker
    assert made.num_rejected[Flaw.ANSWERED] == author.num_asked["judge"] == 3 * 2


def test_what_the_model_knows_is_tagged(upstream: Upstream, author: Author, tmp_path: Path) -> None:
    author.knows = True
    made = make(upstream, tmp_path)
    tagged = [question for question in made.questions if PARAMETRIC in question.tags]
    assert made.num_parametric == len(tagged) == 9
    assert {question.answers for question in tagged} == {("42 of them",)}


def test_a_model_that_goes_down_leaves_what_there_is(
    upstream: Upstream, author: Author, tmp_path: Path
) -> None:
    down = error_reply(500, "Out of memory.", "InternalServerError")

    # The first that are asked at a time, whichever of them comes first.
    def respond(request: dict[str, object]) -> object:
        return author(request) if len(upstream.requests) <= CONCURRENCY else down

    upstream.respond = respond  # type: ignore[assignment]
    made = make(upstream, tmp_path)
    assert 0 < made.num_by_maker["written"] <= CONCURRENCY
    assert len(made.questions) == NUMBER
    (warning,) = made.warnings
    assert "The model was not asked any further." in warning
    # Several were asked at a time, so the breaker may have been open for the first of them.
    assert re.search(r"\(500\): Out of memory\.|left alone for", warning)
    assert "What was answered is kept" in warning
    assert made.num_parametric is None

    num_asked = author.num_asked.total()
    upstream.respond = author  # up again
    whole = make(upstream, tmp_path)
    assert whole.num_by_maker["written"] == 9
    assert whole.warnings == ()
    assert whole.num_calls == author.num_asked.total() - num_asked


def test_money_is_not_exceeded(upstream: Upstream, author: Author, tmp_path: Path) -> None:
    made = make(upstream, tmp_path, max_usd=0.03)
    assert made.spent_usd is not None
    assert 0 < made.spent_usd <= 0.03
    assert any("limit of $0.03" in warning for warning in made.warnings)
    assert len(made.questions) == NUMBER


def test_money_cannot_be_limited_without_a_price(upstream: Upstream, tmp_path: Path) -> None:
    with pytest.raises(EvalError, match="Nothing is known of what 'default' costs"):
        make(upstream, tmp_path, max_usd=1.0, price=None)
    assert upstream.requests == []


def test_without_a_price_the_cost_is_unknown(
    upstream: Upstream, author: Author, tmp_path: Path
) -> None:
    assert make(upstream, tmp_path, price=None, number=10).spent_usd is None


def test_a_reply_that_was_cut_off_on_disk_is_asked_for_again(
    upstream: Upstream, author: Author, tmp_path: Path
) -> None:
    first = make(upstream, tmp_path)
    path = tmp_path / "q.replies"
    path.write_bytes(path.read_bytes()[:-9])
    num_asked = author.num_asked.total()
    for expected in (1, 0):
        again = make(upstream, tmp_path)
        assert again.questions == first.questions
        assert again.num_calls == expected
    assert author.num_asked.total() == num_asked + 1


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ('{"a": 1}', {"a": 1}),
        ('Sure!\n```json\n{"a": {"b": "}"}}\n```', {"a": {"b": "}"}}),
        ("[1]", None),
        ("} {", None),
        ("{" * 100_000 + "}", None),
        ("", None),
    ],
)
def test_json_in_a_reply(reply: str, expected: object) -> None:
    assert read_json(reply) == expected


def test_windows_are_whole_sentences_and_do_not_overlap() -> None:
    for seed in range(3):
        windows = draw_windows(library(), seed)
        assert {window.source.name for window in windows[:13]} == set(library().sources)
        for source in library().sources.values():
            starts = {sentence.start for sentence in source.sentences}
            own = sorted((w.start, w.end) for w in windows if w.source is source)
            assert all(start in starts for start, _ in own)
            assert all(end <= start for (_, end), (start, _) in pairwise(own))
    assert draw_windows(library(), 0) == draw_windows(library(), 0)
    assert draw_windows(library(), 0) != draw_windows(library(), 1)


def test_windows_of_odd_documents() -> None:
    assert draw_windows(corpus_of(short="Too short."), 0) == []
    (window,) = draw_windows(corpus_of(endless="x" * 100_000), 0)
    assert LEAST_CHARACTERS <= len(window.text) <= 2 * WINDOW_CHARACTERS
