"""Tokens: what a reader expects to find is found, whatever the script."""

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.beir import load_dataset
from eval.measures import measure_rankings
from retrieval.analyzer import MARKED_ENDINGS, MAX_TOKEN_CHARACTERS, Analyzer, get_analyzer
from retrieval.bm25 import Corpus
from retrieval.languages import Language
from retrieval.settings import RetrievalSettings

ENGLISH = get_analyzer("english")
NONE = get_analyzer("none")
LANGUAGES: tuple[str, ...] = Language.__args__  # type: ignore[attr-defined]

# Letters, marks and joints of all kinds, and everything else.
TEXTS = (
    st.text(st.sampled_from("aZé1٣.-_'’@/:,&+# İıßёй漢字かなカ한กำ้မြလក្ម्हिअ\u200d\u00ad🎉ﬁ½"))
    | st.text()
)


def finds(query: str, passage: str, language: str = "english") -> bool:
    analyzer = get_analyzer(language)
    return bool({*analyzer.query_tokens(query)} & {*analyzer.passage_tokens(passage)})


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("The cats' running, ran!", "cat run ran"),
        ("getUserName", "getusernam get user name"),
        ("HTTPServer", "httpserver http server"),
        ("foo_bar.baz", "foobarbaz foo bar baz"),
        ("E-1234", "e1234 e 1234"),
        ("E-1234/E-1235", "e1234e1235 e1234 e 1234 e1235 e 1235"),
        ("H2O", "h2o h 2 o"),
        ("obj.getUserName", "objgetusernam obj getusernam get user name"),
        ("TLSv1.3 IPv6", "tlsv1.3 tls v 1.3 ipv6 ip v 6"),
        ("john.doe@example.com", "johndoeexamplecom johndo john doe examplecom exampl com"),
        ("/usr/local/bin", "usrlocalbin usr local bin"),
        ("2024-118", "2024-118 2024118 2024 118"),
        ("12-15 555-1234", "12-15 12 15 555-1234 5551234 555 1234"),
        ("1,000 1.000 1'000", "1000 1000 1.000 1000"),
        ("1,234.5 1.234,5 1'234.5 1'234,5", "1234.5 1234.5 1234.5 1234.5"),
        ("$1,234,567.89/kg", "1.234.567.89kg 1234567.89 kg"),
        ("$5,000.00 5,00", "5000.00 5000 5.00 5"),
        ("3.5 % 3,5 120 .05", "3.5 3.5 120 0.05"),
        ("3.5kg", "3.5kg 3.5 kg"),
        ("3½ ½", "3 1-2 1 2 1-2 1 2"),
        ("10 000", "10 000 10000"),
        ("1\u202f234,50", "1 234.50 1234.50"),
        ("1 2 3, 12; 13", "1 2 3 12 13"),
        ("x86_64", "x8664 x 86-64 86 64"),
        ("C++ C# .NET", "c++ c c# c .net net"),
        ("R&D", "rd r d"),
        ("company’s isn't we'll COMPANY'S", "compani compani"),
        ("O'Brien O’Brien's O´Brien", "obrien o brien obrien o brien obrien o brien"),
        ("the PDFs, a PDF", "pdf pdf"),
        ("WHO says who", "who say"),
        ("WHO GUIDELINES 2024", "who guidelin 2024"),
        ("WHO, UNICEF, UNDP, FAO", "who unicef undp fao"),
        ("WHAT IS THE NOTICE PERIOD", "notic period"),
        ("The lease. THE TENANT SHALL NOT SUBLET IT. See WHO.", "leas tenant shall sublet see who"),
        ("McDONALD IS THE BEST", "mcdonald mc donald is the best"),
        ("soft\u00adhyphen zero\u200bwidth", "softhyphen zerowidth"),
        ("ﬁne Ｆｕｌｌ x²", "fine full x2 x 2"),
        ("🎉 party", "🎉 parti"),
        ("_emphasis_ **bold** ... - '", "emphasi bold"),
        ("d41d8cd98f00b204e980", "d41d8cd98f00b204e980"),
        ("550e8400-e29b-41d4-a7b6", "550e8400e29b41d4a7b6 550e8400 e29b 41d4 a7b6"),
        ("", ""),
    ],
)
def test_english_tokens(text: str, tokens: str) -> None:
    assert ENGLISH.passage_tokens(text) == tokens.split()
    assert ENGLISH.query_tokens(text) == tokens.split()


