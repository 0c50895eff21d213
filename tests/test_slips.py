"""Which name is taken for a slip of which."""

import pytest

from recurra._slips import nearest

KNOWN = ["hidden", "learning_rate", "batch_size", "epochs", "cell", "runs", "nn.LSTM", "LSTMCell", "UGRNNCell"]


@pytest.mark.parametrize(
    ("slip", "meant"),
    [
        ("hiden", "hidden"),
        ("lerning-rate", "learning_rate"),
        ("batchsize", "batch_size"),
        ("learning", "learning_rate"),
        ("epoch", "epochs"),
        ("ecll", "cell"),
        ("LSTMcel", "LSTMCell"),
    ],
)
def test_slips(slip, meant):
    assert nearest(slip, KNOWN) == [meant]


@pytest.mark.parametrize("other", ["dropout", "seed", "MultiRNNCell", "rate", "x", "", "call_back", "bench"])
def test_other_names_are_no_slips(other):
    assert nearest(other, KNOWN) == []


def test_the_nearest_come_first():
    assert nearest("run", ["ran", "runs", "rung", "sun"], 2) == ["ran", "rung"]
