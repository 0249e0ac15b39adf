"""Equations of Office files (OMML, ISO/IEC 29500-1, 22.1) as a line of text.

The line reads like UnicodeMath (Unicode Technical Note 28): `x_1^2`, `a/(b+c)`, `√(x)`.
"""

import re
from collections.abc import Callable, Mapping
from itertools import accumulate

from lxml import etree

# Keeps what stands on both sides apart if both are letters or digits: `2 1/2` is not `21/2`.
_GAP = "\x00"
_GAPS = re.compile(r"(?<=\w)\x00+(?=\w)")
_SINGLE = re.compile(r"\x00*(\w*|\W)\x00*")
_PROPERTIES_END = "Pr"


def linear(equation: etree._Element) -> str:
    """Return an equation, an `m:oMath`, on one line."""
    text = _GAPS.sub(" ", _inside(equation)).replace(_GAP, "")
    return " ".join(text.split())


def _inside(parent: etree._Element) -> str:
    return "".join(map(_text, parent.iterchildren(etree.Element)))


def _text(element: etree._Element) -> str:
    name = str(etree.QName(element).localname)
    if name == "t":
        return element.text or ""
    if name == "del" or name.endswith(_PROPERTIES_END):
        return ""
    return _FORMS[name](element) if name in _FORMS else _inside(element)


def _part(element: etree._Element, name: str) -> str:
    found = element.find(f"{{*}}{name}")
    return "" if found is None else _inside(found)


def _parts(element: etree._Element, name: str = "e") -> list[str]:
    return [_inside(part) for part in element.iterchildren(f"{{*}}{name}")]


def _property(element: etree._Element, name: str, default: str) -> str:
    """Return the value of a property; one without a value is empty."""
    found = element.find(f"{{*}}{etree.QName(element).localname}Pr/{{*}}{name}")
    if found is None:
        return default
    return next((str(value) for key, value in found.items() if str(key).endswith("val")), "")


def _group(text: str) -> str:
    return text if _SINGLE.fullmatch(text) or _is_bracketed(text) else f"({text})"


def _is_bracketed(text: str) -> bool:
    """Tell whether the first bracket is the one that the last closes."""
    if not (text.startswith("(") and text.endswith(")")):
        return False
    depths = accumulate((char == "(") - (char == ")") for char in text)
    return all(depth > 0 for depth in list(depths)[:-1])


def _index(sign: str, text: str) -> str:
    return f"{sign}{_group(text)}" if text else ""


def _fraction(element: etree._Element) -> str:
    over = "¦" if _property(element, "type", "bar") == "noBar" else "/"
    numerator, denominator = _part(element, "num"), _part(element, "den")
    return f"{_GAP}{_group(numerator)}{over}{_group(denominator)}{_GAP}"


def _scripts(element: etree._Element) -> str:
    """Write sub- and superscripts, also those of sums and integrals and below a limit."""
    below = _part(element, "sub") or _part(element, "lim")
    return f"{_base(element)}{_index('_', below)}{_index('^', _part(element, 'sup'))}"


def _base(element: etree._Element) -> str:
    base = _part(element, "e")
    return base if len(base) == 1 or base.isalnum() else _group(base)


def _left_scripts(element: etree._Element) -> str:
    scripts = _index("_", _part(element, "sub")) + _index("^", _part(element, "sup"))
    return f"{_GAP}{scripts} {_part(element, 'e')}"


def _above(element: etree._Element) -> str:
    return f"{_base(element)}{_index('^', _part(element, 'lim'))}"


def _sum(element: etree._Element) -> str:
    sign = _property(element, "chr", "∫")
    limits = _index("_", _part(element, "sub")) + _index("^", _part(element, "sup"))
    return f"{sign}{limits} {_part(element, 'e')}"


def _root(element: etree._Element) -> str:
    return f"{_part(element, 'deg')}√({_part(element, 'e')})"


def _brackets(element: etree._Element) -> str:
    begin, end = _property(element, "begChr", "("), _property(element, "endChr", ")")
    return f"{begin}{_property(element, 'sepChr', '|').join(_parts(element))}{end}"


def _function(element: etree._Element) -> str:
    argument = _part(element, "e")
    space = "" if argument.startswith("(") else " "
    return f"{_GAP}{_part(element, 'fName')}{space}{argument}{_GAP}"


def _accent(element: etree._Element) -> str:
    return _group(_part(element, "e")) + _property(element, "chr", "\u0302")


def _matrix(element: etree._Element) -> str:
    rows = (", ".join(_parts(row)) for row in element.iterchildren("{*}mr"))
    return f"[{'; '.join(rows)}]"


def _lines(element: etree._Element) -> str:
    return "; ".join(_parts(element))


_FORMS: Mapping[str, Callable[[etree._Element], str]] = {
    "acc": _accent,
    "d": _brackets,
    "eqArr": _lines,
    "f": _fraction,
    "func": _function,
    "limLow": _scripts,
    "limUpp": _above,
    "m": _matrix,
    "nary": _sum,
    "rad": _root,
    "sPre": _left_scripts,
    "sSub": _scripts,
    "sSubSup": _scripts,
    "sSup": _scripts,
}
