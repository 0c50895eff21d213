"""Variable names through TensorFlow's releases: any era's name as the one that 1.15 gives.

    0.6 – 0.10   BiRNN_FW/MultiRNNCell/Cell0/BasicLSTMCell/Linear/Matrix
    0.11 – 0.12  BiRNN/FW/…                                            RNN/LSTMCell/W_0, B, W_F_diag
    1.0 – 1.1    bidirectional_rnn/fw/multi_rnn_cell/cell_0/basic_lstm_cell/weights
    1.2 – 1.15   …/kernel, and cells inside a projection or embedding wrapper's scope instead of beside it

The equations behind the names, row order and gate order are the same in all releases (see docs/checkpoints.md for the
table), so that a new name is all that an old variable needs.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable
from dataclasses import dataclass
from typing import Any

__all__ = ["ERAS", "NameParts", "era", "is_bookkeeping", "modern_name", "modern_names", "split_slot"]

ERAS = ("0.6–0.10", "0.11–0.12", "0.6–0.12", "1.0–1.1", "1.2–1.15")

# Optimizer slots hang a suffix on their variable's name; moving averages do too.
_SLOT = re.compile(
    r"(.+)/((?:Adam|AdamW|Adagrad|AdagradDA|Adadelta|RMSProp|Momentum|MomentumW|Ftrl|AdaMax|Nadam|LazyAdam|PowerSign|"
    r"AddSign|ProximalAdagrad|ExponentialMovingAverage)(?:_\d+)?)"
)
_BOOKKEEPING = re.compile(
    r"(.*/)?(beta[12]_power(_\d+)?|global_step|_CHECKPOINTABLE_OBJECT_GRAPH|save_counter)(/\.ATTRIBUTES/VARIABLE_VALUE)?"
)

_CELLS = {
    "BasicRNNCell": "basic_rnn_cell",
    "BasicLSTMCell": "basic_lstm_cell",
    "GRUCell": "gru_cell",
    "LSTMCell": "lstm_cell",
    "LSTMBlockCell": "lstm_cell",
    "GRUBlockCell": "gru_cell",
    "LSTMBlockFusedCell": "lstm_fused_cell",
    "lstm_block_wrapper": "lstm_fused_cell",
    "LayerNormBasicLSTMCell": "layer_norm_basic_lstm_cell",
    "CoupledInputForgetGateLSTMCell": "coupled_input_forget_gate_lstm_cell",
    "TimeFreqLSTMCell": "time_freq_lstm_cell",
    "GridLSTMCell": "grid_lstm_cell",
    "AttentionCellWrapper": "attention_cell_wrapper",
    "InputProjectionWrapper": "input_projection_wrapper",
    "OutputProjectionWrapper": "output_projection_wrapper",
    "EmbeddingWrapper": "embedding_wrapper",
    "nas_rnn": "nas_cell",
}
# Scopes under which 1.0 and 1.1 wrote weights and biases for what is kernel and bias since.
_RENAMED = (
    "basic_rnn_cell|basic_lstm_cell|lstm_cell|lstm_cell/projection|gru_cell/gates|gru_cell/candidate|lstm_fused_cell|"
    "layer_norm_basic_lstm_cell|ugrnn_cell|intersection_rnn_cell|intersection_rnn_cell/in_projection|nas_cell|"
    "phased_lstm_cell/(?:mask_gates|new_input|output_gate)|input_projection_wrapper|output_projection_wrapper|"
    "attention_cell_wrapper|attention_cell_wrapper/attention|attention_cell_wrapper/attn_output_projection|"
    r"attention_decoder|attention_decoder/Attention_\d+|attention_decoder/AttnOutputProjection"
)
_WHOLE_CELL = "|".join(sorted(set(_CELLS.values()) - {"input_projection_wrapper", "output_projection_wrapper",
                                                     "embedding_wrapper"} | {"multi_rnn_cell", "ugrnn_cell",
                                                     "intersection_rnn_cell", "phased_lstm_cell"}))  # fmt: skip

_RULES: list[tuple[re.Pattern[str], Any]] = [
    (re.compile(pattern), replacement)
    for pattern, replacement in [
        # an object-based checkpoint's attribute, and a checkpoint of nothing but moving averages
        (r"/\.ATTRIBUTES/VARIABLE_VALUE$", ""),
        (r"/ExponentialMovingAverage$", ""),
        # loops
        (r"(^|/)BiRNN[_/](FW|BW)(?=/)", r"\1bidirectional_rnn/\2"),
        (r"(?<=[^/])_(FW|BW)(?=/(RNN/)?(MultiRNNCell|\w*Cell|\w*Wrapper)/)", r"/\1"),
        (r"(?<=/)FW(?=/)", "fw"),
        (r"(?<=/)BW(?=/)", "bw"),
        (r"(^|/)RNN(?=/)", r"\1rnn"),
        # stacks
        (r"(^|/)MultiRNNCell/Cell(\d+)(?=/)", r"\1multi_rnn_cell/cell_\2"),
        # the older cells' variables, then their scopes
        (r"(?<=Cell/)(Gates|Candidate)/Linear/", lambda m: m[1].lower() + "/Linear/"),
        (r"(?<=LSTMBlockCell/)W$", "kernel"),
        (r"(?<=LSTMBlockCell/)wc([ifo])$", r"w_\1_diag"),
        (r"(?<=(?<![A-Za-z])LSTMCell/)W_P_(\d+)$", r"projection/kernel/part_\1"),
        (r"(?<=(?<![A-Za-z])LSTMCell/)W_(\d+)$", r"kernel/part_\1"),
        (r"(?<=LSTMBlockFusedCell/)W_(\d+)$", r"kernel/part_\1"),
        (r"(?<=(?<![A-Za-z])LSTMCell/)W_([FIO])_diag$", lambda m: f"w_{m[1].lower()}_diag"),
        (r"(?<=LSTMBlockFusedCell/)W_([FIO])_diag$", lambda m: f"w_{m[1].lower()}_diag"),
        (r"(?<=(?<![A-Za-z])LSTMCell/)B$|(?<=LSTMBlockFusedCell/)B$|(?<=LSTMBlockCell/)b$", "bias"),
        (r"(?<=LayerNormBasicLSTMCell/)b$", "bias"),
        *((rf"(^|/){old}(?=/)", rf"\1{new}") for old, new in _CELLS.items()),
        # `linear` made Linear/Matrix and Linear/Bias wherever it was called
        (r"(^|/)Linear/Matrix$", r"\1kernel"),
        (r"(^|/)Linear/Matrix_(\d+)$", r"\1kernel/part_\2"),
        (r"(^|/)Linear/Bias$", r"\1bias"),
        (rf"((?:^|/)(?:{_RENAMED}))/weights(?=$|/part_\d+$)", r"\1/kernel"),
        (rf"((?:^|/)(?:{_RENAMED}))/biases$", r"\1/bias"),
        (r"(?<=nas_cell/)recurrent_weights$", "recurrent_kernel"),
    ]
]
# Names without any of these are as 1.15 gives them; most are.
_OLD = re.compile(r"[A-Z]|nas_rnn|lstm_block_wrapper|(?:cell|wrapper|decoder|projection|attention).*(?:weights|biases)")
# A single shard is the whole variable.
_PART = re.compile(r"(.+)/part_(\d+)")
_NESTING = ("output_projection_wrapper", "input_projection_wrapper", "embedding_wrapper")


@dataclass(frozen=True)
class NameParts:
    """A stored name taken apart: the variable's own name as 1.15 gives it, and the optimizer slot behind it, if any."""

    stored: str
    modern: str
    slot: str | None = None

    @property
    def full(self) -> str:
        """The modern name with its slot."""
        return self.modern if self.slot is None else f"{self.modern}/{self.slot}"


