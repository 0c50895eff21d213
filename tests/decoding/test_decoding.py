"""Helpers, the decoding loop and beam search against TensorFlow 1.15."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from recurra._typing import LSTMState
from recurra.attention import AttentionWrapper, BahdanauAttention
from recurra.cells import GRUCell, LSTMCell
from recurra.decoding import (
    BasicDecoder,
    BeamSearchDecoder,
    CustomHelper,
    GreedyEmbeddingHelper,
    InferenceHelper,
    SampleEmbeddingHelper,
    ScheduledEmbeddingTrainingHelper,
    ScheduledOutputTrainingHelper,
    TrainingHelper,
    dynamic_decode,
    gather_tree,
    gather_tree_from_array,
    tile_batch,
)
from tests.attention.test_attention import fill, wrapper_names
from tests.goldens_io import Arrays


class Projection(nn.Module):
    """TensorFlow's Dense."""

    def __init__(self, rows: int, columns: int) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.zeros(rows, columns))
        self.bias = nn.Parameter(torch.zeros(columns))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.kernel + self.bias


class Model(nn.Module):
    """A cell and its output layer, with their variables' names."""

    def __init__(self, cell: Any, golden: Arrays, projection: Projection | None = None) -> None:
        super().__init__()
        self.cell, self.projection = cell, projection
        scope = "gru_cell" if isinstance(cell, GRUCell) else "lstm_cell"
        if isinstance(cell, AttentionWrapper):
            inner = wrapper_names(cell, ["bahdanau_attention"], "var/", "var/decoder/attention_wrapper", "lstm_cell")
        else:
            inner = {name: f"var/decoder/{scope}/{name.replace('.', '/')}" for name, _ in cell.named_parameters()}
        self.names = {f"cell.{name}": key for name, key in inner.items()}
        if projection is not None:
            self.names |= {f"projection.{name}": f"var/decoder/proj/{name}" for name in ("kernel", "bias")}
        fill(self, golden, self.names)


@pytest.mark.parametrize("name", ["training", "training_impute", "training_tm_nolayer", "training_maxit"])
def test_training(name: str) -> None:
    golden = Arrays(f"seq2seq/dec_{name}")
    model = Model(LSTMCell(3, 5), golden, None if "nolayer" in name else Projection(5, 7))
    inputs = golden["inputs"].requires_grad_()
    state = LSTMState(golden["init_state/0"].requires_grad_(), golden["init_state/1"].requires_grad_())
    helper = TrainingHelper(inputs, golden["seq_len"], time_major="tm" in name)
    decoded = dynamic_decode(
        BasicDecoder(model.cell, helper, state, model.projection),
        output_time_major="tm" in name,
        impute_finished=name in ("training_impute", "training_maxit"),
        maximum_iterations=3 if name == "training_maxit" else None,
    )
    golden.check("rnn_output", decoded.outputs.rnn_output)
    golden.check("sample_id", decoded.outputs.sample_id)
    golden.check("final_lengths", decoded.lengths)
    golden.check("final_state/0", decoded.state.c)
    golden.check("final_state/1", decoded.state.h)
    (decoded.outputs.rnn_output * golden["loss_w/outputs"]).sum().backward()
    for key, tensor in (("inputs", inputs), ("init_state/0", state.c), ("init_state/1", state.h)):
        golden.check(f"grad/{key}", tensor.grad)
    for parameter, key in model.names.items():
        golden.check(f"grad/{key}", model.get_parameter(parameter).grad)


@pytest.mark.parametrize("name", ["greedy", "greedy_impute", "greedy_attention"])
def test_greedy(name: str) -> None:
    golden = Arrays(f"seq2seq/dec_{name}")
    cell: Any = LSTMCell(3, 5)
    if "attention" in name:
        cell = AttentionWrapper(LSTMCell(8, 5), BahdanauAttention(5, 3, 4), attention_layer_size=5)
    model = Model(cell, golden, Projection(5, 7))
    if "attention" in name:
        cell = cell.attend(golden["memory"], golden["memory_len"])
    helper = GreedyEmbeddingHelper(golden["embedding"], golden["start"], int(golden["end"]))
    decoder = BasicDecoder(cell, helper, cell.initial_state(4), model.projection)
    decoded = dynamic_decode(decoder, maximum_iterations=8, impute_finished="impute" in name)
    golden.check("rnn_output", decoded.outputs.rnn_output)
    golden.check("sample_id", decoded.outputs.sample_id)
    golden.check("final_lengths", decoded.lengths)


