"""Each maker without a model: what it asks, and what it takes as evidence."""

from collections import Counter
from pathlib import Path

import pytest

from eval.synthesis.cells import cell_questions
from eval.synthesis.cloze import cloze_questions
from eval.synthesis.corpus import Corpus, Source
from eval.synthesis.definitions import abbreviations, definition_questions
from eval.synthesis.faq import faq_questions
from eval.synthesis.headings import heading_questions
from eval.synthesis.links import link_questions
from eval.synthesis.making import RULES
from eval.synthesis.windows import draw_windows
from ingest.texts import CanonicalText
from tests.eval.synthesis.library import check_spans, corpus_of, library, read

LEAD = "Copies are made every night and kept for thirty days on another machine."


def asked(corpus: Corpus, maker: object) -> list[tuple[str, str]]:
    """Return question and evidence of each question of a maker, its spans checked."""
    assert callable(maker)
    questions = list(maker(corpus))
    for question in questions:
        check_spans(corpus, question)
        assert question.kind == "synthetic-rule"
        assert question.cluster == question.facts[0][0].document
    return [(question.text, question.facts[0][0].text) for question in questions]


def test_words_of_a_link_ask_for_the_section_it_leads_to() -> None:
    guide = f"# Guide\n\nWords before it.\n\n## Backup & restore\n\n{LEAD}\n\nMore of it.\n"
    start = (
        "See [how copies are kept safe](guide.md#backup--restore), [the site][1], ![a big picture]"
        "(guide.md), [a guide elsewhere](https://x.org/guide.md), [here](guide.md#backup--restore),"
        " [nowhere at all](guide.md#lost) and [no such page](lost.md)."
    )
    corpus = corpus_of(guide=guide, start=start)
    assert asked(corpus, link_questions) == [("how copies are kept safe", LEAD)]


def test_links_are_relative_to_the_folder_and_anchors_are_counted() -> None:
    text = f"## Copy\n\n{LEAD}\n\n## Copy\n\nThe second section is about something else again.\n"
    target = Source("a/b.md", "1", corpus_of(x=text).sources["x.md"].text)
    here = CanonicalText("[other kinds of copies](../b.md#copy-1) [kinds of copy](../b.md)")
    corpus = Corpus([target, Source("a/c/d.md", "1", here)], "english")
    assert asked(corpus, link_questions) == [
        ("other kinds of copies", "The second section is about something else again."),
        ("kinds of copy", LEAD),
    ]


def test_questions_that_documents_ask_themselves() -> None:
    text = (
        f"# How often are copies made?\n\n{LEAD}\n\n# Help\n\n"
        "**Q:** Does it run on Windows?\n**A:** It does, within\na virtual machine.\n\n"
        "Q2: And on a phone?\nA2: No.\nQ: Why?\nA: Too slow.\n"
    )
    assert asked(corpus_of(faq=text), faq_questions) == [
        ("How often are copies made?", LEAD),
        ("Does it run on Windows?", "It does, within\na virtual machine."),
        ("And on a phone?", "No."),
        ("Why?", "Too slow."),
    ]


def test_headings_ask_for_their_first_paragraph() -> None:
    text = (
        f"# Operations guide\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n## Nightly copies\n\n{LEAD}\n\n"
        "Not this.\n\n## Errors\n\nThese are all the errors there are, with what to do:\n\n- one\n"
    )
    assert asked(corpus_of(guide=text), heading_questions) == [
        ("Operations guide: Nightly copies", LEAD)
    ]


def test_a_long_paragraph_is_cut_behind_a_sentence() -> None:
    text = "# Very long story\n\n" + f"{LEAD} " * 30
    ((_, evidence),) = asked(corpus_of(story=text), heading_questions)
    assert evidence == " ".join([LEAD] * 13)  # of 72 characters and a space, within 1,000


