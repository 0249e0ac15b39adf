import pytest

from ingest.titles import make_name, make_title


@pytest.mark.parametrize(
    ("filename", "external_id", "title"),
    [
        ("2022 Q3 AAPL.pdf", "2022 Q3 AAPL.pdf", "2022 Q3 AAPL"),
        ("10-Q.pdf", "Apple/2022/10-Q.pdf", "Apple/2022/10-Q"),
        ("upload.pdf", "INV-2024-001", "upload INV-2024-001"),
        ("Q.pdf", "10-Q.pdf", "Q 10-Q"),
        ("export.json", "org.example.App", "export org.example.App"),
        ("ADI_2009.PDF", "ADI_2009.PDF", "ADI_2009"),
        ("README", "README", "README"),
        ("release v1.20.3", "release v1.20.3", "release v1.20.3"),
        ("\u5831\u544a\u66f8.docx", "\u5831\u544a\u66f8.docx", "\u5831\u544a\u66f8"),
        (".md", ".md", ""),
    ],
)
def test_a_title_is_what_a_document_is_found_by(
    filename: str, external_id: str, title: str
) -> None:
    assert make_title(filename, external_id) == title


def test_a_document_that_goes_by_its_path_is_named_by_it() -> None:
    assert make_name("10-Q.pdf", "Apple/2022/10-Q.pdf") == "Apple/2022/10-Q.pdf"
    assert make_name("10-Q.pdf", "10-Q.pdf") == "10-Q.pdf"
    assert make_name("10-Q.pdf", "INV-2024-001") == "10-Q.pdf"