@pytest.mark.parametrize(
    ("text", "query", "more"),
    [
        ("v1.20.3", "v1.20.3 v 1.20.3 1 20 3", "1.20"),
        ("10.0.0.1", "10.0.0.1 10 0 0 1", "10.0 10.0.0"),
        ("192.168.178.100", "192168178100 192.168.178.100 192 168 178 100", "192.168 192.168.178"),
        ("2024-03-01", "2024-03-01 20240301 2024 03 01", "2024-03"),
    ],
)
def test_beginnings_of_versions_are_in_passages_only(text: str, query: str, more: str) -> None:
    assert ENGLISH.query_tokens(text) == query.split()
    assert sorted(ENGLISH.passage_tokens(text)) == sorted(query.split() + more.split())


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("全文検索", "全 文 検 索 全文 文検 検索"),
        ("水", "水"),
        ("データ", "デ ー タ デー ータ"),
        ("한국어", "한 국 어 한국 국어"),
        ("ไทย", "ไท ทย"),
        ("กำ", "กํา"),
        ("iPhone版", "iphone i phone 版"),
        ("हिन्दी हिंदी १२३", "हिंदी हिंदी 123"),
        ("पम्प गङ्गा पञ्च अण्डा चाँद", "पंप गंगा पंच अंडा चांद"),
        ("ज़मीन सम्मान", "जमीन सम्मान"),  # a dot below; a nasal that stands double stays
        ("दुसऱ्या ऩ ऴ", "दुसर्या न ळ"),  # dots that are part of a letter
        ("ёлка мой", "елка мой"),
        ("كِتَابٌ", "كتاب"),
        ("Ålesund Łódź Ærø", "alesund lodz aero"),
        ("ΘΆΛΑΣΣΑ", "θαλασσα"),
    ],
)
def test_tokens_of_other_scripts(text: str, tokens: str) -> None:
    assert NONE.passage_tokens(text) == tokens.split()


