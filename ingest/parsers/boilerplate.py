"""What stands around the main text of a web page: navigation, banners, footers, notices.

What is in doubt is text. A name such as `menu` counts only where next to nothing but links stands,
because it is the name of lists of dishes as well; a block of links without a name is kept, because
it may be a table of contents.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from lxml.html import HtmlElement

from ingest.parsers.html_visibility import is_invisible
from ingest.parsers.html_writer import HEADINGS, tag_set

# Landmarks (WAI-ARIA 1.2), and the elements that are such by themselves (HTML-AAM).
_ROLES = tag_set("navigation search menu menubar dialog alertdialog")
_IMPLIED_ROLES = {
    "nav": "navigation",
    "search": "search",
    "header": "banner",
    "footer": "contentinfo",
    "aside": "complementary",
}
# These belong to the page only outside of its parts: an article has a header of its own.
_PAGE_ROLES = tag_set("banner contentinfo complementary")
_PARTS = ("article", "blockquote", "main", "section")

# Names of classes and ids are taken apart into words, all of which must be listed here.
_NAME_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_MENUS = tag_set("dropdown mainmenu megamenu menu menubar submenu topmenu")
_LINKS = tag_set(
    "banner catlinks header leftnav mainnav masthead nav navbox navi navigation pager pagination "
    "related share sharing sidebar sidemenu sidenav social subnav tabs toolbar topbar topnav"
)
_SURE = tag_set(
    "breadcrumb breadcrumbs cookiebanner cookiebar cookieconsent cookienotice editsection "
    "headerlink navbar navfooter navheader skip skiplink skipnav"
)
_FOOTERS = tag_set("footer pagefooter sitefooter")
_CONSENT = tag_set("consent cookie cookies gdpr")
_NOTICES = tag_set("alert banner bar consent law message modal notice overlay popup warning")
_NEUTRAL = tag_set(
    "area block blog bottom box col column container content desktop first fixed global group "
    "horizontal inner item items js last left link links list main mobile outer page panel posts "
    "primary region right row secondary section site sticky sub to top ul vertical widget widgets "
    "wrap wrapper"
)
_MEDIAWIKI = tag_set("mw portlet vector")
_KNOWN = _MENUS | _LINKS | _SURE | _FOOTERS | _CONSENT | _NOTICES | _NEUTRAL | _MEDIAWIKI
_NAMED = tag_set("a div ol p section span table ul")
# A single link may be called `nav-link` wherever it stands.
_INLINE = frozenset({"a", "span"})

# Letters outside of links in proportion to those within.
_MAX_PLAIN_IN_MENU = 0.05
_MAX_PLAIN_AMONG_LINKS = 0.5
# About 150 words; what is longer is text, whatever its name.
_MAX_LETTERS = 1000
# Less than this are labels, as of a search; questionnaires and pages within one form have more.
_MIN_FORM_LETTERS = 100
_CONTROLS = ("button", "input", "select", "textarea")
_PERMALINKS = frozenset("¶#§🔗")
_NO_LETTER = re.compile(r"[\W_]+")


@dataclass(slots=True)
class _Letters:
    """How many letters and digits an element has, without those of headings."""

    linked: int = 0
    plain: int = 0

    def is_links(self, max_plain: float) -> bool:
        return self.linked > 0 and self.plain <= max_plain * self.linked


def boilerplate(document: HtmlElement) -> set[HtmlElement]:
    """Return the elements of a page to leave out, so that its main text remains."""
    letters = _count_letters(document)
    kept = _around_main_text(document)
    names = Counter(name for element in letters for name in _names(element))
    return {
        element
        for element in letters
        if element not in kept
        and (_has_role(element, letters[element]) or _has_name(element, letters[element], names))
    }


def _has_role(element: HtmlElement, letters: _Letters) -> bool:
    """Tell whether the page itself says by element or role that this is none of its main text."""
    role = element.get("role") or _IMPLIED_ROLES.get(element.tag)
    if role in _PAGE_ROLES:
        is_of_page = next(element.iterancestors(*_PARTS), None) is None
        return is_of_page or letters.is_links(_MAX_PLAIN_AMONG_LINKS)
    if element.tag == "form":
        return letters.plain + letters.linked < _MIN_FORM_LETTERS and not _has_data(element)
    if element.tag == "a" and (element.text or "").strip() in _PERMALINKS:
        return str(element.get("href", "")).startswith("#")
    return role in _ROLES


def _has_name(element: HtmlElement, letters: _Letters, names: Counter[str]) -> bool:
    """Tell whether class or id is a name of boilerplate, and what is within agrees."""
    if element.tag not in _NAMED:
        return False
    for name in _names(element):
        words = {word.lower() for word in _NAME_WORD.findall(name)}
        if not words <= _KNOWN:
            continue
        is_notice = bool(words & _CONSENT and words & _NOTICES)
        # Many footers are those of cards.
        is_footer = bool(words & _FOOTERS) and names[name] == 1
        is_sure = is_notice or is_footer or bool(words & _SURE)
        if is_sure and letters.plain < _MAX_LETTERS:
            return True
        max_plain = _MAX_PLAIN_AMONG_LINKS if words & _LINKS else _MAX_PLAIN_IN_MENU
        is_list = words & (_LINKS | _MENUS) and element.tag not in _INLINE
        if is_list and letters.is_links(max_plain):
            return True
    return False


def _names(element: HtmlElement) -> Iterator[str]:
    yield from element.get("class", "").split()
    yield from element.get("id", "").split()


def _has_data(form: HtmlElement) -> bool:
    return any(next(table.iter(*_CONTROLS), None) is None for table in form.iter("table"))


def _around_main_text(document: HtmlElement) -> set[HtmlElement]:
    """Return the elements around main, articles and the title: their parts are looked at."""
    titles = list(document.iter("h1"))
    inner = [
        *document.iter("main", "article"),
        *document.iterfind(".//*[@role='main']"),
        *(titles if len(titles) == 1 else []),
    ]
    return {around for element in inner for around in (element, *element.iterancestors())}


def _count_letters(document: HtmlElement) -> dict[HtmlElement, _Letters]:
    """Return the visible elements in document order with their letters."""
    letters: dict[HtmlElement, _Letters] = {}
    kinds: dict[HtmlElement, str] = {}
    for element in document.iter():
        parent = element.getparent() if letters else None
        if parent is not None:
            if parent not in letters:
                continue
            _add(letters[parent], kinds[parent], element.tail)
        if is_invisible(element):
            continue
        letters[element] = _Letters()
        kinds[element] = _kind(element, kinds.get(parent, "plain"))
        _add(letters[element], kinds[element], element.text)
    for element in reversed(letters):
        parent = element.getparent()
        if parent in letters:
            letters[parent].linked += letters[element].linked
            letters[parent].plain += letters[element].plain
    return letters


def _kind(element: HtmlElement, around: str) -> str:
    if element.tag in HEADINGS:
        return "heading"
    return "linked" if around == "plain" and element.tag == "a" else around


def _add(letters: _Letters, kind: str, text: str | None) -> None:
    if not text or kind == "heading":
        return
    count = len(_NO_LETTER.sub("", text))
    if kind == "linked":
        letters.linked += count
    else:
        letters.plain += count
