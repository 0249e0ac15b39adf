"""Tokens: what a reader expects to find is found, whatever the script."""

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.beir import load_dataset
from eval.measures import measure_rankings
from retrieval.analyzer import MAX_TOKEN_CHARACTERS, Analyzer, get_analyzer
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
        ("v1.20.3", "v1.20.3 1.20.3 v 1 20 3"),
        ("H2O", "h2o h 2 o"),
        ("john.doe@example.com", "johndoeexamplecom john doe exampl com"),
        ("/usr/local/bin", "usrlocalbin usr local bin"),
        ("10.0.0.1", "10.0.0.1 10 0 0 1"),
        ("2024-03-01", "2024-03-01 2024 03 01"),
        ("1,000 1.000 1'000", "1000 1000 1000"),
        ("3.5 % 3,5 120", "3.5 3.5 120"),
        ("C++ C# .NET", "c++ c c# c .net net"),
        ("R&D", "rd r d"),
        ("company’s isn't we'll", "compani"),
        ("the PDFs, a PDF", "pdf pdf"),
        ("WHO says who", "who say"),
        ("soft\u00adhyphen zero\u200bwidth", "softhyphen zerowidth"),
        ("ﬁne Ｆｕｌｌ x²", "fine full x2 x 2"),
        ("🎉 party", "🎉 parti"),
        ("_emphasis_ **bold** ... - '", "emphasi bold"),
        ("d41d8cd98f00b204e980", "d41d8cd98f00b204e980"),
        ("", ""),
    ],
)
def test_english_tokens(text: str, tokens: str) -> None:
    assert ENGLISH.passage_tokens(text) == tokens.split()
    assert ENGLISH.query_tokens(text) == tokens.split()


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
        ("हिन्दी १२३", "हिन्दी 123"),
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
        ("email", "send an e-mail", "english"),
        ("homme", "l'homme", "french"),
        ("il", "qu'il", "none"),
        ("ISTANBUL", "İstanbul'da", "turkish"),
        ("istanbul", "ISTANBUL", "turkish"),
        ("Müller", "MUELLER", "german"),
        ("muller", "Müller", "german"),
        ("STRASSE", "Straße", "german"),
        ("елка", "ёлки", "russian"),
        ("informacao", "informação", "portuguese"),
        ("informações", "informação", "portuguese"),
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


def test_an_accented_word_is_twice_in_a_passage_only_where_its_stem_differs() -> None:
    portuguese = get_analyzer("portuguese")
    assert portuguese.passage_tokens("informação") == ["inform", "informaca"]
    assert portuguese.query_tokens("informação") == ["inform"]
    assert portuguese.passage_tokens("sofá") == ["sof"]


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
