"""The table of cells: one row per construction, with the golden files it must reproduce. Every law runs over all rows.

To add a cell: one row here (or in the list of the wider family below). Its golden files lie in `tests/goldens`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

import recurra as rc
from tests.cells.test_family import CASES as FAMILY
from tests.cells.test_family import UNLIKE


class Row(NamedTuple):
    name: str
    make: Callable[[], Any]
    goldens: tuple[str, ...] = ()
    """Files of `tests/goldens/cells`, without `cell_` and `.npz`."""
    tf_scope: str | None = None
    """The scope in the golden files, where TensorFlow's class is not the default one."""
    unlike: dict[str, str] = {}
    """Laws that do not hold for this cell, and why."""


def half_residual(inputs: Tensor, outputs: Tensor) -> Tensor:
    return inputs[..., :3] * 0.5 + outputs


def mixed_stack() -> rc.StackedCells:
    """One of each wrapper, on top of each other."""
    return rc.StackedCells(
        [
            rc.DropoutWrapper(rc.LSTMCell(4, 3, peepholes=True), input_keep_prob=0.7, state_keep_prob=0.8),
            rc.ResidualWrapper(rc.ZoneoutWrapper(rc.GRUCell(3, 3), 0.3)),
            rc.OutputProjectionWrapper(rc.LayerNormBasicLSTMCell(3, 4, recurrent_keep_prob=0.6), 2),
        ]
    )


def twice() -> rc.StackedCells:
    cell = rc.LSTMCell(4, 4)
    return rc.StackedCells([cell, cell])


CORE = [
    Row("rnn", lambda: rc.RNNCell(4, 5), ("basic_rnn", "basic_rnn_f64")),
    Row("rnn_relu", lambda: rc.RNNCell(4, 5, activation="relu"), ("basic_rnn_relu",)),
    Row("lstm", lambda: rc.LSTMCell(4, 5), ("lstm", "lstm_f64", "lstm_block")),
    Row("basic_lstm", lambda: rc.LSTMCell(4, 5), ("basic_lstm", "basic_lstm_f64"), "basic_lstm_cell"),
    Row(
        "basic_lstm_relu",
        lambda: rc.LSTMCell(4, 5, forget_bias=0.0, activation="relu"),
        ("basic_lstm_fb0_relu",),
        "basic_lstm_cell",
    ),
    Row(
        "lstm_cudnn",
        lambda: rc.LSTMCell(4, 5, forget_bias=0.0),
        ("cudnn_compatible_lstm",),
        "cudnn_compatible_lstm_cell",
    ),
    Row("lstm_relu", lambda: rc.LSTMCell(4, 5, activation="relu", forget_bias=0.0), ("lstm_relu",)),
    Row("lstm_peep", lambda: rc.LSTMCell(4, 5, peepholes=True), ("lstm_peep", "lstm_peep_f64")),
    Row("lstm_clip", lambda: rc.LSTMCell(4, 5, cell_clip=0.3), ("lstm_clip",)),
    Row("lstm_peep_clip", lambda: rc.LSTMCell(4, 5, peepholes=True, cell_clip=0.3), ("lstm_peep_clip",)),
    Row("lstm_proj", lambda: rc.LSTMCell(4, 5, projection_size=3), ("lstm_proj", "lstm_shards")),
    Row(
        "lstm_all",
        lambda: rc.LSTMCell(
            4, 5, peepholes=True, cell_clip=0.4, projection_size=3, projection_clip=0.15, forget_bias=0.5
        ),
        ("lstm_all", "lstm_all_f64"),
    ),
    Row("gru", lambda: rc.GRUCell(4, 5), ("gru", "gru_f64", "gru_block_v2")),
    Row("gru_relu", lambda: rc.GRUCell(4, 5, activation="relu"), ("gru_relu",)),
    Row("gru_after", lambda: rc.GRUCell(4, 5, reset="after"), ("cudnn_compatible_gru",)),
    Row(
        "layer_norm_basic_lstm",
        lambda: rc.LayerNormBasicLSTMCell(4, 5),
        ("layer_norm_basic_lstm", "layer_norm_basic_lstm_f64"),
    ),
    Row(
        "layer_norm_basic_lstm_relu",
        lambda: rc.LayerNormBasicLSTMCell(4, 5, forget_bias=0.3, activation="relu"),
        ("layer_norm_basic_lstm_relu",),
    ),
    Row(
        "layer_norm_basic_lstm_off",
        lambda: rc.LayerNormBasicLSTMCell(4, 5, layer_norm=False),
        ("layer_norm_basic_lstm_off",),
    ),
    Row("layer_norm_basic_lstm_dropped", lambda: rc.LayerNormBasicLSTMCell(4, 5, recurrent_keep_prob=0.6)),
    Row(
        "layer_norm_lstm",
        lambda: rc.LayerNormLSTMCell(4, 5, peepholes=True, cell_clip=0.5, projection_size=3, projection_clip=0.3),
        ("layer_norm_lstm",),
    ),
    Row("layer_norm_lstm_off", lambda: rc.LayerNormLSTMCell(4, 5, layer_norm=False), ("layer_norm_lstm_off",)),
    Row("coupled", lambda: rc.CoupledInputForgetGateLSTMCell(4, 5), ("coupled", "coupled_f64")),
    Row(
        "coupled_layer_norm",
        lambda: rc.CoupledInputForgetGateLSTMCell(4, 5, peepholes=True, layer_norm=True),
        ("coupled_ln",),
    ),
    Row(
        "coupled_peep_proj",
        lambda: rc.CoupledInputForgetGateLSTMCell(4, 5, peepholes=True, projection_size=3, projection_clip=0.2),
        ("coupled_peep_proj",),
    ),
]

