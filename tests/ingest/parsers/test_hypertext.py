import pytest

from ingest.errors import UnreadableFileError
from ingest.parsers.hypertext import parse_html
from ingest.texts import CanonicalText


def titles(text: CanonicalText) -> list[tuple[int, str]]:
    assert all(text.text[h.start : h.end] == h.title for h in text.headings)
    return [(h.level, h.title) for h in text.headings]


def test_blocks_are_separated_and_white_space_collapses() -> None:
    text = parse_html(b"<p>One\n  two <b>three</b></p>tail<div>four<br>five<br/> six</div>")
    assert text.text == "One two three\n\ntail\n\nfour\nfive\nsix"


def test_frame_and_invisible_parts_are_left_out() -> None:
    page = (
        b"<body><nav>n</nav><header>h</header><script>s</script><style>s</style><p>Text</p>"
        b"<!-- c -->after<template>t</template><form>f</form><aside>a</aside><footer>f</footer>"
        b"<p hidden>x</p><p style='display: none'>x</p><i aria-hidden=true>x</i> end</body>"
    )
    assert parse_html(page).text == "Text\n\nafter\n\nend"


def test_main_is_preferred_and_keeps_its_header() -> None:
    page = b"<div>menu</div><main><header><h1>T</h1></header><p>Body</p></main>tail"
    assert parse_html(page).text == "T\n\nBody"


def test_page_inside_one_form_is_read() -> None:
    assert parse_html(b"<body><form><p>Body</p></form></body>").text == "Body"


def test_headings_are_mapped() -> None:
    text = parse_html(b"<title>No</title><h1>A <i>b</i></h1><p>x</p><h3>C<br>d</h3>y")
    assert titles(text) == [(1, "A b"), (3, "C d")]
    assert text.text == "A b\n\nx\n\nC d\n\ny"


def test_page_title_stands_in_for_h1() -> None:
    text = parse_html(b"<title> My\npage </title><p>x</p><h2>B</h2><p>y</p>")
    assert titles(text) == [(1, "My page"), (2, "B")]


def test_lists() -> None:
    page = (
        b"<p>Before</p><ul><li>One<li><p>Two</p><ol start=3><li>a</li><li>b</li></ol></li>"
        b"<li></li></ul><p>After</p>"
    )
    assert parse_html(page).text == "Before\n\n- One\n- Two\n  3. a\n  4. b\n\nAfter"


def test_tables_become_markdown_rows() -> None:
    page = (
        b"<table><caption>Sales</caption><thead><tr><th>Year</th><th>EUR</th></tr></thead>"
        b"<tr><td>2023</td><td><p>1|2</p><ul><li>x</li></ul></td></tr><tr><td></td></tr></table>end"
    )
    expected = "Sales\n\n| Year | EUR |\n| --- | --- |\n| 2023 | 1\\|2 x |\n\nend"
    assert parse_html(page).text == expected


def test_layout_tables_are_no_tables() -> None:
    page = b"<table><tr><td><h2>A</h2><p>x</p><table><tr><td>1</td></tr></table></td></tr></table>"
    assert parse_html(page).text == "A\n\nx\n\n| 1 |"


def test_preformatted_text_is_kept() -> None:
    page = b"<p>x</p><pre><code>def f():\n    return  1\n\n</code></pre><p>y</p>"
    assert parse_html(page).text == "x\n\ndef f():\n    return  1\n\ny"


@pytest.mark.parametrize(
    "page",
    [
        pytest.param("<meta charset=shift_jis><p>日本語</p>".encode("shift_jis"), id="meta"),
        pytest.param("<p>日本語</p>".encode("utf-16"), id="mark"),
        pytest.param('<?xml version="1.0" encoding="x"?><p>日本語</p>'.encode(), id="utf-8"),
    ],
)
def test_encodings(page: bytes) -> None:
    assert parse_html(page).text == "日本語"


@pytest.mark.parametrize("page", [b"", b"   ", b"<!-- -->", b"<title>T</title><script>x</script>"])
def test_page_without_text_is_refused(page: bytes) -> None:
    with pytest.raises(UnreadableFileError) as caught:
        parse_html(page)
    assert caught.value.code == "no_text"


@pytest.mark.parametrize("tag", [b"div", b"b", b"table><tr><td", b"ul><li"])
def test_deep_nesting_is_survived(tag: bytes) -> None:
    assert parse_html(b"<p>top</p>" + (b"<" + tag + b">") * 50_000 + b"deep").text.startswith("top")