def test_inference_helper() -> None:
    golden = Arrays("seq2seq/dec_inference")
    model = Model(GRUCell(2, 5), golden)
    helper = InferenceHelper(
        lambda outputs: outputs @ golden["sample_w"],
        golden["start_inputs"],
        lambda samples: samples.sum(1) > 1.2,
        lambda samples: samples * 0.5,
    )
    decoded = dynamic_decode(BasicDecoder(model.cell, helper, golden["init_state"]), maximum_iterations=5)
    golden.check("rnn_output", decoded.outputs.rnn_output)
    golden.check("sample_id", decoded.outputs.sample_id)
    golden.check("final_state", decoded.state)
    golden.check("final_lengths", decoded.lengths)


SCHEDULED: dict[str, Callable[[Arrays], Any]] = {
    "emb1": lambda g: ScheduledEmbeddingTrainingHelper(g["inputs"], g["seq_len"], g["embedding"], 0.0),
    "out1": lambda g: ScheduledOutputTrainingHelper(g["inputs"], g["seq_len"], 1.0),
    "out1_fn": lambda g: ScheduledOutputTrainingHelper(
        g["inputs"], g["seq_len"], 1.0, next_inputs_fn=lambda outputs: outputs * 0.3 + 0.1
    ),
    "out1_aux": lambda g: ScheduledOutputTrainingHelper(g["inputs"], g["seq_len"], 1.0, auxiliary_inputs=g["aux"]),
}


@pytest.mark.parametrize("name", SCHEDULED)
def test_scheduled(name: str) -> None:
    golden = Arrays(f"seq2seq/dec_sched_{name}")
    model = Model(GRUCell(7 if "aux" in name else 5, 5), golden)
    decoded = dynamic_decode(BasicDecoder(model.cell, SCHEDULED[name](golden), torch.zeros(4, 5)))
    golden.check("rnn_output", decoded.outputs.rnn_output)
    golden.check("sample_id", decoded.outputs.sample_id)
    golden.check("final_lengths", decoded.lengths)


def test_sampling_follows_the_distribution() -> None:
    logits = torch.log(torch.tensor([0.1, 0.2, 0.7]))
    helper = SampleEmbeddingHelper(torch.eye(3), torch.zeros(20000, dtype=torch.long), 0)
    ids = helper.sample(0, logits.expand(20000, 3), None)
    shares = torch.bincount(ids.long(), minlength=3) / 20000
    assert torch.allclose(shares, logits.exp(), atol=0.02)
    cold = SampleEmbeddingHelper(torch.eye(3), torch.zeros(100, dtype=torch.long), 0, softmax_temperature=0.01)
    assert bool((cold.sample(0, logits.expand(100, 3), None) == 2).all())


def test_scheduled_embedding_feeds_samples() -> None:
    helper = ScheduledEmbeddingTrainingHelper(torch.zeros(2, 4, 3), torch.tensor([4, 4]), torch.eye(3), 1.0)
    logits = torch.tensor([[0.0, 99.0, 0.0], [0.0, 0.0, 99.0]])
    ids = helper.sample(0, logits, None)
    assert ids.tolist() == [1, 2]
    assert torch.equal(helper.next_inputs(0, logits, None, ids)[1], torch.eye(3)[1:])


