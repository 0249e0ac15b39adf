"""Outlook messages for tests: compound files ([MS-CFB]) of properties ([MS-OXMSG])."""

import struct
from itertools import pairwise
from typing import Any

SUBJECT, BODY, SENDER, DISPLAY_NAME = 0x0037, 0x1000, 0x0042, 0x3001
COMPRESSED_RTF, PAGE, CODE_PAGE = 0x1009, 0x1013, 0x3FDE
ATTACH_DATA, ATTACH_METHOD, ATTACH_FILE_NAME = 0x3701, 0x3705, 0x3707
BY_VALUE, MESSAGE = 1, 5
_NUMBER, _STRING, _BINARY, _OBJECT = 0x0003, 0x001F, 0x0102, 0x000D
_FILE_HEADER, _INNER_HEADER, _ATTACHMENT_HEADER = 32, 24, 8

_END, _NONE, _FAT = 0xFFFFFFFE, 0xFFFFFFFF, 0xFFFFFFFD
_STORAGE, _STREAM, _ROOT = 1, 2, 5
_SECTOR, _SMALL_SECTOR = 512, 64

Tree = dict[str, Any]
"""Streams (bytes) and storages (Tree) by name."""
Properties = dict[int, int | str | bytes]


def make_msg(subject: str, body: str, *attachments: Tree, more: Properties | None = None) -> bytes:
    """Return an Outlook message; `more` are further properties."""
    return compound(_message(subject, body, attachments, _FILE_HEADER, more))


def inner_message(subject: str, body: str, *attachments: Tree, name: str | None = None) -> Tree:
    """Return an attachment that is a message."""
    properties: Properties = {ATTACH_METHOD: MESSAGE}
    if name:
        properties[DISPLAY_NAME] = name
    message = _message(subject, body, attachments, _INNER_HEADER)
    return {
        **_properties(properties, _ATTACHMENT_HEADER),
        f"__substg1.0_{ATTACH_DATA:04X}{_OBJECT:04X}": message,
    }


def attached_file(name: str, data: bytes) -> Tree:
    """Return an attachment that is a file."""
    properties: Properties = {ATTACH_METHOD: BY_VALUE, ATTACH_FILE_NAME: name, ATTACH_DATA: data}
    return _properties(properties, _ATTACHMENT_HEADER)


def _message(
    subject: str,
    body: str,
    attachments: tuple[Tree, ...],
    header: int,
    more: Properties | None = None,
) -> Tree:
    named = {f"__attach_version1.0_#{n:08X}": one for n, one in enumerate(attachments)}
    properties: Properties = {SUBJECT: subject, BODY: body, SENDER: "Ann", **(more or {})}
    return {**_properties(properties, header), **named}


def _properties(values: Properties, header: int) -> Tree:
    entries, streams = b"", {}
    for key, value in values.items():
        if isinstance(value, int):
            kind, held = _NUMBER, value
        else:
            kind = _STRING if isinstance(value, str) else _BINARY
            data = value.encode("utf-16-le") if isinstance(value, str) else value
            held = len(data)
            streams[f"__substg1.0_{key:04X}{kind:04X}"] = data
        entries += struct.pack("<HHIII", kind, key, 0, held, 0)
    return {"__properties_version1.0": bytes(header) + entries, **streams}


def compound(root: Tree) -> bytes:
    """Return a compound file; its streams have less than 4,096 bytes each."""
    writer = _Writer()
    writer.add("Root Entry", root, _ROOT)
    return writer.file()


class _Writer:
    """Collects entries of storages and streams, with all streams in small sectors."""

    def __init__(self) -> None:
        self._entries: list[bytes] = []
        self._data = b""
        self._chains: list[int] = []

    def add(self, name: str, content: Tree | bytes, kind: int = _STORAGE) -> int:
        """Add an entry, its kids after it; return its number. Siblings hang in one chain."""
        number = len(self._entries)
        self._entries.append(b"")
        if isinstance(content, bytes):
            first = self._append(content)
            self._entries[number] = _entry(name, _STREAM, _NONE, first, len(content))
            return number
        kids = [self.add(key, value) for key, value in content.items()]
        for one, following in pairwise(kids):
            entry = self._entries[one]
            self._entries[one] = entry[:72] + struct.pack("<I", following) + entry[76:]
        size = len(self._data) if kind == _ROOT else 0
        self._entries[number] = _entry(name, kind, kids[0] if kids else _NONE, 0, size)
        return number

    def file(self) -> bytes:
        """Return the file: header, data, entries, chains of small sectors, chains of sectors."""
        chains = struct.pack(f"<{len(self._chains)}I", *self._chains)
        regions = [self._data, b"".join(self._entries), chains]
        counts = [-(-len(region) // _SECTOR) for region in regions]
        starts = [sum(counts[:at]) for at in range(4)]
        sectors = [
            *(sector for at in range(3) for sector in _chain(starts[at], counts[at])),
            _FAT,
        ]
        assert len(sectors) <= _SECTOR // 4
        header = struct.pack(
            "<8s16s5H6s9I",
            *(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", bytes(16), 0x3E, 3, 0xFFFE, 9, 6, bytes(6)),
            *(0, 1, starts[1], 0, 4096, starts[2], counts[2], _END, 0),
        )
        places = struct.pack("<109I", starts[3], *[_NONE] * 108)
        padded = [
            region.ljust(count * _SECTOR, b"\0")
            for region, count in zip(regions, counts, strict=True)
        ]
        last = struct.pack("<128I", *sectors, *[_NONE] * (128 - len(sectors)))
        return b"".join([header, places, *padded, last])

    def _append(self, data: bytes) -> int:
        first, count = len(self._chains), -(-len(data) // _SMALL_SECTOR)
        self._chains += _chain(first, count)
        self._data += data.ljust(count * _SMALL_SECTOR, b"\0")
        return first


def _chain(start: int, count: int) -> list[int]:
    """Return for each of some sectors which one follows it."""
    return [*range(start + 1, start + count), _END][:count]


def _entry(name: str, kind: int, child: int, first: int, size: int) -> bytes:
    coded = name.encode("utf-16-le")
    kin = struct.pack("<3I", _NONE, _NONE, child)
    where = struct.pack("<IQ", first, size)
    head = struct.pack("<64sHBB", coded, len(coded) + 2, kind, 1)
    return head + kin + bytes(36) + where
