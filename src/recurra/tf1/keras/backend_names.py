"""tf.keras.backend: Keras' own names for operations, and values in and out of its session."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np

from recurra.tf1.keras import state
from recurra.tf1.keras.layer import shape_tuple
from recurra.tf1.names import export, tf_export
from recurra.tf1.namespace import space

tf = space("")

# Keras' name -> tf's, same arguments in the same places
_SAME = {
    "abs": "abs", "argmax": "argmax", "argmin": "argmin", "cos": "cos", "sin": "sin", "exp": "exp", "log": "log",
    "sqrt": "sqrt", "square": "square", "sign": "sign", "round": "round", "pow": "pow", "maximum": "maximum",
    "minimum": "minimum", "equal": "equal", "not_equal": "not_equal", "greater": "greater", "less": "less",
    "greater_equal": "greater_equal", "less_equal": "less_equal", "transpose": "transpose", "reshape": "reshape",
    "concatenate": "concat", "tile": "tile", "gather": "nn.embedding_lookup", "ones_like": "ones_like",
    "zeros_like": "zeros_like", "stop_gradient": "stop_gradient", "gradients": "gradients", "shape": "shape",
    "softmax": "nn.softmax", "softplus": "nn.softplus", "softsign": "nn.softsign", "sigmoid": "sigmoid",
    "tanh": "tanh", "identity": "identity", "cumsum": "cumsum", "cumprod": "cumprod", "one_hot": "one_hot",
    "foldl": "foldl", "foldr": "foldr", "map_fn": "map_fn", "in_top_k": "nn.in_top_k", "bias_add": "nn.bias_add",
    "logsumexp": "reduce_logsumexp", "constant": "constant", "eye": "eye",
}  # fmt: skip


def _lookup(target: str) -> Any:
    found: Any = tf
    for part in target.split("."):
        found = getattr(found, part)
    return found


def _forward(name: str, target: str) -> None:
    def function(*args: Any, **kwargs: Any) -> Any:
        return _lookup(target)(*args, **kwargs)

    function.__name__ = name
    function.__doc__ = f"tf.{target}."
    export(function, f"keras.backend.{name}")


for _name, _target in _SAME.items():
    _forward(_name, _target)


def _reduction(name: str, target: str) -> None:
    def function(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        x = tf.convert_to_tensor(x)
        if name in ("mean", "std", "var", "all", "any") and x.dtype.base_dtype == tf.bool:
            x = x if name in ("all", "any") else tf.cast(x, state.setting("floatx"))
        elif name in ("all", "any"):
            x = tf.cast(x, tf.bool)
        return _lookup(target)(x, axis, keepdims)

    function.__name__ = name
    export(function, f"keras.backend.{name}")


for _name in ("mean", "sum", "prod", "max", "min", "all", "any"):
    _reduction(_name, f"reduce_{_name}")


@tf_export("keras.backend.var")
def var(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    middle = tf.reduce_mean(x, axis, True)
    return tf.reduce_mean(tf.square(x - middle), axis, keepdims)


@tf_export("keras.backend.std")
def std(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return tf.sqrt(var(x, axis, keepdims))


# -- values ------------------------------------------------------------------------------------------------------------
@tf_export("keras.backend.variable")
def variable(value: Any, dtype: Any = None, name: str | None = None, constraint: Any = None) -> Any:
    """A variable with an initial value."""
    kind = dtype or state.setting("floatx")
    initial = value if hasattr(value, "op") else np.asarray(value)
    made = tf.Variable(tf.cast(initial, kind), name=name, constraint=constraint, use_resource=True, trainable=True)
    made._uses_learning_phase = False
    return made


@tf_export("keras.backend.placeholder")
def placeholder(shape: Any = None, ndim: int | None = None, dtype: Any = None, sparse: bool = False,
                name: str | None = None) -> Any:  # fmt: skip
    """A placeholder of a shape, or of a number of axes."""
    shape = [None] * ndim if shape is None and ndim else shape
    return tf.placeholder(dtype or state.setting("floatx"), shape, name)


def _filled(kind: str) -> Callable[..., Any]:
    def function(shape: Any, dtype: Any = None, name: Any = None) -> Any:
        return variable(getattr(np, kind)(tuple(int(d) for d in shape)), dtype, name)

    return function


for _name in ("zeros", "ones"):
    export(_filled(_name), f"keras.backend.{_name}")


@tf_export("keras.backend.get_value", "keras.backend.eval")
def get_value(x: Any) -> Any:
    """The value of a variable or tensor in Keras' session."""
    return state.get_session().run(x) if hasattr(x, "op") or hasattr(x, "_as_graph_element") else x


