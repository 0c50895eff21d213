"""CellStep: one step of a library equation as one operation, so that chains of steps can be run as a sequence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

from recurra.cells import gru, lstm, nas, rnn, ugrnn
from recurra.kernels import Recurrence
from recurra.tf1 import names
from recurra.tf1.build import apply_op
from recurra.tf1.graph import get_default_graph
from recurra.tf1.registry import op
from recurra.tf1.shapes import TensorShape
from recurra.tf1.tensor import Operation, Tensor


class Family(NamedTuple):
    """An equation of the library and how its arguments are packed."""

    recurrence: Recurrence
    params: Callable[..., Any]
    options: Callable[..., Any] | None
    pair: bool  # whether the state is (c, h)


FAMILIES: dict[str, Family] = {
    "lstm": Family(lstm.LSTM, lstm.LSTMParams, lstm.LSTMOptions, True),
    "gru": Family(gru.GRU, gru.GRUParams, gru.GRUOptions, False),
    "gru_after": Family(gru.GRU_AFTER, gru.GRUAfterParams, gru.GRUOptions, False),
    "rnn": Family(rnn.RNN, rnn.RNNParams, rnn.RNNOptions, False),
    "ugrnn": Family(ugrnn.UGRNN, ugrnn.UGRNNParams, ugrnn.UGRNNOptions, False),
    "nas": Family(nas.NAS, nas.NASParams, None, True),
}


def step_call(family: str, fields: Sequence[str], options: Any) -> Callable[..., Any]:
    """(x, state tensors, parameter tensors) -> new state tensors."""
    known = FAMILIES[family]
    recurrence, make = known.recurrence, known.params
    positions = list(fields)
    chosen = None if known.options is None else known.options(**dict(options))

    def run(inputs: Any, state: list[Any], params: list[Any]) -> tuple[Any, ...]:
        packed = make(**dict(zip(positions, params, strict=True)))
        if known.pair:
            _, new = recurrence.step(packed, inputs, lstm.LSTMState(*state), chosen)
            return tuple(new)
        return (recurrence.step(packed, inputs, state[0], chosen)[1],)

    return run


@cache
def _cached_call(family: str, fields: tuple[str, ...], options: tuple[tuple[str, Any], ...]) -> Callable[..., Any]:
    return step_call(family, fields, options)


def _run(
    inputs: Any, state: list[Any], params: list[Any], *, family: str, fields: Any, options: Any
) -> tuple[Any, ...]:
    return _cached_call(family, fields, options)(inputs, state, params)


def _shapes(o: Operation) -> list[TensorShape]:
    """The new state is shaped like the old one, with the batch that any of the inputs knows."""
    count = o.attrs["_lengths"]["state"]
    sizes = {t.shape.values[0] for t in o.inputs[: count + 1] if t.shape.values} - {None}
    if len(sizes) > 1:
        first, second = sorted(sizes)[:2]
        raise ValueError(f"Dimension 0 in both shapes must be equal, but are {second} and {first}")
    batch = next(
        (t.shape.values[0] for t in o.inputs[: count + 1] if t.shape.values and t.shape.values[0] is not None), None
    )
    shapes = []
    for tensor in o.inputs[1 : count + 1]:
        last = tensor.shape.values[-1] if tensor.shape.values else None
        shapes.append(TensorShape([batch, last]))
    return shapes


op("CellStep", "inputs:T, state:S*T, params:P*T -> S*T", _run, shape=_shapes)


def cell_step(family: str, x: Tensor, state: Sequence[Tensor], params: dict[str, Any], **options: Any) -> list[Tensor]:
    """The new state tensors of one step; `params` by the equation's field names, None where a part is absent."""
    given = {k: v for k, v in params.items() if v is not None}
    _check_depth(x, state, next((v for k, v in given.items() if k in ("kernel", "gates_kernel")), None))
    return apply_op(
        "CellStep", x, list(state), list(given.values()), family=family, fields=tuple(given),
        options=tuple(sorted(options.items())),
    )  # fmt: skip


def _check_depth(x: Tensor, state: Sequence[Tensor], kernel: Any) -> None:
    """A cell that was built for another depth is met here, as at the product of TensorFlow's own cells."""
    shapes = [x.get_shape(), state[-1].get_shape()]
    rows = kernel.get_shape() if isinstance(kernel, Tensor) else getattr(kernel, "shape", None)
    if rows is None or rows.ndims != 2 or any(s.ndims != 2 for s in shapes):
        return
    depths = [s.as_list()[1] for s in shapes]
    wanted = rows.as_list()[0]
    if None in depths or wanted is None or sum(depths) == wanted:
        return
    name = get_default_graph().unique_name("MatMul", mark_as_used=False)
    batch = next((s.as_list()[0] for s in shapes if s.as_list()[0] is not None), "?")
    raise ValueError(
        f"Dimensions must be equal, but are {sum(depths)} and {wanted} for '{name}' (op: 'MatMul') with input shapes: "
        f"[{batch},{sum(depths)}], [{wanted},{'?' if rows.as_list()[1] is None else rows.as_list()[1]}]."
    )


@cache
def _activation_names() -> dict[int, str]:
    pairs = {"tanh": "tanh", "nn.relu": "relu", "sigmoid": "sigmoid", "nn.relu6": "relu6", "identity": "linear",
             "nn.elu": "elu", "nn.selu": "selu", "nn.softplus": "softplus", "nn.softsign": "softsign"}  # fmt: skip
    found = {}
    for dotted, name in pairs.items():
        try:
            found[id(names.lookup(dotted))] = name
        except KeyError:
            continue
    return found


def activation_name(activation: Any) -> str | None:
    """The library's name of a tf activation function, or None for a function of the program's own."""
    return _activation_names().get(id(activation))


def resolve_activation(activation: Any) -> Any:
    """A cell's `activation` argument as a function: None is tanh, text is Keras' name for it."""
    if not activation:
        return names.lookup("tanh")
    if not isinstance(activation, str):
        return activation
    table = {"linear": "identity", "tanh": "tanh", "sigmoid": "sigmoid", "exponential": "exp"}
    dotted = table.get(activation, f"nn.{activation}")
    try:
        return names.lookup(dotted)
    except KeyError:
        raise ValueError(f"Unknown activation function:{activation}") from None
