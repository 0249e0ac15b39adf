"""Memory of conversations: what earlier turns were answered from, so that prompts grow at the end.

A client sends the questions and answers of a conversation, but not the passages that stood before
each question. With these the prompt of a turn begins like that of the turn before, and the model
server has that part in its cache. Without them - after a restart, or when the client changed its
history - the answer is as good, and its prompt is read anew.
"""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

from serving.context import Context
from serving.generation import Turn

MAX_CONVERSATIONS = 1000


@dataclass(frozen=True, slots=True)
class Exchange:
    """One earlier turn as the prompt has it.

    Attributes:
        question: what was asked.
        items: the passages that came with the question.
        answer: as the model wrote it.
    """

    question: str
    items: Context
    answer: str


class ConversationMemory:
    """The last conversations, by all that was said in them."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._exchanges: OrderedDict[bytes, tuple[Exchange, ...]] = OrderedDict()

    def recall(self, scope: str, history: Sequence[Turn]) -> tuple[Exchange, ...]:
        """Return the exchanges of a conversation, oldest first; nothing when it is not known.

        Args:
            scope: whose conversation it is, and over which documents.
            history: all turns so far.
        """
        key = _key(scope, history)
        with self._lock:
            if key not in self._exchanges:
                return ()
            self._exchanges.move_to_end(key)
            return self._exchanges[key]

    def remember(self, scope: str, history: Sequence[Turn], exchanges: Sequence[Exchange]) -> None:
        """Keep the exchanges of a conversation under its turns, the last answer included."""
        with self._lock:
            self._exchanges[_key(scope, history)] = tuple(exchanges)
            if len(self._exchanges) > MAX_CONVERSATIONS:
                self._exchanges.popitem(last=False)


def _key(scope: str, history: Sequence[Turn]) -> bytes:
    turns = [[turn.role, turn.text] for turn in history]
    return hashlib.sha256(json.dumps([scope, turns]).encode()).digest()
