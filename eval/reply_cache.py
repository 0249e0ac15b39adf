"""Replies of models, kept by what was asked, so that nothing is paid for twice."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eval.errors import writing
from eval.json_lines import read_lines


class ReplyCache:
    """Replies in a file of JSON Lines that only grows: each is on disk before it is used.

    So work that was killed goes on where it was. A last line that was cut off is left out.
    """

    def __init__(self, path: Path) -> None:
        """Read what is there; no file is none.

        Raises:
            DatasetError: the file cannot be read.
        """
        self.path = path
        self._replies: dict[str, Any] = {}
        if path.exists():
            for _, line in read_lines(path):
                try:
                    fields = json.loads(line)
                    self._replies[fields["key"]] = fields["reply"]
                except (ValueError, KeyError, TypeError):
                    continue

    def __len__(self) -> int:
        """Return how many replies there are."""
        return len(self._replies)

    def get(self, request: Mapping[str, Any]) -> Any | None:
        """Return the reply to a request of JSON types; None: it was not asked yet."""
        return self._replies.get(request_key(request))

    def add(self, request: Mapping[str, Any], reply: Any) -> None:
        """Keep a reply of JSON types.

        Raises:
            DatasetError: the file cannot be written.
        """
        key = request_key(request)
        self._replies[key] = reply
        line = json.dumps({"key": key, "reply": reply})
        with writing(self.path), self.path.open("a", encoding="ascii") as file:
            # In front, so that a line that was cut off harms only itself.
            file.write(f"\n{line}")


def request_key(request: Mapping[str, Any]) -> str:
    """Return what tells requests apart."""
    return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()