@tf_export("keras.backend.batch_get_value")
def batch_get_value(tensors: Any) -> list[Any]:
    return list(state.get_session().run(list(tensors))) if tensors else []


@tf_export("keras.backend.set_value")
def set_value(x: Any, value: Any) -> None:
    """Set a variable in Keras' session."""
    x.load(np.asarray(value, x.dtype.base_dtype.as_numpy_dtype), state.get_session())


@tf_export("keras.backend.batch_set_value")
def batch_set_value(tuples: Any) -> None:
    for x, value in tuples:
        set_value(x, value)


@tf_export("keras.backend.function")
def function(inputs: Any, outputs: Any, updates: Any = None, **kwargs: Any) -> Callable[..., Any]:
    """A function of the values of `inputs` (a list) that gives those of `outputs`, having run `updates`."""
    many = isinstance(outputs, list | tuple)
    fetched = list(outputs) if many else [outputs]
    ops = [tf.assign(*u).op if isinstance(u, tuple) else getattr(u, "op", u) for u in updates or []]

    def call(values: Any) -> Any:
        values = list(values) if isinstance(values, list | tuple) else [values]
        feeds = {k: v for k, v in zip(inputs, values, strict=True) if not isinstance(k, bool)}
        found = state.get_session().run([fetched, ops], feeds)[0]
        return found if many else found[0]

    return call


@tf_export("keras.backend.int_shape")
def int_shape(x: Any) -> Any:
    """The static shape as a tuple; None where it is unknown."""
    return shape_tuple(x)


@tf_export("keras.backend.ndim")
def ndim(x: Any) -> Any:
    return x.shape.ndims


@tf_export("keras.backend.dtype")
def dtype(x: Any) -> str:
    return str(x.dtype.base_dtype.name)


@tf_export("keras.backend.cast")
def cast(x: Any, dtype: Any) -> Any:
    return tf.cast(x, dtype)


@tf_export("keras.backend.cast_to_floatx")
def cast_to_floatx(x: Any) -> Any:
    return np.asarray(x, dtype=state.setting("floatx"))


@tf_export("keras.backend.count_params")
def count_params(x: Any) -> int:
    return int(np.prod(x.shape.as_list()))


@tf_export("keras.backend.is_keras_tensor")
def is_keras_tensor(x: Any) -> bool:
    return hasattr(x, "_keras_history")


@tf_export("keras.backend.name_scope")
def name_scope(name: str) -> Any:
    return tf.name_scope(name)


@tf_export("keras.backend.backend")
def backend() -> str:
    return "tensorflow"


@tf_export("keras.backend.manual_variable_initialization")
def manual_variable_initialization(value: bool) -> None:
    """Accepted: variables that have a value are never initialised again here."""


@tf_export("keras.backend.image_dim_ordering")
def image_dim_ordering() -> str:
    return "tf" if state.setting("image_data_format") == "channels_last" else "th"


# -- shapes ------------------------------------------------------------------------------------------------------------
@tf_export("keras.backend.expand_dims")
def expand_dims(x: Any, axis: int = -1) -> Any:
    return tf.expand_dims(x, axis)


@tf_export("keras.backend.squeeze")
def squeeze(x: Any, axis: Any) -> Any:
    return tf.squeeze(x, [axis])


