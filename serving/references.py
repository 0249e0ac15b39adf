"""How questions refer to what was said before: English, German, French and Spanish."""

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class References:
    """Patterns of one language.

    Attributes:
        pronoun: stands for something that may be named earlier in the same question.
        pointer: points out of the question wherever it stands.
        opening: what only the next thing to say in a conversation begins with.
        empty: looks like a pronoun and stands for nothing, as in `is it possible`.
        definition: asks what something is, and names it.
    """

    pronoun: re.Pattern[str]
    pointer: re.Pattern[str]
    opening: re.Pattern[str]
    empty: re.Pattern[str]
    definition: re.Pattern[str]


def _words(words: str) -> str:
    return rf"\b(?:{'|'.join(words.split())})\b"


def _compile(pronoun: str, pointer: str, opening: str, empty: str, definition: str) -> References:
    """Openings and definitions stand at the beginning, whatever signs there are before them."""
    flags = re.IGNORECASE | re.VERBOSE
    return References(
        re.compile(pronoun, flags),
        re.compile(pointer, flags),
        re.compile(rf"^\W*(?:{opening})", flags),
        re.compile(empty, flags),
        re.compile(rf"^\W*(?:{definition})", flags),
    )


# In verbose patterns a space is written \s.
REFERENCES: Mapping[str, References] = {
    "english": _compile(
        pronoun=_words("it its they them their theirs he him his she hers her both"),
        pointer=_words("those these this such former latter others? another same else more")
        + r"""
            | (?:^|[.,!?]\s*) that\b
            | \b(?:is|was|does|did|do|can|about|of|for|with|like|to|from|in|on|by|after|all)\sthat\b
            | \b(?:that|which)\sone\b | \b(?:there|ones?)\W*$""",
        opening=r"""
            (?:and|or|but|also|then|so|no|yes|ok|okay|really|got\sit|i\ssee|i\smean|i\smeant
              |i\sam\sasking|i'm\sasking)\b
            | (?:what|how)\sabout\b | how\s(?:so|come)\b | (?:why|why\snot|who|when|where)\W*$
            | which\s(?:one|is)\b""",
        empty=r"""
            \b(?:is|was)\sit\s(?:possible|true|necessary|ok|okay|safe|legal|important|better|worth
              |a\sgood|correct|easy|hard|normal|fair)\b
            | \bit(?:'s|\sis)\s(?:possible|true|important)\b
            | \bdoes\sit\s(?:make\ssense|mean|matter|take)\b | \bmore\sthan\b""",
        definition=r"(?:what|who)(?:'s|\sis|\sare|\swas|\swere)\b",
    ),
    "german": _compile(
        pronoun=_words(
            "er ihn ihm sein seine seinen seinem seiner seines dessen deren beide beiden"
        )
        # In capitals they address the reader.
        + r"| \b(?-i:sie|ihnen|ihr|ihre|ihren|ihrem|ihrer|ihres)\b | \bes\b",
        pointer=_words(
            "diese dieser dieses diesem diesen jene jener jenes solche solcher solches dasselbe "
            "dieselbe derselbe andere anderer anderes anderen weitere weiteren dort davon dafür "
            "dagegen damit dazu daran darauf darüber darin daraus dabei danach dadurch"
        )
        + r"""
            | \b(?:ist|war|geht|gilt|kostet|bedeutet|heißt|macht|kann|wird|hat|dauert|funktioniert)
              \sdas\b (?!\s(?-i:[A-ZÄÖÜ]))
            | (?:^|[.,!?]\s*) das\s(?:ist|war|heißt|bedeutet|kann)\b""",
        opening=r"""
            (?:und|aber|oder|also|dann|nein|ja|ok|okay|auch|wirklich|ich\smein(?:e|te))\b
            | was\sist\smit\b | wie\s(?:ist|sieht)\ses\s.*\baus\b | wie\sist\ses\s(?:mit|bei)\b
            | (?:warum|wieso|weshalb|wer|wann|wo|wie\sdas|warum\snicht)\W*$ | welche[rs]?\W*$""",
        empty=r"""
            \bgibt\ses\b | \bes\sgibt\b
            | \bist\ses\s(?:möglich|erlaubt|wahr|nötig|sinnvoll|besser)\b
            | \bes\sist\s(?:möglich|erlaubt|wahr|nötig)\b | \bgeht\ses\sum\b""",
        definition=r"(?:was|wer)\s(?:ist|sind|war|waren|bedeutet|heißt)\b",
    ),
    "french": _compile(
        pronoun=_words("il ils elle elles lui son sa ses leur leurs"),
        pointer=_words(
            "cela ça ceci celui celle ceux celles cet cette ces ce autres? mêmes? là-bas"
        ),
        opening=r"""
            (?:et|mais|ou|donc|alors|aussi|oui|non|ok|vraiment|je\sveux\sdire|je\svoulais\sdire)\b
            | qu'en\sest-il\b | (?:pourquoi|pourquoi\spas|comment\sça|qui|quand|où)\W*$
            | lequel|laquelle|lesquels|lesquelles""",
        empty=r"""
            \b(?:qu')?est-ce\b | \bil\sy\sa\b | \by\sa-t-il\b | \bil\sfaut\b | \bfaut-il\b
            | \best-il\s(?:possible|vrai|permis)\b | \bil\sest\s(?:possible|vrai|permis)\b""",
        definition=r"qu'est-ce\sque?\b|qu'est-ce\squ'|(?:qui|que)\s(?:est|sont|était|signifie)\b",
    ),
    "spanish": _compile(
        pronoun=_words("él ella ellos ellas ello su sus suyo suya ambos ambas"),
        pointer=_words(
            "esto eso aquello este esta estos estas ese esa esos esas aquel aquella aquellos "
            "mism[oa]s? otr[oa]s? ahí allí"
        ),
        opening=r"""
            (?:y|e|o|pero|entonces|también|además|sí|no|ok|vale|quise\sdecir|me\srefiero)\b
            | qué\s(?:tal|hay\sde|pasa\scon)\b | (?:por\squé|cómo\sasí|quién|cuándo|dónde)\W*$
            | cuáles?\W*$""",
        empty=r"\beso\ssí\b",
        definition=r"(?:qu[eé]|quién(?:es)?)\s(?:es|son|era|fue|significa)\b",
    ),
}
# Of all other languages: a follow-up is known there by its shortness only.
NO_REFERENCES = _compile(*[r"(?!)"] * 5)
