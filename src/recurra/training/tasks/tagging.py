"""Tag the tokens of sentences: BiLSTM with character features, with or without a CRF on top."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from recurra import crf
from recurra.data import conll
from recurra.data.batching import batches_by_length, epoch_generator, pad_tokens
from recurra.data.conll import Sentences
from recurra.data.text import SKIP_HINT, read_text
from recurra.data.vocab import Vocabulary
from recurra.errors import DataError
from recurra.models.tagger import Tagger, Tokens
from recurra.training import metrics
from recurra.training.answers import TaggedToken, Tags
from recurra.training.configs import TagConfig
from recurra.training.task import Incoming, Lazy, Section, Share, StepLoss, Task, inference, mine, text_of

EVAL_SENTENCES = 100
CONLL_SUFFIXES = (".conll", ".bio", ".iob", ".tsv")
UNKNOWN_NUMBER = 1


class TagBatch(NamedTuple):
    """A batch of sentences with their tags `[B, T]`."""

    tokens: Tokens
    tags: Tensor


def word_shape_key(word: str) -> str:
    """What the word vocabulary holds: lower case, digits as 0 (capitals and spelling are the character reader's)."""
    return "".join("0" if c.isdigit() else c for c in word.lower())


class Tagging(Task[TagConfig]):
    """Tags of tokens. With BIO tags the metric is the F1 of whole entities, else accuracy by token."""

    metric = "f1"
    loss_unit = "token"
    answer_type = Tags

    data: str = ""
    words: Vocabulary
    characters: Vocabulary
    tags: Vocabulary

    # --- data -------------------------------------------------------------------------------------------------------

    def prepare(self) -> list[str]:
        config = self.config
        everything = self._read(self.data)
        self.parts = self._split(everything)
        train = self.parts["train"]
        seen = Counter(word_shape_key(word) for sentence in train.tokens for word in sentence)
        self.rare = {word for word, count in seen.items() if count == 1}
        self.words = Vocabulary.of(seen.elements(), min_count=config.min_count)
        self.characters = Vocabulary.of(c for sentence in train.tokens for word in sentence for c in word)
        self.tags = Vocabulary(sorted({tag for sentence in train.tags for tag in sentence}), unknown=None)
        if len(self.tags) < 2:
            raise DataError(f"{self.data}: one tag only ({self.tags.tokens[0]!r}), expected at least two")
        for name in ("valid", "test"):
            self.parts[name] = self._known_tags(self.parts[name], name)
        self._choose_metric()
        self.numbers = [self._encode(sentence) for sentence in train.tokens]
        sizes = ", ".join(f"{len(part.tokens)} {name}" for name, part in self.parts.items())
        lines = [
            f"sentences: {sizes}; {len(self.words)} words, {len(self.characters)} characters, {len(self.tags)} tags"
        ]
        skipped = sum(part.skipped for part in self.parts.values())
        return [*lines, f"{skipped} bad lines or sentences left out"] if skipped else lines

    def _read(self, path: str) -> Sentences:
        return conll.read(Path(path), skip_bad=self.config.skip_bad)

    def _split(self, everything: Sentences) -> dict[str, Sentences]:
        config = self.config
        order = self._order(everything)
        parts, used = {}, 0
        for name, file, share in (
            ("valid", config.valid, config.valid_share),
            ("test", config.test, config.test_share),
        ):
            if file is not None:
                parts[name] = self._read(str(file))
                continue
            count = max(1, round(len(order) * share))
            parts[name] = everything.at(order[used : used + count])
            used += count
        if used >= len(order):
            hint = "; sentences are apart by empty lines" if len(order) == 1 else ""
            raise DataError(f"{self.data}: {len(order)} sentences are too few to split{hint}")
        return {"train": everything.at(order[used:], everything.skipped), **parts}

    def _order(self, everything: Sentences) -> list[int]:
        """The sentences shuffled, as they are dealt out; the first with each tag come last, where training is, so that
        no tag is held out whole."""
        shuffled = epoch_generator(self.config.seed, 0, stream=1).permutation(len(everything.tokens)).tolist()
        seen: set[str] = set()
        needed = []
        for i in shuffled:
            if not seen.issuperset(everything.tags[i]):
                needed.append(i)
                seen.update(everything.tags[i])
        kept = set(needed)
        return [i for i in shuffled if i not in kept] + needed

    def _known_tags(self, part: Sentences, where: str) -> Sentences:
        """`part` without the sentences that hold a tag which training never saw."""
        foreign = sorted({tag for sentence in part.tags for tag in sentence if tag not in self.tags})
        if not foreign:
            return part
        known = ", ".join(self.tags.tokens)
        if not self.config.skip_bad:
            raise DataError(f"{where}: tag {foreign[0]!r} never occurs in training; known: {known} {SKIP_HINT}")
        keep = [i for i, tags in enumerate(part.tags) if all(tag in self.tags for tag in tags)]
        if not keep:
            raise DataError(f"{where}: no sentence without tags that never occur in training; known: {known}")
        return part.at(keep, part.skipped + len(part.tags) - len(keep))

    def _choose_metric(self) -> None:
        if not any(tag.startswith("B-") for tag in self.tags.tokens):
            self.metric = "accuracy"

    def _encode(self, sentence: Sequence[str]) -> tuple[list[int], list[list[int]]]:
        return self.words.encode(map(word_shape_key, sentence)), [
            self.characters.encode(word[:40]) for word in sentence
        ]

    def _batch(self, sentences: Sequence[tuple[list[int], list[list[int]]]]) -> Tokens:
        words, lengths = pad_tokens([numbers for numbers, _ in sentences])
        rows, steps = words.shape
        flat = [letters for _, spelled in sentences for letters in [*spelled, *([[]] * (steps - len(spelled)))]]
        characters, word_lengths = pad_tokens(flat)
        return Tokens(words, characters.reshape(rows, steps, -1), word_lengths.reshape(rows, steps), lengths)

    # --- training ---------------------------------------------------------------------------------------------------

    def build_model(self) -> nn.Module:
        config = self.config
        return Tagger(
            len(self.words),
            len(self.characters),
            len(self.tags),
            embedding=config.embedding,
            char_embedding=config.char_embedding,
            char_hidden=config.char_hidden,
            cell=config.cell,
            hidden=config.hidden,
            layers=config.layers,
            bidirectional=config.bidirectional,
            dropout=config.dropout,
            crf=config.crf,
        )

    def epoch(self, epoch: int) -> Sequence[TagBatch]:
        train = self.parts["train"]
        order = batches_by_length(list(map(len, train.tokens)), self.config.batch_size, self.config.seed, epoch)

        def make(index: int) -> TagBatch:
            chosen = [self._with_unknowns(i, epoch) for i in order[index]]
            tags, _ = pad_tokens([self.tags.encode(train.tags[i]) for i in order[index]])
            return TagBatch(self._batch(chosen), tags)

        return Lazy(len(order), make)

    def _with_unknowns(self, index: int, epoch: int) -> tuple[list[int], list[list[int]]]:
        """A sentence with some of the words that occur once replaced by unknown, so that unknown is trained."""
        words, spelled = self.numbers[index]
        drawn = epoch_generator(self.config.seed, epoch, stream=index + 2).random(len(words))
        tokens = self.parts["train"].tokens[index]
        replaced = [
            UNKNOWN_NUMBER if word_shape_key(token) in self.rare and chance < self.config.unknown_share else number
            for number, token, chance in zip(words, tokens, drawn, strict=True)
        ]
        return replaced, spelled

    def loss(self, model: nn.Module, batch: TagBatch, state: Any, share: Share) -> StepLoss:
        # by sentence, whichever loss: a CRF's likelihood belongs to the sequence
        count = batch.tags.shape[0]
        if share.world > 1:
            rows = mine(np.arange(count), share)
            batch = TagBatch(Tokens(*(tensor[rows] for tensor in batch.tokens)), batch.tags[rows])
        return StepLoss(self._loss(model, batch), count)

    def _loss(self, model: nn.Module, batch: TagBatch) -> Tensor:
        scores, lengths = model(batch.tokens), batch.tokens.lengths
        if model.transitions is not None:
            return -crf.log_likelihood(scores, batch.tags, model.transitions, lengths).sum()  # type: ignore[arg-type]
        real = torch.arange(scores.shape[1]) < lengths[:, None]
        return nn.functional.cross_entropy(scores[real], batch.tags[real], reduction="sum")

    # --- judging ----------------------------------------------------------------------------------------------------

    def decode(self, model: nn.Module, sentences: Sequence[Sequence[str]]) -> list[list[str]]:
        """The best tags of sentences."""
        found: dict[int, list[str]] = {}
        order = sorted(range(len(sentences)), key=lambda i: len(sentences[i]))
        with inference(model):
            for start in range(0, len(order), EVAL_SENTENCES):
                rows = order[start : start + EVAL_SENTENCES]
                batch = self._batch([self._encode(sentences[i]) for i in rows])
                best = self._best(model(batch), model.transitions, batch.lengths)
                for i, tags in zip(rows, best.tolist(), strict=True):
                    found[i] = self.tags.decode(tags[: len(sentences[i])])
        return [found[i] for i in range(len(sentences))]

    def _scores(self, truth: Sequence[Sequence[str]], guess: Sequence[Sequence[str]]) -> dict[str, float]:
        pairs = [(a, b) for gold, tags in zip(truth, guess, strict=True) for a, b in zip(gold, tags, strict=True)]
        accuracy = {"accuracy": sum(a == b for a, b in pairs) / max(len(pairs), 1)}
        return metrics.entity_scores(truth, guess) | accuracy if self.metric == "f1" else accuracy

    def evaluate(self, model: nn.Module, part: str) -> dict[str, float]:
        sentences = self.parts[part]
        total = 0.0
        with inference(model):
            for start in range(0, len(sentences.tokens), EVAL_SENTENCES):
                rows = slice(start, start + EVAL_SENTENCES)
                tokens = self._batch([self._encode(sentence) for sentence in sentences.tokens[rows]])
                tags, _ = pad_tokens([self.tags.encode(sentence) for sentence in sentences.tags[rows]])
                total += float(self._loss(model, TagBatch(tokens, tags)))
        loss = {"loss": total / len(sentences.tokens)}
        return loss | self._scores(sentences.tags, self.decode(model, sentences.tokens))

    def baselines(self) -> dict[str, dict[str, float]]:
        """The tag that each word had most often in training; words never seen get the commonest tag."""
        counts: dict[str, Counter[str]] = {}
        train, test = self.parts["train"], self.parts["test"]
        for sentence, tags in zip(train.tokens, train.tags, strict=True):
            for word, tag in zip(sentence, tags, strict=True):
                counts.setdefault(word, Counter())[tag] += 1
        common = Counter(tag for tags in train.tags for tag in tags).most_common(1)[0][0]
        best = {word: tags.most_common(1)[0][0] for word, tags in counts.items()}
        guess = [[best.get(word, common) for word in sentence] for sentence in test.tokens]
        return {"each word's commonest tag": self._scores(test.tags, guess)}

    def sections(self, model: nn.Module) -> list[Section]:
        test = self.parts["test"]
        guess = self.decode(model, test.tokens)
        wrong = sorted(
            (i for i in range(len(guess)) if guess[i] != test.tags[i]),
            key=lambda i: -sum(a != b for a, b in zip(guess[i], test.tags[i], strict=True)) / math.sqrt(len(guess[i])),
        )
        table: list[Sequence[str]] = [("sentence", "truth", "predicted")]
        for i in wrong[:12]:
            table.append(
                (
                    " ".join(test.tokens[i])[:140],
                    _marked(test.tokens[i], test.tags[i]),
                    _marked(test.tokens[i], guess[i]),
                )
            )
        return [Section("Worst mistakes", f"{len(wrong)} of {len(guess)} test sentences hold one.", table=table)]

    # --- stored with the model, and its use -------------------------------------------------------------------------

    def artifacts(self) -> dict[str, Any]:
        return {"words": self.words.tokens, "characters": self.characters.tokens, "tags": self.tags.tokens}

    def restore(self, artifacts: dict[str, Any]) -> None:
        self.words, self.characters = Vocabulary(artifacts["words"]), Vocabulary(artifacts["characters"])
        self.tags = Vocabulary(artifacts["tags"], unknown=None)
        self._choose_metric()

    def facts(self) -> dict[str, Any]:
        return {"labels": self.tags.tokens, "vocabulary": len(self.words)}

    def input_type(self) -> Any:
        return str | list[str]

    def step_type(self) -> Any:
        return str

    def read_input(self, value: Any, where: str) -> list[str]:
        """A sentence: tokens apart by blanks, or as a list."""
        if isinstance(value, list) and all(isinstance(token, str) and token.strip() for token in value):
            return value
        if isinstance(value, list):
            raise DataError(f"{where}: a list of tokens holds something that is none")
        return text_of(value, where).split()

    def answers(self, model: nn.Module, inputs: Sequence[list[str]]) -> list[Tags]:
        found = {i: Tags([]) for i in range(len(inputs))}
        order = sorted((i for i in found if inputs[i]), key=lambda i: len(inputs[i]))
        with inference(model):
            for start in range(0, len(order), EVAL_SENTENCES):
                rows = order[start : start + EVAL_SENTENCES]
                found |= zip(rows, self._tag(model, [inputs[i] for i in rows]), strict=True)
        return list(found.values())

    def stream(self, model: nn.Module) -> Incoming:
        """A step is a token; a text may hold several, of which the last one's tag is the answer."""
        step = model.stepper()  # type: ignore[operator]

        def take(token: str) -> tuple[str, Tensor]:
            return token, step(self._batch([self._encode([token])])).softmax(-1)

        def answer(taken: tuple[str, Tensor]) -> Tags:
            token, chances = taken
            probability, tag = chances[0].max(-1)
            return Tags([TaggedToken(token, self.tags.tokens[int(tag)], float(probability))])

        return Incoming(self.read_input, take, answer)

    def predict_file(self, model: nn.Module, path: Path) -> Iterator[str]:
        """A CoNLL file (with tags or without): `token<TAB>tag<TAB>probability` for each line that holds a token."""
        if path.suffix.lower() not in CONLL_SUFFIXES:
            yield from super().predict_file(model, path)
            return
        lines = read_text(path).removesuffix("\n").split("\n")
        for separate, rows in itertools.groupby(lines, conll.is_separator):
            if separate:
                yield from rows
            else:
                (found,) = self.answers(model, [[conll.cells(row)[0] for row in rows]])
                yield from (f"{token}\t{tag}\t{p:.4f}" for token, tag, p in map(astuple, found.tokens))

    def _tag(self, model: nn.Module, sentences: Sequence[list[str]]) -> Iterator[Tags]:
        """The best tags, and the probability of each (under the chain, where there is a CRF)."""
        batch = self._batch([self._encode(sentence) for sentence in sentences])
        scores, lengths, transitions = model(batch), batch.lengths, model.transitions
        best = self._best(scores, transitions, lengths)
        chances = scores.softmax(-1) if transitions is None else crf.marginals(scores, transitions, lengths)  # type: ignore[arg-type]
        sure = chances.gather(-1, best.unsqueeze(-1)).squeeze(-1)
        for tokens, tags, probabilities in zip(sentences, best.tolist(), sure.tolist(), strict=True):
            named = self.tags.decode(tags[: len(tokens)])
            yield Tags(list(map(TaggedToken, tokens, named, probabilities)))

    def _best(self, scores: Tensor, transitions: Any, lengths: Tensor) -> Tensor:
        """The best tags `[B, T]` by scores alone, or under the chain."""
        return scores.argmax(-1) if transitions is None else crf.viterbi(scores, transitions, lengths)[0]

    def evaluate_file(self, model: nn.Module, data: str) -> dict[str, float]:
        part = self._known_tags(self._read(data), data)
        return self._scores(part.tags, self.decode(model, part.tokens))


def _marked(tokens: Sequence[str], tags: Sequence[str]) -> str:
    """The entities (or, without BIO tags, the tags) of a sentence in words."""
    found = sorted(metrics.entities(tags), key=lambda entity: entity[1])
    if found:
        return "; ".join(f"{' '.join(tokens[start:stop])} ({kind})" for kind, start, stop in found)
    return "–" if all(tag == "O" for tag in tags) else " ".join(tags)