@tf_export("keras.backend.stack")
def stack(x: Any, axis: int = 0) -> Any:
    return tf.stack(x, axis)


@tf_export("keras.backend.permute_dimensions")
def permute_dimensions(x: Any, pattern: Any) -> Any:
    return tf.transpose(x, pattern)


@tf_export("keras.backend.flatten")
def flatten(x: Any) -> Any:
    return tf.reshape(x, [-1])


@tf_export("keras.backend.batch_flatten")
def batch_flatten(x: Any) -> Any:
    dims = x.shape.as_list()[1:]
    return tf.reshape(x, [-1, int(np.prod(dims)) if None not in dims else tf.reduce_prod(tf.shape(x)[1:])])


@tf_export("keras.backend.reverse")
def reverse(x: Any, axes: Any) -> Any:
    return tf.reverse(x, [axes] if isinstance(axes, int) else axes)


@tf_export("keras.backend.repeat")
def repeat(x: Any, n: int) -> Any:
    return tf.tile(tf.expand_dims(x, 1), [1, n, 1])


@tf_export("keras.backend.repeat_elements")
def repeat_elements(x: Any, rep: int, axis: int) -> Any:
    """Every element along `axis` `rep` times, side by side."""
    wide = tf.expand_dims(x, axis + 1)
    times = [1] * (x.shape.ndims + 1)
    times[axis + 1] = rep
    shape = tf.shape(x)
    made = tf.reshape(tf.tile(wide, times), tf.concat([shape[:axis], [shape[axis] * rep], shape[axis + 1 :]], 0))
    static = x.shape.as_list()
    static[axis] = None if static[axis] is None else static[axis] * rep
    made.set_shape(static)
    return made


@tf_export("keras.backend.arange")
def arange(start: Any, stop: Any = None, step: int = 1, dtype: str = "int32") -> Any:
    return tf.cast(tf.range(start, stop, step) if stop is not None else tf.range(start), dtype)


# -- products ----------------------------------------------------------------------------------------------------------
@tf_export("keras.backend.dot")
def dot(x: Any, y: Any) -> Any:
    """The product over the last axis of x and the last but one of y."""
    if x.shape.ndims == 2 and y.shape.ndims == 2:
        return tf.matmul(x, y)
    return tf.tensordot(x, y, [[x.shape.ndims - 1], [max(0, y.shape.ndims - 2)]])


@tf_export("keras.backend.batch_dot")
def batch_dot(x: Any, y: Any, axes: Any = None) -> Any:
    """Products along `axes`, sample by sample; vectors come out as [B, 1]."""
    ndims = x.shape.ndims, y.shape.ndims
    if axes is None:
        axes = [ndims[0] - 1, max(1, ndims[1] - 2)]
    axes = [axes, axes] if isinstance(axes, int) else list(axes)
    letters = "abcdefgh"
    left = ["z", *letters[: ndims[0] - 1]]
    right = ["z", *[letter.upper() for letter in letters[: ndims[1] - 1]]]
    right[axes[1]] = left[axes[0]]
    kept = [letter for letter in [*left, *right[1:]] if letter != left[axes[0]]]
    made = tf.einsum(f"{''.join(left)},{''.join(right)}->{''.join(kept)}", x, y)
    return tf.expand_dims(made, 1) if made.shape.ndims == 1 else made


@tf_export("keras.backend.l2_normalize")
def l2_normalize(x: Any, axis: Any = None) -> Any:
    return tf.nn.l2_normalize(x, axis)


@tf_export("keras.backend.clip")
def clip(x: Any, min_value: Any, max_value: Any) -> Any:
    most = np.inf if max_value is None else max(max_value, min_value) if np.isscalar(max_value) else max_value
    return tf.clip_by_value(x, min_value, most)


@tf_export("keras.backend.conv1d")
def conv1d(x: Any, kernel: Any, strides: int = 1, padding: str = "valid", data_format: Any = None,
           dilation_rate: int = 1) -> Any:  # fmt: skip
    return tf.nn.convolution(x, kernel, padding.upper(), [strides], [dilation_rate])


