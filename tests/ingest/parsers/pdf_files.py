"""PDF files written by hand: content streams in, bytes out."""

import struct
from collections.abc import Sequence
from io import BytesIO
from itertools import accumulate

from PIL import Image
from pypdf import PageObject, PdfWriter
from pypdf.generic import (
    ArrayObject,
    DecodedStreamObject,
    DictionaryObject,
    EncodedStreamObject,
    FloatObject,
    NameObject,
    NumberObject,
    TextStringObject,
)

WIDTH, HEIGHT = 595, 842
REGULAR, BOLD, LIGATURES = "F1", "F2", "F3"
_BASE_FONTS = {REGULAR: "Helvetica", BOLD: "Helvetica-Bold", LIGATURES: "Helvetica"}


def show(x: float, y: float, text: str, size: float = 10, font: str = REGULAR) -> str:
    """Return operators that show a text at a place."""
    escaped = text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
    return f"BT /{font} {size} Tf {x} {y} Td ({escaped}) Tj ET\n"


def show_lines(x: float, y: float, text: str, size: float = 10, leading: float = 1.2) -> str:
    """Return operators that show lines, the first one at a place; an empty one leaves a gap."""
    lines = enumerate(text.split("\n"))
    return "".join(show(x, y - n * leading * size, line, size) for n, line in lines if line)


def rule(x: float, y: float, to_x: float, to_y: float) -> str:
    """Return operators that draw a line."""
    return f"{x} {y} m {to_x} {to_y} l S\n"


def ruled(columns: Sequence[float], rows: Sequence[float]) -> str:
    """Return operators that draw a grid: the edges of its columns and of its rows."""
    across = "".join(rule(columns[0], y, columns[-1], y) for y in rows)
    return across + "".join(rule(x, rows[0], x, rows[-1]) for x in columns)


def cells(columns: Sequence[float], rows: Sequence[float], *texts: Sequence[str]) -> str:
    """Return operators that show texts, also of several lines, in the cells of a grid."""
    return "".join(
        show_lines(x + 4, y - 11, text)
        for y, row in zip(rows, texts, strict=False)
        for x, text in zip(columns, row, strict=False)
        if text
    )


def writer_with(pages: Sequence[str]) -> PdfWriter:
    """Return a document with the lines of each text on a page of its own."""
    return content_writer([show_lines(72, 770, text, 12) for text in pages])


def content_writer(contents: Sequence[str], rotate: int = 0) -> PdfWriter:
    """Return a document of one page for each content stream."""
    writer = PdfWriter()
    for content in contents:
        page = writer.add_blank_page(WIDTH, HEIGHT)
        page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): _fonts()})
        stream = DecodedStreamObject()
        stream.set_data(content.encode("cp1252"))
        page[NameObject("/Contents")] = writer._add_object(stream)
        if rotate:
            page[NameObject("/Rotate")] = NumberObject(rotate)
    return writer


def pdf(writer: PdfWriter) -> bytes:
    """Return a document as a file."""
    buffer = BytesIO()
    writer.write(buffer)
    return buffer.getvalue()


def make_pdf(*contents: str, rotate: int = 0) -> bytes:
    """Return a file of one page for each content stream."""
    return pdf(content_writer(contents, rotate))


def damage(writer: PdfWriter, page: PageObject) -> None:
    """Make a page one that no reader reads."""
    stream = EncodedStreamObject()
    stream[NameObject("/Filter")] = NameObject("/FlateDecode")
    stream._data = b"this was never compressed"
    page[NameObject("/Contents")] = writer._add_object(stream)


