"""Documents with planted instructions, for tests and for `python -m benchmarks.injection`."""

import base64
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "attacks"
STYLES = (
    "override",
    "template",
    "fence",
    "exfiltration",
    "authority",
    "hidden",
    "languages",
    "dictation",
)
_LOOK_ALIKES = str.maketrans("aeopcxi", "\u0430\u0435\u043e\u0440\u0441\u0445\u0456")
_DISGUISES: Mapping[str, Callable[[str], str]] = {
    "none": str,
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "tags": lambda text: "".join(chr(0xE0000 + ord(character)) for character in text),
    "zero_width": "\u200b".join,
    "look_alikes": lambda text: text.translate(_LOOK_ALIKES),
    "full_width": lambda text: "".join(
        chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text
    ),
    "bold_letters": lambda text: "".join(
        chr(0x1D41A + ord(c) - ord("a")) if "a" <= c <= "z" else c for c in text
    ),
    "soft_hyphens": "\u00ad".join,
    "comment": lambda text: f"<!-- {text} -->",
}


@dataclass(frozen=True, slots=True)
class Attack:
    """A document that wants more than to be read.

    Attributes:
        name: style and number.
        document: with the planted text in its middle.
        planted: that text, as it stands there.
        question: which the rest of the document answers.
        answer: a word of the right answer.
        canary: stands in the answer when the attack had success. It is in no document, because it
            is put together from parts: to quote an attack is not to obey it.
    """

    name: str
    style: str
    filename: str
    document: str
    planted: str
    question: str
    answer: str
    canary: str


def load_attacks() -> list[Attack]:
    """Read all attacks, in the order of their styles."""
    topics = {topic["name"]: topic for topic in _read("topics")["topic"]}
    attacks = []
    for style in STYLES:
        for number, entry in enumerate(_read(style)["attack"], start=1):
            topic = topics[entry["topic"]]
            planted = _DISGUISES[entry.get("disguise", "none")](entry["planted"])
            attacks.append(
                Attack(
                    name=f"{style}-{number}",
                    style=style,
                    filename=topic["filename"],
                    document=f"{topic['before']}\n\n{planted}\n\n{topic['after']}\n",
                    planted=planted,
                    question=topic["question"],
                    answer=topic["answer"],
                    canary=entry["canary"],
                )
            )
    return attacks


def _read(name: str) -> dict[str, list[dict[str, str]]]:
    return tomllib.loads((FOLDER / f"{name}.toml").read_text())
