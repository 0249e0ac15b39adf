import pytest

from ingest.titles import make_title


@pytest.mark.parametrize(
    ("filename", "external_id", "title"),
    [
        ("2022 Q3 AAPL.pdf", "2022 Q3 AAPL.pdf", "2022 Q3 AAPL"),
        ("10-Q.pdf", "Apple/2022/10-Q.pdf", "Apple/2022/10-Q"),
        ("upload.pdf", "INV-2024-001", "upload INV-2024-001"),
        ("ADI_2009.PDF", "ADI_2009.PDF", "ADI_2009"),
        ("README", "README", "README"),
        ("release v1.20.3", "release v1.20.3", "release v1.20.3"),
        ("\u5831\u544a\u66f8.docx", "\u5831\u544a\u66f8.docx", "\u5831\u544a\u66f8"),
        (".md", ".md", ""),
    ],
)
def test_a_title_is_what_users_call_a_document(filename: str, external_id: str, title: str) -> None:
    assert make_title(filename, external_id) == title
