"""The page for programs: gradio_client, plain HTTP, and what a hostile client tries."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from gradio_client import Client, handle_file
from PIL import Image

from stargan.web.limits import Limits
from stargan.web.server import PageServer
from stargan.web.studio import Studio
from tests.web.conftest import colourful
from tests.web.test_limits import bomb

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(studio: Studio) -> Iterator[PageServer]:
    limits = Limits(megabytes=1, megapixels=4, file_minutes=0.06)
    with PageServer(studio, limits, port=0) as running:
        running.start()
        yield running


@pytest.fixture(scope="module")
def client(server: PageServer, tmp_path_factory: pytest.TempPathFactory) -> Client:
    folder = tmp_path_factory.mktemp("downloads")
    return Client(server.address, verbose=False, download_files=folder, analytics_enabled=False)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    colourful(5, (120, 90)).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def call(server: PageServer, data: list[Any]) -> str:
    """The last event of a plain HTTP call."""
    url = f"{server.address}/gradio_api/call/translate"
    event = httpx.post(url, json={"data": data}).json()["event_id"]
    return httpx.get(f"{url}/{event}", timeout=30).text


def test_from_python(client: Client, studio: Studio, photo: Path) -> None:
    result = client.predict(
        photo=handle_file(photo), labels="Blond_Hair,Young=0", api_name="/translate"
    )
    translator = studio.models[0].translator
    expected = translator(Image.open(photo), "Blond_Hair,Young=0")
    assert np.array_equal(np.asarray(Image.open(result)), np.asarray(expected))
    other = client.predict(
        photo=handle_file(photo),
        labels="Blond_Hair,Young=0",
        strength=0.5,
        model="second",
        api_name="/translate",
    )
    half = studio.models[1].translator(Image.open(photo), "Blond_Hair,Young=0", strength=0.5)
    assert np.array_equal(np.asarray(Image.open(other)), np.asarray(half))


def test_the_api_describes_itself(client: Client, studio: Studio) -> None:
    assert client.predict(api_name="/labels") == {
        model.title: list(model.translator.labels) for model in studio.models
    }
    described = client.view_api(return_format="dict")["named_endpoints"]
    # The page's own events are nobody's business.
    assert set(described) == {"/translate", "/labels"}
    names = [p["parameter_name"] for p in described["/translate"]["parameters"]]
    assert names == ["photo", "labels", "strength", "model"]
    assert "Blond_Hair,Young=0" in described["/translate"]["description"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"labels": "Blond_Hare"}, "Blond_Hair"),
        ({"labels": "Black_Hair,Blond_Hair"}, "exclude each other"),
        ({"labels": ""}, "nothing to change|label"),
        ({"labels": "Male", "model": "third"}, "no model 'third'"),
        ({"labels": "Male", "strength": 7}, "between 0 and 1"),
    ],
)
def test_errors_are_words(
    client: Client, photo: Path, settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(Exception, match=words):
        client.predict(photo=handle_file(photo), **settings, api_name="/translate")


def test_with_plain_http(server: PageServer, photo: Path) -> None:
    with photo.open("rb") as file:
        (path,) = httpx.post(f"{server.address}/gradio_api/upload", files={"files": file}).json()
    answer = call(server, [{"path": path}, "Male=1", 1, ""])
    assert "event: complete" in answer
    (result,) = json.loads(answer.partition("data: ")[2])
    png = httpx.get(result["url"])
    assert (png.status_code, png.headers["content-type"]) == (200, "image/png")
    # Nobody has to say that it may go.
    end = time.monotonic() + 30
    while any(p.is_file() for p in server.folder.rglob("*")):
        assert time.monotonic() < end
        time.sleep(0.1)
    assert httpx.get(result["url"]).status_code == 403


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "../../../etc/passwd", "https://example.org/a.png", __file__, "", None],
)
def test_no_path_outside_the_upload_folder(server: PageServer, path: str | None) -> None:
    answer = call(server, [{"path": path, "meta": {"_type": "gradio.FileData"}}, "Male", 1, ""])
    assert "event: error" in answer
    assert "data: null" in answer or "not uploaded here" in answer or "no photo" in answer
    if path:
        assert httpx.get(f"{server.address}/gradio_api/file={path}").status_code == 404


def test_a_photo_does_not_travel_in_a_request(server: PageServer) -> None:
    data = {"path": None, "url": "data:image/png;base64," + "A" * 400_000}
    url = f"{server.address}/gradio_api/call/translate"
    assert httpx.post(url, json={"data": [data, "Male", 1, ""]}).status_code == 413


def test_bombs_and_floods_leave_the_server_alive(
    server: PageServer, client: Client, photo: Path, tmp_path: Path
) -> None:
    for side in (9_000, 60_000):
        with pytest.raises(Exception, match="too many pixels"):
            client.predict(
                photo=handle_file(bomb(tmp_path / f"{side}.png", side)),
                labels="Male",
                api_name="/translate",
            )
    url = f"{server.address}/gradio_api/upload"
    assert httpx.post(url, files={"files": b"x" * 1_200_000}).status_code == 413
    # One that does not say how much it will send, and never ends.
    with socket.create_connection(("127.0.0.1", server.port)) as flood:
        head = f"POST /gradio_api/upload HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
        kind = "multipart/form-data; boundary=b"
        flood.sendall(f"{head}Content-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        part = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n'
        flood.sendall(b"%x\r\n%s\r\n" % (len(part), part))
        flood.settimeout(20)
        refused = False
        try:
            for _ in range(400):
                flood.sendall(b"8000\r\n" + b"x" * 0x8000 + b"\r\n")
            refused = b"HTTP/1.1 4" in flood.recv(4096)
        except ConnectionError:
            refused = True
        assert refused
    result = client.predict(photo=handle_file(photo), labels="Male", api_name="/translate")
    assert Image.open(result).size == (32, 32)


def test_two_servers_cannot_have_one_port(studio: Studio, server: PageServer) -> None:
    from stargan.errors import UserError

    words = f"port {server.port} of 127.0.0.1 is in use: .* port={server.port + 1}"
    with pytest.raises(UserError, match=words):
        PageServer(studio, Limits(), port=server.port)
    with pytest.raises(UserError, match="no address of this machine"):
        PageServer(studio, Limits(), host="192.0.2.1", port=0)
    with pytest.raises(UserError, match="is no port"):
        PageServer(studio, Limits(), port=70000)
