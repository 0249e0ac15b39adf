"""Answers in another language than their question are told, and no others."""

import json
from pathlib import Path

import pytest

from serving.answer_language import differs

DATA = Path(__file__).parents[3] / "shared" / "data" / "xquad"
LANGUAGES = ("ar", "de", "el", "en", "es", "hi", "ro", "ru", "th", "tr", "vi", "zh")
ASKED = "How long is the notice period, and who must be told?"
ENGLISH = (
    "The notice period is one month to the end of a quarter, and it must be given in writing [1]."
)
GERMAN = (
    "Die Kündigungsfrist beträgt einen Monat zum Ende des Quartals [1]. Sie ist schriftlich "
    "einzuhalten und gilt auch für befristete Verträge, wenn nichts anderes vereinbart ist [2]."
)
RUSSIAN = (
    "Срок уведомления составляет один месяц до конца квартала, и его нужно подать в письме [1]."
)
CHINESE = "通知期为一个月，自季度末起计算，并且必须以书面形式通知对方，这是合同的规定[1]。"
JAPANESE = "通知期間は四半期末までの一か月であり、書面で相手方に知らせなければなりません[1]。"


@pytest.mark.parametrize(
    ("question", "answer", "languages"),
    [
        (ASKED, GERMAN, ("German", "English")),
        (ASKED, RUSSIAN, ("Cyrillic script", "English")),
        (ASKED, CHINESE, ("Chinese", "English")),
        (ASKED, JAPANESE, ("Japanese", "English")),
        ("Wie lang ist die Frist, und wem muss ich das sagen?", ENGLISH, ("English", "German")),
        ("Какой срок уведомления?", ENGLISH, ("English", "Cyrillic script")),
        ("通知期有多长？", ENGLISH, ("English", "Chinese")),
        ("通知期間はどのくらいですか。", CHINESE, ("Chinese", "Japanese")),
        ("¿Cuál es el plazo de preaviso y para quién?", ENGLISH, ("English", "Spanish")),
    ],
)
def test_another_language_is_told(question: str, answer: str, languages: tuple[str, str]) -> None:
    assert differs(answer, question) == languages


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (ASKED, ENGLISH),
        # Too short to be certain.
        (ASKED, "Zwanzig Kilogramm [1]."),
        (ASKED, "Ein Monat zum Ende des Quartals [1]."),
        ("Notice period?", GERMAN),
        ("Was muss ich tun?", ENGLISH),
        ("GDPR", GERMAN),
        ("E-1234?", CHINESE),
        # Names and titles.
        (
            "Who wrote them?",
            "Johann Wolfgang von Goethe, Friedrich von der Leyen und Die Brüder Grimm",
        ),
        (
            "Which novels are on the list?",
            "Der Herr der Ringe, Im Westen nichts Neues, Die Blechtrommel und Das Parfum, "
            "Die unendliche Geschichte, Der Prozess, Der Zauberberg und Das Schloss",
        ),
        (
            "Welche Romane stehen auf der Liste?",
            "The Lord of the Rings, The Catcher in the Rye, All Quiet on the Western Front, "
            "One Flew over the Cuckoo's Nest, To Kill a Mockingbird and Of Mice and Men",
        ),
        (ASKED, "华为技术有限公司、阿里巴巴集团、腾讯控股、百度公司、京东集团、小米科技"),
        (ASKED, "Лев Толстой, Фёдор Достоевский, Антон Чехов, Николай Гоголь, Иван Тургенев"),
        # Numbers and code.
        (ASKED, "1,234.50 EUR; 12 %; 2026-11-27; E-1234 [1]"),
        (
            "Wie liest man die Datei?",
            "```python\nfor line in open(path):\n    if it is not to be and\n```",
        ),
        (
            "Wie heißt der Befehl, und was tut er?",
            "`git add the file and commit it to this or that`",
        ),
        # Quotations.
        (ASKED, f"It says: \u201e{GERMAN}\u201c"),
        (f'What does "{GERMAN}" mean?', ENGLISH),
        (ASKED, f"The notice period is what this says of the end: {GERMAN[:60]}"),
        # Foreign words in it.
        (ASKED, "The 合同 says that it is one month, and that the other side must be told of it."),
        ("What is 合同?", CHINESE),
        # Languages that are alike, or have no list of common words.
        (
            "Hvad er opsigelsesfristen, og hvem skal have det at vide?",
            "Oppsigelsestiden er en måned, og "
            "den må være skriftlig. Hva som gjelder for deg, står i avtalen som du har fått.",
        ),
        (
            "Quina és la llei que regula el termini?",
            "El termini és d'un mes des del final del trimestre "
            "i s'ha de comunicar per escrit a l'altra part, que ho ha de confirmar.",
        ),
        (
            "Jaki jest okres wypowiedzenia i kto o tym decyduje?",
            "Okres wypowiedzenia to jeden miesiąc "
            "do końca kwartału i trzeba go podać na piśmie, bo tak jest w umowie.",
        ),
        # Japanese without kana.
        ("通知期間？", JAPANESE),
        # Somebody asked for it.
        ("Translate the notice clause for our German office.", GERMAN),
        ("How long is the notice period? Auf Deutsch bitte.", GERMAN),
        ("What is the notice period? Answer in Chinese.", CHINESE),
        ("What is the notice period? 请用中文回答。", CHINESE),
        ("", GERMAN),
        (ASKED, ""),
        (ASKED, "[1] 42 \u2603"),
    ],
)
def test_no_false_alarm(question: str, answer: str) -> None:
    assert differs(answer, question) is None


@pytest.mark.parametrize(
    "told",
    [
        "Antworte immer auf Deutsch.",
        "Du bist ein Helfer, der den Leuten hilft und sich kurz fasst.",
    ],
)
def test_what_was_said_before_may_set_the_language(told: str) -> None:
    assert differs(GERMAN, ASKED, [told]) is None


@pytest.mark.data
@pytest.mark.skipif(not DATA.exists(), reason="needs ../shared/data/xquad")
def test_people_s_questions_and_paragraphs_in_twelve_languages() -> None:
    texts: dict[str, dict[str, tuple[str, str]]] = {}
    for language in LANGUAGES:
        folder = DATA / language
        lines = (folder / "corpus.jsonl").read_text("utf-8").splitlines()
        passages = {one["_id"]: one["text"] for one in map(json.loads, lines)}
        questions = map(json.loads, (folder / "queries.jsonl").read_text("utf-8").splitlines())
        texts[language] = {
            one["_id"]: (one["text"], passages[one["evidence"][0]["doc_id"]]) for one in questions
        }
    ids = sorted(set.intersection(*map(set, texts.values())))[::20]

    def count(asked: str, answered: str) -> int:
        """Return how many paragraphs are told to be in another language than the question."""
        pairs = [(texts[answered][one][1], texts[asked][one][0]) for one in ids]
        if asked == "el":  # one was never translated
            pairs = [(answer, question) for answer, question in pairs if not question.isascii()]
        return sum(differs(answer, question) is not None for answer, question in pairs)

    assert {language: count(language, language) for language in LANGUAGES} == dict.fromkeys(
        LANGUAGES, 0
    )
    for asked, answered in (("en", "de"), ("de", "en"), ("en", "zh"), ("ru", "en"), ("zh", "en")):
        assert count(asked, answered) > 0.5 * len(ids)
