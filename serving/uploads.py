"""Files that come in over HTTP, written to their place and hashed while they come.

Starlette would keep a copy in the system's temporary folder first, of whatever size.
"""

import io
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.datastructures import FormData, Headers, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser

from ingest.files import Receiving


class IncomingFile(io.RawIOBase):
    """A part of a form as a file that can only be written; closed, it is gone unless it was kept.

    Attributes:
        receiving: what it is written to.
    """

    def __init__(self, receiving: Receiving) -> None:
        self.receiving = receiving

    def write(self, piece: Any) -> int:
        """Add bytes at the end."""
        self.receiving.write(piece)
        return len(piece)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Do nothing: the parser rewinds every file for its reader."""
        return offset

    def close(self) -> None:
        """Remove the file, unless it was kept."""
        self.receiving.close()
        super().close()


class UploadRoute(APIRoute):
    """A route whose files come as `IncomingFile`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler."""
        handle = super().get_route_handler()

        async def handle_upload(request: Request) -> Response:
            return await handle(_UploadRequest(request.scope, request.receive))

        return handle_upload


class _UploadRequest(Request):
    async def form(self, **limits: Any) -> FormData:  # type: ignore[override]
        if not self.headers.get("Content-Type", "").startswith("multipart/form-data"):
            return await super().form(**limits)
        begin = self.app.state.service.library.begin
        try:
            return await _UploadParser(self.headers, self.stream(), begin).parse()
        except MultiPartException as error:
            raise HTTPException(400, error.message) from error


class _UploadParser(MultiPartParser):
    def __init__(
        self, headers: Headers, stream: AsyncGenerator[bytes, None], begin: Callable[[], Receiving]
    ) -> None:
        super().__init__(headers, stream)
        self._begin = begin

    def on_headers_finished(self) -> None:
        super().on_headers_finished()
        part = self._current_part
        if part.file is not None:
            file: Any = IncomingFile(self._begin())
            self._files_to_close_on_error[-1] = file
            part.file = UploadFile(file, size=0, filename=part.file.filename)
