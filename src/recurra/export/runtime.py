"""An exported model as a callable over ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from recurra.errors import CheckpointError, InputError

__all__ = ["OnnxModel"]


class OnnxModel:
    """Runs an exported .onnx on NumPy arrays or CPU tensors, given by name.

    model = recurra.load("model.onnx")
    results = model(inputs=x, lengths=n)              # states that are not given are zeros
    results = model(inputs=more, lengths=n, **model.state_of(results))
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise ImportError("running .onnx files needs ONNX Runtime: pip install 'recurra[onnx]'") from error
        if not path.is_file():
            raise CheckpointError(f"{path}: no such file")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = threads
        try:
            self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's own classes share no public base but this
            raise CheckpointError(f"{path}: ONNX Runtime cannot load it: {error}") from None
        self.inputs = {value.name: value for value in self.session.get_inputs()}
        self.outputs = [value.name for value in self.session.get_outputs()]

    def __call__(self, **values: Any) -> dict[str, np.ndarray]:
        """Every output by name; what is not given is zeros (states) or the full length (lengths)."""
        unknown = values.keys() - self.inputs.keys()
        if unknown:
            raise InputError(f"there is no input {sorted(unknown)}; the model has {sorted(self.inputs)}")
        feed = {name: np.asarray(value) for name, value in values.items()}
        first = next((name for name in self.inputs if name.startswith("inputs")), None)
        if first not in feed:
            raise InputError(f"`{first}` is missing; the model has {sorted(self.inputs)}")
        for name, value in self.inputs.items():
            if name not in feed:
                feed[name] = self._default(name, value, feed[first])
        return dict(zip(self.outputs, self.session.run(None, feed), strict=True))

    def state_of(self, results: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The final states of a call as the next call's inputs."""
        return {name: results[f"final_{name}"] for name in self.inputs if f"final_{name}" in results}

    def _default(self, name: str, value: Any, inputs: np.ndarray) -> np.ndarray:
        if name == "lengths":
            return np.full(inputs.shape[0], inputs.shape[1], np.int64)
        shape = [inputs.shape[0] if isinstance(size, str) else size for size in value.shape]
        kinds = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(int64)": np.int64}
        if value.type not in kinds:
            raise InputError(f"`{name}` of type {value.type} must be given")
        return np.zeros(shape, kinds[value.type])