@pytest.mark.parametrize(
    ("query", "passage", "language"),
    [
        ("検索", "全文検索エンジンで文書を検索する", "english"),
        ("東京都", "東京都に住んでいます", "none"),
        ("数据库", "这个数据库很大", "english"),
        ("검색", "문서를 검색합니다", "none"),
        ("ภาษา", "ฉันพูดภาษาไทย", "none"),
        ("ພາສາ", "ຂ້ອຍເວົ້າພາສາລາວ", "none"),
        ("ភាសា", "ខ្ញុំនិយាយភាសាខ្មែរ", "none"),
        ("စကား", "ကျွန်တော်မြန်မာစကားပြောတယ်", "none"),
        ("user name", "call getUserName() here", "english"),
        ("get_user_name", "call getUserName() here", "english"),
        ("getusername", "call getUserName() here", "english"),
        ("1234", "error E-1234 occurred", "english"),
        ("E1234", "error E-1234 occurred", "english"),
        ("1.20.3", "released v1.20.3", "english"),
        ("1.20", "released v1.20.3", "english"),
        ("12.3", "section 12.3.4", "english"),
        ("2.14", "log4j-core-2.14.1.jar", "english"),
        ("log4j", "log4j-core-2.14.1.jar", "english"),
        ("192.168", "192.168.178.100", "english"),
        ("1234.50", "a total of $1,234.50", "english"),
        ("1234567.89", "12,34,567.89", "english"),
        ("1234,56", "1.234,56", "german"),
        ("$5,000", "$5,000.00", "english"),
        ("1,000,000", "1 000 000 people", "english"),
        ("DE89370400440532013000", "IBAN DE89 3704 0044 0532 0130 00", "english"),
        ("GB29NWBK60161331926819", "GB29 NWBK 6016 1331 9268 19", "english"),
        ("+4930123456", "call +49 30 123456", "english"),
        ("9783161484100", "ISBN 978-3-16-148410-0", "english"),
        ("E-1234", "E\u20131234", "english"),
        ("example.com", "user@example.com", "english"),
        ("tls", "TLSv1.2", "english"),
        (".05", "p = 0.05", "english"),
        ("obrien", "O'Brien", "english"),
        ("oreilly", "O’Reilly Media", "english"),
        ("résumé", "send your resume", "english"),
        ("resume", "send your résumé", "english"),
        ("email", "send an e-mail", "english"),
        ("homme", "l'homme", "french"),
        ("l'homme", "homme", "french"),
        ("eau", "D’EAU", "french"),
        ("arte", "dell'arte", "italian"),
        ("sécurité", "SECURITE", "french"),
        ("changee", "changés", "french"),
        ("il", "qu'il", "none"),
        ("ISTANBUL", "İstanbul'da", "turkish"),
        ("istanbul", "ISTANBUL", "turkish"),
        ("Müller", "MUELLER", "german"),
        ("muller", "Müller", "german"),
        ("STRASSE", "Straße", "german"),
        ("елка", "ёлки", "russian"),
        ("informacao", "informação", "portuguese"),
        ("informação", "INFORMACAO", "portuguese"),
        ("informações", "informação", "portuguese"),
        ("informacoes", "informação", "portuguese"),
        ("administración", "ADMINISTRACION", "spanish"),
        ("degil", "değil", "turkish"),
        ("cancion", "canciones", "spanish"),
        ("stiinta", "știință", "romanian"),
        ("θαλασσα", "θάλασσες", "greek"),
        ("كتاب", "الكتاب", "arabic"),
    ],
)
def test_is_found(query: str, passage: str, language: str) -> None:
    assert finds(query, passage, language)


@pytest.mark.parametrize(
    ("query", "passage"),
    [("3.5", "35 or 5"), ("1.20", "120"), ("who", "WHO"), ("+", "C++"), ("क", "कि")],
)
def test_is_not_found(query: str, passage: str) -> None:
    assert not finds(query, passage)


def test_an_identifier_ranks_above_its_parts() -> None:
    passages = ["get the user name", "getUserName", "a name", "nothing of it", "get user"]
    corpus = Corpus((text, ENGLISH.passage_tokens(text)) for text in passages)
    scores = dict(corpus.score(ENGLISH.query_tokens("getUserName")))
    assert max(scores, key=lambda text: scores[text]) == "getUserName"
    assert scores["get the user name"] > scores["a name"] > scores["nothing of it"] == 0


def test_a_word_with_marks_is_twice_in_a_turkish_passage_only_where_its_stem_differs() -> None:
    turkish = get_analyzer("turkish")
    assert turkish.passage_tokens("yazılmış") == ["yazil", "yazilmis"]
    assert turkish.query_tokens("yazılmış") == ["yazil"]
    assert turkish.passage_tokens("çok") == ["cok"]


def test_a_number_as_it_is_written_ranks_above_what_it_may_mean() -> None:
    passages = ["3,125 employees", "3.125 percent", "nothing else"]
    corpus = Corpus((text, ENGLISH.passage_tokens(text)) for text in passages)
    scores = dict(corpus.score(ENGLISH.query_tokens("3.125")))
    assert scores["3.125 percent"] > scores["3,125 employees"] > scores["nothing else"] == 0


@pytest.mark.parametrize("language", sorted(set(LANGUAGES) - MARKED_ENDINGS))
@given(word=st.text(st.sampled_from("aeiouáéíóúàèâêôãõçñäöüåabcdlmnrst"), min_size=1))
def test_accents_do_not_matter(language: str, word: str) -> None:
    analyzer = get_analyzer(language)
    plain = "".join(c for c in unicodedata.normalize("NFD", word) if not unicodedata.combining(c))
    for analyse in (analyzer.passage_tokens, analyzer.query_tokens):
        assert analyse(word) == analyse(plain) == analyse(word.capitalize())