@tf_export("keras.backend.conv2d")
def conv2d(x: Any, kernel: Any, strides: Any = (1, 1), padding: str = "valid", data_format: Any = None,
           dilation_rate: Any = (1, 1)) -> Any:  # fmt: skip
    return tf.nn.convolution(x, kernel, padding.upper(), list(strides), list(dilation_rate))


@tf_export("keras.backend.dropout")
def dropout(x: Any, level: Any, noise_shape: Any = None, seed: Any = None) -> Any:
    return tf.nn.dropout(x, noise_shape=noise_shape, seed=seed, rate=level)


# -- losses ------------------------------------------------------------------------------------------------------------
def _before(output: Any, kind: str) -> Any:
    """What a softmax or sigmoid at the very end was taken of; None when the end is something else."""
    return output.op.inputs[0] if hasattr(output, "op") and output.op.type == kind else None


def _clipped(output: Any) -> Any:
    least = state.setting("epsilon")
    return tf.clip_by_value(output, least, 1.0 - least)


@tf_export("keras.backend.categorical_crossentropy")
def categorical_crossentropy(target: Any, output: Any, from_logits: bool = False, axis: int = -1) -> Any:
    logits = output if from_logits else _before(output, "Softmax")
    if logits is None:
        output = output / tf.reduce_sum(output, axis=axis, keepdims=True)
        return -tf.reduce_sum(target * tf.log(_clipped(output)), axis=axis)
    return tf.nn.softmax_cross_entropy_with_logits_v2(labels=target, logits=logits, axis=axis)


@tf_export("keras.backend.sparse_categorical_crossentropy")
def sparse_categorical_crossentropy(target: Any, output: Any, from_logits: bool = False, axis: int = -1) -> Any:
    logits = output if from_logits else _before(output, "Softmax")
    if logits is None:
        logits = tf.log(_clipped(output))
    classes = logits.shape.as_list()[-1]
    flat = tf.cast(tf.reshape(target, [-1]), tf.int64)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=flat, logits=tf.reshape(logits, [-1, classes]))
    return losses if logits.shape.ndims < 3 else tf.reshape(losses, tf.shape(logits)[:-1])


@tf_export("keras.backend.binary_crossentropy")
def binary_crossentropy(target: Any, output: Any, from_logits: bool = False) -> Any:
    logits = output if from_logits else _before(output, "Sigmoid")
    if logits is None:
        least, output = state.setting("epsilon"), _clipped(output)
        return -(target * tf.log(output + least) + (1 - target) * tf.log(1 - output + least))
    return tf.nn.sigmoid_cross_entropy_with_logits(labels=target, logits=logits)


# -- choice and chance -------------------------------------------------------------------------------------------------
@tf_export("keras.backend.switch")
def switch(condition: Any, then_expression: Any, else_expression: Any) -> Any:
    """One of two expressions, whole or by elements."""
    then = then_expression if callable(then_expression) else lambda: then_expression
    other = else_expression if callable(else_expression) else lambda: else_expression
    if condition.dtype.base_dtype != tf.bool:
        condition = tf.cast(condition, tf.bool)
    return tf.cond(condition, then, other) if condition.shape.ndims == 0 else tf.where(condition, then(), other())


@tf_export("keras.backend.in_train_phase")
def in_train_phase(x: Any, alt: Any, training: Any = None) -> Any:
    """`x` in training, `alt` otherwise."""
    training = state.learning_phase() if training is None else training
    if isinstance(training, bool | int):
        chosen = x if training else alt
        return chosen() if callable(chosen) else chosen
    return switch(training, x, alt)


@tf_export("keras.backend.in_test_phase")
def in_test_phase(x: Any, alt: Any, training: Any = None) -> Any:
    return in_train_phase(alt, x, training)


