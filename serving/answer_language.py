"""Answer language: is an answer in another language than its question?

Models that read excerpts in one language sometimes answer in it, whatever they were asked in. Told
by scripts, and within the Latin one by common words. Silent unless both languages are certain: a
short answer, names, lists of titles, and what is marked as code or quotation are in no language
here.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Set
from functools import cache

from retrieval.stop_words import STOP_WORDS, fold

# What is read of each text, in characters.
MAX_CHARACTERS = 4000
# Different common words that no other language has, and letters of another script: of a question,
FEW_WORDS = 2
FEW_LETTERS = 6
# and of an answer, which may be a list of names.
MANY_WORDS = 4
MANY_LETTERS = 60
# Share of all words that common ones are in running text; lists and tables have fewer.
COMMON = 0.2
# Share of the other words that are in small letters; in lists of titles hardly any is.
SMALL = 0.3
# So many times as often as theirs come these words.
LEAD = 4
# Share of the letters that are of one script; a Latin text quotes, the others borrow.
PURE_LATIN = 0.9
PURE = 0.6
KANA = 0.1

# An ideograph or syllable says as much as a few letters.
_WEIGHTS = {"CJK": 3, "HIRAGANA": 3, "KATAKANA": 3, "HANGUL": 3}
_LATIN = (
    *("danish", "dutch", "english", "finnish", "french", "german", "hungarian", "italian"),
    *("norwegian", "portuguese", "romanian", "spanish", "swedish", "turkish"),
)
# Languages that share too many common words to be told apart by them.
_ALIKE = (
    frozenset({"danish", "norwegian", "swedish"}),
    frozenset({"spanish", "portuguese", "italian"}),
)
# Of running text in a script; scripts without any are told by their letters alone.
_COMMON_WORDS = {
    "CYRILLIC": STOP_WORDS["russian"],
    "GREEK": STOP_WORDS["greek"],
    "ARABIC": STOP_WORDS["arabic"],
    "DEVANAGARI": STOP_WORDS["hindi"],
}
_COMMON_CHARACTERS = frozenset("的是了在不和这這也")
_LABELS = {"CJK": "Chinese", "KANA": "Japanese", "HANGUL": "Korean"}

_WORD = re.compile(r"[^\W\d_]+")
# No opening mark within what it opens, and addresses from their beginning: else a text of nothing
# but marks, or one long word, takes a second.
_NO_PROSE = re.compile(
    r"```.*?(?:```|$)|`[^`\n]*`|https?://\S+|(?<!\S)[^\s@]+@\S+"
    r"|\"[^\"\n]*\"|\u201c[^\u201c\u201d\n]*\u201d|\u201e[^\u201c\u201d\u201e\n]*[\u201c\u201d]"
    r"|\u00ab[^\u00ab\u00bb\n]*\u00bb|\u300c[^\u300c\u300d\n]*\u300d|\u300a[^\u300a\u300b\n]*\u300b",
    re.DOTALL,
)
# Whoever names a language, or asks for a translation, may want another one. Rather too much.
_NAMES_LANGUAGE = re.compile(
    r"\b(?:language|sprache|langue|idioma|lingua|l[ií]ngua|taal|spr[åa]k|sprog|dil[ie]|j[eę]zyk)"
    r"|\b(?:translat|[üu]e?bersetz|tradu|vertaal|vertal|[öo]vers[äa]tt|overs[æa]t|oversett|[çc]evir"
    r"|ford[ií]t|t[łl]umacz)"
    r"|\b(?:engl|angla|ingl|engel|ingil|german|deutsch|allem|alem[aã]|tedesc|duits|tysk|alman|fren"
    r"|franz|fran[cç]|frans|span|espa[gnñ]|spaans|italia|itali[eë]|portug|dutch|nederl|holl[aä]nd"
    r"|danish|dansk|swed|svensk|schwed|norweg|norsk|finn|suomi|hungar|magyar|ungar|romani|rum[äa]n"
    r"|turk|t[üu]rk|russ|rus[so]|polish|polni|polsk|greek|griech|grec|arab|hebr|hindi|chin|japan"
    r"|japon|giap|korea|cor[eé]e|mandarin|latin)"
    r"|язык|перев[её]?[дсо]|по-\w+ски\b|μετ[αά]φρ|γλ[ωώ]σσ|ترجم|لغة|תרג"
    r"|अनुवाद|भाषा|แปล|ภาษา|翻[译譯訳]|[中英日德法俄韩汉漢國国][文语語]|語で|번역|언어|국어|영어",
    re.IGNORECASE,
)


def differs(answer: str, question: str, told: Iterable[str] = ()) -> tuple[str, str] | None:
    """Return the languages of an answer and its question where they surely differ, else None.

    Args:
        answer: of the model.
        question: that it answers.
        told: what user and system said before; an answer in the language of any of it is fine.
    """
    of_answer = _language(answer, is_answer=True)
    of_question = _language(question, is_answer=False)
    if of_answer is None or of_question is None or _suits(of_answer, of_question):
        return None
    told = [text[:MAX_CHARACTERS] for text in (question, *told)]
    if any(_NAMES_LANGUAGE.search(text) for text in told):
        return None
    if any(_suits(of_answer, _language(text, is_answer=False)) for text in told):
        return None
    return _label(of_answer), _label(of_question)


def _are_alike(one: str, other: str | None) -> bool:
    return one == other or any({one, other} <= group for group in _ALIKE)


def _suits(of_answer: str, of_question: str | None) -> bool:
    """Tell whether an answer may be in a language; Japanese questions may be all ideographs."""
    return _are_alike(of_answer, of_question) or (of_answer, of_question) == ("KANA", "CJK")


def _label(language: str) -> str:
    return (
        _LABELS.get(language) or f"{language.capitalize()}{'' if language in _LATIN else ' script'}"
    )


def _language(text: str, *, is_answer: bool) -> str | None:
    """Return the language of a text, or else its script; None where there is no telling."""
    prose = _NO_PROSE.sub(" ", text[:MAX_CHARACTERS])
    letters = Counter(script for char in prose if (script := _script(char)))
    weights = {script: number * _WEIGHTS.get(script, 1) for script, number in letters.items()}
    kana = weights.pop("HIRAGANA", 0) + weights.pop("KATAKANA", 0)
    if kana > KANA * (weights.get("CJK", 0) + kana):
        weights["KANA"] = kana + weights.pop("CJK", 0)
    if not weights:
        return None
    script = max(weights, key=weights.__getitem__)
    share = weights[script] / sum(weights.values())
    if script == "LATIN":
        return _latin_language(prose, is_answer=is_answer) if share >= PURE_LATIN else None
    if share < PURE or weights[script] < (MANY_LETTERS if is_answer else FEW_LETTERS):
        return None
    return script if not is_answer or _is_running(prose, script) else None


def _latin_language(prose: str, *, is_answer: bool) -> str | None:
    words = _WORD.findall(prose)
    small = [word for word in words if word.islower()] if is_answer else words
    folded = Counter(fold(word) for word in small if len(word) > 1)

    def count(common: Set[str]) -> int:
        return sum(folded[word] for word in folded.keys() & common)

    language = max(_LATIN, key=lambda one: count(STOP_WORDS[one]))
    common = STOP_WORDS[language]
    num_common = count(common)
    if num_common < COMMON * len(words):
        return None
    if is_answer and len(small) - num_common < SMALL * (len(words) - num_common):
        return None
    for rival in (STOP_WORDS[one] for one in _LATIN if not _are_alike(language, one)):
        own = (common - rival) & folded.keys()
        is_enough = len(own) >= (MANY_WORDS if is_answer else FEW_WORDS)
        if not is_enough or count(own) <= LEAD * count(rival - common):
            return None
    return language


def _is_running(prose: str, script: str) -> bool:
    """Tell whether a text says something, and is not a list of names."""
    if script == "CJK":
        return len(_COMMON_CHARACTERS & set(prose)) >= FEW_WORDS
    common = _COMMON_WORDS.get(script)
    return common is None or len(common & set(map(fold, _WORD.findall(prose)))) >= FEW_WORDS


@cache
def _script(char: str) -> str | None:
    """Return the first word of a letter's Unicode name, such as `LATIN`; None: it is no letter."""
    return unicodedata.name(char, "").partition(" ")[0] if char.isalpha() else None
