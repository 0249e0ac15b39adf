"""Title, author and dates of a PDF, from its Info dictionary and XMP packet (ISO 32000-1, 14.3)."""

import re
from collections.abc import Mapping

from pypdfium2 import PdfDocument

from ingest.parsers.cleaning import clean
from ingest.parsers.pdf_fallback import Fallback

_NAMES = {
    "Title": "title",
    "Author": "author",
    "Subject": "subject",
    "Keywords": "keywords",
    "CreationDate": "created",
    "ModDate": "modified",
}
_DATE = re.compile(
    r"D:(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?(?:(Z)|([+-])(\d\d)'?(\d\d)?'?)?.*", re.DOTALL
)
_WANTED = ("title", "author", "created")
_MAX_CHARACTERS = 2000


def read_metadata(document: PdfDocument, data: bytes, fallback: Fallback) -> Mapping[str, str]:
    """Return what the file says about itself; dates in ISO 8601.

    Keys are `title`, `author`, `subject`, `keywords`, `created` and `modified`, each only if given.
    """
    found: dict[str, str] = {}
    for name, key in _NAMES.items():
        value = clean(document.get_metadata_value(name))[:_MAX_CHARACTERS]
        if value:
            found[key] = iso_date(value) if name.endswith("Date") else value
    # XMP repeats the Info dictionary in nearly all files, and pypdf takes time to open one.
    if any(key not in found for key in _WANTED) and b"xmpmeta" in data:
        found = {**fallback.xmp(), **found}
    return found


def iso_date(value: str) -> str:
    """Return a date of PDF, such as `D:20240131120000+01'00'`, as far as it goes in ISO 8601."""
    match = _DATE.fullmatch(value)
    if not match:
        return value
    year, month, day, hour, minute, second, utc, sign, zone_hours, zone_minutes = match.groups()
    date = "-".join(part for part in (year, month, day) if part)
    if not hour:
        return date
    zone = "+00:00" if utc else f"{sign}{zone_hours}:{zone_minutes or '00'}" if sign else ""
    return f"{date}T{hour}:{minute or '00'}:{second or '00'}{zone}"
