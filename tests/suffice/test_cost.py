"""`suffice cost`: from a model server, or a price list, to dollars."""

import json
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from eval.intervals import MeanInterval
from serving.pricing import Load, Rates, Speed
from suffice.cli import main
from tests.serving.upstream import USAGE, Reply, json_reply, run_upstream, stream_reply
from tests.tunings import make_answered, make_result

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


def keep_rates(home: Path, name: str, error: float = 0.0) -> None:
    """Write down that a busy server answers the question of the tests in a second of its time."""
    work = Speed(
        overhead_seconds=0.1,
        prefill_tokens_per_second=4000,
        cached_tokens_per_second=40_000,
        decode_tokens_per_second=500,
        p95_error=error,
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


EVEN = ("cost", "break-even", "own", "--answer-tokens", 200)
PRICES = """
[dear]
prompt = 1.0
completion = 4.0
as_of = 2026-11-01
source = "a page"
note = "twice as much at night"

[cheap]
prompt = 0.1
completion = 0.4
as_of = 2026-11-02
source = "a page"
"""


@pytest.fixture
def prices(tmp_path: Path) -> Path:
    path = tmp_path / "prices.toml"
    path.write_text(PRICES)
    return path


def test_break_even_of_an_own_gpu(
    suffice: Suffice, backends: None, prices: Path, tmp_path: Path
) -> None:
    keep_rates(tmp_path / "home", "own")
    days = ("--questions-per-day", 100, "--questions-per-day", 100_000)
    sizes = ("--prompt-tokens", 2000, "--prompt-tokens", 4000)
    few, many = suffice(*EVEN, *sizes, *days, "--prices", prices, "--json")
    assert few["gpu_seconds"] == pytest.approx(0.1 + 0.5 + 0.4)
    assert many["gpu_seconds"] == pytest.approx(0.1 + 1.0 + 0.4)
    assert few["questions_per_gpu"] == pytest.approx(43_200)
    dear, cheap = few["apis"]
    assert dear["usd_per_1000"] == pytest.approx(2.0 + 0.8)
    # $3.6 an hour are $86.40 a day.
    assert dear["break_even"]["first"] == 30_858  # 86.4 / 0.0028, rounded up
    assert cheap["break_even"] is None  # $0.28 for 1,000, and 43,200 questions
    assert [day["gpus"] for day in few["days"]] == [1, 3]
    assert [day["usd"] for day in few["days"]] == pytest.approx([86.4, 3 * 86.4])


def test_break_even_with_what_a_tuning_chose(
    suffice: Suffice, backends: None, prices: Path, tmp_path: Path
) -> None:
    keep_rates(tmp_path / "home", "own")
    result = make_result()
    result.save(tmp_path / "result.json")
    plot = tmp_path / "plot.svg"
    served, chosen = suffice(
        *EVEN, "--tuning", tmp_path, "--prices", prices, "--plot", plot, "--json"
    )
    means = [result.setting(name).prompt_tokens.mean for name in ("served", "c")]
    assert [served["prompt_tokens"], chosen["prompt_tokens"]] == [round(one) for one in means]
    assert result.setting("c").label in chosen["label"]
    assert chosen["questions_per_gpu"] > served["questions_per_gpu"]
    assert plot.read_text().startswith("<?xml")


def test_break_even_after_answers_decided_takes_the_prompts_they_were_written_to(
    suffice: Suffice, backends: None, prices: Path, tmp_path: Path
) -> None:
    keep_rates(tmp_path / "home", "own")
    result = make_answered()
    assert result.answers is not None
    served, chosen, *others = result.answers.settings
    answered = [
        one.model_copy(update={"prompt_tokens": MeanInterval(tokens, tokens, tokens, 80)})
        for one, tokens in ((served, 7321), (chosen, 1234))
    ]
    answers = result.answers.model_copy(update={"settings": [*answered, *others]})
    result.model_copy(update={"answers": answers}).save(tmp_path / "result.json")
    efforts = suffice(*EVEN, "--tuning", tmp_path, "--prices", prices, "--json")
    assert [one["prompt_tokens"] for one in efforts] == [7321, 1234]


def test_break_even_is_printed_with_our_prices(
    suffice: Suffice, backends: None, tmp_path: Path
) -> None:
    keep_rates(tmp_path / "home", "own")
    shares = ("--utilisation", 0.25, "--utilisation", 1)
    table = suffice(*EVEN, "--prompt-tokens", 2000, *shares, "--questions-per-day", 50_000)
    for said in (
        *("GPU up to 25% busy", "GPU up to 100% busy", "never", "claude-sonnet-5-5, 2026-10-24"),
        "259.20 (3)",  # 21,600 questions a GPU
        "86.40 (1)",
    ):
        assert said in table
    assert "not to be trusted" not in table


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "Give either --prompt-tokens or --tuning"),
        (("--prompt-tokens", 0), "--prompt-tokens"),
        (("--prompt-tokens", 9, "--questions-per-day", 0), "--questions-per-day"),
        (("--prompt-tokens", 9, "--gpu-usd-per-hour", 0), "--gpu-usd-per-hour must be above 0"),
        (("--prompt-tokens", 9, "--utilisation", 0), "--utilisation must be above 0"),
        (("--prompt-tokens", 9, "--prices", "nowhere.toml"), "nowhere.toml cannot be read"),
        (("--tuning", "nowhere"), "nowhere/result.json cannot be read"),
        (("--prompt-tokens", 9), "Run `suffice cost calibrate own`"),
    ],
)
def test_break_even_says_what_is_wrong(
    suffice: Suffice, backends: None, arguments: tuple[object, ...], says: str
) -> None:
    assert says in suffice(*EVEN, *arguments)


def test_break_even_by_rates_that_predict_badly_is_noted(
    suffice: Suffice, backends: None, tmp_path: Path
) -> None:
    keep_rates(tmp_path / "home", "own", error=0.2)
    assert "not to be trusted" in suffice(*EVEN, "--prompt-tokens", 2000)
    (one,) = suffice(*EVEN, "--prompt-tokens", 2000, "--json")
    assert not one["is_trusted"]


def test_break_even_of_a_model_without_a_gpu(
    suffice: Suffice, backends: None, tmp_path: Path
) -> None:
    keep_rates(tmp_path / "home", "unknown")
    asked = ("cost", "break-even", "unknown", "--prompt-tokens", 2000)
    assert "Give --gpu-usd-per-hour" in suffice(*asked)
    (one,) = suffice(*asked, "--gpu-usd-per-hour", 2, "--json")
    assert one["gpu_usd_per_hour"] == 2
    assert "no model 'nope'" in suffice("cost", "break-even", "nope", "--prompt-tokens", 9)
