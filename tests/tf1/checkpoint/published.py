"""The six published checkpoints of ../shared/data/checkpoints as recurra modules, with the numbers known for them."""

import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import recurra as rc
from tests.tf1.checkpoint.goldens import GOLDENS, SHARED

DATA = SHARED / "data"
PREFIXES = {
    "01": "01_bilstm_sentiment/model.ckpt",
    "05a": "05_charlstm_tf012_shakespeare/model.ckpt-445",
    "05b": "05_charlstm_tf012_shakespeare/model.ckpt-500",
    "07": "07_charlstm_basiclstm_kernel/model.ckpt-4199",
    "09": "09_charlstm_tf10_weights/model.ckpt-1099",
    "15": "15_bilstm_crf_ner/model.ckpt",
    "17": "17_basiclstm_tiny_btc/forcaster",
}


def prefix(key: str) -> Path:
    return DATA / "checkpoints" / PREFIXES[key]


class Sentiment(nn.Module):
    """01: both directions' outputs at the last step, backward ones in forward time order, as its author wrote."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(2808, 50)
        self.fw, self.bw = rc.LSTMCell(50, 64), rc.LSTMCell(50, 64)
        self.dense = nn.Linear(128, 2)

    def forward(self, ids: Tensor) -> Tensor:
        (forward, backward), _ = rc.bidirectional(self.fw, self.bw, self.embedding(ids))
        return self.dense(torch.cat([forward[:, -1], backward[:, -1]], -1))


class CharModel(nn.Module):
    """05, 07, 09: two LSTMs over characters."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, 128)
        self.rnn = rc.StackedCells([rc.LSTMCell(128, 128), rc.LSTMCell(128, 128)])
        self.softmax = nn.Linear(128, vocabulary)

    def forward(self, ids: Tensor) -> Tensor:
        outputs, _ = rc.unroll(self.rnn, self.embedding(ids))
        return self.softmax(outputs)


class Tagger(nn.Module):
    """15: up to the potentials of the CRF."""

    def __init__(self) -> None:
        super().__init__()
        self.fw, self.bw = rc.LSTMCell(101, 192), rc.LSTMCell(101, 192)
        self.dense, self.dense_1 = nn.Linear(385, 192), nn.Linear(192, 10)
        self.transitions = nn.Parameter(torch.zeros(10, 10))

    def forward(self, words: Tensor, capitals: Tensor) -> Tensor:
        flags = capitals.unsqueeze(-1)
        outputs, _ = rc.bidirectional(self.fw, self.bw, torch.cat([words, flags], -1))
        return self.dense_1(self.dense(torch.cat([*outputs, flags], -1)))


class Forecaster(nn.Module):
    """17: the smallest."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = rc.LSTMCell(2, 2)
        self.dense = nn.Linear(2, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.dense(rc.unroll(self.rnn, inputs)[0][:, -1])


def model(key: str) -> nn.Module:
    sizes = {"05a": 65, "05b": 65, "07": 78, "09": 56}
    if key in sizes:
        return CharModel(sizes[key])
    return {"01": Sentiment, "15": Tagger, "17": Forecaster}[key]()


def sentiment_numbers(module: nn.Module) -> dict[str, float]:
    """Loss and accuracy on the 64 rows of validation data for which the author's TensorFlow printed them."""
    with np.load(prefix("01").parent / "inputs.npz") as file:
        ids, labels = (
            torch.from_numpy(file["ids"][1500:1564]).long(),
            torch.from_numpy(file["labels"][1500:1564]).long(),
        )
    logits = module(ids)
    loss = nn.functional.cross_entropy(logits, labels)
    return {"loss": loss.item(), "accuracy": (logits.argmax(-1) == labels).float().mean().item()}


def nats_per_character(module: nn.Module, key: str) -> float:
    """The first 60,000 characters in 30 rows of 2,000, from zero states; each predicts the next of the text."""
    folder = prefix(key).parent
    if key == "07":
        text = (folder / "input.txt").read_text().replace("\n", "\r\n")
    else:
        text = (DATA / "tinyshakespeare" / "input.txt").read_text()
    vocabulary = {c: i for i, c in enumerate(json.loads((folder / "vocab.json").read_text()))}
    ids = torch.tensor([vocabulary[c] for c in text[:60001]])
    logits = module(ids[:-1].view(30, 2000))
    return nn.functional.cross_entropy(logits.flatten(0, 1), ids[1:]).item()


def stored_outputs(key: str) -> dict[str, Tensor]:
    """Inputs and outputs of TensorFlow 1.15 for 09, 15 and 17."""
    with np.load(GOLDENS / "published_outputs.npz") as file:
        return {name[3:]: torch.from_numpy(file[name]) for name in file.files if name.startswith(key)}


NUMBERS = {"loss": 0.4083511, "accuracy": 0.890625, "05a": 2.0421, "05b": 1.9642, "07": 0.8112}


def check_numbers(module: nn.Module, key: str) -> dict[str, tuple[float, float]]:
    """{what: (expected, got)}; for stored outputs the greatest difference, expected 0."""
    with torch.no_grad():
        if key == "01":
            return {name: (NUMBERS[name], got) for name, got in sentiment_numbers(module).items()}
        if key in NUMBERS:
            return {"nats": (NUMBERS[key], nats_per_character(module, key))}
        stored = stored_outputs(key)
        if key == "09":
            got, want = module(stored["ids"].long()), stored["logits"]
        elif key == "15":
            got, want = module(stored["x_word"], stored["x_capi"]), stored["logits"]
        else:
            got, want = module(stored["x"]), stored["y"]
        return {"difference": (0.0, (got - want).abs().max().item())}


def main() -> None:
    """Print the table of docs/checkpoints.md: python -m tests.tf1.checkpoint.published"""
    import recurra.tf1.checkpoint as ckpt

    for key in PREFIXES:
        module = model(key)
        report = ckpt.load_into(module, prefix(key))
        architecture = ckpt.infer(prefix(key))
        cells = "; ".join(str(cell) for cell in architecture.cells)
        numbers = ", ".join(f"{what} {want:g} -> {got:.7g}" for what, (want, got) in check_numbers(module, key).items())
        variables = len(ckpt.list_variables(prefix(key)))
        print(f"| {key} | {variables} ({len(report.slots)} slots) | {report.era} | {cells} | {numbers} |")


if __name__ == "__main__":
    main()
