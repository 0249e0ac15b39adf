"""Compressed RTF, in which Outlook keeps the text of a message ([MS-OXRTFCP])."""

import struct

_HEADER = struct.Struct("<4xI4s4x")  # size of the RTF, and whether it is compressed
_COMPRESSED, _PLAIN = b"LZFu", b"MELA"
# The last bytes written, which tokens copy from, are kept in a circle of this length.
_CIRCLE = 4096
_MIN_COPIED = 2
# What is there before the first byte is written.
_BEGINNING = (
    rb"{\rtf1\ansi\mac\deff0\deftab720{\fonttbl;}{\f0\fnil \froman \fswiss \fmodern \fscript "
    rb"\fdecor MS Sans SerifSymbolArialTimes New RomanCourier{\colortbl\red0\green0\blue0"
    b"\r\n"
    rb"\par \pard\plain\f0\fs20\b\i\u\tab\tx"
)


def decompress_rtf(data: bytes) -> bytes:
    """Return the RTF, as far as it is whole.

    Raises:
        ValueError, IndexError, struct.error: this is no compressed RTF.
    """
    size, kind = _HEADER.unpack_from(data)
    content = data[_HEADER.size :]
    if kind == _PLAIN:
        return content[:size]
    if kind != _COMPRESSED:
        raise ValueError("no compressed RTF")
    return _decompressed(content)


def _decompressed(content: bytes) -> bytes:
    written = bytearray(_BEGINNING)
    pieces = iter(content)
    for control in pieces:
        for bit in range(8):
            first = next(pieces, None)
            if first is None:
                break
            if not control >> bit & 1:
                written.append(first)
                continue
            offset, length = divmod(first << 8 | next(pieces, 0), 16)
            back = (len(written) - offset) % _CIRCLE
            if back == 0:  # the end
                return bytes(written[len(_BEGINNING) :])
            for _ in range(length + _MIN_COPIED):  # may overlap what it writes
                written.append(written[-back])
    return bytes(written[len(_BEGINNING) :])
