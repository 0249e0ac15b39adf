"""Running the application with uvicorn, in the foreground or in a thread."""

import asyncio
import gc
import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from queue import Queue
from socket import socket

import uvicorn

from ingest.home import Home
from retrieval.embedding import Embedder
from retrieval.errors import ProfileError, ProfileNotFoundError
from serving.app import create_app
from serving.database import open_database
from serving.errors import AddressInUseError, ExposedWithoutKeyError
from serving.keys import KeyStore
from serving.service import Service, Settings, open_service
from serving.shadow import find_candidate

START_TIMEOUT_SECONDS = 30
# For calls under way when the service is stopped; less than docker-compose.yml leaves it.
STOP_TIMEOUT_SECONDS = 20
# Then answers end in an error, which must be sent.
ANSWER_SECONDS = 18
logger = logging.getLogger(__name__)


class Server(uvicorn.Server):
    """A uvicorn server that writes down its address in the home folder once it listens."""

    def __init__(self, service: Service, on_start: Callable[[str], None]) -> None:
        """Set up.

        Args:
            service: what to serve, already open.
            on_start: called with the address once the server listens.
        """
        self._service = service
        self._on_start = on_start
        serving = service.settings.serving
        super().__init__(
            uvicorn.Config(
                create_app(service),
                host=serving.host,
                port=serving.port,
                log_level="warning",
                timeout_graceful_shutdown=STOP_TIMEOUT_SECONDS,
            )
        )

    @property
    def url(self) -> str:
        """Where the server answers, once it has started."""
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        host = "127.0.0.1" if host in {"0.0.0.0", "::"} else host  # noqa: S104 - compared, not bound
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Listen, then say where."""
        await super().startup(sockets)
        if self.started:
            self._service.home.announce(self.url)
            self._on_start(self.url)

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Stop, then close what the answers needed."""
        self._service.stopping.begin()
        loop = asyncio.get_running_loop()
        cut = loop.call_later(ANSWER_SECONDS, self._service.stopping.cut)
        await super().shutdown(sockets)
        cut.cancel()
        await self._service.shadow.close()
        await self._service.answerer.close()


def run(
    settings: Settings, on_start: Callable[[str], None], embedder: Embedder | None = None
) -> None:
    """Serve until a signal stops it; `embedder` is used instead of the one the settings name.

    Raises:
        ExposedWithoutKeyError: the host is not loopback and there is no key.
        AddressInUseError: the port is taken.
    """
    _check_exposure(settings)
    # uvicorn raises the signal again after its own part; the default would kill us in the middle.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with open_service(settings, embedder) as service:
        _look_for_candidate(service)
        server = Server(service, on_start)
        # What was loaded stays. To look through it for garbage stops all answers for half a second.
        gc.collect()
        gc.freeze()
        try:
            server.run()
        except SystemExit as error:
            if error.code == 0:
                raise
            # uvicorn's way to say that it cannot listen
            raise AddressInUseError(
                f"{settings.serving.host}:{settings.serving.port} cannot be listened on. Stop what "
                "uses it, or choose another with --host and --port."
            ) from error


@contextmanager
def run_in_thread(settings: Settings, embedder: Embedder | None = None) -> Iterator[str]:
    """Serve on loopback, on any free port, in a thread; yield the address.

    Args:
        settings: of all packages.
        embedder: used instead of the one that the settings name.
    """
    serving = settings.serving.model_copy(update={"host": "127.0.0.1", "port": 0})
    started: Queue[str] = Queue()
    with open_service(replace(settings, serving=serving), embedder) as service:
        server = Server(service, on_start=started.put)
        thread = threading.Thread(target=server.run)
        # As in `run`, but a command that asks one question does not wait for a look through it all.
        gc.freeze()
        thread.start()
        try:
            yield started.get(timeout=START_TIMEOUT_SECONDS)
        finally:
            server.should_exit = True
            thread.join()
            gc.unfreeze()


def _look_for_candidate(service: Service) -> None:
    """Say so if there is no candidate that could answer anything; it can be saved at any time."""
    name = service.settings.serving.shadow_profile
    if name is not None:
        try:
            find_candidate(name, service.profiles)
        except (ProfileError, ProfileNotFoundError) as error:
            logger.warning("no question is answered twice until this is mended: %s", error)


def _check_exposure(settings: Settings) -> None:
    """Refuse to let everybody in, before anything is loaded."""
    serving = settings.serving
    if serving.is_loopback or serving.api_key is not None:
        return
    with open_database(serving, settings.ingest, Home(settings.home)) as database:
        if KeyStore(database).has_live_key():
            return
    raise ExposedWithoutKeyError(
        f"{serving.host} can be reached from other machines, so a key is needed: make one with "
        "`suffice keys create`, set SERVING_API_KEY, or listen on 127.0.0.1."
    )
