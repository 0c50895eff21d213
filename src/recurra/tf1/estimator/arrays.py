"""tf.estimator.inputs: arrays and data frames as input functions."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np

from recurra.tf1.names import tf_export
from recurra.tf1.namespace import space

tf = space("")


@tf_export("estimator.inputs.numpy_input_fn")
def numpy_input_fn(
    x: Any,
    y: Any = None,
    batch_size: int = 128,
    num_epochs: int | None = 1,
    shuffle: bool | None = None,
    queue_capacity: int = 1000,
    num_threads: int = 1,
) -> Callable[[], Any]:
    """Batches of an array, or of a dict of arrays, with targets `y`; batches run across the epochs' ends.

    Raises ValueError (shuffle not given, lengths that differ, no features), TypeError (neither array nor dict)."""
    if not isinstance(shuffle, bool):
        raise ValueError(f"shuffle must be provided and explicitly set as boolean, True for training; got {shuffle}")
    if not isinstance(x, dict | np.ndarray):
        raise TypeError(f"x must be a dict or array; got {type(x).__name__}")
    if isinstance(x, dict) and not x:
        raise ValueError("x cannot be an empty dict")
    lengths = {k: len(v) for k, v in [*_columns(x).items(), *_columns({} if y is None else y, "__target__").items()]}
    if len(set(lengths.values())) != 1:
        raise ValueError(f"Length of tensors in x and y is mismatched. Lengths: {lengths}")

    def input_fn() -> Any:
        """The next batch as tensors."""
        features = OrderedDict((k, np.asarray(v)) for k, v in x.items()) if isinstance(x, dict) else x
        data = tf.data.Dataset.from_tensor_slices(features if y is None else (features, y))
        if shuffle:
            data = data.shuffle(max(queue_capacity, 4 * batch_size))
        return data.repeat(num_epochs).batch(batch_size).make_one_shot_iterator().get_next()

    return input_fn


def _columns(data: Any, name: str = "") -> dict[str, Any]:
    return dict(data) if isinstance(data, dict) else {name: data}


@tf_export("estimator.inputs.pandas_input_fn")
def pandas_input_fn(
    x: Any,
    y: Any = None,
    batch_size: int = 128,
    num_epochs: int | None = 1,
    shuffle: bool | None = None,
    queue_capacity: int = 1000,
    num_threads: int = 1,
    target_column: str = "target",
) -> Callable[[], Any]:
    """Batches of a DataFrame's columns, with the targets of a Series or DataFrame."""
    features = {str(name): x[name].values for name in x.columns}
    target = y
    if y is not None:
        target = {str(n): y[n].values for n in y.columns} if hasattr(y, "columns") else y.values
    return numpy_input_fn(features, target, batch_size, num_epochs, shuffle, queue_capacity, num_threads)