@pytest.mark.parametrize("name", ["plain", "lp", "finish", "w1", "w5", "attention", "coverage"])
def test_beam(name: str) -> None:
    golden = Arrays(f"seq2seq/beam_{name}")
    width = int(golden["beam_width"])
    attentive = "memory" in golden
    cell: Any = LSTMCell(3, 5)
    if attentive:
        cell = AttentionWrapper(LSTMCell(8, 5), BahdanauAttention(5, 3, 4), attention_layer_size=5)
    model = Model(cell, golden, Projection(5, 7))
    state: Any = tile_batch(LSTMState(golden["init_state/0"], golden["init_state/1"]), width)
    if attentive:
        cell = cell.attend(tile_batch(golden["memory"], width), tile_batch(golden["memory_len"], width))
        state = cell.initial_state(4 * width)._replace(cell_state=state)
    decoder = BeamSearchDecoder(
        cell,
        golden["embedding"],
        golden["start"],
        int(golden["end"]),
        state,
        width,
        model.projection,
        length_penalty_weight=float(golden["length_penalty"]),
        coverage_penalty_weight=float(golden["coverage_penalty"]),
    )
    keep = (lambda state: state.cell_state.alignments) if attentive else None
    decoded = dynamic_decode(decoder, maximum_iterations=10 if name == "finish" else 7, record=keep)
    raw = decoded.outputs.beam_search_decoder_output
    golden.check("predicted_ids", decoded.outputs.predicted_ids)
    for key, value in {"scores": raw.scores, "step_ids": raw.predicted_ids, "parent_ids": raw.parent_ids}.items():
        golden.check(key, value)
    final = decoded.state
    inner = final.cell_state.cell_state if attentive else final.cell_state
    for key, value in {"log_probs": final.log_probs, "lengths": final.lengths, "final_c": inner.c}.items():
        golden.check(key, value)
    golden.check("final_h", inner.h)
    assert torch.equal(final.finished, golden["finished"])
    golden.check("final_lengths", decoded.lengths)
    if name == "coverage":
        golden.check("accumulated_attention", final.accumulated_attention_probs)


def test_trees() -> None:
    golden = Arrays("seq2seq/beam_gather_tree")
    parents = golden["parent_ids"]
    golden.check("out", gather_tree(golden["step_ids"], parents, golden["max_len"], int(golden["end"])))
    golden.check("arr_out", gather_tree_from_array(golden["arr"], parents, golden["arr_len"]))
    golden.check("tile_out", tile_batch(golden["tile_in"], 3))


def test_beam_alignments_in_the_order_of_the_sequences() -> None:
    golden = Arrays("seq2seq/beam_attention")
    history, width = golden["alignment_history"], 3
    cell = AttentionWrapper(LSTMCell(8, 5), BahdanauAttention(5, 3, 4), attention_layer_size=5)
    model = Model(cell, golden, Projection(5, 7))
    bound = cell.attend(tile_batch(golden["memory"], width), tile_batch(golden["memory_len"], width))
    state = bound.initial_state(12)._replace(
        cell_state=tile_batch(LSTMState(golden["init_state/0"], golden["init_state/1"]), width)
    )
    alignments: list[Tensor] = []

    def step(x: Tensor, before: Any) -> Any:
        output, after = bound(x, before)
        alignments.append(after.alignments)
        return output, after

    decoder = BeamSearchDecoder(
        step, golden["embedding"], golden["start"], 0, state, width, model.projection, length_penalty_weight=0.5
    )
    decoded = dynamic_decode(decoder, maximum_iterations=7)
    parents = decoded.outputs.beam_search_decoder_output.parent_ids.transpose(0, 1)
    raw = torch.stack(alignments).unflatten(1, (-1, width))
    lengths = decoded.state.lengths
    ours = gather_tree_from_array(raw, parents, lengths)
    golden.check("alignment_history", ours.flatten(1, 2).reshape(history.shape))


