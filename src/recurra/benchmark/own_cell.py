"""An own cell: a peephole LSTM as a user writes it, and the same in a plain torch loop."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import recurra as rc


class PeepholeLSTM(rc.BaseCell):
    def __init__(self, I: int, H: int) -> None:
        super().__init__()
        self.input_size, self.output_size, self.state_size = I, H, (H, H)
        self.x, self.h = nn.Linear(I, 4 * H), nn.Linear(H, 4 * H, bias=False)
        self.to_i, self.to_f, self.to_o = (nn.Parameter(torch.randn(H) * 0.1) for _ in range(3))

    def project(self, inputs: Tensor) -> Tensor:
        return self.x(inputs)

    def recur(self, projected: Tensor, state: tuple[Tensor, Tensor], masks: None = None) -> tuple[Tensor, object]:
        c, h = state
        i, j, f, o = (projected + self.h(h)).chunk(4, -1)
        i, f = torch.sigmoid(i + self.to_i * c), torch.sigmoid(f + 1 + self.to_f * c)
        c = f * c + i * torch.tanh(j)
        h = torch.sigmoid(o + self.to_o * c) * torch.tanh(c)
        return h, (c, h)


def loop(cell: PeepholeLSTM, inputs: Tensor) -> Tensor:
    state, outputs = cell.initial_state(inputs.shape[1]), []
    for x in inputs:
        output, state = cell.recur(cell.project(x), state)
        outputs.append(output)
    return torch.stack(outputs)
