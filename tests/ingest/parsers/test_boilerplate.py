"""Web pages: what is no main text goes, and above all nothing else does."""

from pathlib import Path

import pytest

from ingest.parsers.hypertext import parse_html, read_html

BODY = "<h1>Bees</h1><p>They dance in the hive.</p>"
TEXT = "Bees\n\nThey dance in the hive."
LINKS = '<ul><li><a href="/">Home</a></li><li><a href="/shop">Shop</a></li></ul>'


def main_text(page: str) -> str:
    return parse_html(page.encode()).text


@pytest.mark.parametrize(
    "part",
    [
        f'<div class="navbar">{LINKS}</div>',
        f'<div class="nav-wrapper col">{LINKS}</div>',
        f'<div class="topNav">{LINKS}</div>',
        '<ul class="menu"><li><a href="/">Home</a></li></ul>',
        f'<div id="main-menu">{LINKS}</div>',
        '<table class="nav"><tr><td><a href="1">Prev</a></td><td>Up</td></tr></table>',
        f'<div id="sidebar"><h3>Related posts</h3>{LINKS}</div>',
        '<div class="breadcrumbs"><a href="/">Home</a> &gt; Keeping bees in the winter</div>',
        '<div id="cookie-banner">We use cookies. Accept all.</div>',
        '<p class="cookieConsent cookieNotice">We use cookies.</p>',
        '<div class="site-footer">Copyright 2024, imprint</div>',
        '<a class="skip-link" href="#content">Skip to content</a>',
        f'<div role="navigation">{LINKS}</div>',
        '<div role="banner">The bee shop</div>',
        '<div role="contentinfo">Copyright 2024</div>',
        '<div role="search">Search all bees</div>',
        '<div role="complementary">Other news</div>',
        '<div role="dialog">Subscribe now</div>',
        "<form><label>Search</label> <input> Go</form>",
        '<div aria-hidden="true">icon</div>',
        "<div hidden>later</div>",
    ],
)
def test_boilerplate_is_left_out(part: str) -> None:
    for page in (f"{part}{BODY}", f"<div><div>{BODY}{part}</div></div>"):
        assert main_text(page) == TEXT
    assert TEXT not in read_html(f"{part}".encode()).text


@pytest.mark.parametrize(
    ("part", "text"),
    [
        ('<div class="menu"><p>Honey bread</p><p>4 euros</p></div>', "Honey bread\n\n4 euros"),
        (
            '<ul class="menu"><li><a href="1">Honey bread</a> 4.50</li></ul>',
            "- Honey bread 4.50",
        ),
        ('<section id="menu"><h2>Menu</h2><p>Soup</p></section>', "Menu\n\nSoup"),
        ('<div class="sidebar"><p>A note in the margin.</p></div>', "A note in the margin."),
        ('<div class="cookie">Fortune</div>', "Fortune"),
        ('<div class="cookie-recipe">Two eggs</div>', "Two eggs"),
        ('<div class="banner">Sold out</div>', "Sold out"),
        (f'<div class="footer">{"Clause. " * 200}</div>', ("Clause. " * 200).strip()),
        (
            '<div class="footer">9 euros</div><div class="footer">8 euros</div>',
            "9 euros\n\n8 euros",
        ),
        ('<div class="table-footer">Sum 17</div>', "Sum 17"),
        ('<div class="toc"><a href="#1">One</a></div>', "One"),
        (LINKS, "- Home\n- Shop"),
        ('<p>See <a class="nav-link" href="x">Hives</a>.</p>', "See Hives."),
        (
            "<table class='menu'><tr><th>Dish</th><th>Price</th></tr><tr><td>Soup</td><td>4</td>"
            "</tr></table>",
            "| Dish | Price |\n| --- | --- |\n| Soup | 4 |",
        ),
        (f"<form><p>{'Do you keep bees? ' * 8}</p></form>", ("Do you keep bees? " * 8).strip()),
        (
            "<form><table><tr><th>Hive</th><th>kg</th></tr><tr><td>1</td><td>9</td></tr></table>"
            "</form>",
            "| Hive | kg |\n| --- | --- |\n| 1 | 9 |",
        ),
        ("<section><header><h2>Wax</h2> by Ann</header>x</section>", "Wax\n\nby Ann\n\nx"),
        ("<section><footer>Source: census</footer></section>", "Source: census"),
        ("<section><aside>Note: gloves on.</aside></section>", "Note: gloves on."),
        ("<p hidden=until-found>Found by search</p>", "Found by search"),
    ],
)
def test_what_may_be_text_is_kept(part: str, text: str) -> None:
    assert main_text(f"{BODY}{part}") == f"{TEXT}\n\n{text}"


