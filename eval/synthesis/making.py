"""A set of questions made from documents: makers, filters, questions without an answer, counts.

Rules ask in turns, see `drawing`. With a model, half of the questions are the model's. A tenth of
all have no answer in the documents.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

from eval.answer_scores import token_f1
from eval.asking import Asker
from eval.counted import counted
from eval.errors import ModelLostError, MoneySpentError, NoQuestionsError
from eval.progress import Progress, silent
from eval.questions import Question
from eval.synthesis.cells import cell_questions
from eval.synthesis.cloze import cloze_questions
from eval.synthesis.corpus import Corpus
from eval.synthesis.definitions import definition_questions
from eval.synthesis.drawing import in_turns, merge_same
from eval.synthesis.faq import faq_questions
from eval.synthesis.filters import Sieve
from eval.synthesis.headings import heading_questions
from eval.synthesis.links import link_questions
from eval.synthesis.pieces import Pieces
from eval.synthesis.swapping import swapped_questions
from eval.synthesis.windows import draw_windows
from eval.synthesis.written import Writer
from retrieval.embedding import Embedder
from serving.errors import ServingError

RULES: tuple[Callable[[Corpus], Iterator[Question]], ...] = (
    link_questions,
    faq_questions,
    heading_questions,
    definition_questions,
    cloze_questions,
    cell_questions,
)
MODEL_SHARE = 0.5
# One question in so many has no answer.
ONE_OPEN_IN = 10
# A model that knows an answer so well does not need the documents for it.
KNOWN_F1 = 0.5
PARAMETRIC = "parametric"
# Where the simplest search finds so many answers first, all settings look alike.
TOO_EASY = 0.9
# Questions that are tried with it.
NUM_TRIED = 100
# Windows that the model may read for each question that it is to write.
WINDOWS_PER_QUESTION = 3
VAGUE = "answered in more than three places"


@dataclass(frozen=True, slots=True)
class Made:
    """The questions, and how they came about.

    Attributes:
        questions: answerable ones first.
        num_by_maker: how many each maker has among them; unanswerable ones have makers of their
            own.
        num_rejected: how many were left out, by reason.
        num_parametric: how many of the questions the model answers without documents; None: it was
            not asked.
        success_at_1: share of the answerable ones to which BM25 finds evidence first.
        num_calls: of the model.
        spent_usd: for them; None: nothing is known of the price.
        warnings: what to know before using the questions.
    """

    questions: tuple[Question, ...]
    num_by_maker: Mapping[str, int]
    num_rejected: Mapping[str, int]
    num_parametric: int | None
    success_at_1: float
    num_calls: int
    spent_usd: float | None
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the counts and warnings as JSON types."""
        return {
            "num_questions": len(self.questions),
            "num_by_maker": dict(self.num_by_maker),
            "num_rejected": dict(self.num_rejected),
            "num_parametric": self.num_parametric,
            "success_at_1": self.success_at_1,
            "num_calls": self.num_calls,
            "spent_usd": self.spent_usd,
            "warnings": self.warnings,
        }


async def make_questions(
    corpus: Corpus,
    number: int,
    seed: int = 0,
    asker: Asker | None = None,
    embedder: Embedder | None = None,
    progress: Progress = silent,
) -> Made:
    """Make questions from documents; the same ones from the same documents, seed and replies.

    Args:
        corpus: the documents.
        number: how many are wanted, 10 or more; the documents may not give so many.
        seed: another one draws others.
        asker: of the model; None: rules alone.
        embedder: that finds questions of like meaning; None: words are compared alone.
        progress: told how many questions there are of each kind, and what was spent.

    Raises:
        NoQuestionsError: the documents give none.
        DatasetError: a reply of the model cannot be kept.
    """
    making = _Making(corpus, seed, asker, embedder, progress)
    num_open = ceil(number / ONE_OPEN_IN)
    num_answerable = number - num_open
    await making.write(num_answerable)
    making.apply_rules(num_answerable)
    if not making.answerable:
        raise NoQuestionsError(
            f"{counted(len(corpus.sources), 'document')}, but no question: the texts are too "
            "short, or hold no sentences, headings or tables. Add documents, or write questions "
            "yourself."
        )
    # Where fewer were made of the others, fewer of these.
    await making.leave_open(ceil(num_open * len(making.answerable) / num_answerable))
    await making.find_parametric()
    return making.result(number)


