from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from stargan.web.guard import BODY, ENVELOPE, Guard


async def reads_all(scope: Any, receive: Any, send: Any) -> None:
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"fine"})


def ask(
    folder: Path, path: str, chunks: tuple[int, ...] = (0,), length: int | None = None, **scope: Any
) -> tuple[int, dict[str, str]]:
    """Status and headers of an answer to a body of chunks of these sizes."""
    sent: list[dict[str, Any]] = []
    waiting = [
        {"type": "http.request", "body": b"x" * n, "more_body": i + 1 < len(chunks)}
        for i, n in enumerate(chunks)
    ]

    async def receive() -> dict[str, Any]:
        return waiting.pop(0)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    headers = [] if length is None else [(b"content-length", str(length).encode())]
    asked = {"type": "http", "path": path, "headers": headers, **scope}
    asyncio.run(Guard(reads_all, folder, 1_000_000)(asked, receive, send))  # type: ignore[arg-type]
    heads = {k.decode(): v.decode() for k, v in sent[0]["headers"]}
    return sent[0]["status"], heads


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/config", "/theme.css", "/assets/index.js", "/static/fonts/a.woff2"),
        *("/gradio_api/info", "/gradio_api/info/", "/gradio_api/queue/join"),
        *("/gradio_api/heartbeat/abc", "/gradio_api/call/translate"),
    ],
)
def test_what_the_page_needs_passes(tmp_path: Path, path: str) -> None:
    status, headers = ask(tmp_path, path)
    assert status == 200
    assert "default-src 'self'" in headers["content-security-policy"]
    assert ask(tmp_path, "/faces" + path, root_path="/faces")[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        *("/monitoring", "/login", "/docs", "/gradio_api/deep_link", "/gradio_api/vibe-edit"),
        *("/gradio_api/proxy=https://example.org/", "/gradio_api/process_recording"),
        *("/gradio_api/file=https://example.org/a.png", "/gradio_api/file=/etc/passwd"),
        *("/gradio_api/stream/a", "/gradio_api/runs", "/gradio_api/custom_component/a"),
    ],
)
def test_nothing_else_passes(tmp_path: Path, path: str) -> None:
    assert ask(tmp_path, path)[0] == 404


def test_files_of_the_upload_folder_alone(tmp_path: Path) -> None:
    folder, secret = tmp_path / "uploads", tmp_path / "secret.png"
    folder.mkdir()
    secret.write_text("x")
    (folder / "link.png").symlink_to(secret)
    assert ask(folder, f"/gradio_api/file={folder}/a/p.png")[0] == 200
    for path in (secret, f"{folder}/../secret.png", f"{folder}/%2e%2e/secret.png"):
        assert ask(folder, f"/gradio_api/file={path}")[0] == 404
    assert ask(folder, f"/gradio_api/file={folder}/link.png")[0] == 404


def test_bodies_have_limits_said_or_not(tmp_path: Path) -> None:
    upload, join = "/gradio_api/upload", "/gradio_api/queue/join"
    assert ask(tmp_path, upload, length=1_000_000 + ENVELOPE)[0] == 200
    assert ask(tmp_path, upload, length=1_000_001 + ENVELOPE)[0] == 413
    assert ask(tmp_path, join, length=BODY + 1)[0] == 413
    assert ask(tmp_path, join, length=-5)[0] == 413
    # Chunked: the length is not said, or it is a lie.
    assert ask(tmp_path, join, (BODY // 2, BODY // 2))[0] == 200
    assert ask(tmp_path, join, (BODY // 2, BODY // 2, 2))[0] == 413
    assert ask(tmp_path, join, (BODY, 1), length=10)[0] == 413
