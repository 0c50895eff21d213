"""The next values of a series: encoder → one vector → a change from the last known value, for each step ahead."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from recurra.models.encoder import Encoder


class Forecaster(nn.Module):
    """Forecasts `horizon` values of one column from windows of all.

    It predicts differences from the last known value, so an untrained model is about the naive forecast.

    Args:
        features: columns of a step.
        horizon: steps ahead.
        target: which column is forecast.
        cell, hidden, layers, bidirectional, dropout: the encoder.
    """

    def __init__(
        self,
        features: int,
        horizon: int,
        target: int,
        *,
        cell: str = "lstm",
        hidden: int = 64,
        layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.target = target
        self.encoder = Encoder(cell, features, hidden, layers, bidirectional=bidirectional, dropout=dropout)
        self.output = nn.Linear(self.encoder.read_size("output-at-length", "concat"), horizon)
        nn.init.zeros_(self.output.bias)

    def forward(self, windows: Tensor) -> Tensor:
        """`[B, window, F]` → `[B, horizon]`."""
        encoded = self.encoder(windows)
        vector = self.encoder.read(encoded, None, "output-at-length", "concat")
        return self.output(vector) + windows[:, -1, self.target, None]

    def stepper(self) -> Callable[[Tensor], Tensor]:
        """Reads a series that comes step by step, `[1, F]` -> `[1, horizon]`; what was read is never forgotten."""
        read = self.encoder.stepper("output-at-length")
        return lambda x: self.output(read(x)) + x[:, self.target, None]
