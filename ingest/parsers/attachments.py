"""Files within a document: attachments of mails and of PDFs, each read as a file of its own."""

import mimetypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from io import BytesIO

from PIL import Image

from ingest.errors import UnreadableFileError, UnsupportedTypeError
from ingest.parsers.builder import BLOCK_SEPARATOR, TextBuilder
from ingest.texts import CanonicalText

# Digests and threads have hundreds; the time limit of a file holds for all of them together.
MAX_ATTACHMENTS = 1000
# A page has more pixels even at 72 dots per inch; logos, icons and portraits have fewer.
_MIN_PAGE_PIXELS = 640 * 480
_PICTURES = ("PNG", "JPEG", "TIFF", "GIF", "WEBP", "BMP")

ParseAttachment = Callable[["Content", str], CanonicalText]
"""(content, file name) -> text; raises what `parse` raises."""
Content = bytes | Callable[[ParseAttachment], CanonicalText]
"""The bytes of a file; or, of what is taken apart already, what writes its text."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file in a document.

    Attributes:
        name: its file name, if it has one.
        media_type: what the document says it is.
        data: its content.
        is_inline: it is shown within the text, as pictures are.
        reason: why its content is not to be had, and what to do.
    """

    name: str | None
    media_type: str
    data: Content = b""
    is_inline: bool = False
    reason: str | None = None


def with_attachments(
    text: CanonicalText,
    attachments: Sequence[Attachment],
    parse_attachment: ParseAttachment | None,
) -> CanonicalText:
    """Return a text of pages with attachments behind the last one, if there is what reads them."""
    if not attachments or parse_attachment is None:
        return text
    builder = TextBuilder()
    write_attachments(builder, attachments, parse_attachment, level=1)
    behind = builder.finish()
    pages = text.text + BLOCK_SEPARATOR
    shift = len(pages)
    reasons = [one.unreadable_reason for one in (text, behind) if one.unreadable_reason]
    return replace(
        text,
        text=pages + behind.text,
        headings=text.headings
        + tuple(
            replace(one, start=one.start + shift, end=one.end + shift) for one in behind.headings
        ),
        places=text.places + tuple(replace(one, start=one.start + shift) for one in behind.places),
        unreadable_reason=" ".join(reasons) or None,
    )


def write_attachments(
    builder: TextBuilder,
    attachments: Sequence[Attachment],
    parse_attachment: ParseAttachment,
    level: int,
) -> None:
    """Write each attachment with a heading of a level, and tell which were not read, and why."""
    for number, attachment in enumerate(attachments[:MAX_ATTACHMENTS], start=1):
        _write_attachment(builder, attachment, number, parse_attachment, level)
    if (num_left := len(attachments) - MAX_ATTACHMENTS) > 0:
        builder.add_unread(
            f"{num_left} of {len(attachments)} attachments were left out, because the first "
            f"{MAX_ATTACHMENTS} of a file are read; upload the others as files of their own."
        )


def _write_attachment(
    builder: TextBuilder,
    attachment: Attachment,
    number: int,
    parse_attachment: ParseAttachment,
    level: int,
) -> None:
    name = _file_name(attachment, number)
    text, reason = CanonicalText(""), attachment.reason
    try:
        if not reason:
            text = parse_attachment(attachment.data, name)
    except (UnreadableFileError, UnsupportedTypeError) as error:
        if not _is_ornament(attachment.data):
            reason = str(error)
    # A picture in the text is worth a mention only for the words that it shows.
    if text.text.strip() or reason or not attachment.is_inline:
        builder.begin_place(f"attachment {name}")
        builder.heading(f"Attachment {name}", level)
        builder.include(text, f"attachment {name}", level)
    if reason:
        builder.add_unread(f"Attachment {name} was not read: {reason}")


def _file_name(attachment: Attachment, number: int) -> str:
    """Return the name of an attachment, or its number with a suffix for its type."""
    name = " ".join((attachment.name or "").split())
    return name or f"{number}{mimetypes.guess_extension(attachment.media_type) or ''}"


def _is_ornament(data: Content) -> bool:
    """Tell whether this is a picture too small for a page, such as the logo of a signature."""
    if not isinstance(data, bytes):
        return False
    try:
        with Image.open(BytesIO(data), formats=_PICTURES) as image:
            return image.width * image.height < _MIN_PAGE_PIXELS
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return False
