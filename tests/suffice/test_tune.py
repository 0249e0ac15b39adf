"""From questions to a certified profile that answers, and the ways in which it can fail."""

import hashlib
import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from eval.answer_stages import NAMES
from eval.budgets import Budget
from eval.choice import Goal
from eval.errors import BudgetError, DatasetError, EvalError, NoQuestionsError
from eval.extras import Extra
from eval.labels import load_labels
from eval.questions import Question, write_questions
from eval.results import Cut, Quality, Result, Verdict
from eval.stages import HEADINGS
from ingest.home import Home
from retrieval.embedding import Embedder
from retrieval.settings import RetrievalSettings
from serving.generation import NO_ANSWER
from serving.pricing import Load, Rates, Speed
from suffice.certified_profile import apply
from suffice.client import Client
from suffice.errors import SufficeError
from suffice.exclusion import exclusive
from suffice.reindexing import reindex
from suffice.snapshots import read_collection
from suffice.tuning import run_tuning
from suffice.tuning_order import AnswerOrder, TuningOrder
from tests.eval.grader import Grader
from tests.eval.planted import make_document, make_questions
from tests.eval.towers import reply_all
from tests.fakes import HashEmbedder
from tests.serving.application import DIMENSION, Application, run_application
from tests.serving.upstream import Reply, count_words, run_upstream
from tests.suffice.terminal import Suffice

HOUSES = 4
SUFFICE = (sys.executable, "-m", "suffice")


def load(_: RetrievalSettings, name: str) -> Embedder:
    return HashEmbedder(name, dimension=DIMENSION)


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    with run_application(tmp_path_factory.mktemp("home")) as application:
        for place in range(HOUSES):
            text = make_document(f"h{place}", range(place * 5, place * 5 + 5))
            application.ingest(f"h{place}.md", text)
        yield application


@pytest.fixture
def client(application: Application) -> Iterator[Client]:
    with Client(application.url) as client:
        yield client


@pytest.fixture
def questions(client: Client) -> list[Question]:
    """Each asked by two people."""
    return [
        replace(one, question_id=f"{one.question_id}/{n}", cluster=f"{one.question_id}/{n}")
        for one in make_questions(read_collection(client, "default").snapshot)
        for n in range(2)
    ]


@pytest.fixture
def order(questions: list[Question], tmp_path: Path) -> TuningOrder:
    write_questions(tmp_path / "questions.jsonl", questions)
    return TuningOrder(
        tmp_path / "questions.jsonl", "default", tmp_path / "tuning", goal=Goal(eps=0.2)
    )


@pytest.fixture
def short_order(questions: list[Question], order: TuningOrder) -> TuningOrder:
    """Of too few questions for a certificate, for what does not need one."""
    write_questions(order.questions, questions[::4])
    return order


def tune(client: Client, order: TuningOrder) -> Result:
    home = Home(order.output / "home")  # not there yet: the service has another one
    return run_tuning(client, home, order, load=load)


def assert_no_result_of_what_changed(
    client: Client,
    order: TuningOrder,
    change_and_load: Callable[[RetrievalSettings, str], Embedder],
) -> None:
    home = Home(order.output)
    home.path.mkdir(parents=True)
    with pytest.raises(SufficeError, match="changed while it was measured"):
        run_tuning(client, home, order, load=change_and_load)
    assert not (order.output / "result.json").exists()


def use_up(client: Client, name: str, questions: Path) -> None:
    """Let a profile be certified with questions."""
    profile = client.profile(name)
    used = hashlib.sha256(questions.read_bytes()).hexdigest()
    certificate = {**profile["certificate"], "questions": used}
    client.save_profile(name, {**profile, "certificate": certificate})


