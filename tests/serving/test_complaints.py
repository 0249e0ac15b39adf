"""What a server says of an error, in any of the shapes that there are."""

import pytest

from serving.complaints import MAX_SAID, Complaint


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('{"error": {"message": "Too hot", "code": 400}}', "Too hot."),
        ('{"error": "CUDA out of memory!"}', "CUDA out of memory!"),
        ('{"message": "Slow down.", "type": "x"}', "Slow down."),
        ('{"detail": "Not Found"}', "{'detail': 'Not Found'}."),
        ('{"error": {}}', "It gives no reason."),
        ('{"error": {"message": null, "code": 7}}', "{'message': None, 'code': 7}."),
        ("[1]", "[1]."),
        ("Bad\n  Gateway", "Bad Gateway."),
        ("", "It gives no reason."),
    ],
)
def test_what_is_said(body: str, said: str) -> None:
    assert Complaint.of_body(body, 500).said == said


def test_what_programs_need_is_kept() -> None:
    body = '{"error": {"message": "m", "code": 400, "param": "input_tokens"}}'
    complaint = Complaint.of_body(body, 503, {"Retry-After": "17"})
    found = (complaint.status, complaint.code, complaint.param, complaint.retry_after_seconds)
    assert found == (503, 400, "input_tokens", 17.0)
    assert Complaint.of_body("", 503, {"Retry-After": "tomorrow"}).retry_after_seconds is None


def test_a_long_complaint_is_cut_but_known_whole() -> None:
    complaint = Complaint("secret " * 500 + "maximum context length")
    assert len(complaint.said) <= MAX_SAID + 2
    assert complaint.message.endswith("maximum context length")
