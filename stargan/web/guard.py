"""Stands before a page: only what it needs, no large bodies, nothing from elsewhere.

Gradio serves more than this page uses: it fetches files of other hosts for a visitor, writes the
state of a page to disk for links to it, and reads request bodies of any size. None of that passes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

PATHS = ("/", "/config", "/theme.css", "/favicon.ico", "/manifest.json", "/robots.txt")
FOLDERS = ("/assets/", "/static/")
API = "/gradio_api/"
API_PATHS = (
    "info",
    "openapi.json",
    "upload",
    "upload_progress",
    "queue/join",
    "queue/data",
    "reset",
    "cancel",
    "startup-events",
    "app_id",
)
API_FOLDERS = ("heartbeat/", "call/", "run/")
BODY = 262_144
"""Bytes of any request but an upload: no photo travels in one."""
ENVELOPE = 65_536
"""Bytes that an upload's form may add to the file."""

HEADERS = {
    # The page may ask nothing of any other host, whatever a library's next version tries.
    "content-security-policy": (
        "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; "
        "object-src 'none'; base-uri 'self'; form-action 'self'"
    ),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


class TooLargeError(Exception):
    """A request body grew beyond its limit."""


class Gate:
    """An ASGI application around another.

    Args:
        app: what is guarded.
        paths: what may be asked for.
    """

    def __init__(self, app: App, paths: Collection[str]) -> None:
        self.app = app
        self.paths = paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = str(scope["path"]).removeprefix(str(scope.get("root_path") or "").rstrip("/"))
        if not self.allows(path):
            await _answer(send, 404, "There is nothing here.")
            return
        limit = self.limit(path)
        too_large = f"Too large: at most {limit / 1e6:.1f} MB are taken here."
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if not length.isdigit() or int(length) > limit:
            await _answer(send, 413, too_large)
            return
        started = False
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > limit:
                raise TooLargeError
            return message

        async def sent(message: Message) -> None:
            nonlocal started
            if taken > limit and not started:
                return  # What the application makes of our error is not the answer.
            if message["type"] == "http.response.start":
                started = True
                own = [(k.encode(), v.encode()) for k, v in HEADERS.items()]
                message["headers"] = [*message.get("headers", []), *own]
            await send(message)

        with suppress(TooLargeError):
            await self.app(scope, counted, sent)
        if taken > limit and not started:
            await _answer(send, 413, too_large)

    def allows(self, path: str) -> bool:
        """Whether the page needs this path."""
        return path in self.paths

    def limit(self, path: str) -> int:
        """Bytes that a request may have."""
        return BODY


class Guard(Gate):
    """Stands before Gradio.

    Args:
        app: what is guarded.
        folder: the only folder from which files are served.
        upload: bytes that an uploaded file may have.
    """

    def __init__(self, app: App, folder: Path, upload: int) -> None:
        super().__init__(app, PATHS)
        self.folder = folder.resolve()
        self.upload = upload

    def limit(self, path: str) -> int:
        """A photo is larger than any other request."""
        return self.upload + ENVELOPE if path == f"{API}upload" else BODY

    def allows(self, path: str) -> bool:
        """Whether the page needs this path."""
        if super().allows(path) or path.startswith(FOLDERS):
            return True
        if not path.startswith(API):
            return False
        inner = path.removeprefix(API)
        if inner.startswith("file="):
            return self._holds(inner.removeprefix("file="))
        return inner.rstrip("/") in API_PATHS or inner.startswith(API_FOLDERS)

    def _holds(self, path: str) -> bool:
        """Whether a file lies in the upload folder."""
        try:
            return Path(unquote(path)).resolve().is_relative_to(self.folder)
        except (OSError, ValueError):
            return False


async def _answer(send: Send, status: int, words: str) -> None:
    body = words.encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
