"""Write the fuzzer's seeds: small checkpoints of both formats, from the goldens and from our own writer."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

import recurra.tf1.checkpoint as ckpt

ROOT = Path(__file__).parent
GOLDENS = ROOT.parent / "tests" / "goldens" / "checkpoints"
V2, V1, STATE, META = 0, 1, 2, 3


def _v2(prefix: Path) -> bytes:
    index = Path(f"{prefix}.index").read_bytes()
    data = next(prefix.parent.glob(f"{prefix.name}.data-00000-of-*")).read_bytes()
    return bytes([V2]) + len(index).to_bytes(4, "little") + index + data


def _small() -> dict[str, np.ndarray | ckpt.Partitioned]:
    halves = [((0, 0), np.ones((1, 2), np.float32)), ((1, 0), np.zeros((1, 2), np.float32))]
    return {
        "a/kernel": np.arange(4, dtype=np.float32),
        "h": np.ones(2, np.float16),
        "i": np.array([-1, 5], np.int32),
        "p": ckpt.Partitioned((2, 2), halves),
        "s": np.array([b"", b"text"], object),
        "t": np.array([True, False]),
    }


def _meta() -> bytes:
    """The graph of one step of an LSTM inside a while loop, as far as the reader of hyper-parameters follows it."""
    from tensorboard.compat.proto import meta_graph_pb2, variable_pb2

    graph = meta_graph_pb2.MetaGraphDef()
    graph.meta_info_def.tensorflow_version = "1.15.0"
    cell = "rnn/while/rnn/lstm_cell"
    for name, op, inputs in [
        ("k", "VariableV2", []),
        ("k/read", "Identity", ["k"]),
        (f"{cell}/Enter", "Enter", ["k/read"]),
        (f"{cell}/MatMul", "MatMul", [f"{cell}/concat", f"{cell}/Enter"]),
        (f"{cell}/BiasAdd", "BiasAdd", [f"{cell}/MatMul", "b"]),
        (f"{cell}/split", "Split", [f"{cell}/const", f"{cell}/BiasAdd"]),
        (f"{cell}/add", "Add", [f"{cell}/split:2", f"{cell}/add/y"]),
        (f"{cell}/add/y", "Const", []),
        (f"{cell}/Tanh", "Tanh", [f"{cell}/split:1"]),
        (f"{cell}/clip_by_value/Minimum/y", "Const", []),
        ("rnn/TensorArray/TensorArrayScatterV3", "TensorArrayScatterV3", ["rnn/transpose"]),
        ("rnn/transpose", "Transpose", ["x"]),
    ]:
        node = graph.graph_def.node.add(name=name, op=op, input=inputs)
        if op == "Const":
            node.attr["value"].tensor.dtype = 1
            node.attr["value"].tensor.float_val.append(1.0)
        if op == "Split":
            node.attr["num_split"].i = 4
    for collection in ("variables", "trainable_variables"):
        variable = variable_pb2.VariableDef(variable_name="k:0")
        graph.collection_def[collection].bytes_list.value.append(variable.SerializeToString())
    return bytes([META]) + graph.SerializeToString()


def main() -> None:
    corpus = ROOT / "corpus"
    corpus.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        ckpt.write(f"{folder}/v2", _small())
        ckpt.write(f"{folder}/v1", _small(), "V1")
        (corpus / "small_v2").write_bytes(_v2(Path(folder) / "v2"))
        (corpus / "small_v1").write_bytes(bytes([V1]) + Path(folder, "v1").read_bytes())
    for release in ("1.0.1", "1.4.0"):
        files = GOLDENS / f"ckpt_from_tf{release}"
        (corpus / f"tf{release}_v2").write_bytes(_v2(files / "v2.ckpt"))
        (corpus / f"tf{release}_v1").write_bytes(bytes([V1]) + (files / "v1.ckpt").read_bytes())
    (corpus / "dtypes_v2").write_bytes(_v2(GOLDENS / "ckpt_v2_files" / "model.ckpt-4"))
    (corpus / "dtypes_v1").write_bytes(bytes([V1]) + (GOLDENS / "ckpt_v1_files" / "model.ckpt-4").read_bytes())
    (corpus / "meta").write_bytes(_meta())
    (corpus / "state").write_bytes(bytes([STATE]) + (GOLDENS / "ckpt_v2_files" / "checkpoint").read_bytes())


if __name__ == "__main__":
    main()
