"""Language models with carried state: ptb (document 002) and lm (your own text)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from recurra.data import ptb
from recurra.data.batching import Batch, Stream, epoch_generator
from recurra.data.text import Level, pieces, read_text, tokenize
from recurra.data.vocab import UNKNOWN, Vocabulary
from recurra.errors import ConfigError, DataError
from recurra.loops import detach
from recurra.models.language import LanguageModel
from recurra.training.answers import NextToken
from recurra.training.configs import LanguageConfig, LmConfig, PtbConfig
from recurra.training.task import Incoming, Lazy, Section, Share, StepLoss, Task, inference, one_by_one, text_of

ConfigT = TypeVar("ConfigT", bound=LanguageConfig)

TEST_CHUNK = 400
VALID_SHARE, VALID_TOKENS = 0.05, 20_000


class Language(Task[ConfigT]):
    """Shared by both: windows of a stream, carried state, perplexity."""

    metric = "perplexity"
    higher_is_better = False
    loss_unit = "token"
    answer_type = NextToken

    tokens: dict[str, np.ndarray]
    vocabulary: Vocabulary
    level: Level = "word"

    def build_model(self) -> nn.Module:
        config = self.config
        options = {"forget_bias": config.forget_bias} if config.cell == "lstm" else {}
        return LanguageModel(
            len(self.vocabulary),
            cell=config.cell,
            hidden=config.hidden,
            layers=config.layers,
            embedding=config.embedding,
            dropout=config.dropout,
            options=options,
            init_scale=config.init_scale,
        )

    def artifacts(self) -> dict[str, Any]:
        return {"tokens": self.vocabulary.tokens, "level": self.level}

    def restore(self, artifacts: dict[str, Any]) -> None:
        self.vocabulary, self.level = Vocabulary(artifacts["tokens"]), artifacts["level"]

    def epoch(self, epoch: int) -> Sequence[Batch]:
        stream = Stream(self.tokens["train"], self.config.batch_size, self.config.bptt)
        return Lazy(len(stream), stream.window)

    def loss(self, model: nn.Module, batch: Batch, state: Any, share: Share) -> StepLoss:
        rows, steps = batch.targets.shape
        if share.world > 1:
            # contiguous rows, so that a process's carried state stays with its rows
            mine = slice(rows * share.rank // share.world, rows * (share.rank + 1) // share.world)
            batch = Batch(batch.inputs[mine], None, batch.targets[mine], batch.rows[mine])
        logits, state = model(batch.inputs, state)
        total = nn.functional.cross_entropy(logits.flatten(0, 1), batch.targets.flatten(), reduction="sum")
        # ptb_word_lm sums over time: its clip norm and learning rate are meant for that scale
        count = rows if self.config.loss_scale == "sum-over-time" else rows * steps
        return StepLoss(total, count, detach(state))

    def nats(self, model: nn.Module, tokens: np.ndarray, rows: int, steps: int) -> float:
        """Mean loss per token of a text read as `rows` parallel rows."""
        stream = Stream(tokens, rows, steps, tail=True)
        total, count, state = 0.0, 0, None
        with inference(model):
            for i in range(len(stream)):
                batch = stream.window(i)
                logits, state = model(batch.inputs.to(self.config.device), state)
                losses = nn.functional.cross_entropy(
                    logits.flatten(0, 1), batch.targets.flatten().to(self.config.device), reduction="sum"
                )
                total, count = total + losses.item(), count + batch.targets.numel()
        return total / count

    def scores(self, nats: float) -> dict[str, float]:
        """Loss, perplexity and bits per token."""
        name = "bits_per_character" if self.level == "char" else "bits_per_word"
        return {"loss": nats, "perplexity": math.exp(min(nats, 700.0)), name: nats / math.log(2)}

    def evaluate(self, model: nn.Module, part: str) -> dict[str, float]:
        tokens = self.tokens[part]
        if part == "test":
            return self.scores(self.nats(model, tokens, 1, TEST_CHUNK))
        rows = max(1, min(self.config.batch_size, len(tokens) // (2 * self.config.bptt)))
        return self.scores(self.nats(model, tokens, rows, max(self.config.bptt, 50)))

    def baselines(self) -> dict[str, dict[str, float]]:
        """How well counting does: frequencies of tokens, and of pairs (interpolated with them), from the training
        text."""
        size, train, test = len(self.vocabulary), self.tokens["train"], self.tokens["test"]
        single = (np.bincount(train, minlength=size) + 1) / (len(train) + size)
        keys, counts = np.unique(train[:-1] * size + train[1:], return_counts=True)
        seen = np.bincount(train[:-1], minlength=size)
        wanted = test[:-1] * size + test[1:]
        place = np.searchsorted(keys, wanted).clip(max=len(keys) - 1)
        pair = np.where(keys[place] == wanted, counts[place], 0) / np.maximum(seen[test[:-1]], 1)
        mixed = 0.7 * pair + 0.3 * single[test[1:]]
        return {
            "token frequencies": self.scores(float(-np.log(single[test[1:]]).mean())),
            "pairs of tokens (0.7) and frequencies (0.3)": self.scores(float(-np.log(mixed).mean())),
        }

    def sections(self, model: nn.Module) -> list[Section]:
        text = self.generate(model, "", self.config.sample_length, 0.8, self.config.seed)
        return [Section("Sampled text", f"{self.config.sample_length} tokens at temperature 0.8.", preformatted=text)]

    # --- using it ---------------------------------------------------------------------------------------------------

    def encode(self, text: str) -> list[int]:
        """Token numbers of `text`.

        Raises:
            DataError: a token that the model does not know, where it has no `<unk>`.
        """
        try:
            return self.vocabulary.encode(tokenize(text, self.level))
        except KeyError as error:
            raise DataError(f"the model does not know {error.args[0]!r}") from error

    def start_token(self) -> int:
        """What generated text starts after when there is no prompt: a line's end, else the commonest token."""
        for token in ("\n", "<eos>"):
            if token in self.vocabulary:
                return self.vocabulary.number[token]
        return len(self.vocabulary) - 1

    def generate(self, model: nn.Module, prompt: str, length: int, temperature: float, seed: int) -> str:
        """The prompt and `length` tokens after it."""
        return "".join(self.written(model, prompt, length, temperature, seed))

    def written(self, model: nn.Module, prompt: str, length: int, temperature: float, seed: int) -> Iterator[str]:
        """The text of `generate` in pieces, as it is made: the prompt, then what each token adds."""
        tokens = self.encode(prompt) if prompt else [self.start_token()]
        generator = torch.Generator().manual_seed(seed)
        model.eval()
        sampled = model.samples(tokens, temperature=temperature, generator=generator)  # type: ignore[operator]
        shown = self.vocabulary.decode(tokens) if prompt else []
        following = (self.vocabulary.tokens[token] for token in islice(sampled, length))
        made = pieces(chain(shown, following), self.level)
        yield "".join(islice(made, len(shown)))
        yield from made

    def unknown(self, text: str) -> list[str]:
        """The tokens of `text` that the model does not know, each once."""
        return [token for token in dict.fromkeys(tokenize(text, self.level)) if token not in self.vocabulary]

    def facts(self) -> dict[str, Any]:
        return {"vocabulary": len(self.vocabulary)}

    def read_input(self, value: Any, where: str) -> list[int]:
        """A text."""
        return self.encode(text_of(value, where).rstrip("\n"))

    def answers(self, model: nn.Module, inputs: Sequence[list[int]]) -> list[NextToken]:
        """Of each text the likeliest next token, and its perplexity."""
        found = []
        with inference(model):
            for tokens in inputs:
                row = torch.tensor([[self.start_token(), *tokens]])
                logs = model(row)[0][0].log_softmax(-1)
                nats = -float(logs[:-1].gather(1, row[0, 1:, None]).sum())
                found.append(self._next(logs[-1], nats, len(tokens)))
        return found

    def _next(self, logs: Tensor, nats: float, count: int) -> NextToken:
        best = int(logs.argmax())
        # of hopeless texts beyond what a float holds
        perplexity = math.exp(min(nats / count, 700.0)) if count else None
        return NextToken(self.vocabulary.tokens[best], math.exp(float(logs[best])), perplexity)

    def stream(self, model: nn.Module) -> Incoming:
        """A step is a token; a text may hold several."""
        step = model.stepper()  # type: ignore[operator]
        with inference(model):
            logs = step(torch.tensor([self.start_token()]))[0].log_softmax(-1)
        nats = 0.0

        def take(token: Tensor) -> Tensor:
            nonlocal logs, nats
            nats -= float(logs[token[0]])
            logs = step(token)[0].log_softmax(-1)
            return logs

        def read(value: Any, where: str) -> list[Tensor]:
            return one_by_one(torch.tensor(self.encode(text_of(value, where))))

        incoming = Incoming(read, take, lambda logs: self._next(logs, nats, incoming.steps))
        return incoming

    def evaluate_file(self, model: nn.Module, data: str) -> dict[str, float]:
        numbers = np.array(self.encode(read_text(Path(data))), dtype=np.int64)
        if len(numbers) < 2:
            raise DataError(f"{data}: expected at least two tokens, got {len(numbers)}")
        return self.scores(self.nats(model, numbers, 1, TEST_CHUNK))


