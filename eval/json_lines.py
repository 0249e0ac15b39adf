"""Reading JSON Lines so that whatever is wrong is reported with its file and line."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.errors import DatasetError


@dataclass(frozen=True, slots=True)
class JsonLine:
    """One line of a file, a JSON object.

    Attributes:
        number: from 1.
        fields: the object.
    """

    path: Path
    number: int
    fields: dict[str, Any]

    def text(self, key: str, default: str | None = None) -> str:
        """Return a field that must be text.

        Args:
            key: name of the field.
            default: for a line without the field; None makes it required.

        Raises:
            DatasetError: the field is missing or no text.
        """
        value = self.fields.get(key, default)
        if not isinstance(value, str):
            raise self.error(f"{key!r} must be text")
        return value

    def non_blank_text(self, key: str) -> str:
        """Return a required text of more than white space.

        Raises:
            DatasetError: it is something else.
        """
        value = self.text(key)
        if not value.strip():
            raise self.error(f"{key!r} is empty")
        return value

    def error(self, problem: str) -> DatasetError:
        """Make the error that names this line."""
        return DatasetError(f"{self.path}, line {self.number}: {problem}.")


def read_json_lines(path: Path) -> Iterator[JsonLine]:
    """Read a file line by line; blank lines are skipped.

    Raises:
        DatasetError: the file cannot be opened, or a line is no JSON object in UTF-8.
    """
    for number, line in read_lines(path):
        try:
            fields = json.loads(line)
        except ValueError as error:
            raise DatasetError(
                f"{path}, line {number}: this is not JSON in UTF-8 ({error})."
            ) from error
        if not isinstance(fields, dict):
            raise DatasetError(f"{path}, line {number}: this must be a JSON object, {{...}}.")
        yield JsonLine(path, number, fields)


def read_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Read the lines of a file that are not blank, with their numbers from 1.

    Raises:
        DatasetError: the file cannot be opened.
    """
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, line
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror or error}.") from error
