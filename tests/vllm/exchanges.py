"""Exchanges with a real vLLM that are recorded once and replayed by the fast tests."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from serving.backends import Backend, ThinkingSwitch
from serving.generation import Sampling, Task, Thinking
from serving.openai_server import OpenAIGenerator
from serving.served_tokens import ServedTokenCounter
from tests.serving.upstream import Reply
from tests.vllm.conftest import API_KEY, MODEL

FOLDER = Path(__file__).with_name("recorded")
SILENCE_SECONDS = 30.0
LONG = "bee " * 2100
SCHEMA = {
    "type": "object",
    "properties": {"verdict": {"enum": ["yes", "no"]}},
    "required": ["verdict"],
    "additionalProperties": False,
}
SHAPE = {"name": "verdict", "schema": SCHEMA, "strict": True}


@dataclass(frozen=True, slots=True)
class Case:
    """What is asked of the generator."""

    sampling: Sampling
    question: str = "When do bees sleep?"
    thinking: Thinking | None = None
    model: str = MODEL


def greedy(max_tokens: int = 12, **more: Any) -> Sampling:
    return Sampling(max_tokens, temperature=0.0, seed=1, **more)


CASES = {
    "stream": Case(greedy()),
    "cached": Case(greedy(), question="Bumblebees nest in the ground. " * 20),
    "several": Case(Sampling(12, temperature=1.0, seed=1, num_choices=2)),
    "greedy_several": Case(greedy(num_choices=2)),
    "stop": Case(greedy(200, stop=("CO",))),
    "stop_at_once": Case(greedy(200, stop=("e",))),
    "logprobs": Case(greedy(4, top_logprobs=1)),
    "schema": Case(
        greedy(64, response_format={"type": "json_schema", "json_schema": SHAPE}),
        thinking=Thinking(is_on=False),
    ),
    "thinking": Case(greedy(), thinking=Thinking(is_on=True, max_tokens=5)),
    "too_long": Case(greedy(), question=LONG),
    "unknown_model": Case(greedy(), model="nope"),
    "bad_schema": Case(
        greedy(
            response_format={
                "type": "json_schema",
                "json_schema": {"name": "x", "schema": {"type": "nonsense"}},
            }
        )
    ),
    "overload": Case(greedy()),
    "killed": Case(greedy(1500)),
}


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and what the server answered.

    Attributes:
        request: body of the completion.
        status: of HTTP.
        content_type: of the body.
        parts: of the body; of a stream, its events.
        breaks_off: whether the connection was cut at the end.
    """

    request: dict[str, Any]
    status: int
    content_type: str
    parts: list[str]
    breaks_off: bool = False

    @property
    def reply(self) -> Reply:
        parts = [part.encode() for part in self.parts]
        return Reply(parts, self.status, self.content_type, self.breaks_off)

    @property
    def chunks(self) -> list[dict[str, Any]]:
        """What the events of a stream hold, without the last one."""
        events = [part.removeprefix("data: ").strip() for part in self.parts]
        return [json.loads(event) for event in events if event != "[DONE]"]

    @classmethod
    def load(cls, name: str) -> "Exchange":
        return cls(**json.loads((FOLDER / f"{name}.json").read_text("utf-8")))

    def save(self, name: str) -> None:
        FOLDER.mkdir(exist_ok=True)
        text = json.dumps(asdict(self), ensure_ascii=False, indent=1)
        (FOLDER / f"{name}.json").write_text(text + "\n", "utf-8")


def make_task(case: Case) -> Task:
    messages = [{"role": "user", "content": case.question}]
    return Task(case.question, (), messages, case.sampling, None, case.thinking)


def make_generator(url: str, model: str) -> OpenAIGenerator:
    backend = Backend(url=url, model=model, thinking=ThinkingSwitch.TEMPLATE)
    counter = ServedTokenCounter(url, model, API_KEY)
    return OpenAIGenerator("default", backend, counter, API_KEY, SILENCE_SECONDS)