def test_stops_when_all_are_finished() -> None:
    calls = []

    def step(x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        calls.append(1)
        return torch.eye(3)[[1, 1]] if len(calls) < 3 else torch.eye(3)[[0, 0]], state

    helper = GreedyEmbeddingHelper(torch.eye(3), torch.tensor([1, 1]), 0)
    decoded = dynamic_decode(BasicDecoder(step, helper, torch.zeros(2, 1)), maximum_iterations=50)
    assert len(calls) == 3
    assert decoded.lengths.tolist() == [3, 3]
    nothing = dynamic_decode(BasicDecoder(step, helper, torch.zeros(2, 1)), maximum_iterations=0)
    assert nothing.outputs.rnn_output.shape == (2, 0, 3)


class Counted:
    """A layer that counts how often it is called."""

    def __init__(self, layer: Callable[..., Any]) -> None:
        self.layer, self.calls = layer, 0

    def __call__(self, *arguments: Any) -> Any:
        self.calls += 1
        return self.layer(*arguments)


@pytest.mark.parametrize("width", [0, 3])
def test_beam_and_greedy_stop_early_and_prepare_the_memory_once(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Per step: one cell, one embedding, one output layer; before the first: one projection of the memory."""
    torch.manual_seed(0)
    inner, mechanism = LSTMCell(8, 5), BahdanauAttention(5, 3, 4)
    cell = AttentionWrapper(inner, mechanism, attention_layer_size=5)
    memorize = Counted(mechanism.memorize)
    monkeypatch.setattr(mechanism, "memorize", memorize)
    table = torch.randn(7, 3)
    embedding, rows = Counted(lambda ids: table[ids.long()]), max(1, width)
    cells = 0

    def count(*_: Any) -> None:
        nonlocal cells
        cells += 1

    inner.register_forward_hook(count)
    output = Counted(lambda outputs: 0 * outputs.sum(-1, keepdim=True) + _scores(cells))
    bound = cell.attend(torch.randn(2 * rows, 6, 3))
    state = bound.initial_state(2 * rows)
    starts = torch.tensor([1, 1])
    decoder: Any
    if width:
        decoder = BeamSearchDecoder(bound, embedding, starts, 0, state, width, output)
    else:
        decoder = BasicDecoder(bound, GreedyEmbeddingHelper(embedding, starts, 0), state, output)
    decoded = dynamic_decode(decoder, maximum_iterations=50)
    assert int(decoded.lengths.max()) == 4  # of at most 50
    assert cells == output.calls == 4
    assert embedding.calls == 4  # the start tokens' and three steps'; not after the last
    assert memorize.calls == 1


def _scores(step: int) -> Tensor:
    """The end token (0) is unlikely until the fourth step, then certain."""
    return torch.full((7,), -9.0).index_fill(0, torch.tensor(0 if step >= 4 else 2), 9.0 if step < 4 else 90.0)


def test_custom_helper() -> None:
    helper = CustomHelper(
        lambda: (torch.tensor([False, False]), torch.zeros(2, 1)),
        lambda time, outputs, state: outputs[:, 0].int(),
        lambda time, outputs, state, sample_ids: (outputs[:, 0] >= torch.tensor([2.0, 4.0]), outputs, state),
    )
    decoded = dynamic_decode(
        BasicDecoder(lambda x, state: (x + 1, state), helper, torch.zeros(2, 1)), impute_finished=True
    )
    assert decoded.outputs.sample_id.tolist() == [[1, 2, 0, 0], [1, 2, 3, 4]]
    assert decoded.lengths.tolist() == [2, 4]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: GreedyEmbeddingHelper(torch.eye(3), torch.tensor(1), 0), "`start_tokens` must be a vector"),
        (lambda: TrainingHelper(torch.zeros(2, 3, 1), torch.tensor([4, 1])), "`lengths` holds 4"),
        (
            lambda: ScheduledOutputTrainingHelper(torch.zeros(2, 3, 1), torch.tensor([3, 1]), torch.zeros(2, 1)),
            "`sampling_probability` must be a scalar or a vector",
        ),
        (lambda: tile_batch(torch.zeros(2), 0), "`width` must be a positive integer"),
        (
            lambda: BeamSearchDecoder(lambda x, s: (x, s), torch.eye(3), torch.tensor([1, 1]), 0, torch.zeros(4, 1), 3),
            "batch size 4, expected 2 rows times 3 beams",
        ),
        (
            lambda: dynamic_decode(
                BeamSearchDecoder(
                    lambda x, s: (x, s),
                    torch.eye(3),
                    torch.tensor([1, 1]),
                    0,
                    torch.zeros(6, 1),
                    3,
                    coverage_penalty_weight=0.1,
                )
            ),
            "`coverage_penalty_weight` must be 0",
        ),
    ],
)
def test_errors(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
