"""What the bytes of an RTF file mean: letters in an encoding, of the file or a font, or symbols."""

import codecs

from mammoth.docx.dingbats import dingbats

_DEFAULT = "cp1252"
# Character sets of fonts (RTF 1.9.1, \fcharset). 0 and 1 stand for the code page of the file.
_CHARSETS = {
    2: "cp1252",
    77: "mac_roman",
    78: "cp932",
    79: "cp949",
    80: "gbk",
    81: "cp950",
    85: "mac_greek",
    86: "mac_turkish",
    88: "mac_latin2",
    89: "mac_cyrillic",
    128: "cp932",
    129: "cp949",
    130: "johab",
    134: "gbk",
    136: "cp950",
    161: "cp1253",
    162: "cp1254",
    163: "cp1258",
    177: "cp1255",
    178: "cp1256",
    186: "cp1257",
    204: "cp1251",
    222: "cp874",
    238: "cp1250",
    254: "cp437",
    255: "cp850",
}
# Characters in fonts of symbols may also be told by private codes, from here.
_PRIVATE = 0xF000
# The longest name of a font of Windows has 31.
_MAX_NAME_CHARACTERS = 100
_SYMBOL_FONTS = frozenset(name for name, _ in dingbats)
_CODE_PAGES = {"mac": "mac_roman", "pc": "cp437", "pca": "cp850"}


class Fonts:
    """The font table of a file."""

    def __init__(self) -> None:
        self._file_encoding = _DEFAULT
        self._encodings: dict[int, str] = {}
        self._names: dict[int, str] = {}
        self._defined = 0
        self._default = 0

    def read_file_word(self, word: str, number: int | None) -> None:
        """Take a control word from the beginning of the file."""
        if word == "ansicpg":
            self._file_encoding = _code_page(number) or _DEFAULT
        elif word in _CODE_PAGES:
            self._file_encoding = _CODE_PAGES[word]
        elif word == "deff":
            self._default = number or 0

    def read_table_word(self, word: str, number: int | None) -> None:
        """Take a control word from the font table."""
        if word == "f":
            self._defined = number or 0
        elif word == "fcharset" and number in _CHARSETS:
            self._encodings[self._defined] = _CHARSETS[number]
        elif word == "cpg" and (encoding := _code_page(number)):
            self._encodings[self._defined] = encoding

    def add_name(self, text: str) -> None:
        """Add a part of the name of a font, which ends with a semicolon."""
        name = self._names.get(self._defined, "")
        if len(name) < _MAX_NAME_CHARACTERS:
            self._names[self._defined] = name + text

    def decode(self, data: bytes, font: int | None) -> str:
        """Return bytes as they are seen in a font; None is the default font."""
        number = self._default if font is None else font
        if (name := self._name(number)) in _SYMBOL_FONTS:
            return "".join(chr(dingbats.get((name, code), code)) for code in data)
        return data.decode(self._encodings.get(number, self._file_encoding), "replace")

    def character(self, code: int, font: int | None) -> str:
        """Return the character that a code of Unicode, or a private one of a font, stands for."""
        name = self._name(self._default if font is None else font)
        return chr(dingbats.get((name, code - _PRIVATE), code))

    def _name(self, number: int) -> str:
        return self._names.get(number, "").strip().removesuffix(";")


def _code_page(number: int | None) -> str | None:
    try:
        return codecs.lookup("mac_roman" if number == 10000 else f"cp{number}").name  # noqa: PLR2004
    except LookupError:
        return None
