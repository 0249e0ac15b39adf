"""The message within a signed one (S/MIME, RFC 8551): what SignedData of RFC 5652 holds, in BER."""

_SEQUENCE, _CONTENT, _OCTETS, _PIECES = 0x30, 0xA0, 0x04, 0x24
_IS_SIGNED = bytes.fromhex("06092a864886f70d010702")
_LONG, _END_MARKED = 0x80, 0x80


def signed_content(data: bytes) -> bytes | None:
    """Return what was signed; None if there is none, as in encrypted messages."""
    try:
        at = _entered(data, 0, _SEQUENCE)
        if not data.startswith(_IS_SIGNED, at):
            return None
        at = _entered(data, _behind(data, at), _CONTENT)
        at = _entered(data, at, _SEQUENCE)
        at = _entered(data, _behind(data, _behind(data, at)), _SEQUENCE)  # behind version, digests
        return _octets(data, _entered(data, _behind(data, at), _CONTENT))
    except (IndexError, ValueError):
        return None


def _head(data: bytes, at: int) -> tuple[int, int | None]:
    """Return where the content of an element begins and ends; None if the end is marked."""
    length, start = data[at + 1], at + 2
    if length == _END_MARKED:
        return start, None
    if length & _LONG:
        num_bytes = length & ~_LONG
        start, length = start + num_bytes, int.from_bytes(data[start : start + num_bytes])
    return start, start + length


def _entered(data: bytes, at: int, tag: int) -> int:
    if data[at] != tag:
        raise ValueError
    return _head(data, at)[0]


def _behind(data: bytes, at: int) -> int:
    _, end = _head(data, at)
    if end is None:
        raise ValueError
    return end


def _octets(data: bytes, at: int) -> bytes:
    start, end = _head(data, at)
    if data[at] == _OCTETS:
        return data[start:end]
    if data[at] != _PIECES:
        raise ValueError
    pieces: list[bytes] = []
    while start != end and data[start] == _OCTETS:
        first, start = _head(data, start)[0], _behind(data, start)
        pieces.append(data[first:start])
    return b"".join(pieces)
