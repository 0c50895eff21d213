"""The fuzzer's corpus, its own mutations, and, where atheris is installed, a short run of it."""

import importlib.util
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).parents[3] / "fuzz"
CORPUS = sorted((FUZZ / "corpus").iterdir())


@pytest.fixture
def harness(monkeypatch):
    """The fuzz target, with checksums taken for right as it does; undone afterwards."""
    spec = importlib.util.spec_from_file_location("fuzz_checkpoint", FUZZ / "fuzz_checkpoint.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for reader in (module.table, module.bundle_v2):
        monkeypatch.setattr(reader, "masked_crc", reader.masked_crc)
    module.trust_checksums()
    return module


def mutate(data: bytes, rng: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(1, len(out))
        what = rng.randrange(5)
        if what == 0:
            out[place] ^= 1 << rng.randrange(8)
        elif what == 1:
            out[place] = rng.choice([0, 1, 0x7F, 0x80, 0xFF])
        elif what == 2:
            del out[place : place + rng.randint(1, 16)]
        elif what == 3:
            out[place:place] = out[rng.randrange(len(out)) :][: rng.randint(1, 32)]
        else:
            out[place : place + 4] = rng.randbytes(4)
        if len(out) < 2:
            return bytes(out)
    return bytes(out)


def test_the_seeds_are_checkpoints(harness):
    assert len(CORPUS) >= 8
    assert all(harness.run_one(path.read_bytes()) for path in CORPUS)


@pytest.mark.parametrize("count", [1000, pytest.param(60_000, marks=pytest.mark.slow)])
def test_mutations_end_in_a_checkpoint_error_or_a_value(harness, count):
    rng, seeds = random.Random(0), [path.read_bytes() for path in CORPUS]
    outcomes = {harness.run_one(mutate(rng.choice(seeds), rng)) for _ in range(count)}
    assert outcomes == {True, False}


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="needs atheris (pip install atheris)")
def test_a_short_run_of_atheris(tmp_path):
    command = [sys.executable, str(FUZZ / "fuzz_checkpoint.py"), str(tmp_path), str(FUZZ / "corpus")]
    options = ["-runs=50000", "-timeout=10", "-rss_limit_mb=3000", "-max_len=9000"]
    subprocess.run([*command, *options], check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, cwd=tmp_path)
