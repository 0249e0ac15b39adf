import base64
import struct
from email.message import EmailMessage
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from ingest.errors import UnreadableFileError
from ingest.parsers import media_types
from ingest.parsers.attachments import MAX_ATTACHMENTS, Content
from ingest.parsers.mail import parse_eml
from ingest.parsers.parse import parse
from ingest.parsers.plain import parse_plain
from ingest.texts import CanonicalText
from tests.ingest.parsers.office import make_xlsx
from tests.ingest.parsers.outlook import (
    CODE_PAGE,
    COMPRESSED_RTF,
    PAGE,
    attached_file,
    inner_message,
    make_msg,
)
from tests.ingest.parsers.pdf_files import damage, pdf, writer_with
from tests.ingest.parsers.reading import headings, place_of

PRICES = "| Size | Price |\n| --- | --- |\n| small | 5 |"
HEAD = (
    "Höney prices\n\nFrom: Ann <ann@example.org>\nTo: Bob <bob@example.org>\n"
    "Date: Mon, 02 Mar 2026 10:00:00 +0000"
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file"


def read(path: Path, data: bytes, media_type: str = media_types.EML) -> CanonicalText:
    path.write_bytes(data)
    return parse(path, media_type, max_pages=10)


def mail() -> EmailMessage:
    message = EmailMessage()
    message["Subject"] = "Höney prices"
    message["From"] = "Ann <ann@example.org>"
    message["To"] = "Bob <bob@example.org>"
    message["Date"] = "Mon, 02 Mar 2026 10:00:00 +0000"
    message.set_content("See the sheet.\n")
    message.add_alternative("<p>See the <b>sheet</b>.</p>", subtype="html")
    return message


def picture(width: int, height: int, kind: str = "PNG") -> bytes:
    buffer = BytesIO()
    Image.new("L", (width, height), "white").save(buffer, kind)
    return buffer.getvalue()


def locked() -> bytes:
    writer = writer_with(["Secret"])
    writer.encrypt("password")
    return pdf(writer)


def parts(*bodies: str, kind: str = "mixed") -> bytes:
    """Return a mail of parts, each written as it stands in the file."""
    lines = ["Subject: Offer", "MIME-Version: 1.0"]
    lines += [f'Content-Type: multipart/{kind}; boundary="="', ""]
    for body in bodies:
        lines += ["--=", body]
    return "\r\n".join([*lines, "--=--", ""]).encode()


PLAIN = "Content-Type: text/plain; charset=utf-8\r\n\r\n"
HTML = "Content-Type: text/html; charset=utf-8\r\n\r\n"


def test_mail_with_attachments(path: Path) -> None:
    message = mail()
    sheet = make_xlsx({"Prices": {"A1": "Size", "B1": "Price", "A2": "small", "B2": 5}})
    message.add_attachment(sheet, "application", "octet-stream", filename="prices.xlsx")
    pages = pdf(writer_with(["First page", "Second page"]))
    message.add_attachment(pages, "application", "pdf", filename="bees.pdf")
    message.add_attachment(b"\x00\x01", "application", "zip", filename="odd.bin")
    inner = EmailMessage()
    inner["Subject"] = "Inner"
    inner.set_content("Forwarded words.")
    message.add_attachment(inner)
    text = read(path, message.as_bytes())
    assert text.text.startswith(f"{HEAD}\n\nSee the sheet.\n\nAttachment prices.xlsx\n\n")
    assert PRICES in text.text
    assert place_of(text, "See the sheet") == "message"
    assert place_of(text, "small") == "attachment prices.xlsx, sheet Prices, row 2"
    assert place_of(text, "Second page") == "attachment bees.pdf, page 2"
    assert "Attachment odd.bin\n\nAttachment message.eml" in text.text
    assert str(text.unreadable_reason).startswith(
        "Attachment odd.bin was not read: odd.bin is of a kind that is not supported."
    )
    assert place_of(text, "Forwarded words.") == "attachment message.eml, message"
    assert (3, "Inner") in headings(text)


def test_mail_tells_which_pages_of_an_attachment_were_not_read(path: Path) -> None:
    writer = writer_with(["First page", "Second page"])
    damage(writer, writer.pages[1])
    inner = mail()
    inner.add_attachment(pdf(writer), "application", "pdf", filename="bees.pdf")
    outer = mail()
    outer.add_attachment(inner)
    text = read(path, outer.as_bytes())
    assert "First page" in text.text
    assert text.unreadable_reason == (
        "In attachment message.eml: In attachment bees.pdf: "
        "Page 2 is damaged and could not be read."
    )
    assert text.unreadable_pages == ()


def test_mail_in_mail_ends(path: Path) -> None:
    message = mail()
    for depth in range(6):
        outer = EmailMessage()
        outer["Subject"] = f"Depth {depth}"
        outer.add_attachment(message)
        message = outer
    text = read(path, message.as_bytes())
    assert "Depth 5" in text.text
    assert "within too many others" in str(text.unreadable_reason)
    assert "See the sheet" not in text.text


def test_mail_in_an_unknown_charset_is_read(path: Path) -> None:
    data = b"Subject: x\nContent-Type: text/plain; charset=nonsense\n\nPlain \xc3\xa9 words.\n"
    assert "Plain é words." in read(path, data).text


def test_texts_around_an_attachment_are_kept_in_order(path: Path) -> None:
    sheet = "Content-Type: text/csv\r\nContent-Disposition: attachment; filename=a.csv\r\n\r\nx,y"
    data = parts(f"{PLAIN}First.", sheet, f"{HTML}<h2>Second</h2>", f"{PLAIN}Third.")
    text = read(path, data)
    assert text.text == (
        "Offer\n\nFirst.\n\nSecond\n\nThird.\n\nAttachment a.csv\n\n| x | y |\n| --- | --- |"
    )
    assert headings(text) == [(1, "Offer"), (3, "Second"), (2, "Attachment a.csv")]
    assert place_of(text, "Third.") == "message"
    assert text.unreadable_reason is None


def test_attachments_without_a_name_get_their_number_and_type(path: Path) -> None:
    message = mail()
    message.add_attachment(pdf(writer_with(["First page"])), "application", "pdf")
    message.add_attachment(b"a,b\n1,2\n", "text", "csv")
    message.add_attachment(b"Bees dance.", "x-odd", "x-odd", disposition="inline")
    text = read(path, message.as_bytes())
    assert place_of(text, "First page") == "attachment 1.pdf, page 1"
    assert place_of(text, "| 1 | 2 |") == "attachment 2.csv, row 2"
    assert place_of(text, "Bees dance.") == "attachment 3"


def test_text_with_a_file_name_is_an_attachment(path: Path) -> None:
    note = "Content-Type: text/plain\r\nContent-Disposition: inline; filename=n.txt\r\n\r\nNote."
    assert place_of(read(path, parts(f"{PLAIN}Body.", note)), "Note.") == "attachment n.txt"


def test_alternatives_give_one_text_and_all_their_files(path: Path) -> None:
    rich = EmailMessage()
    rich.set_content("<p>Rich words.", subtype="html")
    rich.add_attachment("In the file.", filename="a.txt")
    text = read(path, parts(f"{PLAIN}Plain words.", rich.as_string(), kind="alternative"))
    assert text.text == "Offer\n\nPlain words.\n\nAttachment a.txt\n\nIn the file."


def test_html_is_taken_where_the_plain_alternative_only_points_to_it(path: Path) -> None:
    news = "The price of honey rises to 6 euros in May, and shops follow suit within two weeks."
    excuse = "Your program shows no HTML."
    for plain, expected in (
        (excuse, news),
        (f"{news} See also our page.", f"{news} See also our page."),
    ):
        data = parts(f"{PLAIN}{plain}", f"{HTML}<p>{news}</p>", kind="alternative")
        assert read(path, data).text.endswith(expected)


def test_html_is_taken_where_the_plain_alternative_is_empty(path: Path) -> None:
    data = parts(f"{PLAIN} \r\n", f"{HTML}<p>Rich words.", kind="alternative")
    assert read(path, data).text == "Offer\n\nRich words."


def test_styles_and_signatures_are_no_attachments(path: Path) -> None:
    css = "Content-Type: text/css\r\nContent-ID: <style>\r\n\r\np { color: red }"
    assert read(path, parts(f"{HTML}<p>Words.", css, kind="related")).text == "Offer\n\nWords."
    signature = "Content-Type: application/pkcs7-signature; name=smime.p7s\r\n\r\n\0\1\2\3"
    text = read(path, parts(f"{PLAIN}Words.", signature, kind="signed"))
    assert (text.text, text.unreadable_reason) == ("Offer\n\nWords.", None)


def test_encrypted_mail_says_so(path: Path) -> None:
    sealed = "Content-Type: application/octet-stream\r\n\r\n-----BEGIN PGP MESSAGE-----\r\nhIwDY"
    text = read(path, parts(sealed, kind="encrypted"))
    assert "hIwDY" not in text.text
    assert "It is encrypted; save a copy" in str(text.unreadable_reason)


@pytest.mark.parametrize(
    ("delsp", "lines", "expected"),
    [
        (
            "",
            "Bees keep \nthe brood \nwarm.\n\nThey fly.",
            "Bees keep the brood warm.\n\nThey fly.",
        ),
        ("", "One. \n\nTwo.\n", "One. \n\nTwo.\n"),
        ("", "> Bees \n> fly.\n>> Do \n> they?\nYes.", "> Bees fly.\n>> Do \n> they?\nYes."),
        ("", "Bees \n-- \nAnn\nBauer", "Bees \n-- \nAnn\nBauer"),
        ("", " From here \n >on.", "From here >on."),
        ("; delsp=yes", "Honig \nbiene  \nfliegt", "Honigbiene fliegt"),
    ],
)
def test_lines_that_flow_are_paragraphs(delsp: str, lines: str, expected: str) -> None:
    head = f"Subject: Offer\r\nContent-Type: text/plain; format=flowed{delsp}\r\n\r\n"
    text = parse_eml((head + lines.replace("\n", "\r\n")).encode(), unread).text
    assert text == f"Offer\n\n{expected.rstrip()}"


@pytest.mark.parametrize(
    ("code_page", "encoding", "words"),
    [
        (950, "big5", "蜜蜂"),
        (874, "cp874", "ผึ้ง"),
        (932, "cp932", "蜜蜂"),
        (20866, "koi8-r", "Пчёлы"),
        (0, "iso-8859-15", "Königin"),
        (12345, "iso-8859-15", "Königin"),
    ],
)
def test_outlook_page_of_any_code_page(
    path: Path, code_page: int, encoding: str, words: str
) -> None:
    page = f"<p>{words}</p>".encode(encoding)
    message = make_msg("Bees", "", more={PAGE: page, CODE_PAGE: code_page})
    assert read(path, message, media_types.MSG).text == f"Bees\n\nFrom: Ann\n\n{words}"


def ber(tag: int, *parts: bytes, is_open: bool = False) -> bytes:
    """Return an element, which tells its length or, open, has a mark at its end (X.690)."""
    content = b"".join(parts)
    if is_open:
        return bytes([tag, 0x80]) + content + bytes(2)
    return bytes([tag, 0x82]) + len(content).to_bytes(2, "big") + content


@pytest.mark.parametrize("is_open", [False, True], ids=["at once", "in pieces"])
def test_mail_signed_as_a_whole_is_read(path: Path, *, is_open: bool) -> None:
    inner = b"Content-Type: text/html\r\n\r\n<p>Signed words.</p>"
    octets = ber(0x04, inner)
    if is_open:
        octets = ber(0x24, ber(0x04, inner[:30]), ber(0x04, inner[30:]), is_open=True)
    identifier = bytes.fromhex("06092a864886f70d0107")
    held = ber(0x30, identifier + b"\1", ber(0xA0, octets, is_open=is_open), is_open=is_open)
    signed = ber(0x30, b"\2\1\1", ber(0x31), held, ber(0x31), is_open=is_open)
    whole = ber(0x30, identifier + b"\2", ber(0xA0, signed, is_open=is_open), is_open=is_open)
    assert read(path, sealed_mail("signed-data", whole)).text == "Offer\n\nSigned words."
    for end in range(len(whole)):
        parse_eml(sealed_mail("signed-data", whole[:end]), unread)


def test_mail_encrypted_as_a_whole_says_so(path: Path) -> None:
    text = read(path, sealed_mail("enveloped-data", b"\x30\x82\x01\x00"))
    assert (text.text, text.unreadable_reason) == (
        "Offer\n\nAttachment message",
        "Attachment message was not read: It is encrypted; save a copy of the mail without "
        "encryption and upload that.",
    )


def sealed_mail(kind: str, content: bytes) -> bytes:
    return (
        b"Subject: Offer\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: base64\r\n"
        b"Content-Type: application/pkcs7-mime; smime-type=" + kind.encode() + b"\r\n\r\n"
    ) + base64.encodebytes(content)


def unread(content: Content, name: str) -> CanonicalText:
    del content
    raise UnreadableFileError("damaged", f"{name} is damaged.")


def test_report_about_a_delivery_is_read(path: Path) -> None:
    status = (
        "Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; example.org\r\n\r\n"
        "Final-Recipient: rfc822; bob@example.org\r\nStatus: 5.1.1\r\n"
    )
    text = read(path, parts(f"{PLAIN}It bounced.", status, kind="report")).text
    assert "It bounced.\n\nReporting-MTA: dns; example.org\n\nFinal-Recipient: rfc822; bob" in text


def test_multipart_without_boundary_is_read(path: Path) -> None:
    data = b"Subject: Offer\nContent-Type: multipart/mixed\n\nIt costs 5 euros.\n"
    assert "It costs 5 euros." in read(path, data).text


def test_attachments_that_are_not_read_are_named_with_the_reason(path: Path) -> None:
    message = mail()
    message.add_attachment(locked(), "application", "pdf", filename="contract.pdf")
    message.add_attachment(b"ID3\x04" + bytes(99), "audio", "mpeg", filename="voice.mp3")
    message.add_attachment(b"PK\x03\x04 cut", "application", "zip", filename="cut.docx")
    text = read(path, message.as_bytes())
    assert text.text == (
        f"{HEAD}\n\nSee the sheet.\n\nAttachment contract.pdf\n\nAttachment voice.mp3\n\n"
        "Attachment cut.docx"
    )
    reason = str(text.unreadable_reason)
    assert "Attachment contract.pdf was not read: The PDF is locked with a password;" in reason
    assert "Attachment voice.mp3 was not read: voice.mp3 is of a kind" in reason
    assert "Attachment cut.docx was not read: " in reason


def test_long_lists_of_reasons_are_cut() -> None:
    message = mail()
    for number in range(30):
        message.add_attachment(b"", "application", "pdf", filename=f"{number}.pdf")
    reason = str(parse_eml(message.as_bytes(), refuse).unreadable_reason)
    assert "Attachment 19.pdf was not read: No. And 10 more." in reason


def refuse(content: Content, filename: str) -> CanonicalText:
    raise UnreadableFileError("damaged", "No.")


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_logos_do_not_make_a_mail_partial(kind: str) -> None:
    message = mail()
    data = picture(300, 100, kind)
    message.add_attachment(data, "image", kind.lower(), cid="<logo>", disposition="inline")
    text = parse_eml(message.as_bytes(), refuse)
    assert (text.text, text.unreadable_reason) == (f"{HEAD}\n\nSee the sheet.", None)


def test_attached_picture_of_a_page_that_is_not_read_is_named() -> None:
    message = mail()
    message.add_attachment(picture(1000, 1400), "image", "png", filename="scan.png")
    text = parse_eml(message.as_bytes(), refuse)
    assert text.unreadable_reason == "Attachment scan.png was not read: No."


def test_picture_in_which_nothing_is_found_keeps_its_name_only_when_attached() -> None:
    message = mail()
    message.add_attachment(b"1", "image", "png", filename="hive.png")
    message.add_attachment(b"2", "image", "png", filename="line.png", disposition="inline")
    text = parse_eml(message.as_bytes(), lambda data, name: CanonicalText(""))
    assert text.text == f"{HEAD}\n\nSee the sheet.\n\nAttachment hive.png"
    assert text.unreadable_reason is None


def read_plain(content: Content, filename: str) -> CanonicalText:
    assert isinstance(content, bytes)
    return parse_plain(content)


def test_no_attachment_is_left_out_without_a_word() -> None:
    number_of = "Content-Type: text/plain; name={0}.txt\r\n\r\nNumber {0}."
    data = parts(*(number_of.format(number) for number in range(MAX_ATTACHMENTS + 2)))
    text = parse_eml(data, read_plain)
    assert f"Number {MAX_ATTACHMENTS - 1}." in text.text
    assert f"Number {MAX_ATTACHMENTS}." not in text.text
    assert str(text.unreadable_reason).startswith("2 of 1002 attachments were left out,")


def test_mail_without_charset_is_read(path: Path) -> None:
    data = "Subject: x\n\nGrüße aus Köln, und schöne Tage für Käthe.\n"
    for encoding in ("utf-8", "windows-1252"):
        assert "Grüße aus Köln" in read(path, data.encode(encoding)).text


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_mail_saved_as_utf16_is_read(path: Path, encoding: str) -> None:
    data = mail().as_bytes().decode("ascii").encode(encoding)
    assert read(path, data).text == f"{HEAD}\n\nSee the sheet."


def test_message_within_an_outlook_message_is_read(path: Path) -> None:
    table = attached_file("prices.csv", b"Size,Price\nsmall,5\n")
    inner = inner_message("Offer", "Forwarded words.", table, name="The offer")
    text = read(path, make_msg("Fwd", "See below.", inner), media_types.MSG)
    assert text.text == (
        "Fwd\n\nFrom: Ann\n\nSee below.\n\nAttachment The offer\n\nOffer\n\n"
        f"From: Ann\n\nForwarded words.\n\nAttachment prices.csv\n\n{PRICES}"
    )
    assert place_of(text, "small") == "attachment The offer, attachment prices.csv, row 2"
    assert (3, "Offer") in headings(text)
    assert text.unreadable_reason is None


def test_outlook_message_in_message_ends(path: Path) -> None:
    inner = inner_message("Innermost", "See the sheet.")
    for depth in range(6):
        inner = inner_message(f"Depth {depth}", "", inner)
    text = read(path, make_msg("Outer", "", inner), media_types.MSG)
    assert "Depth 5" in text.text
    assert "message.msg is an attachment within too many others" in str(text.unreadable_reason)
    assert "See the sheet" not in text.text


def test_damaged_message_within_another_is_named(path: Path) -> None:
    inner = inner_message("Offer", "Forwarded words.", name="The offer")
    [message] = [value for value in inner.values() if isinstance(value, dict)]
    del message["__properties_version1.0"]
    text = read(path, make_msg("Fwd", "See below.", inner), media_types.MSG)
    assert "See below." in text.text
    assert "Attachment The offer was not read: The file is damaged" in str(text.unreadable_reason)


def test_attachment_that_is_no_file_is_named(path: Path) -> None:
    link = attached_file("price list", b"")
    del link["__substg1.0_37010102"]
    link["__properties_version1.0"] = link["__properties_version1.0"][:-16]
    text = read(path, make_msg("Prices", "See the link.", link), media_types.MSG)
    assert "Attachment price list was not read: It is a link" in str(text.unreadable_reason)


@pytest.mark.parametrize(
    "field", ["From: ann@[1.2", "From: =?utf-8?q?a=0Ab?= <a@b>", "To: =?iso-2022-jp?B?GyRC?="]
)
def test_a_broken_field_is_shown_as_it_stands(path: Path, field: str) -> None:
    data = f"Subject: Bees\n{field}\nMessage-ID: <1>\nMIME-Version: 1.0\n\nThey dance.\n"
    assert read(path, data.encode()).text == f"Bees\n\n{field}\n\nThey dance."


def test_a_broken_content_type_means_plain_text(path: Path) -> None:
    data = b"Subject: Bees\nContent-Type: 8bit\n '';7bit*\n\nThey dance.\n"
    assert read(path, data).text == "Bees\n\nThey dance."


def test_an_attached_mail_in_base64_is_read(path: Path) -> None:
    inner = base64.encodebytes(b"Subject: Hive\n\nOf wood.\n").decode()
    fields = "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64"
    assert "Hive\n\nOf wood." in read(path, parts(f"{fields}\n\n{inner}")).text


def test_an_attached_mail_is_taken_out_as_it_is(path: Path) -> None:
    long = "Subject: " + " ".join(["bee"] * 40)
    inner = f"Content-Type: message/rfc822\n\n{long}\nFrom: ann@[1.2\n\nDance.\n"
    text = read(path, parts(inner)).text
    assert " ".join(["bee"] * 40) + "\n\nFrom: ann@[1.2\n\nDance." in text


def test_a_piece_of_a_mail_is_read(path: Path) -> None:
    data = b"Subject: 1 of 2\nMIME-Version: 1.0\nContent-Type: message/partial; number=1\n\n"
    text = read(path, data + b"Subject: Bees\n\nThey dance.\n").text
    assert text == "1 of 2\n\nSubject: Bees\n\nThey dance."


# The second example of [MS-OXRTFCP], and the header of one that is not compressed.
REPEATED = "1a0000001c0000004c5a4675e2d44b51410004205758595a0d6e7d010eb0"
PLAIN_RTF = b"{\\rtf1 Of \\b wood.}"
PLAIN_HEADER = struct.pack("<II4sI", len(PLAIN_RTF) + 12, len(PLAIN_RTF), b"MELA", 0)


@pytest.mark.parametrize(
    ("data", "body"),
    [(bytes.fromhex(REPEATED), "WXYZ" * 5), (PLAIN_HEADER + PLAIN_RTF, "Of wood.")],
)
def test_a_message_whose_text_is_in_rtf_only_is_read(path: Path, data: bytes, body: str) -> None:
    message = make_msg("Bees", "", more={COMPRESSED_RTF: data})
    assert read(path, message, media_types.MSG).text == f"Bees\n\nFrom: Ann\n\n{body}"


def test_a_message_keeps_its_page_but_for_a_broken_character(path: Path) -> None:
    page = "<p>H\u00f6ney</p>".encode() + b"<p>\xff5</p>"
    message = make_msg("Bees", "", more={PAGE: page, CODE_PAGE: 65001})
    expected = "Bees\n\nFrom: Ann\n\nHöney\n\n\ufffd5"
    assert read(path, message, media_types.MSG).text == expected
