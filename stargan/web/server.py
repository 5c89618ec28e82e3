"""The server of the page: one private folder, one port, nothing left behind."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from stargan.web.guard import Guard
from stargan.web.host import Server, require
from stargan.web.limits import Limits
from stargan.web.studio import Studio
from stargan.web.visits import sweep

if TYPE_CHECKING:
    from stargan.web.page import Page

# Read by Gradio when it is imported: nothing is reported to anybody, no history of requests is
# kept, and no statistics of it are made after each of them.
QUIET = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_ANALYTICS_MAX_EVENTS": "1",
    "GRADIO_ANALYTICS_CACHE_FREQUENCY": "1000000000",
    "GRADIO_RUN_HISTORY": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}


class PageServer(Server):
    """Serves a studio on one address; on leaving, the folder of uploads is gone.

    Args:
        studio: what is served.
        limits: what visitors may send.
        host, port: see ``Server``.
        root_path: where a reverse proxy puts the page, such as ``/faces``.

    Attributes:
        folder: where uploads lie until they are read.
        page: the Gradio application.

    Raises:
        UserError: the port is in use, the host is none of this machine, no Gradio.
    """

    def __init__(
        self,
        studio: Studio,
        limits: Limits,
        host: str = "127.0.0.1",
        port: int = 7860,
        root_path: str | None = None,
    ) -> None:
        require("gradio", "serve")
        super().__init__(host, port)
        self.limits = limits
        self._temporary = tempfile.TemporaryDirectory(prefix="stargan-serve-")
        self.folder = Path(self._temporary.name).resolve()
        # Before Gradio is imported, and again whenever its components are made.
        os.environ.update(QUIET, GRADIO_TEMP_DIR=str(self.folder))
        self.page = self._build(studio, root_path)
        self.serve(Guard(self._app, self.folder, limits.bytes))

    def _build(self, studio: Studio, root_path: str | None) -> Page:
        import gradio as gr
        from fastapi import FastAPI

        from stargan.web.page import Page

        page = Page(studio, self.limits, self.folder)
        self._app = gr.mount_gradio_app(
            FastAPI(openapi_url=None),
            page.blocks,
            path="/",
            server_port=self.port,
            footer_links=[],
            run_history=False,
            root_path=root_path,
            show_error=False,
            enable_monitoring=False,
            max_file_size=self.limits.bytes,
            ssr_mode=False,
            mcp_server=False,
            pwa=False,
            theme=page.theme(),
            css=page.style,
        )
        return page

    def start(self) -> None:
        """Serve beside the caller."""
        self._spawn(self._tidy)
        super().start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, trace)
        with suppress(OSError):  # On Windows a file that is still open stays.
            self._temporary.cleanup()

    def _tidy(self) -> None:
        """Now and then: files nobody asked about, visits nobody came back to."""
        seconds = self.limits.file_minutes * 60
        while not self._stop.wait(min(30, seconds / 2)):
            sweep(self.folder, seconds)
            self.page.tidy()
