"""What is prose, and what leads elsewhere."""

import pytest

from eval.synthesis.prose import is_back_matter, is_entry, is_prose


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("The warranty of the pump ends after 24 months.", True),
        ("The four prompts have 2,960, 4,260, 5,560 and 6,860 tokens in them.", True),
        ("He was nominated for the award.[15]", True),
        ("Sie liegt an der Elbe, und die Stadt hat einen Hafen.", True),
        ("Die Stadt Hamburg und der Hafen liegen an der Elbe.", True),
        ("\u5957\u9910\u5305\u542b\u516b\u4e2a\u6587\u6863\u3002", True),
        ("Open https://example.org and enter the word that you were given by mail.", True),
        ("If a server is configured, that server", False),
        ("Guillaume Lample, Miguel Ballesteros, Sandeep Subramanian, Chris Dyer.", False),
        ("Tsolak Ghukasyan 1, Garnik Davtyan 2, Karen Avetisyan 3, Yerevan, Armenia.", False),
        ("Net loss (33,982) Taxes 1,715 Cash (86,660).", False),
        ("Ben Platt (https://www.imdb.com/name/nm4805317/) at the database.", False),
        ("", False),
    ],
)
def test_prose(sentence: str, expected: bool) -> None:
    assert is_prose(sentence) is expected


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("[28] Maaten, L. V. D., & Hinton, G. (2008).", True),
        ("[Lample 2016] neural architectures for the recognition of entities.", True),
        ("Zhu, J., Tian, Z., & Kubler, S. (2019).", True),
        ("in Proceedings of the 55th meeting of the association, volume 1.", True),
        ("a better way to read discourse, arXiv preprint of that year.", True),
        ("learning to rank with the documents of others, 9(11): 2579.", True),
        ("Retrieved on September 26 from the archive.", True),
        ("The court, says Smith, J., erred.", False),
        ("It was shown before [12] that this is so.", False),
    ],
)
def test_entries_of_a_bibliography(sentence: str, expected: bool) -> None:
    assert is_entry(sentence) is expected


@pytest.mark.parametrize(
    ("titles", "expected"),
    [
        (("Ben Platt", "External  Links"), True),
        (("7. References:",), True),
        (("A.2 Acknowledgments",), True),
        (("IV Bibliography", "Books"), True),
        (("Literaturverzeichnis",), True),
        (("REST API reference",), False),
        (("Search and citations",), False),
        (("Table of contents and its maker",), False),
        ((), False),
    ],
)
def test_back_matter(titles: tuple[str, ...], expected: bool) -> None:
    assert is_back_matter(titles) is expected
