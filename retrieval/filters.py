"""Filters on the attributes of documents, in the form of OpenAI's file search.

`{"type": "and", "filters": [{"type": "eq", "key": "year", "value": 2024}, ...]}`. A value under a
key is enough: of a list, any element. A document without the key satisfies only `ne` and `nin`.
"""

import math
import operator
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from retrieval.attributes import (
    MAX_TEXT_CHARACTERS,
    Attributes,
    Kind,
    Value,
    kind_of,
    to_magnitude,
    to_value,
)
from retrieval.errors import InvalidFilterError

ComparisonOperator = Literal["eq", "ne", "gt", "gte", "lt", "lte", "in", "nin"]
CompoundOperator = Literal["and", "or"]

MAX_DEPTH = 8
MAX_VALUES = 1000
_ORDERS = {"gt": operator.gt, "gte": operator.ge, "lt": operator.lt, "lte": operator.le}
_SHOWN_KEYS = 20


@dataclass(frozen=True, slots=True)
class Comparison:
    """A condition on one key.

    Attributes:
        key: of the attribute.
        operator: how to compare.
        values: what with, one unless the operator is `in` or `nin`.
    """

    key: str
    operator: ComparisonOperator
    values: tuple[Value, ...]

    @property
    def is_order(self) -> bool:
        """Whether greater or less is asked, not equality."""
        return self.operator in _ORDERS

    @property
    def is_negated(self) -> bool:
        """Whether documents without one of the values are meant."""
        return self.operator in {"ne", "nin"}

    @property
    def bound(self) -> tuple[Kind, float]:
        """What an order compares with, see `to_magnitude`."""
        magnitude = to_magnitude(self.values[0])
        if magnitude is None:
            raise InvalidFilterError(f"{self.operator} compares numbers and ISO 8601 dates only.")
        return magnitude

    @property
    def kinds(self) -> set[Kind]:
        """Kinds of the values."""
        return {self.bound[0]} if self.is_order else {kind_of(value) for value in self.values}


@dataclass(frozen=True, slots=True)
class Compound:
    """Conditions of which all (`and`) or at least one (`or`) must hold."""

    operator: CompoundOperator
    filters: tuple["Filter", ...]


Filter = Comparison | Compound


def matches(where: Filter, attributes: Attributes) -> bool:
    """Whether a document satisfies a filter; the definition of what the indexes find."""
    if isinstance(where, Compound):
        combine = all if where.operator == "and" else any
        return combine(matches(part, attributes) for part in where.filters)
    stored = attributes.get(where.key, ())
    if where.is_order:
        kind, bound = where.bound
        magnitudes = [to_magnitude(value) for value in stored]
        in_order = _ORDERS[where.operator]
        return any(one and one[0] == kind and in_order(one[1], bound) for one in magnitudes)
    wanted = {(kind_of(value), value) for value in where.values}
    is_there = any((kind_of(value), value) in wanted for value in stored)
    return is_there != where.is_negated


def parse_filter(source: object) -> Filter:
    """Read a filter from JSON.

    Raises:
        InvalidFilterError: it is malformed, nested too deep or too long; the message names the
            place, such as `filters[1].value`.
    """
    where = _parse(source, "", 1)
    if (number := sum(len(one.values) for one in comparisons(where))) > MAX_VALUES:
        raise InvalidFilterError(
            f"The filter has {number:,} values, the limit is {MAX_VALUES:,}. Mark the documents "
            "that you mean with metadata of their own, and filter by that."
        )
    return where


def to_json(where: Filter) -> dict[str, Any]:
    """Write a filter as JSON, such that `parse_filter` reads the same."""
    if isinstance(where, Compound):
        return {"type": where.operator, "filters": [to_json(part) for part in where.filters]}
    value = list(where.values) if where.operator in {"in", "nin"} else where.values[0]
    return {"type": where.operator, "key": where.key, "value": value}


