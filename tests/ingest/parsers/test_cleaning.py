from ingest.parsers.cleaning import clean


def test_clean() -> None:
    assert clean("\ufb01le \ufb03 e\u0301\x00\x07 \t\r\nnext\ud800  \n\n") == "file ffi é\nnext"


def test_painted_soft_hyphen_is_a_hyphen() -> None:
    assert clean("spin\xadoff") == "spin-off"
