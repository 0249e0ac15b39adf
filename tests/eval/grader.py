"""A scripted judge that grades by words, and can be made to err."""

import json
import re
from typing import Any

from eval.answer_scores import numeric_match, token_recall
from eval.canaries import CANARIES
from tests.eval.towers import reply
from tests.serving.upstream import Reply

_CASE = re.compile(r"Question: (.*)\n\nReference: (.*)\n\nAnswer: (.*)")
_OTHER = {1.0: 0.0, 0.0: 1.0, 0.5: 0.0}
_STATEMENT = re.compile(r"Passage:\n(.*)\n\nStatement: (.*)", re.DOTALL)


class Grader:
    """Answers the prompts of `eval.judging`.

    Attributes:
        garbage: every so many-th reply to another prompt than a canary is none; 0: none of them.
        mute: so many of the canaries, the last ones, get no grade.
        blind: so many of the canaries get another grade than they should.
        prompts: that it was sent, but for those of the canaries.
    """

    def __init__(self) -> None:
        self.garbage = 0
        self.mute = 0
        self.blind = 0
        self.prompts: list[str] = []

    def __call__(self, request: dict[str, Any]) -> Reply:
        prompt = request["messages"][-1]["content"]
        case = _CASE.fullmatch(prompt)
        for place, canary in enumerate(CANARIES):
            if case and case.groups() == (canary.question, canary.reference, canary.answer):
                if place >= len(CANARIES) - self.mute:
                    return reply("What a good answer!", 40)
                grade = canary.grade if place >= self.blind else _OTHER[canary.grade]
                return reply(json.dumps({"grade": grade}), 40)
        self.prompts.append(prompt)
        if self.garbage and len(self.prompts) % self.garbage == 0:
            return reply("What a good answer!", 40)
        return reply(json.dumps(self._judge(prompt, case)), 40)

    def _judge(self, prompt: str, case: re.Match[str] | None) -> dict[str, Any]:
        if case is not None:
            right = [case[2]]
            has_numbers = numeric_match(case[3], right) != 0
            return {"grade": int(has_numbers and token_recall(case[3], right) == 1)}
        stated = _STATEMENT.fullmatch(prompt)
        assert stated is not None, prompt
        says = numeric_match(stated[1], [stated[2]]) != 0
        return {"verdict": "supported" if says else "unsupported"}
