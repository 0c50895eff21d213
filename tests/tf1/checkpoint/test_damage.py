"""Damaged and hostile files end in a CheckpointError that names file and cause; nothing else escapes."""

import shutil

import numpy as np
import pytest

import recurra.tf1.checkpoint as ckpt
from recurra.tf1.checkpoint.bundle_v2 import BundleReader
from recurra.tf1.checkpoint.messages import BundleEntry, BundleHeader
from recurra.tf1.checkpoint.source import BytesSource
from recurra.tf1.checkpoint.table import Table, TableWriter
from recurra.tf1.checkpoint.table_v1 import TableReader
from tests.tf1.checkpoint.goldens import GOLDENS

V2 = GOLDENS / "ckpt_from_tf1.4.0" / "v2.ckpt"
V1 = GOLDENS / "ckpt_from_tf1.4.0" / "v1.ckpt"


def read_v2(index: bytes, data: bytes) -> dict[str, np.ndarray]:
    reader = BundleReader(BytesSource(index, "i"), lambda k, n: BytesSource(data, "d"))
    return {name: reader.read(name) for name in reader.variables}


def read_v1(table: bytes) -> dict[str, np.ndarray]:
    reader = TableReader([BytesSource(table, "t")])
    return {name: reader.read(name) for name in reader.variables}


@pytest.fixture(scope="module")
def files():
    return {
        "index": V2.with_name("v2.ckpt.index").read_bytes(),
        "data": V2.with_name("v2.ckpt.data-00000-of-00001").read_bytes(),
        "table": V1.read_bytes(),
    }


def test_every_truncation(files):
    for size in range(0, len(files["index"]), 7):
        with pytest.raises(ckpt.CheckpointError):
            read_v2(files["index"][:size], files["data"])
    for size in range(0, len(files["data"]), 101):
        with pytest.raises(ckpt.CheckpointError, match=f"d: has {size} bytes, but the index places a tensor"):
            read_v2(files["index"], files["data"][:size])
    for size in range(0, len(files["table"]), 31):
        with pytest.raises(ckpt.CheckpointError):
            read_v1(files["table"][:size])


@pytest.mark.parametrize("file", ["index", "data", "table"])
def test_every_flipped_bit_is_found_or_harmless(files, file):
    """Only padding, and restart points that a sequential reader does not use, may change without an error."""
    want = read_v2(files["index"], files["data"])
    for position in range(0, len(files[file]), 3):
        changed = bytearray(files[file])
        changed[position] ^= 1 << (position % 8)
        damaged = {**files, file: bytes(changed)}
        try:
            got = read_v1(damaged["table"]) if file == "table" else read_v2(damaged["index"], damaged["data"])
        except ckpt.CheckpointError:
            continue
        assert file != "data", f"a flipped bit at {position} went unnoticed"
        assert {n: v.tobytes() for n, v in got.items()} == {n: v.tobytes() for n, v in want.items()}, position


def table_of(rows: dict[bytes, bytes], tmp_path) -> bytes:
    path = tmp_path / "table"
    with open(path, "wb") as stream:
        writer = TableWriter(stream)
        for key in sorted(rows):
            writer.add(key, rows[key])
        writer.finish()
    return path.read_bytes()


def entry(**fields) -> bytes:
    shape = fields.pop("shape", [2])
    message = BundleEntry(**{"dtype": 1, "size": 8, **fields})
    for n in shape:
        message.shape.dim.add(size=n)
    return message.SerializeToString()


HEADER = BundleHeader(num_shards=1).SerializeToString()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({b"a": entry()}, "no bundle header"),
        ({b"": BundleHeader(num_shards=1, endianness=1).SerializeToString()}, "big-endian machine"),
        ({b"": BundleHeader(num_shards=-1).SerializeToString()}, "claims -1 data files"),
        ({b"": b"\xff\xff"}, "entry of the header is damaged"),
        ({b"": HEADER, b"a": b"\xff\xff"}, "entry of b'a' is damaged"),
        ({b"": HEADER, b"\xff": entry()}, "not UTF-8"),
        ({b"": HEADER, b"a": entry(shard_id=1)}, "an entry lies in data file 1 of 1"),
        ({b"": HEADER, b"a": entry(offset=-8)}, "offset -8"),
        ({b"": HEADER, b"a": entry(size=-8)}, "size -8"),
        ({b"": HEADER, b"a": entry(offset=1 << 62)}, "has 16 bytes, but the index places a tensor up to byte"),
        ({b"": HEADER, b"a": entry(), b"b": entry(offset=4)}, "two tensors overlap at byte 4"),
        ({b"": HEADER, b"a": entry(shape=[3])}, "needs 12 bytes, not 8"),
        ({b"": HEADER, b"a": entry(shape=[-1])}, "is not known in full"),
        ({b"": HEADER, b"a": entry(shape=[1] * 40, size=4)}, "has 40 dimensions"),
        ({b"": HEADER, b"a": entry(shape=[1 << 40, 1 << 40])}, "needs"),
        ({b"": HEADER, b"a": entry(dtype=7, shape=[1 << 60])}, "8 bytes cannot hold"),
        ({b"": HEADER, b"a": entry(dtype=7)}, "checksum mismatch in the lengths"),
        ({b"": HEADER, b"a": entry(dtype=20)}, "holds type 20"),
        ({b"": HEADER, b"a": entry()}, "checksum mismatch at byte 0"),
    ],
)
def test_hostile_bundles(tmp_path, rows, message):
    with pytest.raises(ckpt.CheckpointError, match=message):
        read_v2(table_of(rows, tmp_path), bytes(16))


