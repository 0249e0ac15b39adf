"""Mail (EML, MSG): subject, sender, receivers, date and body, then the attachments."""

import codecs
import email
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import EmailPolicy
from io import BytesIO
from typing import Any

from olefile import OleFileIO
from oxmsg import Message
from oxmsg.attachment import Attachment as MsgAttachment
from oxmsg.domain.constants import (
    PID_ATTACH_CONTENT_ID,
    PID_ATTACH_METHOD,
    PID_BODY_HTML,
    PID_DISPLAY_NAME,
    PID_HTML,
    PID_INTERNET_CODEPAGE,
    PID_MESSAGE_CODEPAGE,
    PID_RTF_COMPRESSED,
)
from oxmsg.domain.encodings import encoding_from_codepage
from oxmsg.domain.model import (
    MSG_HDR_OFFSET,
    UnrecognizedCodePageError,
    UnsupportedEncodingError,
)
from oxmsg.properties import Properties
from oxmsg.storage import Storage

from ingest.parsers.attachments import Attachment, Content, ParseAttachment, write_attachments
from ingest.parsers.builder import TextBuilder
from ingest.parsers.compressed_rtf import decompress_rtf
from ingest.parsers.damage import DAMAGE
from ingest.parsers.decoding import decode, unicode_encoding
from ingest.parsers.hypertext import read_html
from ingest.parsers.mime_parts import read_parts
from ingest.parsers.richtext import parse_rtf
from ingest.texts import CanonicalText

_NO_FILE = "It is a link, or an object of another program; save it and upload it as a file."
# Of a message within another one ([MS-OXMSG]): the method of its attachment, the storage in which
# it lies, and where its properties begin there.
_IS_MESSAGE = 5
_OBJECT = "__substg1.0_3701000D"
_INNER_HEADER_BYTES = 24
_DEFAULT_ENCODING = "iso-8859-15"


class _Policy(EmailPolicy):
    """Gives a field as it stands in the mail when the library breaks on it."""

    def header_fetch_parse(self, name: str, value: str) -> Any:
        try:
            return super().header_fetch_parse(name, value)
        except DAMAGE:
            return " ".join(value.split())


# Mails within mails are taken out as they are.
_POLICY = _Policy(refold_source="none")


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
    message = email.message_from_bytes(data, policy=_POLICY)
    assert isinstance(message, EmailMessage)  # noqa: S101 - what this policy makes
    fields = [(name, str(message.get(name, ""))) for name in ("From", "To", "Cc", "Date")]
    mail = _Mail(str(message.get("Subject", "")), fields, *read_parts(message))
    return _write(mail, parse_attachment)


def parse_msg(data: bytes, parse_attachment: ParseAttachment) -> CanonicalText:
    """Return the text of an Outlook message, like `parse_eml`."""
    with OleFileIO(BytesIO(data)) as file:
        storage = Storage.from_ole(file)
    return write_msg(OutlookMessage(storage, MSG_HDR_OFFSET), storage, parse_attachment)


class _Properties(Properties):
    """Properties of a message with a code page that Python knows by another name, or not at all."""

    @property
    def body_encoding(self) -> str:
        """The encoding of a text in HTML."""
        return self._encoding(PID_INTERNET_CODEPAGE) or self._str_prop_encoding

    @property
    def _str_prop_encoding(self) -> str:
        return self._encoding(PID_MESSAGE_CODEPAGE) or _DEFAULT_ENCODING

    def _encoding(self, named_by: int) -> str | None:
        number = self._cherry_pick_int_prop(named_by)
        if number is None:
            return None
        for find in (encoding_from_codepage, "cp{}".format):
            try:
                return codecs.lookup(find(number.value)).name
            except (LookupError, UnrecognizedCodePageError, UnsupportedEncodingError):
                continue
        return None


class OutlookMessage(Message):
    """A message that is a file, or lies within another one."""

    def __init__(self, storage: Storage, header_bytes: int) -> None:
        """Read the properties, which begin behind the header."""
        super().__init__(storage)
        self._own_properties = _Properties(storage, header_bytes)

    @property
    def properties(self) -> Properties:
        """Its properties."""
        return self._own_properties


def write_msg(
    message: Message, storage: Storage, parse_attachment: ParseAttachment
) -> CanonicalText:
    """Return the text of a message and of its attachments, which are in its storage."""
    headers = message.message_headers
    fields = [
        ("From", message.sender or ""),
        ("To", "; ".join(recipient.name or "" for recipient in message.recipients)),
        ("Date", headers.get("Date") or str(message.sent_date or "")),
    ]
    attachments = [_from_msg(one) for one in storage.iter_attachment_storages()]
    return _write(
        _Mail(message.subject or "", fields, [_msg_body(message)], attachments), parse_attachment
    )


def _msg_body(message: Message) -> CanonicalText:
    """Return the plain text, or else that in HTML or RTF; empty when there is none."""
    if (message.body or "").strip():
        return CanonicalText(message.body or "")
    properties = message.properties
    html = properties.binary_prop_value(PID_HTML) or b""
    page = html.decode(properties.body_encoding, "replace")
    if page := page or properties.str_prop_value(PID_BODY_HTML) or "":
        return read_html(page.encode("utf-8", "replace"))
    try:
        return parse_rtf(decompress_rtf(properties.binary_prop_value(PID_RTF_COMPRESSED) or b""))
    except DAMAGE:
        return CanonicalText("")


def _from_msg(storage: Storage) -> Attachment:
    attachment = MsgAttachment(storage)
    name = attachment.file_name
    content: Content | None = attachment.file_bytes
    if attachment.properties.int_prop_value(PID_ATTACH_METHOD) == _IS_MESSAGE:
        name = name or attachment.properties.str_prop_value(PID_DISPLAY_NAME) or "message.msg"
        content = next((_inner(one) for one in storage.storages if one.name == _OBJECT), None)
    return Attachment(
        name,
        attachment.mime_type or "application/octet-stream",
        content or b"",
        attachment.properties.str_prop_value(PID_ATTACH_CONTENT_ID) is not None,
        _NO_FILE if content is None else None,
    )


def _inner(storage: Storage) -> Content:
    message = OutlookMessage(storage, _INNER_HEADER_BYTES)
    return lambda parse_attachment: write_msg(message, storage, parse_attachment)


def _write(mail: _Mail, parse_attachment: ParseAttachment) -> CanonicalText:
    builder = TextBuilder()
    builder.begin_place("message")
    builder.heading(mail.subject, level=1)
    shown = [(name, " ".join(value.split())) for name, value in mail.fields]
    builder.block("\n".join(f"{name}: {value}" for name, value in shown if value))
    for text in mail.body:
        builder.include(text, level=1)
    write_attachments(builder, mail.attachments, parse_attachment, level=2)
    return builder.finish()