class _Making:
    """Questions in the making.

    Attributes:
        answerable: that the documents answer, so far.
    """

    def __init__(
        self,
        corpus: Corpus,
        seed: int,
        asker: Asker | None,
        embedder: Embedder | None,
        progress: Progress,
    ) -> None:
        self._corpus = corpus
        self._seed = seed
        self._asker = asker
        self._rejected: Counter[str] = Counter()
        self._writer = None if asker is None else Writer(asker, self._rejected)
        self._sieve = Sieve(corpus, self._rejected, embedder)
        self._unanswerable = Sieve(corpus, self._rejected)
        self.answerable: list[Question] = self._sieve.kept
        self._progress = progress
        self._pieces = Pieces(corpus)
        self._drawn: list[Question] = []
        self._num_parametric: int | None = None
        self._warnings: list[str] = []

    async def write(self, wanted: int) -> None:
        """Let the model write its share of the wanted questions."""
        if self._writer is None:
            return
        share = round(MODEL_SHARE * wanted)
        windows = draw_windows(self._corpus, self._seed)[: WINDOWS_PER_QUESTION * share]
        with self._going_on():
            async with aclosing(self._writer.write(windows)) as written:
                await self._take(written, self._sieve, share, "written questions")

    def apply_rules(self, wanted: int) -> None:
        """Fill up with questions made by rules."""
        made = (question for rule in RULES for question in rule(self._corpus))
        questions, num_vague = merge_same(made)
        self._rejected.update({VAGUE: num_vague} if num_vague else {})
        self._drawn = in_turns(questions, self._seed)
        for question in self._drawn:
            if len(self.answerable) >= wanted:
                break
            self._sieve.offer(question)
            self._progress("questions", len(self.answerable), wanted)

    async def leave_open(self, wanted: int) -> None:
        """Add questions that the documents do not answer."""
        if self._writer is not None:
            # Other windows than those that it wrote about first.
            windows = draw_windows(self._corpus, self._seed)[::-1][: WINDOWS_PER_QUESTION * wanted]
            with self._going_on():
                async with aclosing(self._writer.write_absent(windows, self._pieces)) as written:
                    half = round(MODEL_SHARE * wanted)
                    await self._take(written, self._unanswerable, half, "unanswerable questions")
        kept = {question.question_id for question in self.answerable}
        others = [question for question in self._drawn if question.question_id not in kept]
        bases = [*self.answerable, *others]
        for question in swapped_questions(self._corpus, bases, self._seed):
            if len(self._unanswerable.kept) >= wanted:
                break
            self._unanswerable.offer(question)

    async def find_parametric(self) -> None:
        """Tag the questions that the model answers without documents."""
        if self._writer is None:
            return
        asked = [question for question in self.answerable if question.answers]
        known: set[str] = set()
        with self._going_on():
            async with aclosing(self._writer.know(asked)) as answers:
                done = 0
                async for question, answer in answers:
                    if token_f1(answer, question.answers) > KNOWN_F1:
                        known.add(question.question_id)
                    done += 1
                    self._progress("asked without documents", done, len(asked), self._spent())
                self._num_parametric = len(known)
        self.answerable = [
            replace(one, tags=(*one.tags, PARAMETRIC)) if one.question_id in known else one
            for one in self.answerable
        ]

    def result(self, wanted: int) -> Made:
        """Return what was made, with warnings."""
        questions = (*self.answerable, *self._unanswerable.kept)
        success = self._pieces.success_at_1(self.answerable[:NUM_TRIED])
        self._warnings += _warnings(questions, wanted, success)
        return Made(
            questions=questions,
            num_by_maker=Counter(one.tags[0] for one in questions),
            num_rejected=self._rejected,
            num_parametric=self._num_parametric,
            success_at_1=success,
            num_calls=0 if self._asker is None else self._asker.num_calls,
            spent_usd=None if self._asker is None else self._asker.spent_usd,
            warnings=tuple(self._warnings),
        )

    async def _take(
        self, questions: AsyncIterator[Question], sieve: Sieve, wanted: int, step: str
    ) -> None:
        """Keep so many of the questions."""
        while len(sieve.kept) < wanted:
            try:
                sieve.offer(await anext(questions))
            except StopAsyncIteration:
                return
            self._progress(step, len(sieve.kept), wanted, self._spent())

    @contextmanager
    def _going_on(self) -> Iterator[None]:
        """Go on without the model when it cannot be asked any more."""
        try:
            yield
        except (MoneySpentError, ModelLostError, ServingError) as error:
            self._writer = None
            self._warnings.append(f"The model was not asked any further. {error}")

    def _spent(self) -> str:
        usd = None if self._asker is None else self._asker.spent_usd
        return "" if usd is None else f"${usd:.4f}"


def _warnings(questions: Sequence[Question], wanted: int, success_at_1: float) -> Iterator[str]:
    num_open = sum(not one.answerable for one in questions)
    if len(questions) < wanted:
        yield f"The documents gave {len(questions):,} of {counted(wanted, 'question')}."
    if num_open * ONE_OPEN_IN < len(questions):
        yield (
            f"Questions without an answer in the documents: only {num_open:,}. With less than a "
            "tenth nobody can tell whether the service says so when it should; write some yourself."
        )
    if success_at_1 >= TOO_EASY:
        yield (
            f"Too easy: to {success_at_1:.0%} of the questions the simplest search finds evidence "
            "first, so most settings will look alike. Let a model write questions, or add yours."
        )
    if len({one.cluster for one in questions}) == 1:
        yield (
            "All questions are on one document, so they cannot be split for choosing a setting and "
            "for certifying it."
        )