def check_keys(where: Filter, known: Mapping[str, Collection[Kind]]) -> None:
    """Make sure that documents have the keys of a filter, with values of its kinds.

    Raises:
        InvalidFilterError: none has; the message names the keys or kinds that there are.
    """
    for comparison in comparisons(where):
        key = comparison.key
        if key not in known:
            keys = sorted(known)
            more = f" and {len(keys) - _SHOWN_KEYS} more" if len(keys) > _SHOWN_KEYS else ""
            raise InvalidFilterError(
                f"No searchable document of this collection has the key {key!r}. There are: "
                f"{', '.join(keys[:_SHOWN_KEYS])}{more}."
            )
        if unknown := comparison.kinds - set(known[key]):
            raise InvalidFilterError(
                f"{key!r} is compared with a {min(unknown)}, but in this collection it holds "
                f"values of another kind: {', '.join(sorted(known[key]))}."
            )


def comparisons(where: Filter) -> Iterator[Comparison]:
    """Yield every comparison in a filter."""
    if isinstance(where, Comparison):
        yield where
    else:
        for part in where.filters:
            yield from comparisons(part)


def _parse(source: object, path: str, depth: int) -> Filter:
    if depth > MAX_DEPTH:
        raise InvalidFilterError(f"{path[:-1]}: filters are nested more than {MAX_DEPTH} deep.")
    if not isinstance(source, dict):
        raise InvalidFilterError(
            f"{path[:-1] or 'The filter'}: a filter is a JSON object, such as "
            '{"type": "eq", "key": "year", "value": 2024}.'
        )
    kind: Any = source.get("type")
    if kind in get_args(CompoundOperator):
        parts = _field(source, "filters", path, {"type", "filters"})
        if not isinstance(parts, list) or not parts:
            raise InvalidFilterError(f"{path}filters: {kind} needs a list of at least one filter.")
        return Compound(
            kind,
            tuple(
                _parse(part, f"{path}filters[{number}].", depth + 1)
                for number, part in enumerate(parts)
            ),
        )
    if kind in get_args(ComparisonOperator):
        return _parse_comparison(source, kind, path)
    names = ", ".join([*get_args(ComparisonOperator), *get_args(CompoundOperator)])
    raise InvalidFilterError(f"{path}type: must be one of {names}, not {kind!r:.80}.")


def _parse_comparison(source: dict[str, Any], kind: ComparisonOperator, path: str) -> Comparison:
    key = _field(source, "key", path, {"type", "key", "value"})
    value = _field(source, "value", path, {"type", "key", "value"})
    if not isinstance(key, str):
        raise InvalidFilterError(f"{path}key: must be text, not {key!r:.80}.")
    path += "value"
    if kind in {"in", "nin"}:
        if not isinstance(value, list) or not value:
            raise InvalidFilterError(f"{path}: {kind} needs a list of at least one value.")
        values = [_parse_value(one, f"{path}[{number}]") for number, one in enumerate(value)]
        return Comparison(key, kind, tuple(values))
    scalar = _parse_value(value, path)
    if kind in _ORDERS and to_magnitude(scalar) is None:
        raise InvalidFilterError(
            f"{path}: {kind} compares with a number or an ISO 8601 date such as "
            f"2024-05-31T18:00:00Z, not with {value!r:.80}."
        )
    return Comparison(key, kind, (scalar,))


def _parse_value(value: object, path: str) -> Value:
    if not isinstance(value, str | int | float) or not _is_finite(value):
        raise InvalidFilterError(f"{path}: must be text, a number or a boolean, not {value!r:.80}.")
    if isinstance(value, str) and len(value) > MAX_TEXT_CHARACTERS:
        raise InvalidFilterError(
            f"{path}: is longer than {MAX_TEXT_CHARACTERS} characters; longer metadata is kept, "
            "but cannot be filtered by."
        )
    return to_value(value)


def _is_finite(value: str | float) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


def _field(source: dict[str, Any], name: str, path: str, allowed: set[str]) -> object:
    if name not in source:
        raise InvalidFilterError(f"{path}{name}: is missing.")
    if extra := source.keys() - allowed:
        raise InvalidFilterError(f"{path}{min(extra)}: is no field of {source['type']}.")
    return source[name]