def test_what_is_certified_is_applied_and_answers(
    client: Client, order: TuningOrder, questions: list[Question], application: Application
) -> None:
    result = tune(client, order)
    assert result.decision.verdict is Verdict.CERTIFIED
    assert Result.load(order.output / "result.json") == result
    # The service finds what the replay finds.
    assert result.search_noise is not None
    assert result.search_noise.share_same == 1
    assert result.search_noise.num_same == result.search_noise.num_questions > 0
    report = unescape((order.output / "report.html").read_text())
    assert result.decision.statement in report
    assert "without an answer" in result.warnings[-1]
    question = "Which colour has lamp number3?"
    before = client.ask(question)["suffice"]["context"]
    collection, cut = apply(client, order.output, "tuned")
    try:
        assert (collection["profile"], cut) == ("tuned", None)
        after = client.ask(question)["suffice"]
        assert after["context"]["tokens"] < before["tokens"]
        assert after["profile"]["certificate"]["certified"]
        assert after["profile"]["certificate"]["statement"] == result.decision.statement
        # What is served now is what the next tuning compares with.
        write_questions(order.questions, questions[::4])
        use_up(client, "tuned", order.questions)
        again = tune(client, order)
        reference = again.setting(again.reference)
        assert reference.profile.top_k == result.setting(result.decision.chosen).profile.top_k
        reused = [any("these very questions" in w for w in one.warnings) for one in (result, again)]
        assert reused == [False, True]
    finally:
        client.serve_profile("default", "default")
    assert application.http.delete("/v1/profiles/tuned").status_code == 200


def test_other_chunk_sizes_are_tried_and_need_a_reindexing(
    client: Client, short_order: TuningOrder
) -> None:
    result = tune(client, replace(short_order, chunk_tokens=(64,), overlaps=(16,)))
    assert set(result.coverage_at) == {
        "32",
        "32 overlapping by 16",
        "64",
        "64 overlapping by 16",
    }
    cuts = {one.cut.max_tokens for one in result.settings}
    assert cuts > {32}
    with pytest.raises(SufficeError, match=r"Chunks of 500 tokens .* reads 32 to 254"):
        tune(client, replace(short_order, chunk_tokens=(500,)))


def test_a_setting_for_documents_cut_otherwise_says_what_to_set(
    client: Client, order: TuningOrder
) -> None:
    result = tune(client, order)
    other = Cut(max_tokens=64, overlap_tokens=16, min_tokens=8, fingerprint="measured")
    settings = [one.model_copy(update={"cut": other}) for one in result.settings]
    result.model_copy(update={"settings": settings}).save(order.output / "result.json")
    try:
        _, cut = apply(client, order.output, "tuned")
    finally:
        client.serve_profile("default", "default")
        client.delete_profile("tuned")
    assert cut is not None
    assert cut.settings == (
        "INGEST_CHUNK_TOKENS=64 INGEST_CHUNK_OVERLAP_TOKENS=16 INGEST_CHUNK_MIN_TOKENS=8"
    )


def test_headings_are_tried_when_asked_for(client: Client, short_order: TuningOrder) -> None:
    result = tune(client, replace(short_order, stages=(Extra.HEADINGS,)))
    assert HEADINGS in {one.name for one in result.stages}
    assert HEADINGS not in result.not_measured
    assert len(list((short_order.output / "logs").iterdir())) == 2
    thinking = result.not_measured[NAMES[Extra.THINKING]]
    assert thinking == "Answers were not measured: --answers --stages thinking."


@pytest.mark.parametrize(
    "option", [("--eps", "0.03"), ("--test", "wsr"), ("--mode", "best"), ("--mode", "reference")]
)
def test_what_a_coverage_has_no_use_for_is_refused(
    suffice_offline: Suffice, option: tuple[str, str]
) -> None:
    outcome = suffice_offline("eval", "tune", "q.jsonl", "--min-coverage", "0.9", *option)
    assert outcome.code == 2
    assert "--min-coverage compares with" in outcome.err


