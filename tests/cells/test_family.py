"""Contrib cells against TensorFlow 1.15, frozen in `tests/goldens/family` (`../shared/goldens/INDEX.md` says how)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

import recurra
from recurra import _nest
from recurra.cells.attention_cell import AttentionCellWrapper
from recurra.cells.conv_lstm import Conv1DLSTMCell, Conv2DLSTMCell, Conv3DLSTMCell
from recurra.cells.glstm import GLSTMCell
from recurra.cells.grid_lstm import BidirectionalGridLSTMCell, GridLSTMCell
from recurra.cells.grid_rnn import (
    Grid1BasicLSTMCell,
    Grid1BasicRNNCell,
    Grid1LSTMCell,
    Grid2BasicLSTMCell,
    Grid2BasicRNNCell,
    Grid2GRUCell,
    Grid2LSTMCell,
    Grid3LSTMCell,
    GridRNNCell,
)
from recurra.cells.gru import GRUCell
from recurra.cells.highway import HighwayWrapper
from recurra.cells.independent import IndRNNCell, IndyGRUCell, IndyLSTMCell
from recurra.cells.intersection import IntersectionRNNCell
from recurra.cells.lstm import LSTMCell
from recurra.cells.minimal import CFNCell, MinimalRNNCell
from recurra.cells.nas import NASCell
from recurra.cells.ntm import NTMCell
from recurra.cells.phased import PhasedLSTMCell
from recurra.cells.sru import SRUCell
from recurra.cells.time_freq import TimeFreqLSTMCell
from recurra.cells.ugrnn import UGRNNCell
from recurra.cells.weight_norm import WeightNormLSTMCell
from tests.cells.family_goldens import Golden, compare, load, names_of
from tests.cells.linear_cases import LINEAR

TENSORFLOW: dict[str, Callable[[], Any]] = {
    "ugrnn": lambda: UGRNNCell(4, 5),
    "ugrnn_f64": lambda: UGRNNCell(4, 5),
    "ugrnn_relu": lambda: UGRNNCell(4, 5, forget_bias=0.2, activation="relu"),
    "intersection": lambda: IntersectionRNNCell(4, 4),
    "intersection_f64": lambda: IntersectionRNNCell(4, 4),
    "intersection_proj": lambda: IntersectionRNNCell(4, 5, y_activation="tanh"),
    "nas": lambda: NASCell(4, 5),
    "nas_f64": lambda: NASCell(4, 5),
    "nas_bias_proj": lambda: NASCell(4, 5, projection_size=3, use_bias=True),
    "phased": lambda: PhasedLSTMCell(4, 5),
    "phased_peep": lambda: PhasedLSTMCell(4, 5, peepholes=True, leak=0.05),
    "phased_fixed_ratio": lambda: PhasedLSTMCell(4, 5, trainable_ratio_on=False),
    "glstm": lambda: GLSTMCell(4, 6, number_of_groups=2),
    "glstm_f64": lambda: GLSTMCell(4, 6, number_of_groups=2),
    "glstm_1group": lambda: GLSTMCell(4, 5),
    "glstm_proj": lambda: GLSTMCell(4, 6, number_of_groups=2, projection_size=4, forget_bias=0.5),
    "ind_rnn": lambda: IndRNNCell(4, 5),
    "ind_rnn_f64": lambda: IndRNNCell(4, 5),
    "indy_gru": lambda: IndyGRUCell(4, 5),
    "indy_gru_f64": lambda: IndyGRUCell(4, 5),
    "indy_lstm": lambda: IndyLSTMCell(4, 5, forget_bias=0.7),
    "indy_lstm_f64": lambda: IndyLSTMCell(4, 5, forget_bias=0.7),
    "minimal_rnn": lambda: MinimalRNNCell(4, 5),
    "minimal_rnn_f64": lambda: MinimalRNNCell(4, 5),
    "cfn": lambda: CFNCell(4, 5),
    "cfn_f64": lambda: CFNCell(4, 5),
    "sru": lambda: SRUCell(4, 5),
    "sru_f64": lambda: SRUCell(4, 5),
    "time_freq": lambda: TimeFreqLSTMCell(4, 3, feature_size=2),
    "time_freq_peep_clip": lambda: TimeFreqLSTMCell(
        4, 3, feature_size=2, frequency_skip=2, peepholes=True, cell_clip=0.4
    ),
    "conv1d_lstm": lambda: Conv1DLSTMCell([6, 2], 3, kernel_shape=[3]),
    "conv2d_lstm": lambda: Conv2DLSTMCell([4, 5, 2], 3, kernel_shape=[3, 2], forget_bias=0.5),
    "conv2d_lstm_nobias": lambda: Conv2DLSTMCell([4, 5, 2], 3, kernel_shape=[3, 3], use_bias=False),
    "conv3d_lstm": lambda: Conv3DLSTMCell([3, 3, 4, 1], 2, kernel_shape=[2, 3, 3]),
    "grid_lstm": lambda: GridLSTMCell(4, 3, feature_size=2),
    "grid_lstm_peep": lambda: GridLSTMCell(4, 3, feature_size=2, peepholes=True, cell_clip=0.5),
    "grid_lstm_share_couple": lambda: GridLSTMCell(
        4, 3, feature_size=2, peepholes=True, share_time_frequency_weights=True, couple_input_forget_gates=True
    ),
    "grid_lstm_blocks": lambda: GridLSTMCell(
        6, 3, feature_size=2, start_freqindex_list=[0, 2], end_freqindex_list=[3, 6], peepholes=True
    ),
    "bidir_grid_lstm": lambda: BidirectionalGridLSTMCell(4, 3, feature_size=2, peepholes=True),
    "bidir_grid_lstm_offset": lambda: BidirectionalGridLSTMCell(
        4, 3, feature_size=2, couple_input_forget_gates=True, backward_slice_offset=1
    ),
    "bidir_grid_lstm_negoffset": lambda: BidirectionalGridLSTMCell(
        4, 3, feature_size=2, share_time_frequency_weights=True, backward_slice_offset=-1
    ),
    "grid1_basic_rnn": lambda: Grid1BasicRNNCell(4, 3),
    "grid2_basic_rnn": lambda: Grid2BasicRNNCell(4, 3),
    "grid2_basic_rnn_tied": lambda: Grid2BasicRNNCell(4, 3, tied=True),
    "grid1_basic_lstm": lambda: Grid1BasicLSTMCell(4, 3),
    "grid2_basic_lstm": lambda: Grid2BasicLSTMCell(4, 3),
    "grid1_lstm_peep": lambda: Grid1LSTMCell(4, 3, peepholes=True),
    "grid2_lstm_peep": lambda: Grid2LSTMCell(4, 3, peepholes=True),
    "grid2_lstm_tied": lambda: Grid2LSTMCell(4, 3, tied=True),
    "grid2_lstm_nonrec": lambda: Grid2LSTMCell(4, 3, non_recurrent_activation="relu"),
    "grid3_lstm": lambda: Grid3LSTMCell(4, 3),
    "grid2_gru": lambda: Grid2GRUCell(4, 3),
    "grid_rnn_io": lambda: GridRNNCell(4, 3, num_dims=3, input_dims=[0, 1], output_dims=[0, 2], priority_dims=[2]),
    "highway": lambda: HighwayWrapper(GRUCell(4, 4)),
    "highway_uncoupled": lambda: HighwayWrapper(GRUCell(4, 4), couple_carry_transform_gates=False, carry_bias_init=0.5),
    "attn_wrap": lambda: AttentionCellWrapper(LSTMCell(4, 4), 3),
    "attn_wrap_sizes": lambda: AttentionCellWrapper(GRUCell(6, 4), 3, input_size=4, attn_size=5, attn_vec_size=2),
    "weight_norm_lstm": lambda: WeightNormLSTMCell(4, 5),
    "weight_norm_lstm_off": lambda: WeightNormLSTMCell(4, 5, norm=False),
    "weight_norm_lstm_all": lambda: WeightNormLSTMCell(
        4, 5, peepholes=True, cell_clip=0.4, projection_size=3, projection_clip=0.3
    ),
}


CASES = {**TENSORFLOW, **LINEAR}
"""All cells of the family: the laws (tests/laws) run over these."""

UNLIKE = {
    name: {
        "gradcheck": "TensorFlow's gradient takes the clock's modulo for the identity; the golden gradients ask for it"
    }
    for name in ("phased", "phased_peep", "phased_fixed_ratio")
}
"""Laws (tests/laws) that do not hold, and why."""

SCOPES = {"attn_wrap": {"lstm_cell": "basic_lstm_cell"}}


def worst_error(name: str) -> float:
    """Compare everything that the file holds; the worst error relative to max(1, |reference|)."""
    cell, golden = TENSORFLOW[name](), Golden(f"cell_{name}")
    if "outputs/0" in golden.arrays:
        golden.join_outputs()
    names = names_of(cell)
    for ours, theirs in SCOPES.get(name, {}).items():
        names = {key: value.replace(ours, theirs) for key, value in names.items()}
    return compare(cell, golden, names)


@pytest.mark.parametrize("name", TENSORFLOW)
def test_golden(name: str) -> None:
    worst_error(name)


TURING = {"ntm": 1, "ntm_heads": 2}
"""Golden files of the Turing machine and how many heads write in them."""


def turing_error(name: str) -> float:
    """As `worst_error`, for the Turing machine, whose start is not the golden's but its own."""
    golden = Golden(f"cell_{name}")
    cell = NTMCell(
        LSTMCell(10, 4),
        4,
        memory_size=5,
        memory_vector_dim=3,
        read_head_num=2,
        write_head_num=TURING[name],
        output_size=4,
    )
    names = names_of(cell)
    load(cell, golden, names)
    inputs = golden["inputs"].requires_grad_()
    outputs, _, states = recurra.unroll(cell, inputs, return_states=True)
    alone, _ = recurra.unroll(cell, inputs)
    errors = [golden.check("outputs", outputs), golden.check("outputs", alone)]
    for t in range(inputs.shape[1]):
        errors += [golden.check(f"state_t{t}/{i}", leaf[:, t]) for i, leaf in enumerate(_nest.flatten(states))]
    (alone * golden["loss_w/outputs"]).sum().backward()
    errors.append(golden.check("grad/inputs", inputs.grad))
    for parameter, key in names.items():
        if f"grad/var/{key}" in golden.arrays:
            errors.append(golden.check(f"grad/var/{key}", cell.get_parameter(parameter).grad))
    return max(errors)


