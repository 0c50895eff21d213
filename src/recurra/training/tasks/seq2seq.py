"""Write a sequence for a sequence (`PAIRS.tsv`): attention in training, a beam search when predicting."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from recurra.data import pairs
from recurra.data.batching import batches_by_length, epoch_generator, pad_tokens
from recurra.data.vocab import END, PADDING, UNKNOWN, Vocabulary
from recurra.errors import DataError
from recurra.models.seq2seq import Hypotheses, Seq2Seq
from recurra.training import plots
from recurra.training.answers import Hypothesis, Written
from recurra.training.configs import Seq2SeqConfig
from recurra.training.task import Lazy, Section, Share, StepLoss, Task, inference, mine, text_of

START = "<start>"
EVAL_PAIRS = 200
BASELINE_PAIRS = 500
PICTURES = 4


class Pair(NamedTuple):
    """Texts of one pair."""

    source: str
    target: str


class PairBatch(NamedTuple):
    """Tokens `[B, S]` and `[B, T]` (the end token included) with their lengths `[B]`."""

    sources: Tensor
    source_lengths: Tensor
    targets: Tensor
    target_lengths: Tensor


class Sequences(Task[Seq2SeqConfig]):
    """The metric is exact match: the share of targets written without any mistake."""

    metric = "exact_match"
    loss_unit = "token"
    answer_type = Written

    data: str = ""
    reads: Vocabulary
    writes: Vocabulary
    limit: int
    skipped: int = 0
    """Bad lines that were left out."""

    # --- data -------------------------------------------------------------------------------------------------------

    def prepare(self) -> list[str]:
        everything = self._read(self.data)
        self.parts = self._split(everything)
        train = self.parts["train"]
        if not train:
            raise DataError(f"{self.data}: {len(everything)} pairs are too few to split")
        self.reads = Vocabulary.of(token for pair in train for token in self._tokens(pair.source))
        special = (PADDING, UNKNOWN, START, END)
        self.writes = Vocabulary.of((token for pair in train for token in self._tokens(pair.target)), special=special)
        self.limit = 5 + 2 * max(len(self._tokens(pair.target)) for pair in train)
        sizes = ", ".join(f"{len(part)} {name}" for name, part in self.parts.items())
        lines = [f"pairs: {sizes}; tokens: {len(self.reads)} read, {len(self.writes)} written"]
        return [*lines, f"{self.skipped} bad lines left out"] if self.skipped else lines

    def _read(self, path: str) -> list[Pair]:
        found = pairs.read(path, skip_bad=self.config.skip_bad)
        self.skipped += found.skipped
        distinct = dict.fromkeys(map(Pair, found.sources, found.targets))
        longest = self.config.max_length
        return [pair for pair in distinct if max(len(self._tokens(side)) for side in pair) <= longest]

    def _split(self, everything: list[Pair]) -> dict[str, list[Pair]]:
        """By target, so that no target of the test was ever seen in training."""
        config = self.config
        long = config.train_length
        beyond = [pair for pair in everything if long and len(self._tokens(pair.source)) > long]
        within = [pair for pair in everything if not long or len(self._tokens(pair.source)) <= long]
        targets = list(dict.fromkeys(pair.target for pair in within))
        order = epoch_generator(config.seed, 0, stream=1).permutation(len(targets))
        where: dict[str, str] = {}
        used = 0
        for name, file, share in (
            ("valid", config.valid, config.valid_share),
            ("test", config.test, config.test_share),
        ):
            count = 0 if file else max(1, round(len(order) * share))
            where |= {targets[i]: name for i in order[used : used + count]}
            used += count
        parts: dict[str, list[Pair]] = {"train": [], "valid": [], "test": []}
        for pair in within:
            parts[where.get(pair.target, "train")].append(pair)
        for name, file in (("valid", config.valid), ("test", config.test)):
            if file is not None:
                parts[name] = self._read(str(file))
        known = {pair.target for pair in parts["train"]}
        parts["test"] += [pair for pair in beyond if pair.target not in known]
        return parts

    def _tokens(self, text: str) -> list[str]:
        return list(text) if self.config.level == "char" else text.split()

    def _text(self, numbers: Iterable[int]) -> str:
        end = self.writes.number[END]
        written = []
        for number in numbers:
            if number == end:
                break
            written.append(number)
        return ("" if self.config.level == "char" else " ").join(self.writes.decode(written))

    def _sources(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        tokens, lengths = pad_tokens([self.reads.encode(self._tokens(text)) or [0] for text in texts])
        return tokens, lengths.clamp(min=1)

    def _batch(self, chosen: Sequence[Pair]) -> PairBatch:
        end = self.writes.number[END]
        targets = [[*self.writes.encode(self._tokens(pair.target)), end] for pair in chosen]
        return PairBatch(*self._sources([pair.source for pair in chosen]), *pad_tokens(targets))

    # --- training ---------------------------------------------------------------------------------------------------

    def build_model(self) -> nn.Module:
        config = self.config
        return Seq2Seq(
            len(self.reads),
            len(self.writes),
            start=self.writes.number[START],
            end=self.writes.number[END],
            embedding=config.embedding,
            cell=config.cell,
            hidden=config.hidden,
            layers=config.layers,
            bidirectional=config.bidirectional,
            dropout=config.dropout,
            attention=config.attention,
        )

    def epoch(self, epoch: int) -> Sequence[PairBatch]:
        train = self.parts["train"]
        lengths = [len(self._tokens(pair.source)) for pair in train]
        order = batches_by_length(lengths, self.config.batch_size, self.config.seed, epoch)
        return Lazy(len(order), lambda index: self._batch([train[i] for i in order[index]]))

    def loss(self, model: nn.Module, batch: PairBatch, state: Any, share: Share) -> StepLoss:
        count = float(batch.target_lengths.sum())
        if share.world > 1:
            rows = mine(np.arange(len(batch.sources)), share)
            batch = PairBatch(*(tensor[rows] for tensor in batch))
        return StepLoss(self._loss(model, batch), count)

    def _loss(self, model: nn.Module, batch: PairBatch) -> Tensor:
        scores = model(*batch)
        real = torch.arange(scores.shape[1]) < batch.target_lengths[:, None]
        return nn.functional.cross_entropy(scores[real], batch.targets[real], reduction="sum")

    # --- judging ----------------------------------------------------------------------------------------------------

    def decode(self, model: nn.Module, texts: Sequence[str], width: int) -> list[list[tuple[str, float]]]:
        """The n best targets of each source with their scores; width 1 is greedy."""
        found: dict[int, list[tuple[str, float]]] = {}
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        with inference(model):
            for start in range(0, len(order), EVAL_PAIRS):
                rows = order[start : start + EVAL_PAIRS]
                best = self._search(model, [texts[i] for i in rows], width)
                for i, tokens, scores in zip(rows, best.tokens, best.scores.tolist(), strict=True):
                    found[i] = [
                        (self._text(line), score) for line, score in zip(tokens.t().tolist(), scores, strict=True)
                    ]
        return [found[i] for i in range(len(texts))]

    def _search(self, model: nn.Module, texts: Sequence[str], width: int) -> Hypotheses:
        sources = self._sources(texts)
        if width == 1:
            return model.greedy(*sources, self.limit)  # type: ignore[operator]
        return model.beam(*sources, self.limit, width, self.config.length_penalty)  # type: ignore[operator]

    def _exact(self, model: nn.Module, part: Sequence[Pair], width: int) -> list[bool]:
        best = self.decode(model, [pair.source for pair in part], width)
        return [lines[0][0] == self._normal(pair.target) for lines, pair in zip(best, part, strict=True)]

    def _normal(self, target: str) -> str:
        return target if self.config.level == "char" else " ".join(target.split())

    def evaluate(self, model: nn.Module, part: str) -> dict[str, float]:
        """By the beam on the test, greedily on the way."""
        chosen = self.parts[part]
        total, tokens = 0.0, 0
        with inference(model):
            for start in range(0, len(chosen), EVAL_PAIRS):
                batch = self._batch(chosen[start : start + EVAL_PAIRS])
                total += float(self._loss(model, batch))
                tokens += int(batch.target_lengths.sum())
        exact = self._exact(model, chosen, self.config.beam if part == "test" else 1)
        return {"loss": total / max(tokens, 1), "exact_match": float(np.mean(exact))}

    def baselines(self) -> dict[str, dict[str, float]]:
        """The target of the training source that shares most trigrams."""
        train, test = self.parts["train"], self.parts["test"][:BASELINE_PAIRS]
        known, asked = _trigrams([pair.source for pair in train]), _trigrams([pair.source for pair in test])
        nearest = (asked @ known.T).argmax(1)
        right = [train[i].target == pair.target for i, pair in zip(nearest, test, strict=True)]
        return {f"target of the nearest training source ({len(test)} pairs)": {"exact_match": float(np.mean(right))}}

    def sections(self, model: nn.Module) -> list[Section]:
        test, config = self.parts["test"], self.config
        beam, greedy = self._exact(model, test, config.beam), self._exact(model, test, 1)
        return [
            self._attention(model),
            Section(
                "Beam against greedy",
                "Exact match on the test pairs, whose targets never occur in training.",
                table=[
                    ("search", "exact match"),
                    ("greedy", f"{np.mean(greedy):.4f}"),
                    (f"beam of {config.beam}", f"{np.mean(beam):.4f}"),
                ],
            ),
            self._by_length(beam),
            self._mistakes(model, beam),
        ]

    def _attention(self, model: nn.Module) -> Section:
        """Pictures of the first test pairs of different lengths."""
        test = sorted(self.parts["test"], key=lambda pair: len(pair.source))
        shown = [test[i] for i in np.linspace(0, len(test) - 1, min(PICTURES, len(test))).astype(int)]
        weights, sources, targets = [], [], []
        with inference(model):
            for pair in shown:
                best = self._search(model, [pair.source], self.config.beam)
                written = [*self._tokens(self._text(best.tokens[0, :, 0].tolist())), "·"]
                read = self._tokens(pair.source)
                weights.append(best.alignments[0, : len(written), 0, : len(read)].numpy())
                sources.append([token if token.strip() else "␣" for token in read])
                targets.append(written)
        picture = plots.attention(weights, sources, targets)
        return Section("Attention", pictures=[(picture, "where each written token (down) read the source (across)")])

    def _by_length(self, exact: Sequence[bool]) -> Section:
        """Exact match over the source's length: five parts as many, and what is longer than anything trained on."""
        test = self.parts["test"]
        longest = max(len(self._tokens(pair.source)) for pair in self.parts["train"])
        lengths = np.array([len(self._tokens(pair.source)) for pair in test])
        right = np.array(exact)
        edges = np.unique(np.quantile(lengths[lengths <= longest], np.linspace(0, 1, 6)).round().astype(int))
        table: list[Sequence[str]] = [("source length", "pairs", "exact match", "")]
        for index, high in enumerate(edges[1:]):
            low = edges[index] + (1 if index else 0)
            chosen = (lengths >= low) & (lengths <= high)
            table.append(_row(f"{low} to {high}", right[chosen], "as in training"))
        if (lengths > longest).any():
            table.append(_row(f"above {longest}", right[lengths > longest], "longer than anything trained on"))
        return Section("Generalisation by length", table=table)

    def _mistakes(self, model: nn.Module, exact: Sequence[bool]) -> Section:
        wrong = [pair for pair, right in zip(self.parts["test"], exact, strict=True) if not right][:12]
        best = self.decode(model, [pair.source for pair in wrong], self.config.beam) if wrong else []
        table: list[Sequence[str]] = [("source", "truth", "written")]
        table += [(pair.source, pair.target, lines[0][0]) for pair, lines in zip(wrong, best, strict=True)]
        return Section("Mistakes", f"{len(exact) - sum(exact)} of {len(exact)} test pairs.", table=table)

    # --- stored with the model, and its use -------------------------------------------------------------------------

    def artifacts(self) -> dict[str, Any]:
        return {"reads": self.reads.tokens, "writes": self.writes.tokens, "limit": self.limit}

    def restore(self, artifacts: dict[str, Any]) -> None:
        self.reads, self.writes = Vocabulary(artifacts["reads"]), Vocabulary(artifacts["writes"])
        self.limit = artifacts["limit"]

    def facts(self) -> dict[str, Any]:
        return {"vocabulary": len(self.reads)}

    def read_input(self, value: Any, where: str) -> str:
        """A source."""
        return text_of(value, where).strip()

    def answers(self, model: nn.Module, inputs: Sequence[str]) -> list[Written]:
        """The n best of each source; none of an empty one."""
        texts = [text for text in inputs if text]
        best = iter(self.decode(model, texts, self.config.beam))
        return [
            Written([Hypothesis(*pair) for pair in next(best)[: self.config.n_best]] if text else []) for text in inputs
        ]

    def evaluate_file(self, model: nn.Module, data: str) -> dict[str, float]:
        part = self._read(data)
        return {"exact_match": float(np.mean(self._exact(model, part, self.config.beam)))}


def _row(name: str, right: np.ndarray, note: str) -> tuple[str, str, str, str]:
    return name, str(len(right)), f"{right.mean():.4f}" if len(right) else "–", note


def _trigrams(texts: Sequence[str], buckets: int = 512) -> np.ndarray:
    """Counts of hashed trigrams, each row of length one: `[N, buckets]`."""
    counts = np.zeros((len(texts), buckets), dtype=np.float32)
    for row, text in enumerate(texts):
        padded = f"\0{text.lower()}\0"
        for i in range(len(padded) - 2):
            a, b, c = (ord(token) for token in padded[i : i + 3])
            counts[row, (a * 31 * 31 + b * 31 + c) % buckets] += 1
    return counts / np.maximum(np.linalg.norm(counts, axis=1, keepdims=True), 1e-9)