class Ptb(Language[PtbConfig]):
    """Document 002: ptb_word_lm on the Penn Treebank."""

    def prepare(self) -> list[str]:
        splits = ptb.load(self.config.data_dir)
        self.tokens = {"train": splits.train, "valid": splits.valid, "test": splits.test}
        self.vocabulary = splits.vocabulary
        sizes = ", ".join(f"{len(t)} {name}" for name, t in self.tokens.items())
        return [f"Penn Treebank, {len(self.vocabulary)} words: {sizes}; size {self.config.size}"]

    def learning_rate(self, epoch: int, progress: float) -> float:
        return self.config.learning_rate * self.config.lr_decay ** max(epoch + 1 - self.config.flat_epochs, 0)


class OwnText(Language[LmConfig]):
    """Your own text."""

    data: str = ""

    def prepare(self) -> list[str]:
        config = self.config
        self.level = config.level
        text = read_text(Path(self.data))
        tokens = tokenize(text, config.level)
        if len(tokens) < 100:
            raise DataError(f"{self.data}: {len(tokens)} tokens, expected at least 100")
        test = max(2, int(len(tokens) * config.test_share))
        valid = max(2, int(len(tokens) * (config.valid_share or min(VALID_SHARE, VALID_TOKENS / len(tokens)))))
        train = tokens[: len(tokens) - test - valid]
        self.vocabulary = Vocabulary.of(
            train,
            special=(UNKNOWN,),
            min_count=1 if config.level == "char" else config.min_count,
            most=config.max_vocab,
        )
        numbers = np.array(self.vocabulary.encode(tokens), dtype=np.int64)
        parts = np.split(numbers, [len(train), len(train) + valid])
        self.tokens = dict(zip(("train", "valid", "test"), parts, strict=True))
        self._sizes(len(train))
        if len(train) < 2 * config.bptt:
            raise ConfigError(f"bptt {config.bptt}: the training text has only {len(train)} tokens; make it smaller")
        return [
            f"{self.data}: {len(tokens)} {config.level}s, {len(self.vocabulary)} distinct; "
            f"{len(train)} train, {valid} validation, the last {test} test"
        ]

    def _sizes(self, count: int) -> None:
        """Rows, units and embedding by the length of the training text; characters need small vectors, words large."""
        config = self.config
        config.batch_size = config.batch_size or max(1, min(32, count // (4 * config.bptt)))
        config.hidden = config.hidden or (128 if count < 30_000 else 256 if count < 300_000 else 512)
        config.embedding = config.embedding or (min(128, config.hidden) if config.level == "char" else config.hidden)

    def epoch(self, epoch: int) -> Sequence[Batch]:
        """Each epoch cuts the text at other places, so that windows and rows begin anew elsewhere."""
        tokens, config = self.tokens["train"], self.config
        shift = int(epoch_generator(config.seed, epoch).integers(max(1, len(tokens) // config.batch_size)))
        stream = Stream(np.roll(tokens, -shift), config.batch_size, config.bptt)
        return Lazy(len(stream), stream.window)