def add_image(writer: PdfWriter, page: PageObject, image: Image.Image) -> None:
    """Lay an image under what is on a page, from edge to edge."""
    grey = image.convert("L")
    stream = DecodedStreamObject()
    stream.set_data(grey.tobytes())
    stream.update(
        {
            NameObject("/Type"): NameObject("/XObject"),
            NameObject("/Subtype"): NameObject("/Image"),
            NameObject("/Width"): NumberObject(grey.width),
            NameObject("/Height"): NumberObject(grey.height),
            NameObject("/ColorSpace"): NameObject("/DeviceGray"),
            NameObject("/BitsPerComponent"): NumberObject(8),
        }
    )
    resources = page["/Resources"]
    assert isinstance(resources, DictionaryObject)
    resources[NameObject("/XObject")] = DictionaryObject(
        {NameObject("/Im1"): writer._add_object(stream)}
    )
    content = page["/Contents"].get_object()
    assert isinstance(content, DecodedStreamObject)
    under = f"q {WIDTH} 0 0 {HEIGHT} 0 0 cm /Im1 Do Q\n".encode()
    content.set_data(under + content.get_data())


def add_form(writer: PdfWriter, page: PageObject, content: str, matrix: Sequence[float]) -> None:
    """Add a form that a content stream draws by `/Fm1 Do`."""
    form = DecodedStreamObject()
    form.set_data(content.encode("cp1252"))
    form.update(
        {
            NameObject("/Type"): NameObject("/XObject"),
            NameObject("/Subtype"): NameObject("/Form"),
            NameObject("/BBox"): _numbers(0, 0, 10 * WIDTH, 10 * HEIGHT),
            NameObject("/Matrix"): ArrayObject([FloatObject(number) for number in matrix]),
            NameObject("/Resources"): DictionaryObject({NameObject("/Font"): _fonts()}),
        }
    )
    resources = page["/Resources"]
    assert isinstance(resources, DictionaryObject)
    resources[NameObject("/XObject")] = DictionaryObject(
        {NameObject("/Fm1"): writer._add_object(form)}
    )


def add_missing_font(page: PageObject, encoding: str) -> None:
    """Add the font `/F4`, for Japanese, that is not in the file."""
    system = DictionaryObject(
        {
            NameObject("/Registry"): TextStringObject("Adobe"),
            NameObject("/Ordering"): TextStringObject("Japan1"),
            NameObject("/Supplement"): NumberObject(2),
        }
    )
    descriptor = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/FontDescriptor"),
            NameObject("/FontName"): NameObject("/Nowhere"),
            NameObject("/Flags"): NumberObject(4),
        }
    )
    inner = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Font"),
            NameObject("/Subtype"): NameObject("/CIDFontType0"),
            NameObject("/BaseFont"): NameObject("/Nowhere"),
            NameObject("/CIDSystemInfo"): system,
            NameObject("/FontDescriptor"): descriptor,
        }
    )
    font = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Font"),
            NameObject("/Subtype"): NameObject("/Type0"),
            NameObject("/BaseFont"): NameObject("/Nowhere"),
            NameObject("/Encoding"): NameObject(f"/{encoding}"),
            NameObject("/DescendantFonts"): ArrayObject([inner]),
        }
    )
    resources = page["/Resources"]
    assert isinstance(resources, DictionaryObject)
    fonts = resources["/Font"]
    assert isinstance(fonts, DictionaryObject)
    fonts[NameObject("/F4")] = font


def add_field(
    writer: PdfWriter, page: PageObject, text: str, box: tuple[int, int, int, int]
) -> None:
    """Add a form field that is filled in, as a picture without a value."""
    left, bottom, right, top = box
    appearance = DecodedStreamObject()
    appearance.set_data(show(2, 10, text).encode())
    appearance.update(
        {
            NameObject("/Type"): NameObject("/XObject"),
            NameObject("/Subtype"): NameObject("/Form"),
            NameObject("/BBox"): _numbers(0, 0, right - left, top - bottom),
            NameObject("/Resources"): DictionaryObject({NameObject("/Font"): _fonts()}),
        }
    )
    field = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Annot"),
            NameObject("/Subtype"): NameObject("/Widget"),
            NameObject("/FT"): NameObject("/Tx"),
            NameObject("/F"): NumberObject(4),
            NameObject("/Rect"): _numbers(*box),
            NameObject("/AP"): DictionaryObject({NameObject("/N"): writer._add_object(appearance)}),
        }
    )
    page[NameObject("/Annots")] = ArrayObject([writer._add_object(field)])


