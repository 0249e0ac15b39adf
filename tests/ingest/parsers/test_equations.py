import pytest
from lxml import etree

from ingest.parsers.equations import linear

_MATH = "http://schemas.openxmlformats.org/officeDocument/2006/math"


def run(text: str) -> str:
    return f"<m:r><m:rPr><m:sty m:val='p'/></m:rPr><m:t>{text}</m:t></m:r>"


def tag(name: str, *parts: str) -> str:
    return f"<m:{name}>{''.join(parts)}</m:{name}>"


def e(text: str) -> str:
    return tag("e", run(text))


def fraction(numerator: str, denominator: str) -> str:
    return tag("f", tag("num", run(numerator)), tag("den", run(denominator)))


def chars(name: str, **values: str) -> str:
    return tag(name, *(f"<m:{key} m:val='{value}'/>" for key, value in values.items()))


@pytest.mark.parametrize(
    ("equation", "text"),
    [
        (run("E=m") + tag("sSup", e("c"), tag("sup", run("2"))), "E=mc^2"),
        (tag("sSub", e("x"), tag("sub", run("i+1"))), "x_(i+1)"),
        (tag("sSubSup", e("a+b"), tag("sub", run("10")), tag("sup", run("n"))), "(a+b)_10^n"),
        (tag("sSup", tag("e", tag("d", e("a+b"))), tag("sup", run("2"))), "(a+b)^2"),
        (fraction("a", "b+c"), "a/(b+c)"),
        (fraction("(a)(b)", "2"), "((a)(b))/2"),
        (run("x=2") + fraction("1", "2") + run("y"), "x=2 1/2 y"),
        (run("x=") + fraction("1", "2") + run("+y"), "x=1/2+y"),
        (tag("f", chars("fPr", type="noBar"), tag("num", run("n")), tag("den", run("k"))), "n¦k"),
        (tag("rad", "<m:deg/>", e("x")), "√(x)"),
        (tag("rad", tag("deg", run("3")), e("x+1")), "3√(x+1)"),
        (
            tag(
                "nary",
                chars("naryPr", chr="∑"),
                tag("sub", run("i=1")),
                tag("sup", run("n")),
                e("i"),
            ),
            "∑_(i=1)^n i",
        ),
        (tag("nary", "<m:sub/><m:sup/>", e("f dx")), "∫ f dx"),
        (tag("d", chars("dPr", begChr="[", sepChr=";", endChr=""), e("a"), e("b")), "[a;b"),
        (run("2") + tag("func", tag("fName", run("sin")), e("x")), "2 sin x"),
        (
            tag("func", tag("fName", tag("limLow", e("lim"), tag("lim", run("n→∞")))), e("x")),
            "lim_(n→∞) x",
        ),
        (tag("acc", chars("accPr", chr="\u0303"), e("x")), "x\u0303"),
        (tag("m", tag("mr", e("a"), e("b")), tag("mr", e("c"), e("d"))), "[a, b; c, d]"),
        (tag("eqArr", e("x=1"), e("y=2")), "x=1; y=2"),
        (tag("box", e("x")) + run(" &lt; ") + tag("unknown", run("y")), "x < y"),
    ],
)
def test_equations_read_like_typed_ones(equation: str, text: str) -> None:
    source = f"<m:oMath xmlns:m='{_MATH}'>{equation}</m:oMath>"
    assert linear(etree.fromstring(source)) == text
