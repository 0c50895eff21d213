"""The linear recurrent unit (Orvieto et al., 2023, https://arxiv.org/abs/2303.06349): a complex diagonal recurrence."""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple, Unpack

import torch
from torch import Tensor

from recurra.cells.checks import positive
from recurra.cells.family import Common
from recurra.cells.linear import Coefficients, LinearCell, LinearRecurrence
from recurra.errors import InputError


class LRUParams(NamedTuple):
    nu_log: Tensor
    """`[N]`, with the next: eigenvalues `exp(-exp(nu_log) + i exp(theta_log))`."""
    theta_log: Tensor
    gamma_log: Tensor
    """`[N]`: what enters is multiplied by `exp(gamma_log)`."""
    input_kernel: Tensor
    """`[I, 2N]`: real columns of B, then imaginary ones."""
    output_kernel: Tensor
    """`[2N, H]`: real rows of C, then imaginary ones."""
    skip_kernel: Tensor
    """`[I, H]`: D."""


class LRUPrepared(NamedTuple):
    """The parameters as a sequence takes them: complex numbers as pairs side by side, so that nothing is copied."""

    eigenvalues: Tensor
    """`[N]`, complex."""
    input_kernel: Tensor
    """`[I, 2N]`: columns (real, imaginary), γ multiplied in."""
    output_kernel: Tensor
    """`[2N, H]`: rows (real, minus imaginary)."""
    skip_kernel: Tensor


def lru_prepare(params: LRUParams) -> LRUPrepared:
    """What needs no input."""
    radius, angle = torch.exp(-torch.exp(params.nu_log)), torch.exp(params.theta_log)
    a = as_complex(torch.stack([radius * torch.cos(angle), radius * torch.sin(angle)], -1))
    enter = torch.stack(params.input_kernel.chunk(2, -1), -1) * torch.exp(params.gamma_log).unsqueeze(-1)
    real, imaginary = params.output_kernel.chunk(2)
    leave = torch.stack([real, -imaginary], 1).flatten(0, 1)
    return LRUPrepared(a, enter.flatten(1), leave, params.skip_kernel)


def lru_coefficients(params: LRUPrepared, inputs: Tensor, options: None) -> Coefficients:
    """`s' = λ * s + exp(γ) * (B x)`; the output adds `D x`."""
    b = (inputs @ params.input_kernel).unflatten(-1, (-1, 2))
    return Coefficients(params.eigenvalues, as_complex(b), inputs)


def as_complex(pairs: Tensor) -> Tensor:
    """`[..., 2]` as complex numbers, at least in single precision: there are none in half."""
    wide = pairs if pairs.dtype in (torch.float32, torch.float64) else pairs.float()
    return torch.view_as_complex(wide)


def lru_emit(params: LRUPrepared, rest: Tensor, h: Tensor, options: None) -> Tensor:
    """`Re(C s) + D x`."""
    found = torch.view_as_real(h).flatten(-2).to(rest.dtype)
    passed = (rest @ params.skip_kernel).flatten(0, -2)
    return torch.addmm(passed, found.flatten(0, -2), params.output_kernel).unflatten(0, rest.shape[:-1])


class LRUCell(LinearCell):
    """Linear recurrent unit.

        λ = exp(-exp(nu_log) + i exp(theta_log))
        s' = λ * s + exp(gamma_log) * (B x)
        y = Re(C s') + D x

    Output `y [B, H]`, state `s' [B, N, 2]` (real, imaginary). A sequence is one scan.

    Parameters: `nu_log`, `theta_log`, `gamma_log` `[N]`, `input_kernel [I, 2N]`, `output_kernel [2N, H]`,
    `skip_kernel [I, H]`; eigenvalues start uniformly on the ring between `r_min` and `r_max`.

    Args:
        input_size: features of the input.
        hidden_size: features H of the output.
        state_width: complex units N; default `hidden_size`.
        r_min, r_max: radii of the ring.
        max_phase: greatest angle at the start.
        common: `init`, `device`, `dtype`.
    """

    linear = LinearRecurrence("lru", lru_coefficients, lru_emit, lru_prepare, complex_state=True)
    tf_scope = "lru_cell"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        state_width: int | None = None,
        r_min: float = 0.0,
        r_max: float = 1.0,
        max_phase: float = 2 * math.pi,
        **common: Unpack[Common],
    ) -> None:
        if not 0 <= r_min < r_max <= 1:
            raise InputError(f"`r_min` and `r_max` must lie in order in [0, 1], got {r_min!r} and {r_max!r}")
        if not max_phase > 0:
            raise InputError(f"`max_phase` must be positive, got {max_phase!r}")
        super().__init__(positive("input_size", input_size), hidden_size, None, **common)
        units = positive("state_width", hidden_size if state_width is None else state_width)
        self.state_size = torch.Size((units, 2))
        self.variable("nu_log", units, fill=partial(ring, r_min=r_min, r_max=r_max))
        self.variable("theta_log", units, fill=partial(log_angles, greatest=max_phase))
        self.variable("gamma_log", units, fill=0.0)
        normal = torch.nn.init.normal_
        self.variable("input_kernel", input_size, 2 * units, fill=partial(normal, std=1 / math.sqrt(2 * input_size)))
        self.variable("output_kernel", 2 * units, hidden_size, fill=partial(normal, std=1 / math.sqrt(units)))
        self.variable("skip_kernel", input_size, hidden_size)
        self._match_gain()

    def reset_parameters(self) -> None:
        super().reset_parameters()
        self._match_gain()

    @torch.no_grad()
    def _match_gain(self) -> None:
        """What enters is scaled so that the state keeps the input's variance: `γ = sqrt(1 - |λ|²)`."""
        radius = torch.exp(-torch.exp(self.nu_log))
        self.gamma_log.copy_(0.5 * torch.log1p(-(radius**2)))

    def params(self) -> LRUParams:
        decay = (self.nu_log, self.theta_log, self.gamma_log)
        return LRUParams(*decay, self.input_kernel, self.output_kernel, self.skip_kernel)


def ring(tensor: Tensor, r_min: float, r_max: float) -> Tensor:
    """Logarithms of decays whose radii are uniform on the ring (paper, Lemma 3.2)."""
    area = torch.rand_like(tensor) * (r_max**2 - r_min**2) + r_min**2
    return tensor.copy_(torch.log(-0.5 * torch.log(area.clamp(1e-12, 1 - 1e-7))))


def log_angles(tensor: Tensor, greatest: float) -> Tensor:
    """Logarithms of angles uniform in (0, greatest)."""
    return tensor.copy_(torch.log(greatest * torch.rand_like(tensor).clamp(min=1e-6)))
