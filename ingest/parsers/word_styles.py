"""Styles of Word files (WordprocessingML): each takes from its base what it does not say itself."""

from collections.abc import Callable
from typing import TypeVar

from lxml import etree

_T = TypeVar("_T")


def inherited(
    styles: etree._Element, own: Callable[[etree._Element], _T | None]
) -> dict[str, _T | None]:
    """Return a value of each style by its id; what it does not say itself, its base does."""
    values: dict[str, _T | None] = {}
    parents: dict[str, str] = {}
    for style in styles.iterchildren("{*}style"):
        name = value_of(style, "styleId")
        values[name] = own(style)
        parents[name] = child_value(style, "basedOn")
    for name in values:
        chain = [name]
        while chain[-1] in values and values[chain[-1]] is None and parents[chain[-1]] not in chain:
            chain.append(parents[chain[-1]])
        values.update(dict.fromkeys(chain[:-1], values.get(chain[-1])))
    return values


def value_of(element: etree._Element, name: str) -> str:
    """Return an attribute, whatever its namespace, or the empty string."""
    return next(
        (str(value) for key, value in element.items() if etree.QName(key).localname == name), ""
    )


def child_value(element: etree._Element | None, path: str) -> str:
    """Return the attribute `val` of an element within another, or the empty string.

    Args:
        element: None has none.
        path: names without namespace, such as `numPr/numId`.
    """
    child = (
        None if element is None else element.find("/".join(f"{{*}}{n}" for n in path.split("/")))
    )
    return "" if child is None else value_of(child, "val")
