"""`suffice cost`: from a model server, or a price list, to dollars."""

import json
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from serving.pricing import Load, Rates, Speed
from suffice.cli import main
from tests.serving.upstream import USAGE, Reply, json_reply, run_upstream, stream_reply

Suffice = Callable[..., Any]
QUESTION = ("--prompt-tokens", 2000, "--completion-tokens", 200, "--questions-per-day", 864)
BACKENDS = """
[listed]
url = "http://127.0.0.1:9/v1"
price = { prompt = 1.0, cached = 0.25, completion = 4.0, as_of = 2026-11-26 }

[own]
url = "http://127.0.0.1:9/v1"
gpu_usd_per_hour = 3.6

[unknown]
url = "http://127.0.0.1:9/v1"
"""


@pytest.fixture
def suffice(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Suffice:
    """Run `suffice` on a home of its own; return the JSON or text it printed, or its error."""
    monkeypatch.setenv("SUFFICE_HOME", str(tmp_path / "home"))

    def run(*arguments: object) -> Any:
        monkeypatch.setattr(sys, "argv", ["suffice", *map(str, arguments)])
        try:
            main()
        except SystemExit as end:
            if end.code:
                return capsys.readouterr().err
        out = capsys.readouterr().out
        return json.loads(out) if "--json" in arguments else out

    return run


@pytest.fixture
def backends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "backends.toml"
    path.write_text(BACKENDS)
    monkeypatch.setenv("SERVING_BACKENDS_FILE", str(path))


def keep_rates(home: Path, name: str) -> None:
    """Write down that a busy server answers the question of the tests in a second of its time."""
    work = Speed(
        overhead_seconds=0.1,
        prefill_tokens_per_second=4000,
        cached_tokens_per_second=40_000,
        decode_tokens_per_second=500,
    )
    latency = work.model_copy(update={"decode_tokens_per_second": 50})
    load = Load(concurrency=8, latency=latency, work=work)
    rates = Rates(model="m", measured_on=date(2026, 11, 26), loads=(load,))
    rates.save(home / "rates" / f"{name}.json")


def test_estimate_by_list_and_by_gpu(suffice: Suffice, backends: None, tmp_path: Path) -> None:
    keep_rates(tmp_path / "home", "own")
    listed, own, unknown = suffice("cost", "estimate", *QUESTION, "--json")

    assert listed["basis"] == "price_list"
    assert listed["usd_per_answer"] == pytest.approx((2000 * 1.0 + 200 * 4.0) / 1e6)
    assert listed["busy_share"] is None

    assert own["basis"] == "gpu_hour"
    assert own["usd_per_answer"] == pytest.approx(3.6 / 3600 * 1.0)  # one second
    assert own["seconds"] == pytest.approx(0.1 + 0.5 + 4.0)
    assert own["busy_share"] == pytest.approx(864 / 86_400)
    assert own["usd_per_answer_alone"] == pytest.approx(24 * 3.6 / 864)

    assert (unknown["basis"], unknown["usd_per_answer"]) == ("unknown", None)
    assert "gpu_usd_per_hour" in unknown["missing"]


def test_cached_tokens_make_it_cheaper(suffice: Suffice, backends: None) -> None:
    (listed,) = suffice("cost", "estimate", "listed", *QUESTION, "--cached-tokens", 1000, "--json")
    assert listed["usd_per_answer"] == pytest.approx((1000 * 1.0 + 1000 * 0.25 + 200 * 4.0) / 1e6)
    assert "can be no more" in suffice("cost", "estimate", *QUESTION, "--cached-tokens", 2001)


def test_table_says_what_is_missing(suffice: Suffice, backends: None) -> None:
    table = suffice("cost", "estimate", *QUESTION)
    assert "0.002800" in table
    assert "own: no price. Run `suffice cost calibrate own`." in table


def test_calibrated_rates_are_kept_and_give_prices(
    suffice: Suffice, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with run_upstream() as upstream:
        upstream.chat = stream_reply("1", "\n2", "\n3", finish_reason="length")
        monkeypatch.setenv("SERVING_LLM_URL", upstream.url)
        monkeypatch.setenv("SERVING_LLM_GPU_USD_PER_HOUR", "2")
        printed = suffice("cost", "calibrate", "--concurrency", 2, "--json")
        sent = [request["messages"][0]["content"] for request in upstream.requests]
    assert len(set(sent)) == 3 + (len(sent) - 3) / 2  # after the warm-up each prompt twice
    kept = Rates.load(tmp_path / "home" / "rates" / "default.json")
    assert kept is not None
    assert kept.model == "tiny"
    assert printed["default"]["num_requests"] == len(sent) - 3
    assert Rates.model_validate({n: printed["default"][n] for n in Rates.model_fields}) == kept
    (estimated,) = suffice("cost", "estimate", *QUESTION, "--json")
    assert estimated["basis"] == "gpu_hour"


def test_server_that_tells_no_usage_is_named(
    suffice: Suffice, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with run_upstream() as upstream:
        whole = stream_reply("1", "2", finish_reason="length")
        upstream.chat = Reply([part for part in whole.parts if part != USAGE])
        monkeypatch.setenv("SERVING_LLM_URL", upstream.url)
        assert "'default' does not tell how many tokens" in suffice("cost", "calibrate")
    assert not (tmp_path / "home" / "rates").exists()


def test_busy_server_is_named(suffice: Suffice, monkeypatch: pytest.MonkeyPatch) -> None:
    with run_upstream() as upstream:
        upstream.chat = json_reply({"error": {"message": "Later.", "code": 503}}, 503)
        monkeypatch.setenv("SERVING_LLM_URL", upstream.url)
        assert "'default' is busy" in suffice("cost", "calibrate")


def test_without_a_server_there_is_nothing_to_measure(suffice: Suffice) -> None:
    assert "Set SERVING_LLM_URL" in suffice("cost", "calibrate")


def test_unknown_model_is_an_error(suffice: Suffice, backends: None) -> None:
    said = suffice("cost", "calibrate", "nope")
    assert "no model 'nope'; there is listed, own, unknown." in said