def test_names_of_what_is_around_the_text_do_no_harm() -> None:
    page = (
        '<body class="has-sidebar navbar menu"><div class="navigation footer" id="navbar">'
        f"{BODY}</div></body>"
    )
    assert main_text(page) == TEXT


def test_a_title_in_the_header_is_kept() -> None:
    page = f"<header><h1>Bees</h1><nav>{LINKS}</nav></header><p>They dance in the hive.</p>"
    assert main_text(page) == TEXT


@pytest.mark.parametrize("tag", ["nav", "div class=menu", "form"])
def test_a_table_of_contents_keeps_its_links(tag: str) -> None:
    page = f"<h1>Contents</h1><{tag}>{LINKS}</{tag.split(maxsplit=1)[0]}>"
    assert main_text(page) == "Contents\n\n- Home\n- Shop"


def test_a_page_saved_behind_a_dialog_is_read() -> None:
    page = f'<div aria-hidden="true">{BODY}</div><div role="dialog">Log in</div>'
    assert main_text(page) == TEXT


def test_a_teaser_is_not_taken_for_the_main_text() -> None:
    page = "<main><p>In short.</p></main><div><p>All that is known of bees stands here.</p></div>"
    assert main_text(page) == "In short.\n\nAll that is known of bees stands here."


def test_answers_of_a_forum_are_kept() -> None:
    posts = "".join(f'<div class="comment"><p>Answer {n}</p></div>' for n in range(3))
    assert main_text(f"{BODY}<div id=comments>{posts}</div>") == (
        f"{TEXT}\n\nAnswer 0\n\nAnswer 1\n\nAnswer 2"
    )


def test_marks_that_link_to_a_heading_are_no_part_of_it() -> None:
    page = (
        '<h1>Bees<a class="headerlink" href="#b">\u00b6</a></h1><p>See <a href="#n">\u00a7</a></p>'
    )
    assert parse_html(page.encode()).headings[0].title == "Bees"


def test_mails_and_chapters_are_read_whole() -> None:
    page = f"<header>Dear Ann,</header>{BODY}<aside>A note.</aside><div class=footer>Bob</div>"
    assert read_html(page.encode()).text == f"Dear Ann,\n\n{TEXT}\n\nA note.\n\nBob"


@pytest.mark.data
def test_an_article_of_an_encyclopedia_begins_and_ends_with_its_text(data_dir: Path) -> None:
    path = data_dir / "hostile_dev" / "documents" / "docling" / "sources" / "wiki_duck.html"
    if not path.exists():
        pytest.skip(f"no page at {path}")
    text = parse_html(path.read_bytes())
    assert [h.title for h in text.headings if h.level <= 2] == [
        "Duck",
        "Etymology",
        "Taxonomy",
        "Morphology",
        "Distribution and habitat",
        "Behaviour",
        "Relationship with humans",
        "See also",
        "Notes",
        "External links",
    ]
    assert text.text.startswith("Duck\n\nFrom Wikipedia, the free encyclopedia\n")
    for words in ("Main menu", "Create account", "Privacy policy", "Deutsch", "[edit"):
        assert words not in text.text
    assert "| Kingdom: | Animalia |" in text.text