@pytest.mark.parametrize(
    ("sentence", "question"),
    [
        ("A **chunk** is a piece of a document.", "What is a chunk?"),
        ("Copy-on-write is a way to share pages.", "What is copy-on-write?"),
        ("Cdk11 is a kinase.", "What is Cdk11?"),
        ("BM25 is one of the ranking formulas.", "What is BM25?"),
        ("Embeddings are those numbers.", "What are embeddings?"),
        ("- Sharding means cutting an index in parts.", "What does sharding mean?"),
        ("PQ stands for product quantization.", "What does PQ stand for?"),
        ("This is a piece of a document.", None),
        ("The service is a program.", None),
        ("What is a chunk?", None),
        ("It means that nothing is lost.", None),
        ("Speed is what matters.", None),
        ("A list of numbers that stands for a meaning.", None),
    ],
)
def test_definitions(sentence: str, question: str | None) -> None:
    corpus = corpus_of(text=sentence)
    evidence = sentence.removeprefix("- ")
    assert asked(corpus, definition_questions) == ([(question, evidence)] if question else [])


def test_abbreviations_ask_for_their_long_form() -> None:
    corpus = corpus_of(text="It uses reciprocal rank fusion (RRF) for this.")
    (question,) = definition_questions(corpus)
    assert question.text == "What does RRF stand for?"
    assert question.answers == ("reciprocal rank fusion",)


@pytest.mark.parametrize(
    ("sentence", "found"),
    [
        ("Optical character recognition (OCR) reads scans.", [("OCR", "Optical character recog")]),
        ("The key-value cache (KV) is full.", [("KV", "key-value cache")]),
        ("The server (Linux) runs.", []),
        ("Nothing like it (XYZ).", []),
        ("(ABC) begins.", []),
    ],
)
def test_long_forms(sentence: str, found: list[tuple[str, str]]) -> None:
    assert [(s, long[: len("Optical character recog")]) for s, long in abbreviations(sentence)] == (
        found
    )


def test_cloze_leaves_out_what_is_rarest() -> None:
    text = (
        "# Limits\n\nEach upload to the service may have at most 512 megabytes of data.\n\n"
        "The team from Lisbon wrote the first version of the program in 2019.\n\n"
        "Later versions of the program of 2019 were faster than the first one.\n\n"
        "| a | 77 |\n|---|---|\n| many other words in this row | 78 |\n\n"
        "```\nsome code with the number 99 in its only line\n```\n"
    )
    assert [question for question, _ in asked(corpus_of(limits=text), cloze_questions)] == [
        "Limits: Each upload to the service may have at most ___ megabytes of data.",
        "Limits: The team from ___ wrote the first version of the program in 2019.",
        "Limits: Later versions of the program of ___ were faster than the first one.",
    ]


def test_what_stands_in_many_sentences_is_left_in() -> None:
    sentence = "The tower of Belem was built with stones from the river in year {}.\n\n"
    text = "".join(sentence.format(word) for word in ("one", "two", "three", "four"))
    assert asked(corpus_of(tower=text), cloze_questions) == []


def test_cells_ask_by_the_headers_of_row_and_column() -> None:
    text = (
        "| Model | Price |\n|:---|---:|\n| **Small** | $0.40 |\n| Odd \\| one | 3 |\n"
        "| Empty | |\n| Broken |\n| 5 | $2.50 |\n"
    )
    corpus = corpus_of(prices=text)
    assert asked(corpus, cell_questions) == [
        ("Small, Price?", "| **Small** | $0.40 |"),
        ("Odd | one, Price?", "| Odd \\| one | 3 |"),
        ("Model 5, Price?", "| 5 | $2.50 |"),
    ]
    assert [question.answers for question in cell_questions(corpus)] == [
        ("$0.40",),
        ("3",),
        ("$2.50",),
    ]


def test_cells_are_not_asked_for_by_numbers_signs_and_formulas() -> None:
    text = (
        "| Item | $443 | \u2014 | H[q] = \u2212 X | hworker \u2026 h 2 | F1 | 2019 |\n"
        "|---|---|---|---|---|---|---|\n"
        "| Netting | 1 | 2 | 3 | 4 | 0.81 | \u2014 |\n| Goodwill | 1 | 2 | 3 | 4 | \u2014 | 636 |\n"
        "| $ | 1 | 2 | 3 | 4 |  |  |\n\n| 10.55 | Page |\n|---|---|\n| 10.57 | 47 |\n"
    )
    questions = asked(corpus_of(accounts=text), cell_questions)
    assert [question for question, _ in questions] == ["Netting, F1?", "Goodwill, 2019?"]