def test_missing_and_overlapping_slices(tmp_path):
    values = np.arange(4, dtype=np.float32)
    halves = [((0,), values[:2]), ((2,), values[2:])]
    prefix = ckpt.write(tmp_path / "model", {"p": ckpt.Partitioned((4,), halves)})
    data = (tmp_path / "model.data-00000-of-00001").read_bytes()
    rows = dict(Table(BytesSource((tmp_path / "model.index").read_bytes())).items())
    assert read_v2(table_of(rows, tmp_path), data)["p"].tolist() == [0, 1, 2, 3]
    first = min(key for key in rows if key.startswith(b"\0"))
    with pytest.raises(ckpt.CheckpointError, match=r"'p': its slice \[\(0, 2\)\] is missing"):
        read_v2(table_of({k: v for k, v in rows.items() if k != first}, tmp_path), data)
    message = BundleEntry.FromString(rows[b"p"])
    message.slices[1].CopyFrom(message.slices[0])
    with pytest.raises(ckpt.CheckpointError, match=r"'p': slice \[\(0, 2\)\] overlaps another one"):
        read_v2(table_of({**rows, b"p": message.SerializeToString()}, tmp_path), data)
    assert prefix.endswith("model")


def test_missing_shards(tmp_path):
    for file in (GOLDENS / "ckpt_v2_sharded_files").iterdir():
        shutil.copy(file, tmp_path)
    (tmp_path / "model.ckpt-4.data-00001-of-00002").unlink()
    with pytest.raises(ckpt.CheckpointError, match=r"data-00001-of-00002: no such file"):
        ckpt.open(tmp_path / "model.ckpt-4")
    (tmp_path / "model.ckpt-4.index").unlink()
    with pytest.raises(ckpt.CheckpointError, match=r"model.ckpt-4.index is missing beside model.ckpt-4.data-00000"):
        ckpt.open(tmp_path / "model.ckpt-4")
    shutil.copy(GOLDENS / "ckpt_v1_sharded_files" / "model.ckpt-4-00000-of-00002", tmp_path / "v1-00000-of-00002")
    with pytest.raises(ckpt.CheckpointError, match=r"1 of 2 shards are missing"):
        ckpt.open(tmp_path / "v1-?????-of-00002")


def test_a_file_cut_short_while_it_is_open(tmp_path):
    prefix = ckpt.write(tmp_path / "model", {"a": np.zeros(1000)})
    with ckpt.open(prefix) as checkpoint:
        with open(f"{prefix}.data-00000-of-00001", "r+b") as stream:
            stream.truncate(100)
        with pytest.raises(ckpt.CheckpointError, match="became shorter than 8000 bytes"):
            checkpoint["a"]


def test_snappy_blocks_are_read_and_bombs_are_not(tmp_path):
    """TensorFlow 1.x writes uncompressed tables, but a compressed one is the same format."""
    import cramjam
    import crc32c

    from recurra.tf1.checkpoint.source import masked_crc
    from recurra.tf1.checkpoint.varint import encode_varint

    plain = table_of({b"key": b"value" * 100}, tmp_path)
    body_size = plain.index(b"\0\0\0\0\1\0\0\0") + 8
    packed = bytes(cramjam.snappy.compress_raw(plain[:body_size]))

    def compressed(body: bytes) -> bytes:
        def block(content: bytes, kind: bytes) -> bytes:
            return content + kind + masked_crc(crc32c.crc32c(content + kind)).to_bytes(4, "little")

        handle = encode_varint(0) + encode_varint(len(body))
        restart = b"\0\0\0\0\1\0\0\0"
        index_body = b"\0\3" + encode_varint(len(handle)) + b"key" + handle + restart
        start = len(body) + 5
        footer = b"".join(map(encode_varint, (start, len(index_body), start, len(index_body)))).ljust(40, b"\0")
        return block(body, b"\1") + block(index_body, b"\0") + footer + plain[-8:]

    assert Table(BytesSource(compressed(packed))).get(b"key") == b"value" * 100
    for broken in (packed[:-3], encode_varint(1 << 31) + packed[2:], b""):
        with pytest.raises(ckpt.CheckpointError, match="snappy block at byte 0 is damaged"):
            Table(BytesSource(compressed(broken))).get(b"key")
