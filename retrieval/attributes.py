"""Attributes: what a document can be filtered by, typed values under keys."""

import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

Kind = Literal["text", "number", "boolean", "time"]
Value = str | float | bool
Attributes = Mapping[str, tuple[Value, ...]]

# Longer text is kept with the document, but every chunk would carry it.
MAX_TEXT_CHARACTERS = 512
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(?:[T ].+)?")


def to_attributes(metadata: Mapping[str, Any]) -> dict[str, tuple[Value, ...]]:
    """Return the part of metadata that filters see: text, numbers, booleans, and lists of them.

    Null, objects, lists in lists and text of more than `MAX_TEXT_CHARACTERS` count as not there.
    """
    attributes = {}
    for key, value in metadata.items():
        elements = value if isinstance(value, list) else [value]
        values = tuple(to_value(element) for element in elements if _is_filterable(element))
        if values:
            attributes[key] = values
    return attributes


def to_value(scalar: str | float) -> Value:
    """Return a scalar as it is compared: a number is a 64-bit float, so that 1 equals 1.0."""
    if isinstance(scalar, str | bool):
        return scalar
    largest = sys.float_info.max
    return float(max(-largest, min(largest, scalar))) + 0.0  # -0.0 becomes 0.0


def kind_of(value: Value) -> Kind:
    """Return the kind of a value; booleans are no numbers, and dates are text."""
    if isinstance(value, str):
        return "text"
    return "boolean" if isinstance(value, bool) else "number"


def to_instant(text: str) -> float | None:
    """Return an ISO 8601 date, with or without a time, as seconds since 1970, or None.

    Without a time it is midnight, without an offset UTC.
    """
    if _DATE.fullmatch(text) is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def to_magnitude(value: Value) -> tuple[Kind, float] | None:
    """Return what greater and less compare: a number or an instant; None of all other values."""
    if isinstance(value, bool):
        return None
    if not isinstance(value, str):
        return "number", value
    instant = to_instant(value)
    return None if instant is None else ("time", instant)


def _is_filterable(element: object) -> bool:
    if isinstance(element, str):
        return len(element) <= MAX_TEXT_CHARACTERS
    return isinstance(element, int | float)
