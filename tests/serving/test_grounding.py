"""A sentence is supported by what it cites or it is not, and an answer is grounded accordingly."""

import re
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from retrieval.analyzer import get_analyzer
from retrieval.embedding import TokenVectors
from serving.grounding import (
    ENOUGH_SIMILARITY,
    NO_TIME,
    Grounded,
    SentenceSupport,
    Support,
    is_grounded,
    judge_support,
    what_lacks,
)
from tests.fakes import HashEmbedder
from tests.serving.test_citations import PRICES, make_context

ENGLISH = get_analyzer("english")
HIVE = (
    "Bees sleep at night inside the hive. A queen lives for 5 years and 1,200 days at most. "
    "Drones do not collect honey. Karl von Frisch observed the dance of the bees in Munich."
)
TIDES = "The moon pulls the ocean. Tides come twice a day."


def judge(answer: str, *texts: str) -> list[tuple[str, Support]]:
    sentences = judge_support(answer, make_context(*(texts or (HIVE, TIDES))), ENGLISH)
    return [(answer[one.start : one.end], one.support) for one in sentences]


def test_what_there_is_no_time_to_judge_is_unsupported() -> None:
    answer = "Bees sleep at night inside the hive [1]. Drones do not collect honey [1]. Why?"
    is_late = iter([False, True])
    sentences = judge_support(answer, make_context(HIVE), ENGLISH, None, is_late.__next__)
    assert [(one.support, one.reason) for one in sentences] == [
        (Support.SUPPORTED, ""),
        (Support.UNSUPPORTED, NO_TIME),
        (Support.NO_CLAIM, ""),
    ]


@pytest.mark.parametrize(
    "sentence",
    [
        "Bees sleep at night inside the hive.",
        "At night, bees sleep in their hive.",
        "A queen lives five years.",
        "A queen lives for 1200 days at most.",
        "Drones never collect honey.",
        "Drones don't collect honey.",
        "Karl von Frisch observed the bees' dance in Munich.",
        "2. Bees sleep at night.",
    ],
)
def test_supported(sentence: str) -> None:
    assert what_lacks(sentence, make_context(HIVE)[0], ENGLISH) == ""


@pytest.mark.parametrize(
    ("sentence", "reason"),
    [
        ("Granite erodes in the rain.", "The cited text says something else."),
        ("A queen lives for 6 years.", "The cited text does not say 6."),
        ("A queen lives for 12,00 days at most.", "The cited text does not say 12."),
        ("Bees sleep at night for 5 years.", "The cited text does not say 5."),
        ("The dance of the bees Otto observed in Munich.", "The cited text does not name Otto."),
        ("Bees do not sleep at night inside the hive.", "The cited text does not deny it."),
        ("Bees sleep inside warm dark wooden hives.", "The cited text does not say as much."),
    ],
)
def test_unsupported(sentence: str, reason: str) -> None:
    assert what_lacks(sentence, make_context(HIVE)[0], ENGLISH) == reason


@pytest.mark.parametrize(
    ("language", "text", "sentence", "is_supported"),
    [
        ("german", "Die Miete beträgt 850 Euro.", "Die Miete ist 850 Euro.", True),
        ("german", "Die Miete beträgt 850 Euro.", "Die Miete beträgt keine 850 Euro.", False),
        ("french", "Le loyer est de 850 euros.", "Le loyer est de 580 euros.", False),
        ("spanish", "El museo abre a las 9.", "A las 9 abre el museo.", True),
        ("none", "蜜蜂晚上在蜂巢里睡觉。", "蜜蜂晚上睡觉。", True),
        ("none", "蜜蜂晚上在蜂巢里睡觉。", "蜜蜂晚上不睡觉。", False),
        ("russian", "Пчёлы спят ночью в улье.", "Ночью пчёлы спят.", True),
        ("arabic", "الإجازة ٣٠ يوما في السنة.", "الإجازة 30 يوما في السنة.", True),
        ("arabic", "الإجازة ٣٠ يوما في السنة.", "الإجازة 45 يوما في السنة.", False),
        ("english", "The candle costs 15.00 EUR.", "The candle costs 15 EUR.", True),
        ("german", "Die Miete beträgt 1.000 Euro.", "Die Miete beträgt 1 Euro.", False),
    ],
)
def test_languages(language: str, text: str, sentence: str, is_supported: bool) -> None:
    lacks = what_lacks(sentence, make_context(text)[0], get_analyzer(language))
    assert (lacks == "") == is_supported


