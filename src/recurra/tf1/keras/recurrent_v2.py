"""tensorflow.python.keras.layers.recurrent_v2: the GRU and LSTM of TensorFlow 2, whose defaults are cuDNN's."""

from __future__ import annotations

from recurra.tf1.keras import recurrent
from recurra.tf1.names import tf_export

_HOMES = ("python.keras.layers.recurrent_v2", "keras.layers.recurrent_v2")


@tf_export(*(f"{home}.GRU" for home in _HOMES))
class GRU(recurrent.GRU):
    """A GRU with sigmoid gates, the reset gate after the product."""

    defaults = {"activation": "tanh", "recurrent_activation": "sigmoid", "reset_after": True}


@tf_export(*(f"{home}.LSTM" for home in _HOMES))
class LSTM(recurrent.LSTM):
    """An LSTM with sigmoid gates."""

    defaults = {"activation": "tanh", "recurrent_activation": "sigmoid"}