def is_bookkeeping(name: str) -> bool:
    """Whether this is an optimizer's or a trainer's counter rather than a part of a model."""
    return _BOOKKEEPING.fullmatch(name) is not None


def split_slot(name: str, names: Container[str]) -> tuple[str, str | None]:
    """(variable, slot) where `name` is an optimizer's slot or moving average of one of `names`; else (name, None)."""
    if "/.OPTIMIZER_SLOT/" in name:  # of an object-based checkpoint (tf.train.Checkpoint)
        return name.partition("/.OPTIMIZER_SLOT/")[0], name.partition("/.OPTIMIZER_SLOT/")[2]
    match = _SLOT.fullmatch(name)
    if match is None or match[1] not in names:
        return name, None
    return match[1], match[2]


def modern_name(name: str) -> str:
    """The name that 1.15 gives to one variable; wrappers' nesting needs the other names, see `modern_names`."""
    if _OLD.search(name):
        for pattern, replacement in _RULES:
            name = pattern.sub(replacement, name)
    return name


def modern_names(names: Iterable[str]) -> dict[str, NameParts]:
    """Every stored name with its parts, in order.

    Before 1.2 a cell's variables lay beside those of its projection or embedding wrapper; they are moved inside. Where
    two wrappers lie beside one cell, the names do not tell which is outside: the order is then output projection,
    input projection, embedding, cell.
    """
    stored = list(names)
    known = set(stored)
    split = {name: split_slot(name, known) for name in stored}
    renamed = {base: modern_name(base) for base, _ in split.values()}
    parts: dict[str, set[str]] = {}
    for new in renamed.values():
        if match := _PART.fullmatch(new):
            parts.setdefault(match[1], set()).add(match[2])
    # Only names of before 1.2 are nested anew, and only `W_0` without a `W_1` is the whole variable.
    old = {base for base, new in renamed.items() if base != new}
    for base in old:
        match = _PART.fullmatch(renamed[base])
        if match and len(parts[match[1]]) == 1 and "part_" not in base:
            renamed[base] = match[1]
    wrappers = _wrapper_scopes(set(renamed.values()), {renamed[base] for base in old})
    renamed = {base: _nested(new, wrappers) for base, new in renamed.items()}
    return {name: NameParts(name, renamed[base], slot) for name, (base, slot) in split.items()}


