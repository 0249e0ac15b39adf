"""Which calls are repeated, for how long, and how a wait ends."""

import threading
from collections.abc import Callable

import pytest

from suffice import patience
from suffice.errors import ServiceError
from suffice.patience import Patience, StoppedError


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "MIN_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(patience, "MAX_PAUSE_SECONDS", 0.01)


def failing(*errors: ServiceError) -> Callable[[], str]:
    """Return an action that raises one error after the other and then succeeds."""
    left = list(errors)

    def action() -> str:
        if left:
            raise left.pop(0)
        return "done"

    return action


@pytest.mark.parametrize("status", [None, 429, 502, 503, 504])
def test_passing_trouble_is_waited_out(status: int | None) -> None:
    seen = []
    patient = Patience(on_obstacle=lambda: seen.append(patient.obstacle))
    assert patient.call(failing(*[ServiceError("full", status)] * 3)) == "done"
    assert seen == ["no service answers" if status is None else "full"] * 3
    assert patient.obstacle is None


@pytest.mark.parametrize("status", [400, 401, 404, 409, 415, 500])
def test_refusal_is_final(status: int) -> None:
    with pytest.raises(ServiceError, match="no") as caught:
        Patience().call(failing(ServiceError("no", status)))
    assert caught.value.status == status


def test_service_that_stays_away_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "PATIENCE_SECONDS", 0.05)
    with pytest.raises(ServiceError, match="gone"):
        Patience().call(failing(*[ServiceError("gone")] * 1000))


def test_full_service_is_never_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "PATIENCE_SECONDS", 0.0)
    assert Patience().call(failing(*[ServiceError("full", 429)] * 20)) == "done"


def test_service_says_when_to_ask_again(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(Patience, "wait", lambda _self, seconds: waits.append(seconds))
    asked = [ServiceError("full", 429, seconds) for seconds in (7.0, 100_000.0, None)]
    Patience().call(failing(*asked))
    assert waits == [7.0, patience.MAX_RETRY_AFTER_SECONDS, 0.004]


def test_stop_breaks_off_a_wait() -> None:
    waiting = threading.Event()
    patient = Patience(on_obstacle=waiting.set)

    def stop() -> None:
        waiting.wait()
        patient.stop()

    stopper = threading.Thread(target=stop)
    stopper.start()
    with pytest.raises(StoppedError):
        patient.call(failing(ServiceError("full", 429, 60.0)))
    stopper.join()
    assert patient.is_stopped