@pytest.mark.parametrize(
    ("sentence", "is_supported"),
    [
        ("The price of a candle is 12.50 EUR.", True),
        ("Of candles, a product, the stock is 310.", True),
        ("The price of a candle is 7.90 EUR.", False),
        ("The price of honey is 12.50 EUR.", False),
    ],
)
def test_a_row_of_a_table_is_read_with_its_header_and_without_other_rows(
    sentence: str, is_supported: bool
) -> None:
    (item,) = make_context(f"Sold last year:\n{PRICES}\nAll of it.")
    assert (what_lacks(sentence, item, ENGLISH) == "") == is_supported


class _Counting(HashEmbedder):
    num_compared = 0

    def embed_passage_tokens(self, texts: Sequence[str]) -> list[TokenVectors]:
        self.num_compared += 1
        return super().embed_passage_tokens(texts)


def test_a_sentence_that_is_repeated_is_judged_once() -> None:
    embedder = _Counting()
    answer = "The bees sleep tonight in the hive, unseen [1]. " * 50
    judged = judge_support(answer, make_context(HIVE), ENGLISH, embedder)
    assert len(judged) == 50
    assert embedder.num_compared == 1


class _Alike(HashEmbedder):
    """Finds every token of a query alike with every token of a passage, to one degree."""

    def __init__(self, similarity: float) -> None:
        super().__init__()
        self._similarity = similarity

    def embed_query_tokens(self, text: str) -> TokenVectors:
        return self._vectors(text, 1.0)

    def embed_passage_tokens(self, texts: Sequence[str]) -> list[TokenVectors]:
        return [self._vectors(text, self._similarity) for text in texts]

    def _vectors(self, text: str, value: float) -> TokenVectors:
        offsets = self.token_offsets(text)
        return TokenVectors(offsets, np.full((len(offsets), 1), value, np.float32))


@pytest.mark.parametrize(
    ("sentence", "similarity", "is_supported"),
    [
        ("Bees rest at night inside their home.", ENOUGH_SIMILARITY + 0.01, True),
        ("Bees rest at night inside their home.", ENOUGH_SIMILARITY - 0.01, False),
        ("Granite erodes in the rain.", 1.0, False),
        ("A queen lives for 6 years.", 1.0, False),
        ("Otto observed the dance of bees, said Otto.", 1.0, False),
    ],
)
def test_paraphrase_is_similar_and_has_some_of_the_words(
    sentence: str, similarity: float, is_supported: bool
) -> None:
    lacks = what_lacks(sentence, make_context(HIVE)[0], ENGLISH, _Alike(similarity))
    assert (lacks == "") == is_supported


def test_nothing_is_a_paraphrase_in_a_language_that_the_embedder_does_not_know() -> None:
    class English(_Alike):
        def vocabulary_coverage(self, text: str) -> float:
            return float(text.isascii())

    def lacks(sentence: str, text: str) -> str:
        return what_lacks(sentence, make_context(text)[0], ENGLISH, English(1.0))

    assert lacks("Bees rest at night inside their home.", HIVE) == ""
    assert lacks("通知期为三个月。", "通知期为一个月。") == "The cited text does not say as much."


def test_sentences_with_their_own_markers() -> None:
    answer = "Bees sleep at night [1]. Tides come twice a day. [2] Bees sleep at night [2]."
    assert judge(answer) == [
        ("Bees sleep at night [1].", Support.SUPPORTED),
        ("Tides come twice a day.", Support.SUPPORTED),
        ("Bees sleep at night [2].", Support.UNSUPPORTED),
    ]


