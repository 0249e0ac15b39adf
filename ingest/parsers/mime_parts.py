"""The parts of a MIME message (RFC 2045 to 2049): texts of the body, and attachments."""

import email
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import EmailMessage, MIMEPart
from email.message import Message as AnyMessage

from ingest.errors import UnreadableFileError
from ingest.parsers.attachments import Attachment
from ingest.parsers.decoding import decode
from ingest.parsers.flowed_lines import flowed
from ingest.parsers.hypertext import read_html
from ingest.parsers.signed_message import signed_content
from ingest.texts import CanonicalText

# Shown as part of the message, unless they have a file name or are marked as attachments.
_BODY_TEXTS = ("text/plain", "text/html", "text/enriched", "text/rfc822-headers")
_MAILS = ("message/rfc822", "message/global")
_SECURED = ("application/pkcs7-mime", "application/x-pkcs7-mime")
_ENCRYPTED = "It is encrypted; save a copy of the mail without encryption and upload that."
# What only says how other parts are to look.
_STYLES = ("text/css", "text/javascript", "application/javascript")

# An alternative with fewer of the words of another one is an excuse, such as where to read that.
_MIN_WORD_SHARE = 1 / 3


@dataclass(frozen=True, slots=True)
class _Text:
    """A part of the body."""

    text: CanonicalText
    is_html: bool


def read_parts(message: EmailMessage) -> tuple[list[CanonicalText], list[Attachment]]:
    """Return the texts of the body and the attachments, each in the order of the message.

    Of alternatives one is a text of the body, plain rather than HTML unless it only says that there
    is HTML, and the files of all are attachments.
    """
    parts = list(_parts(message))
    texts = [part.text for part in parts if isinstance(part, _Text)]
    return texts, [part for part in parts if isinstance(part, Attachment)]


def _parts(part: MIMEPart, *, is_resource: bool = False) -> Iterator[_Text | Attachment]:
    media_type = part.get_content_type()
    if media_type in _MAILS and part.is_multipart():
        yield Attachment(part.get_filename() or "message.eml", media_type, _inner_mail(part))
    elif part.is_multipart():
        yield from _inner_parts(part, media_type)
    elif media_type in _SECURED:
        yield from _secured_parts(part, media_type)
    elif _is_body_text(part, media_type) and not is_resource:
        yield _body_text(part, is_html=media_type == "text/html")
    elif media_type not in _STYLES:
        is_shown = "content-id" in part or part.get_content_disposition() == "inline"
        yield Attachment(part.get_filename(), media_type, _payload(part), is_resource or is_shown)


def _inner_parts(part: MIMEPart, media_type: str) -> Iterator[_Text | Attachment]:
    children = [child for child in part.get_payload() if isinstance(child, MIMEPart)]
    if media_type == "multipart/alternative":
        yield from _alternative(children)
    elif media_type == "multipart/related":
        root = _root(part, children)
        for child in children:
            yield from _parts(child, is_resource=child is not root)
    elif media_type == "multipart/encrypted":
        yield Attachment("message", media_type, reason=_ENCRYPTED)
    elif media_type == "multipart/signed":
        for child in children[:1]:  # the other one is the signature
            yield from _parts(child)
    elif media_type.startswith("multipart/"):
        for child in children:
            yield from _parts(child)
    else:  # fields about a delivery (RFC 3464), or a part of a mail
        for child in children:
            fields = "\n".join(f"{name}: {value}" for name, value in child.items())
            yield _Text(CanonicalText(fields), is_html=False)
            yield from _parts(child)


def _secured_parts(part: MIMEPart, media_type: str) -> Iterator[_Text | Attachment]:
    signed = signed_content(_payload(part))
    if signed is not None:
        message = email.message_from_bytes(signed, policy=part.policy)
        assert isinstance(message, MIMEPart)  # noqa: S101 - what this policy makes
        yield from _parts(message)
    elif "enveloped" in str(part.get_param("smime-type", "")).lower():
        yield Attachment("message", media_type, reason=_ENCRYPTED)
    else:
        yield Attachment(part.get_filename(), media_type, _payload(part))


def _alternative(children: list[MIMEPart]) -> Iterator[_Text | Attachment]:
    branches = [list(_parts(child)) for child in children]
    texts = [[part for part in branch if isinstance(part, _Text)] for branch in branches]
    most = max(map(_num_words, texts), default=0)
    full = [branch for branch in texts if most and _num_words(branch) >= _MIN_WORD_SHARE * most]
    yield from min(full, key=lambda branch: any(part.is_html for part in branch), default=[])
    for branch in branches:
        # Some programs put the files into the last alternative only.
        yield from (part for part in branch if isinstance(part, Attachment))


def _num_words(branch: list[_Text]) -> int:
    return sum(len(part.text.text.split()) for part in branch)


def _root(part: MIMEPart, children: list[MIMEPart]) -> MIMEPart | None:
    """Return the part that shows the others (RFC 2387)."""
    start = part.get_param("start")
    named = (child for child in children if start and child.get("content-id") == start)
    return next(named, children[0] if children else None)


def _is_body_text(part: MIMEPart, media_type: str) -> bool:
    # A multipart message without parts is a text that lacks its boundary.
    is_text = media_type in _BODY_TEXTS or media_type.startswith("multipart/")
    is_attachment = part.get_content_disposition() == "attachment"
    return is_text and not is_attachment and not part.get_filename()


def _body_text(part: MIMEPart, *, is_html: bool) -> _Text:
    data = _payload(part)
    try:
        text = decode(data, part.get_content_charset())
    except UnreadableFileError:  # no encoding fits: single characters are lost
        text = data.decode("utf-8", "replace")
    if is_html:
        return _Text(read_html(text.encode()), is_html)
    if str(part.get_param("format", "")).lower() == "flowed":
        text = flowed(text, deletes_space=str(part.get_param("delsp", "")).lower() == "yes")
    return _Text(CanonicalText(text), is_html)


def _inner_mail(part: MIMEPart) -> bytes:
    inner = part.get_payload(0)
    if not isinstance(inner, AnyMessage):
        return b""
    encoding = part.get("content-transfer-encoding")
    if encoding is None or inner.keys():
        return inner.as_bytes()
    # Encoded as a whole, against RFC 2046, it was taken for a body without fields.
    inner["Content-Transfer-Encoding"] = str(encoding)
    return _payload(inner)


def _payload(part: AnyMessage) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""
