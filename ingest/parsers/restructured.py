"""reStructuredText: rendered by docutils, without includes, raw parts and settings of the file.

What docutils cannot make sense of is kept: most files are written for Sphinx, which has directives
and options of its own.
"""

import re
from collections.abc import Mapping
from textwrap import dedent
from typing import Any

from docutils import nodes
from docutils.core import publish_doctree, publish_from_doctree

from ingest.parsers.decoding import decode
from ingest.parsers.hypertext import read_html
from ingest.texts import CanonicalText

_SETTINGS: dict[str, Any] = {
    "file_insertion_enabled": False,
    "raw_enabled": False,
    "_disable_config": True,
    "report_level": 5,
    "halt_level": 6,
    "output_encoding": "utf-8",
    "input_encoding": "unicode",
    "embed_stylesheet": False,
    "stylesheet_path": None,
    "smart_quotes": False,
    "doctitle_xform": True,
}
# What is within a text has no title and no author.
_INNER_SETTINGS = {**_SETTINGS, "doctitle_xform": False, "docinfo_xform": False}
# Roles of Sphinx, such as :ref:`the title <target>`.
_ROLE = re.compile(r":[\w:.+-]+:`(?P<content>[^`]+)`", re.DOTALL)
_TITLED = re.compile(r"(.+?)\s*<[^<>]+>", re.DOTALL)
_UNKNOWN, _REFUSED = "Unknown directive type", "directive disabled"
_DIRECTIVE = re.compile(
    r"\.\.[ ]+[^\n]*?::[ \t]*(?P<argument>[^\n]*)(?:\n[ \t]+:[^:\n]+:[^\n]*)*\n?(?P<content>.*)",
    re.DOTALL,
)


def parse_rst(data: bytes) -> CanonicalText:
    """Return the text with its headings, lists and tables.

    Raises:
        UnreadableFileError: code `damaged`; no known encoding fits.
    """
    document = _document(decode(data), _SETTINGS)
    # White space is no title; without any it would get the name of its source.
    document["title"] = document.get("title") or " "
    return read_html(publish_from_doctree(document, writer="html5", settings_overrides=_SETTINGS))


def _document(source: str, settings: Mapping[str, Any]) -> nodes.document:
    document = publish_doctree(source, settings_overrides=dict(settings))
    for unknown in list(document.findall(nodes.problematic)):
        if (role := _ROLE.fullmatch(unknown.astext())) and unknown.parent is not None:
            unknown.parent.replace(unknown, nodes.Text(_title(role["content"])))
    for message in list(document.findall(nodes.system_message)):
        if message.parent is not None and _REFUSED not in message.astext():
            message.parent.replace(message, _kept(message))
    return document


def _title(content: str) -> str:
    """Return what Sphinx shows of a reference: its title, or the name, which may be marked."""
    titled = _TITLED.fullmatch(content)
    return titled[1] if titled else content.lstrip("~!")


def _kept(message: nodes.system_message) -> list[nodes.Node]:
    """Return what a message of docutils quotes, which is nowhere else in the text."""
    kept: list[nodes.Node] = []
    for quoted in message.findall(nodes.literal_block):
        directive = _DIRECTIVE.fullmatch(quoted.astext())
        if directive is None:
            kept.append(quoted)
            continue
        argument, content = directive["argument"], dedent(directive["content"])
        if _UNKNOWN in message.astext():
            kept += _document(f"{argument}\n\n{content}", _INNER_SETTINGS).children
        else:
            kept += [nodes.paragraph("", argument), nodes.literal_block("", content)]
    return kept