def test_sentences_without_markers_share_those_of_their_paragraph() -> None:
    answer = (
        "Bees sleep at night. Drones do not collect honey [1]. Bees sleep inside the hive.\n\n"
        "Bees sleep at night."
    )
    assert [support for _, support in judge(answer)] == [
        Support.SUPPORTED,
        Support.SUPPORTED,
        Support.SUPPORTED,
        Support.UNSUPPORTED,
    ]


def test_one_of_several_items_is_enough() -> None:
    assert judge("Tides come twice a day [1][2].") == [
        ("Tides come twice a day [1][2].", Support.SUPPORTED)
    ]


def test_sentence_tells_what_it_was_compared_with() -> None:
    answer = "Tides come thrice a day [2][9]."
    assert judge_support(answer, make_context(HIVE, TIDES), ENGLISH) == [
        SentenceSupport(
            0, len(answer), Support.UNSUPPORTED, (2,), "The cited text does not say as much."
        )
    ]


@pytest.mark.parametrize(
    "sentence",
    [
        "Hello!",
        "Sure, here is the answer:",
        "What do bees eat?",
        "## Bees and honey",
        "**Bees and honey**",
        "The documents do not contain an answer to this question.",
        "The provided excerpts don't mention honey.",
        "I could not find honey in them.",
        "Die Dokumente enthalten dazu keine Angaben.",
        "Les documents ne mentionnent pas le miel.",
        "Los documentos no mencionan la miel.",
        "Is it?",
        "...",
        "This is how:",
    ],
)
def test_no_claim(sentence: str) -> None:
    assert judge(sentence) == [(sentence, Support.NO_CLAIM)]


@pytest.mark.parametrize(
    "sentence",
    [
        "Sure, bees eat granite.",
        "Hello, bees eat granite in the hive.",
        "The documents do not mention honey, but bees eat granite.",
        "There are 3 reasons:",
        "Granite does not contain honey.",
    ],
)
def test_claim(sentence: str) -> None:
    assert judge(sentence) == [(sentence, Support.UNSUPPORTED)]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("Bees sleep at night [1].", Grounded.YES),
        ("Hello! Bees sleep at night [1]. Anything else?", Grounded.YES),
        ("Bees sleep at night [1]. Bees eat granite [1].", Grounded.PARTLY),
        ("Bees eat granite [1].", Grounded.NO),
        ("Bees sleep at night.", Grounded.NO),
        ("Bees sleep at night [7].", Grounded.NO),
        ("The documents do not contain an answer to this question.", Grounded.NO),
        ("", Grounded.NO),
    ],
)
def test_grounded(answer: str, expected: Grounded) -> None:
    assert is_grounded(judge_support(answer, make_context(HIVE), ENGLISH)) == expected


TEXTS = st.lists(
    st.one_of(
        st.text(max_size=20),
        st.sampled_from(
            ["Bees sleep. ", "[1]", "[2]", "[9] ", "\n\n", ". ", "# A\n", "5 ", "not "]
        ),
    ),
    max_size=12,
).map("".join)


@given(TEXTS)
def test_sentences_are_in_order_and_hold_all_words(answer: str) -> None:
    sentences = judge_support(answer, make_context(HIVE, TIDES), ENGLISH)
    ends = [0, *(one.end for one in sentences)]
    starts = [*(one.start for one in sentences), len(answer)]
    for end, start in zip(ends, starts, strict=True):
        assert end <= start
        assert not re.sub(r"\[\d\]|[,;.\s]", "", answer[end:start])


@given(st.text("ab. ", max_size=60))
@example("a. . .a")
def test_a_copy_of_the_text_is_supported(text: str) -> None:
    for _, support in judge(f"{text.strip()} [1]", text):
        assert support in {Support.SUPPORTED, Support.NO_CLAIM}