@given(st.integers(1000, 10**12), st.integers(0, 99), st.sampled_from([",", "'", " "]))
def test_a_number_is_found_however_its_digits_are_grouped(
    integer: int, cents: int, group: str
) -> None:
    plain = f"{integer}.{cents:02}"
    grouped = f"{integer:,}.{cents:02}".replace(",", group)
    for one, other in ((plain, grouped), (grouped, plain)):
        assert plain in {*ENGLISH.query_tokens(one)} & {*ENGLISH.passage_tokens(other)}


def test_a_long_word_is_cut_and_still_found() -> None:
    word = "x" * 100_000
    assert ENGLISH.passage_tokens(word) == ["x" * MAX_TOKEN_CHARACTERS]
    assert finds(word, f"before {word} after")


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_of_the_settings_has_an_analyzer(language: str) -> None:
    settings = RetrievalSettings(language=language)  # type: ignore[arg-type]
    assert finds("zebra42", "a zebra42 there", settings.language)


@given(TEXTS, st.sampled_from(["none", "english", "turkish", "arabic", "hindi", "greek"]))
def test_tokens_are_those_a_whitespace_tokenizer_sees(text: str, language: str) -> None:
    analyzer = get_analyzer(language)
    for analyse in (analyzer.passage_tokens, analyzer.query_tokens):
        tokens = analyse(text)
        assert " ".join(tokens).split() == tokens
        assert tokens == analyse(text)


@given(TEXTS, st.sampled_from(["none", "german", "turkish", "arabic"]))
def test_tokens_do_not_depend_on_how_accents_are_written(text: str, language: str) -> None:
    analyzer = get_analyzer(language)
    forms = [unicodedata.normalize(form, text) for form in ("NFC", "NFD")]
    assert analyzer.passage_tokens(forms[0]) == analyzer.passage_tokens(forms[1])


@given(st.lists(TEXTS, min_size=1), st.data())
def test_a_word_of_a_passage_finds_it(words: list[str], data: st.DataObject) -> None:
    query = NONE.query_tokens(data.draw(st.sampled_from(words)))
    passage = NONE.passage_tokens(" ".join(words))
    assert {*query} <= {*passage}


@given(TEXTS, TEXTS)
def test_spaces_and_punctuation_only_part_words(before: str, after: str) -> None:
    tokens = ENGLISH.passage_tokens(before) + ENGLISH.passage_tokens(after)
    assert ENGLISH.passage_tokens(f'("{before}), {after}!') == tokens


@given(TEXTS)
def test_what_is_remembered_changes_nothing(text: str) -> None:
    assert Analyzer("english").passage_tokens(text) == ENGLISH.passage_tokens(text)


@pytest.mark.parametrize(
    "code", ["550e8400-e29b-41d4-a716-446655440000", "AB-12-34", "ISO_9001-2015"]
)
def test_a_code_is_found_with_and_without_its_joints(code: str) -> None:
    [whole] = ENGLISH.query_tokens(code.replace("-", "").replace("_", ""))[:1]
    assert ENGLISH.query_tokens(code)[0] == ENGLISH.passage_tokens(code)[0] == whole


XQUAD = {"zh": "none", "th": "none", "ar": "arabic", "hi": "hindi", "ru": "russian"}


@pytest.mark.data
@pytest.mark.parametrize("name", XQUAD)
def test_questions_find_their_paragraph(data_dir: Path, name: str) -> None:
    dataset = load_dataset(data_dir / "xquad" / name)
    analyzer = get_analyzer(XQUAD[name])
    corpus = Corpus(
        (d.document_id, analyzer.passage_tokens(d.passage)) for d in dataset.documents()
    )
    queries = {query.query_id: query.text for query in dataset.queries[::10]}
    rankings = {}
    for query_id, text in queries.items():
        scores = dict(corpus.score(analyzer.query_tokens(text)))
        rankings[query_id] = sorted(scores, key=lambda key: -scores[key])[:10]
    qrels = {query_id: dataset.qrels[query_id] for query_id in queries}
    assert measure_rankings(qrels, rankings)["R@10"] >= 0.95
