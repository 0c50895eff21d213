"""Finding and downloading data sets, against a server in this process."""

import hashlib
import http.server
import threading

import pytest

from recurra.data import files
from recurra.data.files import DataSet, locate
from recurra.errors import DataError

CONTENT = bytes(range(256)) * 2000


class Server(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT, with ranges; breaks off the first whole answer half-way."""

    requests: list[str | None] = []

    def do_GET(self):
        wanted = self.headers.get("Range")
        self.requests.append(wanted)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        body = CONTENT[start:]
        self.wfile.write(body if wanted else body[: len(body) // 2])

    def log_message(self, *_):
        return None


@pytest.fixture
def url():
    Server.requests = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/data.bin"
    server.shutdown()


def data_set(url: str, checksum: str) -> DataSet:
    return DataSet("toy", {"data.bin": checksum}, "a shop", "free", {"data.bin": url})


def test_a_broken_download_goes_on_where_it_stopped(url, tmp_path, monkeypatch):
    pytest.importorskip("pooch")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("RECURRA_DATA", raising=False)
    wanted = data_set(url, hashlib.sha256(CONTENT).hexdigest())
    with pytest.raises(DataError, match=r"download of data\.bin failed"):
        locate(wanted)
    folder = locate(wanted)
    assert (folder / "data.bin").read_bytes() == CONTENT
    first, second = Server.requests
    assert first is None and 0 < int(second.removeprefix("bytes=").rstrip("-")) <= len(CONTENT) // 2


def test_a_wrong_checksum_is_refused(url, tmp_path, monkeypatch):
    pytest.importorskip("pooch")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("RECURRA_DATA", raising=False)
    wanted = data_set(url, "0" * 64)
    for _ in range(2):
        with pytest.raises(DataError, match=r"download of data\.bin failed"):
            locate(wanted)
    assert not (tmp_path / "recurra" / "toy" / "data.bin").exists()


def test_the_data_directory_is_found(tmp_path, monkeypatch):
    wanted = data_set("", "")
    for folder in (tmp_path / "a", tmp_path / "b" / "toy"):
        folder.mkdir(parents=True)
        (folder / "data.bin").write_bytes(b"x")
    assert locate(wanted, tmp_path / "a") == tmp_path / "a"
    monkeypatch.setenv("RECURRA_DATA", str(tmp_path / "b"))
    assert locate(wanted) == tmp_path / "b" / "toy"


def test_penn_treebank_is_never_downloaded(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("RECURRA_DATA", raising=False)
    with pytest.raises(DataError, match=r"ptb.train.txt, ptb.valid.txt, ptb.test.txt not found.*no free licence"):
        locate(files.PTB)
