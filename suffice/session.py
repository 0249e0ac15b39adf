"""Which service a command talks to: a given one, the one that owns the home folder, or its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from secrets import token_urlsafe
from typing import TYPE_CHECKING

from pydantic import SecretStr

from ingest.home import Home
from suffice.client import Client
from suffice.settings import SufficeSettings

if TYPE_CHECKING:
    from serving.service import Settings


@contextmanager
def open_client(settings: SufficeSettings) -> Iterator[Client]:
    """Yield a client.

    Without an address, and with no service running on the home folder, a service is started that
    lives as long as the context.
    """
    key = settings.api_key.get_secret_value() if settings.api_key else None
    url = settings.url or Home(settings.home).service_url()
    if url is not None:
        with Client(url, key) as client:
            yield client
        return
    from serving.server import run_in_thread  # noqa: PLC0415 - torch takes seconds
    from serving.service import Settings  # noqa: PLC0415

    service = _with_key(Settings.read(settings.home))
    own_key = service.serving.api_key
    key = own_key.get_secret_value() if own_key else None
    with run_in_thread(service) as own_url, Client(own_url, key, is_embedded=True) as client:
        yield client


def _with_key(settings: "Settings") -> "Settings":
    """Let a command into the service that it runs itself: it may read the home folder anyway."""
    from serving.database import open_database  # noqa: PLC0415 - see above
    from serving.keys import KeyStore  # noqa: PLC0415

    serving = settings.serving
    if serving.api_key is not None:
        return settings
    with open_database(serving, settings.ingest, Home(settings.home)) as database:
        if not KeyStore(database).list_keys():
            return settings
    key = SecretStr(token_urlsafe())
    return replace(settings, serving=serving.model_copy(update={"api_key": key}))
