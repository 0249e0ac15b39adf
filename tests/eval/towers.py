"""Documents about towers, questions about them, and a scripted model that reads prompts."""

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from eval.progress import silent
from eval.questions import Question, Span
from eval.replay import ReplayLog, record
from eval.snapshot import Snapshot, SnapshotDocument
from eval.temporary_index import snapshot_index
from ingest.chunker import Chunker
from ingest.texts import CanonicalText
from serving.backends import Backend, ThinkingSwitch
from serving.generation import NO_ANSWER
from serving.openai_server import OpenAIGenerator
from serving.pricing import PriceList
from serving.served_tokens import ServedTokenCounter
from tests.fakes import HashEmbedder
from tests.serving.upstream import DONE, MODEL, START, Reply, chunk, count_words, event

NUM_TOWERS = 100
EMBEDDER = HashEmbedder(dimension=256)
LANGUAGE = "english"
_FENCED = re.compile(r"\[(\w{4}-\d+)\] [^\n]*\n(.*?)\n\[/\w{4}\]", re.DOTALL)
_NAME = re.compile(r"tower of (\w+)\?")


def name_of(number: int) -> str:
    return f"{'BDFGKLMNPR'[number // 10]}{'aeiouaeiou'[number % 10]}lt{'xyzvwstrnm'[number % 10]}en"


def steps_of(number: int) -> int:
    return 1000 + 7 * number


@cache
def towers() -> Snapshot:
    """One document for each tower: what is asked stands in its second chunk, words of it before."""
    documents = []
    for number in range(NUM_TOWERS):
        name = name_of(number)
        text = (
            f"How many steps are there in the tower of {name}? Many have asked it in the long "
            "evenings of the winter, and few have ever tried to count.\n\n"
            f"The guild says that {steps_of(number):,} steps lead up to the lamp in {name}. They "
            "are made of oak, and were made new after the great storm."
        )
        document = SnapshotDocument(f"id-{number}", f"{name}.md", "1", CanonicalText(text))
        documents.append(document)
    return Snapshot(documents, LANGUAGE)


def filenames() -> dict[str, str]:
    return towers().names


def evidence(number: int) -> str:
    return f"{steps_of(number):,} steps lead up to the lamp"


def question(number: int) -> Question:
    document = towers().documents[number]
    start = document.text.text.index(evidence(number))
    span = Span(document.name, evidence(number), start, start + len(evidence(number)))
    return make(number, f"How many steps are there in the tower of {name_of(number)}?", (span,))


def open_question(number: int) -> Question:
    """Return a question that no document answers."""
    return make(number, f"Who has painted the gate of the tower of {name_of(number)}?", None)


def make(number: int, text: str, fact: tuple[Span, ...] | None) -> Question:
    return Question(
        question_id=f"{'q' if fact else 'open'}{number}",
        text=text,
        language="en",
        cluster=f"{name_of(number)}.md",
        facts=(fact,) if fact else (),
        answers=(f"{steps_of(number):,} steps",) if fact else (),
        kind="human",
        tags=(),
        weight=1.0,
    )


@cache
def questions() -> tuple[Question, ...]:
    """Return a question for each tower."""
    return tuple(question(number) for number in range(NUM_TOWERS))


@cache
def log() -> ReplayLog:
    """Search for all questions, those without an answer as well."""
    chunker = Chunker(36, EMBEDDER.token_starts, 0, 8)
    asked = [*questions(), *map(open_question, range(NUM_TOWERS))]
    with snapshot_index(towers(), chunker, EMBEDDER, LANGUAGE) as index:
        return record(index, EMBEDDER, asked, "towers", silent)


class Reader:
    """Answers a prompt from the passage that has the answer, and says so when none has it.

    Attributes:
        reads: most tokens of a prompt that the server takes; None: all.
        tells_usage: whether it says how many those are.
    """

    def __init__(self) -> None:
        self.reads: int | None = None
        self.tells_usage = True

    def __call__(self, request: dict[str, Any]) -> Reply:
        contents = [message["content"] for message in request["messages"]]
        num_tokens = sum(map(count_words, contents)) + 4 * len(contents)
        num_read = min(num_tokens, self.reads or num_tokens)
        return reply(self.answer(contents[-1]), num_read if self.tells_usage else 0)

    def answer(self, prompt: str) -> str:
        """Return the answer to the last message of a prompt."""
        name = _NAME.findall(prompt)[-1]
        for tag, text in _FENCED.findall(prompt):
            found = re.search(rf"([\d,]+) steps lead up to the lamp in {name}", text)
            if found and "How many steps" in prompt.rpartition("Question:")[2]:
                return f"There are **{found[1]} steps** [{tag}]."
        return NO_ANSWER


def at_once(*events: bytes) -> Reply:
    """Return an answer whose events come in one piece, which costs both sides less."""
    return Reply([b"".join(events)])


def reply(text: str, prompt_tokens: int, completion_tokens: int = 10) -> Reply:
    """Return a streamed answer with its usage; 0 tokens: none is told."""
    usage = {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }
    ends: Sequence[bytes] = [chunk(None, usage=usage)] if prompt_tokens else []
    half = len(text) // 2
    pieces = [chunk({"content": text[:half]}), chunk({"content": text[half:]}, "stop")]
    return at_once(START, *pieces, *ends, DONE)


def reply_all(texts: Sequence[str], prompt_tokens: int, completion_tokens: int = 10) -> Reply:
    """Return several answers to one prompt, with the tokens that each of them took."""
    choices = [
        {"index": place, "delta": {"content": text}, "finish_reason": "stop"}
        for place, text in enumerate(texts)
    ]
    event_of = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": MODEL}
    usage = {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens * len(texts),
        "total_tokens": prompt_tokens + completion_tokens * len(texts),
    }
    parts = [event_of | {"choices": choices}, event_of | {"choices": [], "usage": usage}]
    return at_once(*map(event, parts), DONE)


def make_generator(
    url: str,
    name: str = "default",
    model: str | None = None,
    price: PriceList | None = None,
    thinking: ThinkingSwitch = ThinkingSwitch.NONE,
) -> OpenAIGenerator:
    backend = Backend(url=url, model=model, price=price, thinking=thinking)
    counter = ServedTokenCounter(url, model, None, None, None)
    return OpenAIGenerator(name, backend, counter, None, timeout_seconds=10)