def _wrapper_scopes(names: set[str], old: set[str]) -> dict[str, list[str]]:
    """Outer scope -> wrappers in it, where wrappers lie beside a cell whose names are of before 1.2."""
    found: dict[str, list[str]] = {}
    for wrapper in _NESTING:
        for name in sorted(names):
            match = re.fullmatch(rf"(.*/|){wrapper}/(kernel|embedding)", name)
            if match and any(re.match(rf"{re.escape(match[1])}({_WHOLE_CELL})/", other) for other in old):
                found.setdefault(match[1], []).append(wrapper)
    return found


def _nested(name: str, wrappers: dict[str, list[str]]) -> str:
    for outer, inside in wrappers.items():
        match = re.fullmatch(rf"{re.escape(outer)}(({_WHOLE_CELL}|{'|'.join(_NESTING)})/.+)", name)
        if match is None:
            continue
        own = inside.index(match[2]) if match[2] in inside else len(inside)
        return "/".join([outer.rstrip("/"), *inside[:own], match[1]]).lstrip("/")
    return name


def era(names: Iterable[str]) -> str | None:
    """The releases that gave these names (one of `ERAS`), or None where no cell's name tells."""
    stored = list(names)
    text = "\n".join(stored)
    if re.search(r"^(.*/)?BiRNN_(FW|BW)/|_(FW|BW)/(RNN/)?(MultiRNNCell|\w+Cell)/", text, re.MULTILINE):
        return ERAS[0]
    if re.search(r"^(.*/)?BiRNN/(FW|BW)/|LSTMBlock(Fused)?Cell/", text, re.MULTILINE):
        return ERAS[1]
    if re.search(r"/Cell\d+/|(Cell|Wrapper)/(\w+/)*Linear/|(?<![A-Za-z])LSTMCell/W_\d", text) or re.search(
        r"^(.*/)?RNN/\w+(Cell|Wrapper)/", text, re.MULTILINE
    ):
        return ERAS[2]
    if re.search(r"_(cell|wrapper)(/\w+)*/(weights|biases)(/|$)|nas_rnn/", text, re.MULTILINE):
        return ERAS[3]
    if re.search(r"_cell(_\d+)?/(\w+/)*(kernel|bias|w_ru)(/|$)", text, re.MULTILINE):
        return ERAS[4]
    return None