def add_value(
    writer: PdfWriter, page: PageObject, value: str, box: tuple[int, int, int, int]
) -> None:
    """Add a form field with a value, which viewers draw themselves, and the form that it is of."""
    field = writer._add_object(
        DictionaryObject(
            {
                NameObject("/Type"): NameObject("/Annot"),
                NameObject("/Subtype"): NameObject("/Widget"),
                NameObject("/FT"): NameObject("/Tx"),
                NameObject("/T"): TextStringObject("keeper"),
                NameObject("/V"): TextStringObject(value),
                NameObject("/F"): NumberObject(4),
                NameObject("/Rect"): _numbers(*box),
            }
        )
    )
    page[NameObject("/Annots")] = ArrayObject([field])
    writer.root_object[NameObject("/AcroForm")] = DictionaryObject(
        {
            NameObject("/Fields"): ArrayObject([field]),
            NameObject("/DA"): TextStringObject(f"/{REGULAR} 10 Tf 0 g"),
            NameObject("/DR"): DictionaryObject({NameObject("/Font"): _fonts()}),
        }
    )


def _numbers(*numbers: int) -> ArrayObject:
    return ArrayObject([NumberObject(number) for number in numbers])


def _fonts() -> DictionaryObject:
    return DictionaryObject(
        {NameObject(f"/{name}"): _font(name, base) for name, base in _BASE_FONTS.items()}
    )


def _font(name: str, base: str) -> DictionaryObject:
    encoding = DictionaryObject({NameObject("/BaseEncoding"): NameObject("/WinAnsiEncoding")})
    if name == LIGATURES:  # `1` and `2` show the ligatures
        glyphs = [NumberObject(ord("1")), NameObject("/fi"), NameObject("/fl")]
        encoding[NameObject("/Differences")] = ArrayObject(glyphs)
    return DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Font"),
            NameObject("/Subtype"): NameObject("/Type1"),
            NameObject("/BaseFont"): NameObject(f"/{base}"),
            NameObject("/Encoding"): encoding,
        }
    )


def pdf_with_object_stream(kind: str) -> bytes:
    """Return a file of one page, `Text`, whose dictionaries lie in a stream of a given type."""
    inner = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 5 0 R"
        b" /Resources << /Font << /F1 4 0 R >> >> >>",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    starts = accumulate((len(one) + 1 for one in inner), initial=0)
    index = " ".join(
        f"{number} {start}" for number, start in zip(range(1, 5), starts, strict=False)
    )
    listed = index.encode() + b" " + b"\n".join(inner)
    file = BytesIO()
    file.write(b"%PDF-1.5\n")
    streams = {
        5: (b"", show(72, 770, "Text").encode()),
        6: (f"/Type /{kind} /N 4 /First {len(index) + 1}".encode(), listed),
    }
    places = {}
    for number, (entries, data) in streams.items():
        places[number] = file.tell()
        file.write(_stream(number, entries, data))
    start = file.tell()
    # Each entry: kind of place, place, number in the object stream (ISO 32000-1, 7.5.8).
    rows = [(0, 0, 0), *((2, 6, at) for at in range(4)), (1, places[5], 0), (1, places[6], 0)]
    table = b"".join(struct.pack(">BHB", *row) for row in [*rows, (1, start, 0)])
    file.write(_stream(7, b"/Type /XRef /Size 8 /W [1 2 1] /Root 1 0 R", table))
    file.write(f"startxref\n{start}\n%%EOF\n".encode())
    return file.getvalue()


def _stream(number: int, entries: bytes, data: bytes) -> bytes:
    return b"%d 0 obj\n<< %b /Length %d >>\nstream\n%b\nendstream\nendobj\n" % (
        number,
        entries,
        len(data),
        data,
    )
