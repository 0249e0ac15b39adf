"""A scripted model that writes questions as it is told to, wherever it is asked."""

import json
import re
from collections import Counter
from typing import Any
from zlib import crc32

from tests.serving.upstream import Reply, stream_reply

PASSAGE = re.compile(r"<passage>\n(.*?)\n</passage>", re.DOTALL)


class Author:
    """Answers each prompt of `eval.synthesis.written` in JSON.

    Attributes:
        num_asked: prompts by their purpose.
        quote: instead of the first sentence of the passage; None: that.
        knows: whether it gives right answers without documents.
        finds: whether it finds answers to what should have none.
        garbage: one prompt in so many gets none, always the same ones; 0: none of them.
    """

    def __init__(self) -> None:
        self.num_asked: Counter[str] = Counter()
        self.quote: str | None = None
        self.knows = False
        self.finds = False
        self.garbage = 0

    def __call__(self, request: dict[str, Any]) -> Reply:
        instructions, prompt = (message["content"] for message in request["messages"])
        purpose = next(
            purpose
            for purpose, words in (
                ("judge", "Can the question be answered"),
                ("know", "from what you know"),
                ("absent", "that the passage does not answer"),
                ("write", "Copy the one or few"),
            )
            if words in instructions
        )
        self.num_asked[purpose] += 1
        if self.garbage and crc32(prompt.encode()) % self.garbage == 0:
            return stream_reply("I would rather ", "talk about {cats}.")
        return stream_reply("```json\n", json.dumps(self._reply(purpose, prompt)), "\n```")

    def _reply(self, purpose: str, prompt: str) -> dict[str, Any]:
        passage = PASSAGE.findall(prompt)
        # The same for the same passage, and for no other.
        words = " ".join(sorted(set(re.findall(r"\w{5,}", "".join(passage))))[:9])
        match purpose:
            case "judge":
                return {"answered": self.finds}
            case "know":
                return {"answer": "Yes, 42 of them" if self.knows else "unknown"}
            case "absent":
                return {"question": f"Who first wrote of {words}?"}
        quote = passage[0].split(". ")[0] if self.quote is None else self.quote
        return {"question": f"How do they relate: {words}?", "quote": quote, "answer": "42 of them"}
