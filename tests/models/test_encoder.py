"""What is read from an encoder, against the loops called by hand."""

import pytest
import torch

import recurra as rc
from recurra.cells.registry import CELLS
from recurra.errors import ConfigError
from recurra.models.classifier import Balanced, SequenceClassifier, make_classifier
from recurra.models.encoder import Encoder, make_stack
from recurra.models.language import LanguageModel
from recurra.models.ngrams import NgramScores
from recurra.models.tagger import Tagger, Tokens
from recurra.training.config import build
from recurra.training.configs import DigitsConfig


@pytest.fixture
def case():
    torch.manual_seed(0)
    return torch.randn(3, 5, 4), torch.tensor([5, 2, 3])


def encoder(cell="lstm", layers=2):
    return Encoder(cell, 4, 6, layers, bidirectional=True)


def test_state_c_is_the_top_layers_memory(case):
    inputs, lengths = case
    model = encoder()
    _, (forward, backward) = rc.bidirectional(model.forward_stack, model.backward_stack, inputs, lengths=lengths)
    read = model.read(model(inputs, lengths), lengths, "state-c", "concat")
    torch.testing.assert_close(read, torch.cat([forward[1].c, backward[1].c], -1))
    both = model.read(model(inputs, lengths), lengths, "state-h", "sum")
    torch.testing.assert_close(both, forward[1].h + backward[1].h)


def test_output_at_end_of_a_padded_row_is_zero_and_at_length_is_the_state(case):
    """Document 000's lesson: past the end outputs are zeros, while the state is carried through."""
    inputs, lengths = case
    model = encoder()
    encoded = model(inputs, lengths)
    at_end = model.read(encoded, lengths, "output-at-end", "concat")
    at_length = model.read(encoded, lengths, "output-at-length", "concat")
    assert at_end[0].abs().min() > 0 and at_end[1].abs().max() == 0
    torch.testing.assert_close(at_length, model.read(encoded, lengths, "state-h", "concat"))


def test_states_of_all_layers(case):
    inputs, _ = case
    model = Encoder("rnn", 4, 6, 3)
    encoded = model(inputs)
    read = model.read(encoded, None, "states", "concat")
    torch.testing.assert_close(read, torch.cat(list(encoded.states[0]), -1))
    assert read.shape[1] == model.read_size("states", "concat") == 18


@pytest.mark.parametrize("how", ["output-at-end", "output-at-length", "state-c", "state-h", "states"])
@pytest.mark.parametrize("merge", ["concat", "sum"])
def test_read_size_is_what_read_gives(case, how, merge):
    inputs, lengths = case
    model = encoder()
    assert model.read(model(inputs, lengths), lengths, how, merge).shape == (3, model.read_size(how, merge))


def test_a_cell_without_memory_has_no_state_c():
    with pytest.raises(ConfigError, match="cell 'gru' has no memory c"):
        SequenceClassifier(2, Encoder("gru", 4, 6), read="state-c")


def test_an_unknown_cell_and_a_foreign_option_are_refused():
    with pytest.raises(ConfigError, match=r"'lstmm'.*lstm"):
        make_stack("lstmm", 4, 6, 1)
    with pytest.raises(ConfigError, match="cell 'gru' does not take"):
        make_stack("gru", 4, 6, 1, options={"forget_bias": 0.0})


def test_dropout_acts_layers_plus_one_times():
    """Document 002: the information passes a dropout exactly L + 1 times, never on its way through time."""
    stack = make_stack("lstm", 4, 6, 3, dropout=0.5)
    inputs = sum(cell.input_keep_prob != 1.0 for cell in stack.cells)
    outputs = sum(cell.output_keep_prob != 1.0 for cell in stack.cells)
    assert (inputs, outputs) == (1, 3)
    assert all(cell.state_keep_prob == 1.0 for cell in stack.cells)


def test_a_carried_state_makes_two_windows_one():
    torch.manual_seed(0)
    model = LanguageModel(11, hidden=8, layers=2, init_scale=0.1).eval()
    tokens = torch.randint(11, (3, 10))
    whole, _ = model(tokens)
    first, state = model(tokens[:, :4])
    second, _ = model(tokens[:, 4:], state)
    torch.testing.assert_close(torch.cat([first, second], 1), whole)


def test_init_scale_bounds_weights_and_leaves_biases_of_cells():
    model = LanguageModel(50, hidden=8, layers=1, init_scale=0.05)
    for name, parameter in model.named_parameters():
        assert parameter.abs().max() <= 0.05, name
        if "bias" in name and "output" not in name:
            assert parameter.abs().max() == 0, name