@pytest.mark.parametrize("name", TURING)
def test_turing_machine(name: str) -> None:
    turing_error(name)


def test_turing_machine_from_its_own_start() -> None:
    """The laws' random states are none of its states (weights are shares), so it has its own test of them."""
    cell = NTMCell(LSTMCell(10, 4), 4, memory_size=5, memory_vector_dim=3, read_head_num=2).double()
    inputs, lengths = torch.randn(3, 6, 4, dtype=torch.float64), torch.tensor([6, 2, 0])
    outputs, final = recurra.unroll(cell, inputs, lengths=lengths)
    for row, length in enumerate(lengths.tolist()):
        state = cell.initial_state(1)
        for t in range(length):
            output, state = cell(inputs[row : row + 1, t], state)
            torch.testing.assert_close(output[0], outputs[row, t])
        assert torch.equal(outputs[row, length:], torch.zeros(6 - length, 4, dtype=torch.float64))
        for ours, alone in zip(_nest.flatten(final), _nest.flatten(state), strict=True):
            torch.testing.assert_close(ours[row], alone[0])
    arguments = inputs[:, :2].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: recurra.unroll(cell, x)[0], arguments)


@pytest.mark.parametrize(("rows", "steps"), [(0, 3), (2, 0)])
def test_turing_machine_over_nothing(rows: int, steps: int) -> None:
    cell = NTMCell(LSTMCell(7, 4), 4, memory_size=5, memory_vector_dim=3)
    outputs, final = recurra.unroll(cell, torch.randn(rows, steps, 4))
    assert outputs.shape == (rows, steps, 4)
    assert final.memory.shape == (rows, 5, 3)


def test_skip_connection_as_tensorflow_and_repaired() -> None:
    golden = Golden("cell_conv2d_lstm_skip")
    cell = Conv2DLSTMCell([4, 5, 2], 3, kernel_shape=[3, 3], skip_connection=True)
    load(cell, golden, names_of(cell))
    x, state = golden["inputs"][:, 0], golden.nest("init_state", cell.state_size)
    theirs = cell.options._replace(skip_in_state=True)
    output, (c, h) = cell.recurrence.step(cell.params(), x, state, theirs)
    for key, value in (("step/output", output), ("step/state/0", c), ("step/state/1", h)):
        golden.check(key, value)
    repaired, new = cell(x, state)
    assert torch.equal(repaired, output)
    assert torch.equal(new.h, output[..., :3])
    cell(x, new)