def _random(name: str, target: str, first: float, second: float, labels: tuple[str, str]) -> None:
    def function(shape: Any, *args: Any, dtype: Any = None, seed: Any = None, **named: Any) -> Any:
        values = [first, second]
        for i, value in enumerate(args[:2]):
            values[i] = value
        for i, label in enumerate(labels):
            values[i] = named.get(label, values[i])
        return _lookup(target)(shape, values[0], values[1], dtype or state.setting("floatx"), seed)

    export(function, f"keras.backend.{name}")


_random("random_normal", "random_normal", 0.0, 1.0, ("mean", "stddev"))
_random("random_uniform", "random_uniform", 0.0, 1.0, ("minval", "maxval"))
_random("truncated_normal", "truncated_normal", 0.0, 1.0, ("mean", "stddev"))


def _variable_of(name: str) -> None:
    def function(shape: Any, a: Any, b: Any, dtype: Any = None, name_: Any = None, seed: Any = None) -> Any:
        return variable(_lookup(name)(shape, a, b, dtype or state.setting("floatx"), seed), dtype)

    export(function, f"keras.backend.{name}_variable")


_variable_of("random_normal")
_variable_of("random_uniform")


@tf_export("keras.backend.update")
def update(x: Any, new_x: Any) -> Any:
    return tf.assign(x, new_x)


@tf_export("keras.backend.update_add")
def update_add(x: Any, increment: Any) -> Any:
    return tf.assign_add(x, increment)


@tf_export("keras.backend.update_sub")
def update_sub(x: Any, decrement: Any) -> Any:
    return tf.assign_sub(x, decrement)


@tf_export("keras.backend.moving_average_update")
def moving_average_update(x: Any, value: Any, momentum: float) -> Any:
    return tf.assign_sub(x, (x.read_value() - value) * (1.0 - momentum))


@tf_export("keras.backend.print_tensor")
def print_tensor(x: Any, message: str = "") -> Any:
    return tf.Print(x, [x], message)


@tf_export("keras.backend.learning_phase_scope")
@contextlib.contextmanager
def learning_phase_scope(value: Any) -> Any:
    """The learning phase set for what is built inside."""
    extra = tf.get_default_graph().extra
    before = extra.get("keras_phase")
    state.set_learning_phase(value)
    try:
        yield
    finally:
        if before is None:
            extra.pop("keras_phase", None)
        else:
            extra["keras_phase"] = before


@tf_export("keras.backend.ctc_decode")
def ctc_decode(y_pred: Any, input_length: Any, greedy: bool = True, beam_width: int = 100, top_paths: int = 1) -> Any:
    """The best label sequences of [B, T, C] probabilities, dense with −1 past their ends, and their scores."""
    logits = tf.log(tf.transpose(y_pred, [1, 0, 2]) + state.setting("epsilon"))
    lengths = tf.cast(input_length, tf.int32)
    if greedy:
        decoded, scores = tf.nn.ctc_greedy_decoder(logits, lengths)
    else:
        decoded, scores = tf.nn.ctc_beam_search_decoder(logits, lengths, beam_width, top_paths)
    dense = [tf.sparse_to_dense(s.indices, s.dense_shape, s.values, default_value=-1) for s in decoded]
    return dense, scores


@tf_export("keras.backend.ctc_batch_cost")
def ctc_batch_cost(y_true: Any, y_pred: Any, input_length: Any, label_length: Any) -> Any:
    """The CTC loss of every row, [B, 1]; labels [B, L] count up to `label_length`."""
    lengths = tf.cast(tf.squeeze(label_length, [-1]), tf.int32)
    kept = tf.where(tf.sequence_mask(lengths, tf.shape(y_true)[1]))
    labels = tf.SparseTensor(kept, tf.cast(tf.gather_nd(y_true, kept), tf.int32), tf.shape(y_true, out_type=tf.int64))
    logits = tf.log(tf.transpose(y_pred, [1, 0, 2]) + state.setting("epsilon"))
    losses = tf.nn.ctc_loss(labels, logits, tf.cast(tf.squeeze(input_length, [-1]), tf.int32))
    return tf.expand_dims(losses, 1)
