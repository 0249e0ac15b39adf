"""Who may call what: every call of the service with the scope it needs."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.routing import compile_path
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as Connection

from serving.errors import PermissionDeniedError, ServingError, UnauthorizedError
from serving.keys import HOW_TO_SEND, LOCAL, Key, KeyStore, Scope
from serving.responses import error_response, http_error_response, refuse
from serving.settings import is_loopback

DOCS_FILES = "docs/files"
# What needs no key. A call that stands nowhere here is answered with 404, whoever asks.
OPEN = (
    "GET /healthz",
    "GET /readyz",
    "GET /docs",
    "GET /docs/oauth2-redirect",
    f"GET /{DOCS_FILES}/{{file}}",
    "GET /openapi.json",
)
CALLS = {
    Scope.READ: (
        "POST /v1/search",
        "POST /v1/chat/completions",
        "GET /v1/models",
        "GET /v1/models/{model:path}",
        "GET /v1/documents",
        "GET /v1/documents/{document_id}",
        "GET /v1/documents/{document_id}/events",
        "GET /v1/documents/{document_id}/content",
        "GET /v1/documents/{document_id}/text",
        "GET /v1/collections",
        "GET /v1/profiles",
        "GET /v1/profiles/{name}",
        "GET /v1/usage",
        "GET /metrics",
        "GET /v1/traces",
        "GET /v1/traces/{trace_id}",
        "POST /v1/traces/{trace_id}/replay",
        "POST /v1/feedback",
    ),
    Scope.WRITE: (
        "POST /v1/documents",
        "POST /v1/documents/{document_id}/retry",
        "DELETE /v1/documents/{document_id}",
        "DELETE /v1/traces",
        "DELETE /v1/traces/{trace_id}",
    ),
    Scope.ADMIN: (
        "POST /v1/collections/{name}/reindex",
        "PUT /v1/collections/{name}/profile",
        "PUT /v1/profiles/{name}",
        "DELETE /v1/profiles/{name}",
        "GET /v1/shadow",
        "GET /v1/keys",
        "POST /v1/keys",
        "DELETE /v1/keys/{key_id}",
    ),
}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a call; handlers find it in the state of the request."""

    key: Key

    @property
    def is_admin(self) -> bool:
        """Whether the caller may know how the service is set up."""
        return self.key.may(Scope.ADMIN)

    def allows(self, collection: str) -> bool:
        """Whether the caller may know of a collection."""
        return self.key.collections is None or collection in self.key.collections

    def check_collection(self, name: str, param: str = "collection") -> None:
        """Make sure that the caller may use a collection, whether it exists or not.

        Raises:
            PermissionDeniedError: it may not.
        """
        if not self.allows(name):
            own = ", ".join(sorted(self.key.collections or ()))
            raise PermissionDeniedError(f"This key is only for: {own}.", param)

    def check_all_collections(self) -> None:
        """Make sure that the caller may know of every collection.

        Raises:
            PermissionDeniedError: it may not.
        """
        if self.key.collections is not None:
            own = ", ".join(sorted(self.key.collections))
            raise PermissionDeniedError(f"This is about all collections; this key is for: {own}.")

    def check_scope(self, scope: Scope) -> None:
        """Make sure that the caller may make calls that need a scope.

        Raises:
            PermissionDeniedError: it may not.
        """
        if not self.key.may(scope):
            own = " and ".join(sorted(self.key.scopes))
            raise PermissionDeniedError(
                f"This call needs a key with the scope {scope}; this one has {own}."
            )


@dataclass(frozen=True, slots=True)
class _Path:
    pattern: re.Pattern[str]
    scopes: dict[str, Scope | None]  # by method; None: open


class Access:
    """Refuses calls of those who may not make them, before anything of their body is read."""

    def __init__(self, app: ASGIApp, keys: KeyStore, *, is_loopback: bool) -> None:
        """Set up.

        Args:
            app: what answers the others.
            keys: of the service.
            is_loopback: whether only this machine can call; then none are needed until there is
                one.
        """
        self._app = app
        self._keys = keys
        self._is_loopback = is_loopback
        self._paths = list(_compile())

    async def __call__(self, connection: Connection, receive: Receive, send: Send) -> None:
        """Pass the call on, or answer 401, 403, 404 or 405."""
        if connection["type"] == "http":
            try:
                await self._check(connection)
            except ServingError as error:
                await refuse(error_response(error), receive, send)
                return
            except HTTPException as error:
                await refuse(http_error_response(error), receive, send)
                return
        await self._app(connection, receive, send)

    async def _check(self, connection: Connection) -> None:
        path = self._find(connection["path"])
        method = connection["method"]
        if path is not None and path.scopes.get(method, Scope.ADMIN) is None:
            return
        caller = await identify(connection["headers"], self._keys, is_loopback=self._is_loopback)
        if path is None:
            raise HTTPException(404, "No call has this path; /docs lists them all.")
        if (scope := path.scopes.get(method)) is None:
            methods = ", ".join(path.scopes)
            raise HTTPException(405, f"This path takes {methods}.", {"Allow": methods})
        caller.check_scope(scope)
        connection.setdefault("state", {})["caller"] = caller

    def _find(self, path: str) -> _Path | None:
        # The router redirects what ends with a slash.
        wanted = path.rstrip("/")
        return next((known for known in self._paths if known.pattern.match(wanted)), None)


async def identify(
    raw_headers: Iterable[tuple[bytes, bytes]], keys: KeyStore, *, is_loopback: bool
) -> Caller:
    """Return who makes a call, by its headers.

    Raises:
        UnauthorizedError: nobody who is known.
        PermissionDeniedError: a web page from elsewhere.
        DatabaseUnavailableError: nobody can tell.
    """
    headers = dict(raw_headers)
    if is_loopback and not await keys.are_needed():
        _check_local(headers)
        return Caller(LOCAL)
    scheme, _, secret = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() != b"bearer":
        raise UnauthorizedError(HOW_TO_SEND)
    return Caller(await keys.find(secret))


def _check_local(headers: Mapping[bytes, bytes]) -> None:
    """Refuse what a web page from elsewhere has the browser of this machine call.

    It names itself in `Origin`, or its own server in `Host` (DNS rebinding).

    Raises:
        PermissionDeniedError: it does.
    """
    origin, host = (headers.get(name, b"").decode("latin-1") for name in (b"origin", b"host"))
    for name, url in ((origin, origin), (host, f"//{host}")):
        if name and not _is_local(url):
            raise PermissionDeniedError(
                f"Without a key only this machine may call, not {name}: make a key with "
                "`suffice keys create`, or call 127.0.0.1."
            )


def _is_local(url: str) -> bool:
    try:
        host = urlsplit(url).hostname
    except ValueError:
        return False
    return host is not None and is_loopback(host)


def _compile() -> Iterator[_Path]:
    scopes: dict[str, dict[str, Scope | None]] = {}
    for scope, calls in ((None, OPEN), *CALLS.items()):
        for call in calls:
            method, path = call.split()
            scopes.setdefault(path, {})[method] = scope
    for path, by_method in scopes.items():
        pattern, _, _ = compile_path(path)
        yield _Path(pattern, by_method)