ENTRIES = """\
[13] Kumar, R., Ojha, A. K., & Zampieri, M. (2018, August). Benchmarking aggression in social media.
In Proceedings of the First Workshop, pages 1-11.

[14] Maaten, L. V. D., & Hinton, G. (2008). Visualizing data of many kinds using one embedding of
Amsterdam. Journal of Machine Learning, 9(11): 2579.
"""


@pytest.mark.parametrize(
    "title", ["References", "8 Acknowledgements", "External links", "VII. Bibliography", "Contents"]
)
def test_nothing_is_asked_about_what_leads_elsewhere(title: str) -> None:
    thanks = "We thank the people of Lisbon for the 512 letters that they wrote to all of us.\n"
    table = "| Name | Title |\n|---|---|\n| Aroyo | Crowd truth |\n"
    text = f"# Harbours of old\n\n## {title}\n\n{thanks}\nA wharf is a place of Porto.\n\n{table}"
    corpus = corpus_of(harbours=text)
    assert [question for rule in RULES for question in asked(corpus, rule)] == []
    other = corpus_of(harbours=text.replace(title, "Letters and people"))
    assert all(asked(other, rule) for rule in RULES[2:])


def test_a_model_reads_no_bibliography() -> None:
    text = f"# Story\n\n{f'{LEAD} ' * 19}\n\n# References\n\n{'Smith, J. Of ships. ' * 200}"
    windows = draw_windows(corpus_of(story=text), 0)
    assert windows
    assert all(window.start < text.index("# References") for window in windows)


def test_nothing_is_asked_about_a_bibliography_without_a_title() -> None:
    prose = "The harbour of Porto has held at most 512 ships of all kinds since it was built.\n\n"
    questions = asked(corpus_of(harbours=f"{prose}{ENTRIES}"), cloze_questions)
    assert [evidence for _, evidence in questions] == [prose.strip()]


def test_a_heading_that_names_no_part_of_its_own_is_not_asked_for() -> None:
    sentence = "this is a sentence that somebody set in large letters " * 3
    text = (
        f"# 1 Introduction\n\n{LEAD}\n\n# 5 Experiments\n\n## 5.5 Results\n\n{LEAD}\n\n"
        f"## 5.6 Nightly copies\n\n{LEAD}\n\n# {sentence}\n\n{LEAD}\n\n"
        "# Board of directors\n\nChairman, President and Chief Executive Officer\n"
    )
    assert [question for question, _ in asked(corpus_of(paper=text), heading_questions)] == [
        "5 Experiments: 5.6 Nightly copies"
    ]


def test_of_a_long_table_some_rows_are_asked_for() -> None:
    rows = "".join(f"| row {number} | {number} |\n" for number in range(1000))
    questions = asked(corpus_of(long=f"| name | value |\n|---|---|\n{rows}"), cell_questions)
    assert len(questions) == 100
    assert [question for question, _ in questions[:2]] == ["row 0, value?", "row 10, value?"]


def test_bundled_documents_give_so_many() -> None:
    corpus = library()
    made = Counter(question.tags[0] for rule in RULES for question in rule(corpus))
    assert made == {"faq": 3, "heading": 120, "definition": 6, "cloze": 165, "cell": 177}
    for rule in RULES:
        asked(corpus, rule)


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "least"), [("chunking_eval/documents/wikitexts.md", 390), ("uda_pdf/documents", 100)]
)
def test_real_documents(data_dir: Path, name: str, least: int) -> None:
    path = data_dir / name
    smallest = sorted(path.glob("*.pdf"), key=lambda file: file.stat().st_size)[:3]
    paths = [path] if path.is_file() else smallest
    corpus = Corpus(map(read, paths), "english")
    assert sum(len(asked(corpus, rule)) for rule in RULES) >= least
