"""The sequence-to-sequence recipe: its data, its model's three ways of decoding, its report."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import torch

from recurra.data import dates, pairs
from recurra.errors import DataError
from recurra.models.seq2seq import Seq2Seq
from recurra.training.configs import Seq2SeqConfig
from recurra.training.task import Share
from recurra.training.tasks.seq2seq import Sequences


def test_dates_are_right_and_reproducible() -> None:
    made = dates.pairs(500, seed=3)
    assert made == dates.pairs(500, seed=3)
    assert len({source for source, _ in made}) == 500
    for source, target in made:
        day = date.fromisoformat(target)
        assert 1950 <= day.year <= 2049
        assert f"{day.year % 100:02d}" in source
    assert [dates.ordinal(n) for n in (1, 2, 3, 4, 11, 12, 13, 21, 22, 23, 31)] == [
        "1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "22nd", "23rd", "31st",
    ]  # fmt: skip
    forms = {form(date(2016, 6, 3)) for form in dates.FORMS}
    assert {"3 June 2016", "03.06.2016", "6/3/2016", "20160603", "Fri 3 June 2016", "the 3rd of June 2016"} <= forms
    assert len(forms) == len(dates.FORMS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\tb\nno tab\n", "line 2: expected a source and a target apart by one tab, got 'no tab'"),
        ("a\t\n", "line 1: expected"),
        ("", "no pairs"),
    ],
)
def test_bad_files(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "pairs.tsv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        pairs.read(str(path))
    if "no tab" in text:
        assert pairs.read(str(path), skip_bad=True).skipped == 1


def task(tmp_path: Path, **options: object) -> Sequences:
    """A small task: every letter twice."""
    generator = np.random.Generator(np.random.PCG64(0))
    words = {"".join(generator.choice(list("abcd"), generator.integers(2, 9))) for _ in range(600)}
    path = tmp_path / "pairs.tsv"
    path.write_text("".join(f"{word}\t{''.join(2 * letter for letter in word)}\n" for word in sorted(words)))
    made = Sequences(Seq2SeqConfig(**{"hidden": 24, "embedding": 8, "dropout": 0.0, "batch_size": 16, **options}))
    made.data = str(path)
    made.prepare()
    return made


def test_split_leaks_nothing(tmp_path: Path) -> None:
    made = task(tmp_path, train_length=6)
    targets = {name: {pair.target for pair in part} for name, part in made.parts.items()}
    assert not targets["train"] & targets["test"]
    assert not targets["train"] & targets["valid"]
    assert max(len(pair.source) for pair in made.parts["train"]) == 6
    assert max(len(pair.source) for pair in made.parts["test"]) == 8


def test_decoding_agrees_with_teacher_forcing(tmp_path: Path) -> None:
    """Greedy, a beam of one, and what teacher forcing gives to the same tokens; batching changes nothing."""
    made = task(tmp_path)
    torch.manual_seed(1)
    model = made.build_model().eval()
    assert isinstance(model, Seq2Seq)
    texts = ["abcd", "dda", "bbacd"]
    sources, lengths = made._sources(texts)
    with torch.no_grad():
        greedy = model.greedy(sources, lengths, 12)
        one = model.beam(sources, lengths, 12, 1)
        wide = model.beam(sources, lengths, 12, 4)
        assert torch.equal(greedy.tokens, one.tokens)
        torch.testing.assert_close(greedy.scores, one.scores)
        torch.testing.assert_close(greedy.alignments, one.alignments)
        assert bool((wide.scores[:, 0] >= greedy.scores[:, 0] - 1e-5).all())
        tokens = wide.tokens[:, :, 0]
        steps = torch.where(tokens == model.end, 1, 0).cumsum(1)
        written = ((steps - (tokens == model.end).long()) == 0).sum(1)
        log_probs = model(sources, lengths, tokens, written).log_softmax(-1)
        inside = torch.arange(tokens.shape[1]) < written[:, None]
        total = torch.where(inside, log_probs.gather(-1, tokens.unsqueeze(-1)).squeeze(-1), torch.zeros(())).sum(1)
        torch.testing.assert_close(total, wide.scores[:, 0])
        for row, text in enumerate(texts):
            alone = model.beam(*made._sources([text]), 12, 4)
            torch.testing.assert_close(alone.scores[0], wide.scores[row])
    sums = wide.alignments.sum(-1)[:, :, 0]
    torch.testing.assert_close(sums[inside], torch.ones_like(sums[inside]))


def test_alignments_belong_to_the_best_hypothesis(tmp_path: Path) -> None:
    made = task(tmp_path)
    torch.manual_seed(2)
    model = made.build_model().eval()
    assert isinstance(model, Seq2Seq)
    sources, lengths = made._sources(["abcddcba"])
    with torch.no_grad():
        wide = model.beam(sources, lengths, 9, 5)
        source = model.encode(sources, lengths)
        decoder = model.decoder.bind([source.memory])
        state = decoder.initial_state(1)._replace(cell_state=source.start)
        token = torch.tensor([model.start])
        for t, following in enumerate(wide.tokens[0, :, 0]):
            _, state = decoder(model.target(token), state)
            torch.testing.assert_close(state.alignments[0], wide.alignments[0, t, 0])
            token = following.reshape(1)
            if int(following) == model.end:
                break


@pytest.mark.parametrize(
    "options", [{}, {"attention": "luong", "cell": "gru", "bidirectional": False}, {"cell": "mlstm"}]
)
def test_learns(tmp_path: Path, options: dict[str, object]) -> None:
    made = task(tmp_path, **options)
    torch.manual_seed(0)
    model = made.build_model()
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    first = last = 0.0
    for epoch in range(1 if options else 10):
        for batch in made.epoch(epoch):
            optimizer.zero_grad()
            step = made.loss(model, batch, None, Share())
            (step.total / step.count).backward()
            optimizer.step()
            last = float(step.total.detach()) / step.count
            first = first or last
    assert last < 0.9 * first
    if not options:
        assert made.evaluate(model, "test")["exact_match"] > 0.6
        titles = [section.title for section in made.sections(model)]
        assert titles == ["Attention", "Beam against greedy", "Generalisation by length", "Mistakes"]
        (line,) = made.predict(model, ["abcd"])
        assert len(line.split("\t")) == 6
        again = Sequences(made.config)
        again.restore(made.artifacts())
        assert list(again.predict(model, ["abcd", ""])) == [line, ""]


@pytest.mark.parametrize("name", ["reversal", "arithmetic"])
def test_puzzles_are_right_and_reproducible(name: str) -> None:
    generate, _ = pairs.BUILT_IN[name]
    made = generate(300, seed=5)
    assert made == generate(300, seed=5)
    assert len({source for source, _ in made}) == 300
    for source, target in made:
        if name == "reversal":
            assert "".join(reversed(source)) == target
        else:
            a, sign, b = re.fullmatch(r"(\d{1,3})([+-])(\d{1,3})", source).groups()  # type: ignore[union-attr]
            assert int(target) == int(a) + (int(b) if sign == "+" else -int(b))
    with pytest.raises(ValueError, match=r"`count` must lie in 0\.\."):
        generate(-1)
    assert pairs.read(name).sources[:2] == [source for source, _ in generate(2)]


def test_bad_lines_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "pairs.tsv"
    path.write_text("no tab\n\n" + "".join(f"héllo {n}\t{n} 日本\n" for n in range(30)) + "a\tb\tc\n", encoding="utf-8")
    made = Sequences(Seq2SeqConfig(skip_bad=True))
    made.data = str(path)
    assert made.prepare()[-1] == "2 bad lines left out"
