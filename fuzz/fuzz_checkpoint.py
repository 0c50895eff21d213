"""Fuzz the checkpoint readers: whatever the bytes, a value or a CheckpointError, in bounded memory.

    pip install atheris                 # Linux, CPython
    python fuzz/make_corpus.py          # seeds, from tests/goldens
    python fuzz/fuzz_checkpoint.py fuzz/corpus -runs=1000000 -timeout=10 -rss_limit_mb=2048

The first byte picks the reader. Checksums count as right (otherwise no change of the fuzzer's would get past them), so
everything behind them is reached; that wrong ones are refused is for tests/tf1/checkpoint/test_damage.py.
"""

from __future__ import annotations

import sys

import numpy as np

try:
    import atheris
except ImportError:  # `run_one` is also used by the tests, which need no fuzzer
    atheris = None

if atheris is not None and __name__ == "__main__":
    with atheris.instrument_imports(include=["recurra.tf1.checkpoint"]):
        import recurra.tf1.checkpoint as ckpt
        from recurra.tf1.checkpoint import bundle_v2, meta, source, state, table, table_v1
else:
    import recurra.tf1.checkpoint as ckpt
    from recurra.tf1.checkpoint import bundle_v2, meta, source, state, table, table_v1

# A snappy block expands up to 32-fold, a string of 1 byte in the file is a Python object in memory.
MEMORY_RATIO, MEMORY_BASE = 256, 1 << 20


class _Right(int):
    """A checksum that equals every other."""

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = int.__hash__


def trust_checksums() -> None:
    """Make every checksum count as right, in this process."""
    table.masked_crc = bundle_v2.masked_crc = lambda crc: _Right(crc & 0xFFFFFFFF)


def _read_v2(data: bytes) -> int:
    cut = int.from_bytes(data[:4].ljust(4, b"\0"), "little") % (len(data) + 1)
    index, values = source.BytesSource(data[4 : 4 + cut], "index"), source.BytesSource(data[4 + cut :], "data")
    return _read_all(bundle_v2.BundleReader(index, lambda shard, shards: values))


def _read_v1(data: bytes) -> int:
    return _read_all(table_v1.TableReader([source.BytesSource(data, "table")]))


def _read_all(reader: bundle_v2.BundleReader | table_v1.TableReader) -> int:
    total, refused = 0, None
    for name in reader.variables:
        try:
            total += _size(reader.read(name))
        except ckpt.CheckpointError as error:
            refused = error
    if refused is not None:
        raise refused
    return total


def _size(values: np.ndarray) -> int:
    texts = sum(len(item) for item in values.reshape(-1)) if values.dtype == object else 0
    return values.nbytes + texts


def _read_state(data: bytes) -> int:
    state.parse_state(data, "/directory")
    return 0


def _read_meta(data: bytes) -> int:
    graph = meta.parse_meta(data, "graph.meta")
    for name in graph.variables:
        graph.cell_facts(name)
    return 0


READERS = (_read_v2, _read_v1, _read_state, _read_meta)


def run_one(data: bytes) -> bool:
    """Read one input; True where it was a checkpoint. Anything but a CheckpointError is a finding."""
    if not data:
        return False
    try:
        size = READERS[data[0] % len(READERS)](data[1:])
    except ckpt.CheckpointError:
        return False
    if size > MEMORY_RATIO * len(data) + MEMORY_BASE:
        raise MemoryError(f"{len(data)} bytes became {size}")
    return True


def main() -> None:
    trust_checksums()
    atheris.Setup(sys.argv, run_one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
