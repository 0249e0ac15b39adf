"""Mail (EML, MSG): subject, sender, receivers, date and body, then the attachments."""

import email
import email.policy
import mimetypes
from collections.abc import Callable
from dataclasses import dataclass
from email.message import EmailMessage
from io import BytesIO

from oxmsg import Message
from oxmsg.attachment import Attachment as MsgAttachment
from oxmsg.domain.constants import PID_ATTACH_CONTENT_ID
from PIL import Image

from ingest.errors import UnreadableFileError, UnsupportedTypeError
from ingest.parsers.builder import TextBuilder
from ingest.parsers.decoding import decode, unicode_encoding
from ingest.parsers.hypertext import read_html
from ingest.parsers.mime_parts import Attachment, read_parts
from ingest.texts import CanonicalText

# Digests and threads have hundreds; the time limit of a file holds for all of them together.
MAX_ATTACHMENTS = 1000
# A page has more pixels even at 72 dots per inch; logos, icons and portraits have fewer.
_MIN_PAGE_PIXELS = 640 * 480
_NO_FILE = "It is a link, or a message within this one; save it and upload it as a file of its own."
_PICTURES = ("PNG", "JPEG", "TIFF", "GIF", "WEBP", "BMP")
ParseAttachment = Callable[[bytes, str], CanonicalText]
"""(bytes, file name) -> text; raises what `parse` raises."""


@dataclass(frozen=True, slots=True)
class _Mail:
    """What is shown of a message; `fields` are the lines below the subject."""

    subject: str
    fields: list[tuple[str, str]]
    body: list[CanonicalText]
    attachments: list[Attachment]


def parse_eml(data: bytes, parse_attachment: ParseAttachment) -> CanonicalText:
    """Return the text of a message in the Internet Message Format (RFC 5322, MIME).

    What of the attachments is not read is told in `unreadable_reason`, and the rest is not lost.
    """
    if unicode_encoding(data):
        data = decode(data).encode()
    message = email.message_from_bytes(data, policy=email.policy.default)
    assert isinstance(message, EmailMessage)  # noqa: S101 - what this policy makes
    fields = [(name, str(message.get(name, ""))) for name in ("From", "To", "Cc", "Date")]
    mail = _Mail(str(message.get("Subject", "")), fields, *read_parts(message))
    return _write(mail, parse_attachment)


def parse_msg(data: bytes, parse_attachment: ParseAttachment) -> CanonicalText:
    """Return the text of an Outlook message, like `parse_eml`."""
    message = Message.load(BytesIO(data))
    headers = message.message_headers
    fields = [
        ("From", message.sender or ""),
        ("To", "; ".join(recipient.name or "" for recipient in message.recipients)),
        ("Date", headers.get("Date") or str(message.sent_date or "")),
    ]
    body = CanonicalText(message.body or "")
    if not body.text.strip() and message.html_body:
        body = read_html(message.html_body.encode("utf-8", "replace"))
    attachments = [_from_msg(one) for one in message.attachments]
    return _write(_Mail(message.subject or "", fields, [body], attachments), parse_attachment)


def _from_msg(attachment: MsgAttachment) -> Attachment:
    data = attachment.file_bytes
    return Attachment(
        attachment.file_name,
        attachment.mime_type or "application/octet-stream",
        data or b"",
        attachment.properties.str_prop_value(PID_ATTACH_CONTENT_ID) is not None,
        _NO_FILE if data is None else None,
    )


def _write(mail: _Mail, parse_attachment: ParseAttachment) -> CanonicalText:
    builder = TextBuilder()
    builder.begin_place("message")
    builder.heading(mail.subject, level=1)
    shown = [(name, " ".join(value.split())) for name, value in mail.fields]
    builder.block("\n".join(f"{name}: {value}" for name, value in shown if value))
    for text in mail.body:
        builder.include(text, level=1)
    for number, attachment in enumerate(mail.attachments[:MAX_ATTACHMENTS], start=1):
        _write_attachment(builder, attachment, number, parse_attachment)
    if (num_left := len(mail.attachments) - MAX_ATTACHMENTS) > 0:
        builder.add_unread(
            f"{num_left} of {len(mail.attachments)} attachments were left out, because the first "
            f"{MAX_ATTACHMENTS} of a mail are read; upload the others as files of their own."
        )
    return builder.finish()


def _write_attachment(
    builder: TextBuilder, attachment: Attachment, number: int, parse_attachment: ParseAttachment
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
        builder.heading(f"Attachment {name}", level=2)
        builder.include(text, f"attachment {name}", level=2)
    if reason:
        builder.add_unread(f"Attachment {name} was not read: {reason}")


def _file_name(attachment: Attachment, number: int) -> str:
    """Return the name of an attachment, or its number in the mail with a suffix for its type."""
    name = " ".join((attachment.name or "").split())
    return name or f"{number}{mimetypes.guess_extension(attachment.media_type) or ''}"


def _is_ornament(data: bytes) -> bool:
    """Tell whether this is a picture too small for a page, such as the logo of a signature."""
    try:
        with Image.open(BytesIO(data), formats=_PICTURES) as image:
            return image.width * image.height < _MIN_PAGE_PIXELS
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return False
