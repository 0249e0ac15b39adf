"""PDF files of any number of pages, written without a library."""

import io


def long_pdf(num_pages: int, lines_per_page: int) -> bytes:
    """Return a file of pages with a few lines each, no two of them the same."""
    pages = range(num_pages)
    kids = " ".join(f"{2 * number + 4} 0 R" for number in pages)
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Count {num_pages} /Kids [{kids}] >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for number in pages:
        first = number * lines_per_page
        lines = "".join(
            f"(Line {line} of page {number} tells that hive {first + line} is well.) Tj T*\n"
            for line in range(lines_per_page)
        )
        content = f"BT /F1 10 Tf 12 TL 72 780 Td {lines}ET"
        objects += [
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] "
            f"/Resources << /Font << /F1 3 0 R >> >> /Contents {2 * number + 5} 0 R >>",
            f"<< /Length {len(content)} >>\nstream\n{content}\nendstream",
        ]
    return _serialised(objects)


def _serialised(objects: list[str]) -> bytes:
    file = io.BytesIO()
    file.write(b"%PDF-1.4\n")
    offsets = []
    for number, body in enumerate(objects, start=1):
        offsets.append(file.tell())
        file.write(f"{number} 0 obj\n{body}\nendobj\n".encode("ascii"))
    start = file.tell()
    file.write(f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode("ascii"))
    file.writelines(f"{offset:010} 00000 n \n".encode("ascii") for offset in offsets)
    file.write(
        f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n".encode()
    )
    return file.getvalue()
