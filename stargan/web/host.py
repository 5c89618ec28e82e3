"""One application on one address, until Ctrl-C."""

from __future__ import annotations

import errno
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from importlib.util import find_spec
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Self

from stargan.errors import UserError
from stargan.web.guard import Gate

if TYPE_CHECKING:
    import uvicorn


def require(package: str, task: str) -> None:
    """Refuse in one sentence where the extra is missing; loads nothing.

    Args:
        package: as it is imported.
        task: what needs it.

    Raises:
        UserError: it is not installed.
    """
    if find_spec(package) is None:
        raise UserError(f"stargan {task} needs {package.capitalize()}: pip install 'stargan[web]'.")


class Server(AbstractContextManager[Any]):
    """Serves an application on one address.

    ``with Server(...) as server:`` and ``server.start()`` runs it beside the caller; ``wait()``
    then lasts until it is interrupted.

    Args:
        host: an address of this machine; 0.0.0.0 for all of them.
        port: 0 for any that is free.

    Attributes:
        address: the page's URL.

    Raises:
        UserError: the port is in use, the host is none of this machine.
    """

    def __init__(self, host: str, port: int) -> None:
        self._socket = _listen(host, port)
        self.port: int = self._socket.getsockname()[1]
        name = "localhost" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
        self.address = f"http://{name}:{self.port}"
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._server: uvicorn.Server | None = None

    def serve(self, app: Gate) -> None:
        """What is served, once the server starts."""
        import uvicorn

        config = uvicorn.Config(
            app,
            log_level="critical",
            # A visitor's open page is a connection that never ends by itself.
            timeout_graceful_shutdown=1,
            timeout_keep_alive=30,
        )
        self._server = uvicorn.Server(config)

    def __enter__(self) -> Self:
        return self

    def start(self) -> None:
        """Serve beside the caller."""
        assert self._server is not None, "there is nothing to serve yet"
        server = self._server
        self._spawn(lambda: server.run(sockets=[self._socket]))
        while not server.started:
            if not self._threads[-1].is_alive():
                raise RuntimeError("the server did not start")
            self._stop.wait(0.02)

    def wait(self) -> None:
        """Until the server, once started, ends by itself; a signal may interrupt."""
        while self._threads[-1].is_alive():
            self._threads[-1].join(timeout=0.5)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._server is not None:
            self._server.should_exit = True
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=10)
        self._socket.close()

    def _spawn(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        self._threads.append(thread)


def until_ended(server: Server) -> None:
    """Serve until Ctrl-C, or until a service manager ends it."""
    with suppress(KeyboardInterrupt):
        # SIGTERM is a service manager's way to end: what is open must be closed then, too. SIGINT
        # would be ignored where a script has started this in the background.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _end)
        server.start()
        print(f"serving on {server.address}  (Ctrl-C ends it)", flush=True)
        server.wait()


def _end(number: int, frame: FrameType | None) -> None:
    for once in (signal.SIGINT, signal.SIGTERM):
        signal.signal(once, signal.SIG_IGN)
    raise KeyboardInterrupt


def _listen(host: str, port: int) -> socket.socket:
    """A socket on this address, before anything slow is done."""
    if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= 65535:
        raise UserError(f"port={port} is no port: give a number from 1 to 65535.")
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError) as error:
        raise UserError(f"host={host} is no address of this machine.") from error
    listening = socket.socket(family, kind)
    # A port whose last server ended a moment ago is free.
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(address)
        listening.listen(128)
    except PermissionError as error:
        listening.close()
        raise UserError(f"port={port} may not be used by you: take one above 1023.") from error
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise UserError(
                f"port {port} of {host} is in use: stop the other program, or add port={port + 1}."
            ) from error
        raise UserError(f"host={host} is no address of this machine.") from error
    return listening