def test_ctrl_c_says_how_to_go_on(offline: Suffice) -> None:
    Path("q.jsonl").write_text('{"id": "a", "question": "b", "facts": []}\n')
    with socket.create_server(("127.0.0.1", 0)) as service:
        url = f"http://127.0.0.1:{service.getsockname()[1]}"
        tuning = [*SUFFICE, "eval", "tune", "q.jsonl", "--url", url]
        with subprocess.Popen(tuning, stderr=subprocess.PIPE) as process:
            connection, _ = service.accept()  # and never answers
            with connection:
                process.send_signal(signal.SIGINT)
                _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.decode() == "Interrupted. The same command goes on where it stopped.\n"


def test_stages_of_answers_need_answers(suffice_offline: Suffice) -> None:
    outcome = suffice_offline(
        "eval", "tune", "q.jsonl", "--stages", "headings", "--stages", "model"
    )
    assert outcome.code == 2
    assert "Of --stages only headings can do without --answers" in outcome.err


def test_what_was_found_is_kept_for_each_way_to_rank_words(
    client: Client, short_order: TuningOrder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reference BM25 gives other scores than the engine, so it has a record of its own."""
    tune(client, short_order)
    [log] = (short_order.output / "logs").iterdir()
    written = log.stat().st_mtime_ns
    monkeypatch.setenv("RETRIEVAL_LEXICAL", "rank_bm25")
    tune(client, short_order)
    monkeypatch.delenv("RETRIEVAL_LEXICAL")
    tune(client, short_order)
    assert log.stat().st_mtime_ns == written
    logs = [path.read_text() for path in (short_order.output / "logs").iterdir()]
    records = [
        {
            line["question_id"]: line["lexical"]
            for line in map(json.loads, log.splitlines()[1:])
            if "question_id" in line
        }
        for log in logs
    ]
    assert len(records) == 2
    assert records[0] != records[1]


def test_what_another_analyzer_found_is_found_anew(
    client: Client, short_order: TuningOrder, monkeypatch: pytest.MonkeyPatch
) -> None:
    tune(client, short_order)
    monkeypatch.setattr("suffice.workbench.ANALYZER", "an earlier version")
    tune(client, short_order)
    assert len([*(short_order.output / "logs").iterdir()]) == 2


def test_evidence_that_is_gone_is_told_and_too_few_questions_leave_nothing_to_apply(
    client: Client, short_order: TuningOrder, questions: list[Question]
) -> None:
    span = replace(questions[0].facts[0][0], text="Nobody ever wrote this sentence.")
    lost = replace(questions[0], question_id="lost", facts=((span,),))
    by_rule = [
        replace(one, kind="synthetic-rule", tags=("cloze",), weight=1.0 + number)
        for number, one in enumerate(questions[::4])
    ]
    write_questions(short_order.questions, [*by_rule, lost])
    result = tune(client, short_order)
    assert f"their evidence: {len(by_rule)} of {len(by_rule)} questions" in str(result.warnings)
    assert "The weights of the questions were left alone" in str(result.warnings)
    spans = result.questions.spans
    assert spans is not None
    assert (spans.kept, spans.dropped) == (len(by_rule), 1)
    assert list(result.questions.dropped) == ["lost"]
    assert result.warnings[-1] == "Questions left out, because their evidence is gone: 1."
    assert result.decision.verdict is Verdict.NOT_CERTIFIED
    assert not (short_order.output / "profile.json").exists()
    with pytest.raises(SufficeError, match="nothing to apply: Cannot tell yet"):
        apply(client, short_order.output, "tuned")
    write_questions(short_order.questions, [lost])
    reason = r"'default' do not hold.* any more: 1 were left out, .*h0\.md' does not contain"
    with pytest.raises(NoQuestionsError, match=reason):
        tune(client, short_order)


def test_a_report_that_cannot_be_written_leaves_no_older_certificate(
    client: Client, short_order: TuningOrder, application: Application
) -> None:
    older, report = short_order.output / "profile.json", short_order.output / "report.html"

    def block_and_load(settings: RetrievalSettings, name: str) -> Embedder:
        older.write_text("{}")
        report.mkdir()
        return load(settings, name)

    home = Home(short_order.output)
    home.path.mkdir(parents=True)
    with pytest.raises(EvalError, match=r"report\.html"):
        run_tuning(client, home, short_order, load=block_and_load)
    assert not older.exists()
    with pytest.raises(SufficeError, match=r"report\.html cannot be written"):  # at once
        run_tuning(client, home, short_order, load=block_and_load)


def test_documents_that_change_meanwhile_void_the_result(
    client: Client,
    short_order: TuningOrder,
    application: Application,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def change_and_load(settings: RetrievalSettings, name: str) -> Embedder:
        application.ingest("new.md", "Another house.")
        return load(settings, name)

    assert_no_result_of_what_changed(client, short_order, change_and_load)
    [document] = [one for one in client.documents("default") if one["filename"] == "new.md"]
    client.delete(document["id"])


@pytest.mark.parametrize("change", ["language", "profile", "values of the profile"])
def test_a_collection_that_is_served_otherwise_meanwhile_voids_the_result(
    client: Client, short_order: TuningOrder, change: str
) -> None:
    narrow = client.profile("default") | {"top_k": 3}
    client.save_profile("narrow", narrow)
    client.serve_profile("default", "narrow")

    def change_and_load(settings: RetrievalSettings, name: str) -> Embedder:
        match change:
            case "language":
                reindex(client, ["default"], language="german")
            case "profile":
                client.serve_profile("default", "default")
            case _:
                client.save_profile("narrow", narrow | {"dense_weight": 0.2})
        return load(settings, name)

    try:
        assert_no_result_of_what_changed(client, short_order, change_and_load)
    finally:
        client.serve_profile("default", "default")
        client.delete_profile("narrow")
        reindex(client, ["default"], language="english")


def test_texts_that_are_made_anew_meanwhile_void_the_result(
    client: Client, short_order: TuningOrder, application: Application
) -> None:
    """As those are that a newer parser reads; their revisions stay."""
    library = application.service.library
    document = library.get(next(client.documents("default"))["id"])
    text = library.text(document)

    def save(words: str) -> None:
        anew = replace(text, text=words)
        texts = library._pipeline.texts
        texts.set_aside(document.revision, document.media_type)
        texts.save(document.revision, document.media_type, anew)

    def change_and_load(settings: RetrievalSettings, name: str) -> Embedder:
        save(text.text.replace("hall", "room"))
        return load(settings, name)

    try:
        assert_no_result_of_what_changed(client, short_order, change_and_load)
    finally:
        save(text.text)


def test_another_embedder_is_refused(client: Client, order: TuningOrder) -> None:
    home = Home(order.output)
    home.path.mkdir(parents=True)
    with pytest.raises(SufficeError, match="makes other vectors"):
        run_tuning(client, home, order, load=lambda _, name: HashEmbedder(name, "other"))


def test_bad_input_is_told_before_anything_is_done(suffice_offline: Suffice) -> None:
    outcome = suffice_offline("eval", "tune", "nowhere.jsonl")
    assert outcome.code != 0
    assert "nowhere.jsonl cannot be read" in outcome.err
    Path("q.jsonl").write_text('{"id": "a", "question": "b", "facts": []}\n')
    Path("file").write_text("")
    outcome = suffice_offline("eval", "tune", "q.jsonl", "--output", "file/tuning")
    assert outcome.code != 0
    assert "cannot be written" in outcome.err
    for name in ("result.json", "replies", "judge.json", "labels.jsonl"):
        Path(f"tuning-{name}", name).mkdir(parents=True)
        outcome = suffice_offline("eval", "tune", "q.jsonl", "--output", f"tuning-{name}")
        assert outcome.code != 0
        assert f"{name} cannot be written" in outcome.err
    Path("tuning").mkdir()
    Path("tuning/labels.jsonl").write_text('{"id": "a", "score": "good"}\n')
    outcome = suffice_offline("eval", "tune", "q.jsonl")
    assert outcome.code != 0
    assert "labels.jsonl, line 1: 'score' must be a number from 0 to 1" in outcome.err


def test_two_runs_do_not_pay_for_the_same(suffice_offline: Suffice) -> None:
    Path("q.jsonl").write_text('{"id": "a", "question": "b", "facts": []}\n')
    Path("tuning").mkdir()
    with exclusive(Path("tuning")):
        outcome = suffice_offline("eval", "tune", "q.jsonl")
        assert outcome.code == 1
        assert "is writing tuning already" in outcome.err
    assert "No Suffice service answers" in suffice_offline("eval", "tune", "q.jsonl").err


@pytest.fixture
def suffice_offline(offline: Suffice, monkeypatch: pytest.MonkeyPatch) -> Suffice:
    monkeypatch.setenv("SUFFICE_URL", "http://127.0.0.1:9")
    return offline


def test_a_budget_for_what_is_not_known_is_refused_before_anything_is_measured(
    client: Client, order: TuningOrder
) -> None:
    for budget in (Budget(max_ms=800), Budget(max_usd_per_1000=2)):
        with pytest.raises(BudgetError, match="suffice cost calibrate"):
            tune(client, replace(order, budget=budget))
    assert not list((order.output / "logs").iterdir())


def test_a_budget_is_kept_to_and_answered(client: Client, order: TuningOrder) -> None:
    result = tune(client, replace(order, budget=Budget(max_prompt_tokens=400)))
    assert result.decision.verdict is Verdict.CERTIFIED
    assert result.setting(result.decision.chosen).prompt_tokens_p95 <= 420
    assert result.budget is not None
    assert result.budget.best is not None
    assert result.setting(result.budget.best).prompt_tokens_p95 <= 420
    assert Result.load(order.output / "result.json") == result
    assert result.budget.statement in unescape((order.output / "report.html").read_text())


def test_milliseconds_and_dollars_are_those_of_the_model_that_answers(
    client: Client, short_order: TuningOrder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reads 1,000 tokens a second and writes 100, so 20 of an answer leave 300 ms to read."""
    speed = Speed(
        prefill_tokens_per_second=1000,
        cached_tokens_per_second=None,
        decode_tokens_per_second=100,
    )
    load = Load(concurrency=1, latency=speed, work=speed)
    rates = Rates(model="m", measured_on=date(2026, 11, 26), loads=(load,))
    rates.save(short_order.output / "home" / "rates" / "default.json")
    monkeypatch.setenv("SERVING_LLM_GPU_USD_PER_HOUR", "3.6")
    with run_upstream() as upstream:
        monkeypatch.setenv("SERVING_LLM_URL", upstream.url)
        budget = Budget(max_usd_per_1000=0.6, max_ms=500, answer_tokens=20)
        result = tune(client, replace(short_order, budget=budget))
    assert result.budget is not None
    assert result.budget.prompt_limits == {"max_usd_per_1000": 400, "max_ms": 300}
    assert result.budget.binding == "max_ms"
    assert result.budget.best is not None
    assert result.setting(result.budget.best).prompt_tokens_p95 <= 310


def test_a_broken_file_of_questions_is_named(client: Client, order: TuningOrder) -> None:
    order.questions.write_text("{}\n")
    with pytest.raises(DatasetError, match="line 1"):
        tune(client, order)


class House:
    """Answers from the passage that has the colour of the lamp that is asked for."""

    def __call__(self, request: dict[str, Any]) -> Reply:
        prompt = request["messages"][-1]["content"]
        lamp = re.findall(r"Which colour has lamp (number\d+)\?", prompt)[-1]
        text = NO_ANSWER
        for tag, passage in re.findall(r"\[(\w{4}-\d+)\] [^\n]*\n(.*?)\n\[/\w{4}\]", prompt, re.S):
            if found := re.search(rf"Lamp {lamp} in hall\d shines (\w+)", passage):
                text = f"Lamp {lamp} shines {found[1]} [{tag}]."
        num_read = sum(count_words(one["content"]) for one in request["messages"])
        return reply_all([text] * request.get("n", 1), num_read)


def test_stages_of_answers_are_measured_or_have_a_reason(
    client: Client,
    order: TuningOrder,
    questions: list[Question],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_questions(order.questions, questions[::6])
    house, grader = House(), Grader()
    with run_upstream() as upstream:
        upstream.counts = None  # else each passage is counted over HTTP
        upstream.respond = lambda request: (
            grader if request["model"] == "mistral-small" else house
        )(request)
        backends = tmp_path / "backends.toml"
        backends.write_text(
            f'[big]\nurl = "{upstream.url}"\nmodel = "mistral-large"\n'
            f'[judge]\nurl = "{upstream.url}"\nmodel = "mistral-small"\n'
        )
        monkeypatch.setenv("SERVING_BACKENDS_FILE", str(backends))
        monkeypatch.setenv("SERVING_LLM_URL", upstream.url)
        monkeypatch.setenv("SERVING_LLM_MODEL", "qwen")
        monkeypatch.setenv("SERVING_LLM_THINKING", "enable_thinking")
        stages = (Extra.THINKING, Extra.SAMPLES, Extra.MODEL)
        answering = replace(order, answers=AnswerOrder(judge="judge"), stages=stages)
        result = tune(client, answering)
    answers = result.answers
    assert answers is not None
    thinking, samples = answers.stages
    assert (thinking.name, samples.name) == (
        NAMES[Extra.THINKING],
        f"{NAMES[Extra.SAMPLES]}: 3",
    )
    assert thinking.completion_tokens.mean == 0
    assert samples.completion_tokens.mean == 20
    same_family = result.not_measured["big instead of default"]
    assert same_family == "The judge 'mistral-small' is of the same family."
    assert answers.judge is not None
    assert (answers.judge.model, answers.judge.accuracy) == ("mistral-small", 1.0)
    assert load_labels(order.output / "labels.jsonl") == {}
    assert (order.output / "labels.jsonl").read_text().count("\n") > 0


def test_answers_decide_and_are_asked_once(
    client: Client, order: TuningOrder, capsys: pytest.CaptureFixture[str]
) -> None:
    """The extractive writer answers, so no call is paid for; what it said is kept all the same."""
    stages = (Extra.THINKING, Extra.SAMPLES)
    answering = replace(order, answers=AnswerOrder(), goal=Goal(eps=0.2), stages=stages)
    result = tune(client, answering)
    assert "No model answers" in result.not_measured[NAMES[Extra.SAMPLES]]
    assert result.not_measured[NAMES[Extra.MODEL]] == "Not asked for: --stages model."
    assert result.answers is not None
    assert result.decision.quality is Quality.ANSWERS
    assert result.decision.verdict is Verdict.CERTIFIED
    assert "Its answers are not worse" in result.decision.statement
    chosen = result.setting(result.decision.chosen)
    names = [one.name for one in result.answers.settings]
    assert names[0] == result.reference
    assert chosen.name in names
    assert len(result.answers.settings[0].items) == len(result.answers.question_ids)
    # What chooses sentences without a model does so in the same way every time.
    noise = result.answers.noise
    assert noise is not None
    assert 0 < noise.num_questions == min(30, len(result.answers.question_ids))
    assert (noise.quality, noise.share_changed, noise.unstable) == (0, 0, [])
    assert Result.load(order.output / "result.json") == result
    assert (order.output / "profile.json").exists()
    num_items = result.decision.num_clusters
    assert f"Answers are tested on {num_items} independent items." in capsys.readouterr().err
