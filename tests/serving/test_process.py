"""The command itself: a process that listens, serves many clients, and stops when it is told to."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading

import pytest

from tests.cli.calling import call
from tests.serving import runs

pytest.importorskip("uvicorn", reason="the extra `serve` is not installed")
httpx = pytest.importorskip("httpx", reason="httpx is not installed")
sync_client = pytest.importorskip("websockets.sync.client", reason="the extra `serve` is not installed")

PATIENCE = 120  # seconds until a process that hangs is given up; none is waited for on purpose


@pytest.fixture
def serve(tmp_path):
    """Starts `recurra serve RUN`; gives the process and its address."""
    started = []

    def start(run, *options):
        command = [sys.executable, "-m", "recurra.cli.main", "serve", str(run), "--port", "0", *options]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
        started.append(process)
        line = process.stdout.readline()
        assert line.startswith(f"serving {run} (recipe "), line + process.stderr.read()
        return process, line.split(" at ")[1].split()[0]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_clients_streams_and_a_graceful_stop(tmp_path, serve):
    process, address = serve(runs.lm(tmp_path), "--threads", "1")
    texts = ("the", "a cat", "")

    def ask(answers):
        with httpx.Client(base_url=address, timeout=PATIENCE) as client:
            answers += [client.post("/predict", json={"input": text}).json() for text in texts]

    alone, found = [], [[] for _ in range(8)]
    ask(alone)
    clients = [threading.Thread(target=ask, args=(answers,)) for answers in found]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()
    assert found == [alone] * 8, "a language model reads each text alone: the same to the last digit"

    with sync_client.connect(address.replace("http", "ws") + "/stream") as stream:
        for text in ("t", "he"):
            stream.send(json.dumps({"input": text}))
            answer = json.loads(stream.recv(timeout=PATIENCE))["prediction"]
    assert answer["token"] == alone[0]["prediction"]["token"]
    assert answer["perplexity"] == pytest.approx(alone[0]["prediction"]["perplexity"], rel=1e-4)

    with (
        httpx.Client(base_url=address, timeout=PATIENCE) as client,
        client.stream("POST", "/generate", json={"length": 300, "stream": True}) as events,
    ):
        lines = events.iter_lines()
        assert next(lines).startswith("data: ")
        process.send_signal(signal.SIGTERM)
        rest = [line for line in lines if line]
    assert rest[-2] == "event: done", "what was running was finished"
    assert process.wait(PATIENCE) == 0
    told = process.stderr.read()  # where there are no kernels, that
    assert "ERROR" not in told and "Traceback" not in told


@pytest.mark.slow
def test_interrupted(tmp_path, serve):
    process, _ = serve(runs.forecast(tmp_path))
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE) == 130
    assert "Traceback" not in process.stderr.read()


def test_a_port_in_use_is_one_line(tmp_path, capsys):
    run = runs.forecast(tmp_path)
    capsys.readouterr()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, _, err = call(capsys, "serve", run, "--port", port)
    assert code == 1 and err == f"error: --host 127.0.0.1 --port {port}: {os.strerror(98)}\n"


def test_without_the_extra_one_line_says_so(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("recurra.cli.serve.NEEDED", ("no_such_module",))
    code, _, err = call(capsys, "serve", tmp_path)
    assert (code, err) == (1, "error: serve needs no_such_module: pip install 'recurra[serve]'\n")