WRAPPERS = [
    Row("stack", lambda: rc.StackedCells([basic_lstm(4, 5), rc.GRUCell(5, 3)]), ("multi_tuple",)),
    Row("stack_shared", twice, ("multi_shared",)),
    Row("stack_mixed", mixed_stack),
    Row("residual", lambda: rc.ResidualWrapper(rc.GRUCell(4, 4)), ("residual",)),
    Row("residual_fn", lambda: rc.ResidualWrapper(rc.GRUCell(4, 3), half_residual), ("residual_fn",)),
    Row("input_projection", lambda: rc.InputProjectionWrapper(rc.GRUCell(5, 3), 4, activation="tanh"), ("input_proj",)),
    Row(
        "output_projection",
        lambda: rc.OutputProjectionWrapper(basic_lstm(4, 3), 5, activation="sigmoid"),
        ("output_proj",),
    ),
    Row("embedding", lambda: rc.EmbeddingWrapper(rc.GRUCell(2, 3), 7), ("embedding",)),
    Row("dropout_kept", lambda: rc.DropoutWrapper(rc.GRUCell(4, 4)), ("dropout_keep1",)),
    Row(
        "dropout",
        lambda: rc.DropoutWrapper(rc.LSTMCell(4, 5), input_keep_prob=0.7, output_keep_prob=0.6, state_keep_prob=0.8),
    ),
    Row(
        "dropout_row",
        lambda: rc.DropoutWrapper(rc.GRUCell(4, 5), input_keep_prob=0.7, state_keep_prob=0.8, variational="row"),
    ),
    Row(
        "dropout_batch",
        lambda: rc.DropoutWrapper(rc.GRUCell(4, 5), output_keep_prob=0.7, state_keep_prob=0.8, variational="batch"),
    ),
    Row("zoneout", lambda: rc.ZoneoutWrapper(rc.LSTMCell(4, 5), rc.LSTMState(0.5, 0.2))),  # type: ignore[arg-type]
]


def basic_lstm(input_size: int, hidden_size: int) -> rc.LSTMCell:
    """An LSTMCell that was TensorFlow's BasicLSTMCell."""
    cell = rc.LSTMCell(input_size, hidden_size)
    cell.tf_scope = "basic_lstm_cell"
    return cell


ROWS = {
    row.name: row
    for row in [
        *CORE,
        *WRAPPERS,
        *(Row(name, make, unlike=UNLIKE.get(name, {})) for name, make in FAMILY.items() if not name.endswith("_f64")),
    ]
}


VARIANTS = {
    "rnn_relu", "basic_lstm", "basic_lstm_relu", "lstm_cudnn", "lstm_relu", "lstm_peep", "lstm_clip", "lstm_peep_clip",
    "lstm_proj", "gru_relu", "layer_norm_basic_lstm_relu", "layer_norm_basic_lstm_off", "layer_norm_lstm_off",
    "coupled_peep_proj",
}  # fmt: skip
"""Rows whose equation another row covers with more options: under the laws in `make check-full` only."""


def over_rows(law: str) -> pytest.MarkDecorator:
    """Every row of the table to which the law applies; of each class of the family one in `make test`."""
    cases: list[Any] = []
    classes: set[str] = set()
    for row in ROWS.values():
        if law in row.unlike:
            continue
        kind = type(row.make()).__name__
        covered = row.name in VARIANTS or (row.name in FAMILY and kind in classes)
        classes.add(kind)
        cases.append(pytest.param(row, id=row.name, marks=[pytest.mark.slow] if covered else []))
    return pytest.mark.parametrize("row", cases)


def golden_cases() -> list[tuple[Row, str]]:
    """Each row with each of its files."""
    return [(row, golden) for row in ROWS.values() for golden in row.goldens]


def build(row: Row, dtype: torch.dtype = torch.float32, seed: int = 0) -> Any:
    """The row's cell with no parameter at a value so plain that a mistake would not show."""
    torch.manual_seed(seed)
    cell = row.make()
    if row.tf_scope is not None:
        cell.tf_scope = row.tf_scope
    with torch.no_grad():
        for parameter in cell.parameters():
            noise = torch.randn_like(parameter)
            parameter.copy_(torch.where(parameter == 0, 0.3 * noise, parameter * (1 + 0.1 * noise)))
    return cell.to(dtype)