def test_sampling_at_temperature_0_takes_the_likeliest():
    torch.manual_seed(0)
    model = LanguageModel(11, hidden=8).eval()
    sampled = model.sample([1, 2], 4, temperature=0)
    tokens = [1, 2]
    for _ in range(4):
        tokens.append(int(model(torch.tensor([tokens]))[0][0, -1].argmax()))
    assert sampled == tokens[2:]


def test_padding_changes_nothing_for_a_tagger():
    torch.manual_seed(0)
    model = Tagger(
        20, 9, 3, embedding=5, char_embedding=4, char_hidden=3, cell="lstm", hidden=6, layers=1, bidirectional=True,
        dropout=0.5, crf=False,
    ).eval()  # fmt: skip
    words, letters = torch.tensor([[3, 4]]), torch.tensor([[[1, 2, 0], [5, 0, 0]]])
    alone = model(Tokens(words, letters, torch.tensor([[2, 1]]), torch.tensor([2])))
    pad = torch.nn.functional.pad
    more = Tokens(pad(words, (0, 3)), pad(letters, (0, 2, 0, 3)), torch.tensor([[2, 1, 0, 0, 0]]), torch.tensor([2]))
    torch.testing.assert_close(model(more)[:, :2], alone)


@pytest.mark.parametrize("cell", sorted(CELLS))
def test_every_cell_of_the_library_can_be_trained(cell):
    torch.manual_seed(0)
    config = build(DigitsConfig, {"cell": cell, "hidden": 8})
    model = make_classifier(config, 3, 4)
    logits = model(torch.randn(5, 6, 4), torch.tensor([6, 1, 3, 2, 4]))
    torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1, 2, 0, 1])).backward()
    assert logits.shape == (5, 3)
    grown = [
        p.grad is not None and bool(p.grad.isfinite().all()) and bool(p.grad.abs().sum() > 0)
        for p in model.parameters()
    ]
    assert all(grown[-2:]) and sum(grown) > len(grown) / 2


def test_a_committee_learns_member_by_member_and_votes():
    torch.manual_seed(0)
    model = make_classifier(build(DigitsConfig, {"members": 3, "hidden": 6, "dropout": 0.0}), 4, 5)
    inputs = torch.randn(2, 7, 5)
    apart = model.train()(inputs)
    assert apart.shape == (2, 3, 4)
    torch.testing.assert_close(model.eval()(inputs).exp(), apart.softmax(-1).mean(1))


def test_a_balanced_classifier_holds_frequent_classes_back():
    torch.manual_seed(0)
    one = make_classifier(build(DigitsConfig, {"hidden": 6, "dropout": 0.0}), 3, 5)
    counts, inputs = torch.tensor([80, 20, 0]), torch.randn(2, 7, 5)
    model = Balanced(one, 3, counts, 0.5)
    torch.testing.assert_close(model.train()(inputs), one(inputs))
    shares = torch.tensor([80 / 101, 20 / 101, 1 / 101])  # a class without examples counts as one
    torch.testing.assert_close(model.eval()(inputs), one(inputs) - shares.sqrt().log())
    again = Balanced(make_classifier(build(DigitsConfig, {"hidden": 6, "dropout": 0.0}), 3, 5), 3, None, 0.5)
    again.load_state_dict(model.state_dict())
    torch.testing.assert_close(again.eval()(inputs), model(inputs))


def test_n_grams_count_without_their_order_and_not_in_the_padding():
    torch.manual_seed(0)
    scores = NgramScores(9, 2, n=3, dropout=0.5).eval()
    with torch.no_grad():
        for table in scores.tables:
            table.weight.normal_()
        both = scores(torch.tensor([[5, 6, 0, 0], [5, 6, 7, 8]]), torch.tensor([2, 4]))
        assert torch.allclose(both[:1], scores(torch.tensor([[5, 6]]))), "padding counts for nothing"
        alone = NgramScores(9, 2, n=1).eval()
        alone.tables[0] = scores.tables[0]
        assert torch.allclose(alone(torch.tensor([[5, 6]])), alone(torch.tensor([[6, 5]]))), "a bag has no order"
        assert not torch.allclose(scores(torch.tensor([[5, 6]])), scores(torch.tensor([[6, 5]]))), "a 2-gram has"
        # by hand: one row of each order's table per token, over the root of orders x steps
        assert torch.allclose(alone(torch.tensor([[5, 6]])), 10 * alone.tables[0].weight[[5, 6]].sum(0) / 2**0.5)
        assert scores(torch.tensor([[0]]), torch.tensor([0])).abs().max() == 0, "an empty row has no n-grams"
