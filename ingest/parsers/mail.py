"""Mail (EML, MSG): subject, sender, receivers, date and body, then the attachments."""

import email
import email.policy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.message import EmailMessage, MIMEPart
from email.message import Message as AnyMessage
from io import BytesIO

from oxmsg import Message

from ingest.errors import UnreadableFileError, UnsupportedTypeError
from ingest.parsers.builder import TextBuilder
from ingest.parsers.hypertext import read_html
from ingest.texts import CanonicalText

MAX_ATTACHMENTS = 100
ParseAttachment = Callable[[bytes, str], CanonicalText]
"""(bytes, file name) -> text; raises what `parse` raises."""


@dataclass(frozen=True, slots=True)
class _Mail:
    """What is shown of a message; `fields` are the lines below the subject."""

    subject: str
    fields: list[tuple[str, str]]
    body: CanonicalText
    attachments: list[tuple[str, bytes]]


def parse_eml(data: bytes, parse_attachment: ParseAttachment) -> CanonicalText:
    """Return the text of a message in the Internet Message Format (RFC 5322, MIME).

    An attachment that cannot be read is named with the reason, and the rest is not lost.
    """
    message = email.message_from_bytes(data, policy=email.policy.default)
    assert isinstance(message, EmailMessage)  # noqa: S101 - what this policy makes
    fields = [(name, str(message.get(name, ""))) for name in ("From", "To", "Cc", "Date")]
    return _write(
        _Mail(str(message.get("Subject", "")), fields, _body(message), list(_attached(message))),
        parse_attachment,
    )


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
    attachments = [
        (one.file_name or "unnamed", one.file_bytes)
        for one in message.attachments
        if one.attached_by_value and one.file_bytes
    ]
    return _write(_Mail(message.subject or "", fields, body, attachments), parse_attachment)


def _write(mail: _Mail, parse_attachment: ParseAttachment) -> CanonicalText:
    builder = TextBuilder()
    builder.begin_place("message")
    builder.heading(mail.subject, level=1)
    shown = [(name, " ".join(value.split())) for name, value in mail.fields]
    builder.block("\n".join(f"{name}: {value}" for name, value in shown if value))
    builder.include(mail.body, level=1)
    for name, data in mail.attachments[:MAX_ATTACHMENTS]:
        builder.begin_place(f"attachment {name}")
        builder.heading(f"Attachment {name}", level=2)
        try:
            builder.include(parse_attachment(data, name), f"attachment {name}", level=2)
        except (UnreadableFileError, UnsupportedTypeError) as error:
            builder.block(f"Not read: {error}")
    return builder.finish()


def _body(message: EmailMessage) -> CanonicalText:
    part = message.get_body(("plain", "html"))
    if part is None:
        return CanonicalText("")
    content = _decoded(part)
    if part.get_content_type() == "text/html":
        return read_html(content.encode("utf-8", "replace"))
    return CanonicalText(content)


def _decoded(part: MIMEPart) -> str:
    """Return the text of a part; an unknown or wrong charset costs single characters only."""
    try:
        content = part.get_content()
    except (LookupError, UnicodeError):
        payload = part.get_payload(decode=True)
        content = payload.decode("utf-8", "replace") if isinstance(payload, bytes) else ""
    return str(content).replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")


def _attached(message: EmailMessage) -> Iterator[tuple[str, bytes]]:
    for part in message.iter_attachments():
        name = part.get_filename()
        if part.get_content_type() == "message/rfc822":
            inner = part.get_payload(0)
            if isinstance(inner, AnyMessage):
                yield name or "message.eml", inner.as_bytes()
        elif name:  # what has no name belongs to the body, such as its pictures
            payload = part.get_payload(decode=True)
            yield name, payload if isinstance(payload, bytes) else b""
