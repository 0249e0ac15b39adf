"""`make demo`, whole: a server process, real documents, real model."""

import re
import subprocess
import sys

import pytest

from suffice.demo import QUESTIONS, UNANSWERABLE


def test_demo_ends_by_itself_with_cited_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVING_API_KEY", "of another service")
    demo = subprocess.run(
        [sys.executable, "-m", "suffice.demo"],
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert "suffice explain" not in demo.stderr  # the traces are gone with the demo
    answers = dict(
        re.findall(r"^Q: (.*)\n((?:.+\n|\n(?!Q: |How few))+)", demo.stdout, re.MULTILINE)
    )
    assert set(answers) == {*QUESTIONS, UNANSWERABLE}
    for question in QUESTIONS:
        assert re.search(
            r"^  \[\d+\] \S+, (page \d+, )?characters \d+-\d+: ", answers[question], re.M
        )
    assert answers[UNANSWERABLE].strip().startswith("The documents do not contain")
    assert re.search(r"\nk=\d+ \(\d+ tokens\) finds at most 0.03 less evidence", demo.stdout)
