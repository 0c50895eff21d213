"""A language model: embedding → stack of cells → a distribution over the next token; the state goes in and comes
out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from recurra import _nest
from recurra.loops import unroll
from recurra.models.encoder import make_stack


class LanguageModel(nn.Module):
    """Predicts each token from those before it.

    Args:
        vocabulary: number of tokens.
        cell, hidden, layers: the stack (see `make_stack`).
        embedding: size of a token's vector.
        dropout: acts on the embedded input and every layer's output (L + 1 times).
        options: further arguments of the cell.
        init_scale: all weights uniform in ± this, biases of cells as they are (ptb_word_lm's); None keeps the defaults.
    """

    def __init__(
        self,
        vocabulary: int,
        *,
        cell: str = "lstm",
        hidden: int = 200,
        layers: int = 2,
        embedding: int | None = None,
        dropout: float = 0.0,
        options: dict[str, Any] | None = None,
        init_scale: float | None = None,
    ):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, embedding or hidden)
        self.stack = make_stack(cell, embedding or hidden, hidden, layers, dropout, options=options)
        self.output = nn.Linear(self.stack.output_size, vocabulary)
        if init_scale is None:
            nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
            nn.init.xavier_uniform_(self.output.weight)
            nn.init.zeros_(self.output.bias)
        else:
            self._uniform(init_scale)

    def _uniform(self, scale: float) -> None:
        for name, parameter in self.named_parameters():
            if parameter.dim() > 1 or name.startswith("output"):
                nn.init.uniform_(parameter, -scale, scale)

    def initial_state(self, rows: int) -> Any:
        """Zeros for `rows` rows."""
        return self.stack.initial_state(rows)

    def forward(self, tokens: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Logits `[B, T, V]` for the token after each of `tokens [B, T]`, and the state after the last."""
        outputs, state = unroll(self.stack, self.embedding(tokens), state)
        return self.output(outputs), state

    def stepper(self) -> Callable[[Tensor], Tensor]:
        """Reads a text that comes token by token: `[1]` -> logits `[1, V]` for the next one."""
        step = self.stack.stepper(1)
        return lambda token: self.output(step(self.embedding(token)))

    def sample(
        self, prompt: list[int], length: int, *, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> list[int]:
        """`length` tokens that follow `prompt` (at least one token); temperature 0 takes the likeliest."""
        return list(islice(self.samples(prompt, temperature=temperature, generator=generator), length))

    @torch.inference_mode()
    def samples(
        self, prompt: list[int], *, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> Iterator[int]:
        """As `sample`, a token at a time, without end."""
        logits, state = self(torch.tensor([prompt]))
        while True:
            last = logits[0, -1]
            if temperature < 1e-6:  # nothing else is likely then, and logits over it would overflow
                token = int(last.argmax())
            else:
                token = int(torch.multinomial(torch.softmax(last / temperature, -1), 1, generator=generator))
            yield token
            logits, state = self(torch.tensor([[token]]), state)


def state_rows(state: Any) -> int:
    """Rows of a carried state."""
    return int(_nest.flatten(state)[0].shape[0])
