"""Telling sentences that say something from bibliographies, lists of links, names and rows."""

import re
from collections.abc import Iterable

# Such sections lead elsewhere, thank, or list what stands in other places.
_BACK_MATTER = frozenset(
    {"references", "bibliography", "works cited", "literature", "literature cited", "citations"}
    | {"external links", "see also", "further reading", "sources", "footnotes", "endnotes"}
    | {"acknowledgments", "acknowledgements", "acknowledgment", "acknowledgement"}
    | {"contents", "table of contents", "index", "list of figures", "list of tables"}
    | {"references and notes", "notes and references"}
    | {"literatur", "literaturverzeichnis", "quellen", "einzelnachweise", "weblinks", "siehe auch"}
    | {"danksagung", "inhalt", "inhaltsverzeichnis", "abbildungsverzeichnis"}
    | {"r\u00e9f\u00e9rences", "bibliographie", "liens externes", "voir aussi", "remerciements"}
    | {"sommaire", "table des mati\u00e8res", "referencias", "bibliograf\u00eda", "agradecimientos"}
    | {"enlaces externos", "\u00edndice"}
)
_NUMBERING = re.compile(
    r"(?:(?:[a-z]\.)?(?:\d+(?:\.\d+)*|[ivxlc]+|[a-z])[.)]?\s+)?(.*?)[\s:.]*", re.DOTALL
)
_WORD = re.compile(r"\w+(?:[.,]\w+)*")
# Where a full stop is, perhaps with quotation marks, brackets and footnotes behind it.
_END = re.compile(r"[.!?:;\u3002\uff01\uff1f\u061f](?:[\"'\u201d\u2019)*_`\d]|\[\d+\])*\Z")
_LINK = re.compile(r"(?:https?://|www\.)\S*")
_MOST_LINK = 1 / 3
_ENTRY = re.compile(
    r"""
    \A \[ (?: \d+ | [^\s\]]+ \  \d{4} ) \]                       # [12] ..., [Lample 2016] ...
    # Zhu, J., Tian, Z.; with limits, so that a text of one long word takes no longer than others
    | (?: \b[^\W\d_][\w'\u2019-]{1,40} , \  (?: [^\W\d_]\.[\ -]? ){1,4} .{0,100}? ){2}
    | \bProceedings\ of\b .{0,300} \d | \barXiv(?: :|\ preprint) | \bISBN\b | \bdoi\b
    | \bRetrieved\ (?:on\ )?\w+\ \d | \d\(\d+\):\s?\d | \bpp\.\ ?\d
    """,
    re.VERBOSE | re.DOTALL,
)


def is_prose(sentence: str) -> bool:
    """Tell whether a sentence says something in words.

    It does not if it ends without a full stop, has more names and numbers than words in small
    letters, or is mostly an address or an entry of a bibliography.
    """
    words = _WORD.findall(sentence)
    num_names = sum(word[0].isupper() or word[0].isdigit() for word in words)
    return (
        _END.search(sentence) is not None
        and bool(words)
        and num_names <= len(words) / 2
        and sum(map(len, _LINK.findall(sentence))) <= _MOST_LINK * len(sentence)
        and not is_entry(sentence)
    )


def is_entry(sentence: str) -> bool:
    """Tell whether a sentence is one, or a part of one, in a bibliography."""
    return _ENTRY.search(sentence) is not None


def is_back_matter(titles: Iterable[str]) -> bool:
    """Tell whether a section with these titles above it is a bibliography, list of links or so."""
    names = (_NUMBERING.fullmatch(" ".join(title.casefold().split())) for title in titles)
    return any(name is not None and name[1] in _BACK_MATTER for name in names)
