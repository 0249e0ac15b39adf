"""Zip files, which most office formats are: opened with limits, so that no bomb goes off."""

import struct
import zlib
from io import BytesIO
from zipfile import BadZipFile, ZipFile

import olefile

from ingest.errors import UnreadableFileError

# What `zipfile` raises for broken files.
ZIP_ERRORS = (BadZipFile, KeyError, OSError, ValueError, RuntimeError, zlib.error)
# What `olefile` raises for broken files.
OLE_ERRORS = (OSError, ValueError, IndexError, struct.error)
MAX_ENTRIES = 20_000
MAX_UNPACKED_BYTES = 512 * 1024**2
# Deflate reaches 1032 : 1 on endless zeros; documents stay far below.
MAX_RATIO = 200
_RATIO_MATTERS_ABOVE_BYTES = 32 * 1024**2
_ENCRYPTED_FLAG = 0x1
ZIP_MAGIC = b"PK\x03\x04"
OLE_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


def open_archive(data: bytes) -> ZipFile:
    """Return an opened zip file after looking at what it says about its size.

    What it says is true: `zipfile` reads no more than the declared size of an entry.

    Raises:
        UnreadableFileError: code `damaged`, `encrypted` or `too_large`.
    """
    if is_locked_office_file(data):
        raise encrypted()
    try:
        archive = ZipFile(BytesIO(data))
    except ZIP_ERRORS as error:
        raise UnreadableFileError(
            "damaged", "The file is damaged and does not open; save it anew and upload it again."
        ) from error
    entries = archive.infolist()
    if any(entry.flag_bits & _ENCRYPTED_FLAG for entry in entries):
        raise encrypted()
    unpacked = sum(entry.file_size for entry in entries)
    is_bomb = unpacked > _RATIO_MATTERS_ABOVE_BYTES and unpacked > MAX_RATIO * len(data)
    if len(entries) > MAX_ENTRIES or unpacked > MAX_UNPACKED_BYTES or is_bomb:
        raise UnreadableFileError(
            "too_large",
            f"The file unpacks to {unpacked / 1024**2:.0f} MiB in {len(entries)} parts, which is "
            "too much; split it and upload the parts.",
        )
    return archive


def is_locked_office_file(data: bytes) -> bool:
    """Tell whether this is an OLE file around an encrypted one (MS-OFFCRYPTO)."""
    if not data.startswith(OLE_MAGIC):
        return False
    try:
        with olefile.OleFileIO(data) as streams:
            return bool(streams.exists("EncryptedPackage"))  # type: ignore[arg-type]  # the stub is wrong
    except OLE_ERRORS:
        return False


def encrypted() -> UnreadableFileError:
    """Return the error for a file with a password."""
    return UnreadableFileError(
        "encrypted", "The file is locked with a password; save a copy without it and upload that."
    )
