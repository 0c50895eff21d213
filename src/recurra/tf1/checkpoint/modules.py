"""Torch modules as TensorFlow's variables: which variables a module has, under which scope, in which layout.

A `Unit` is a module (or one layer and direction of a torch.nn recurrent module) with its variables by relative name; a
`Slot` reads and writes one of them in TensorFlow's layout, whatever the module's own is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from recurra.attention.wrapper import AttentionWrapper
from recurra.cells import BaseCell, LeafCell, LSTMCell, StackedCells
from recurra.cells.layouts import gru_after_from_torch, gru_after_to_torch, lstm_from_torch, lstm_to_torch
from recurra.cells.names import scope_of
from recurra.cells.wrapper import Wrapper
from recurra.tf1.checkpoint.tensors import array_of, tensor_of

__all__ = ["Slot", "Unit", "units_of", "variables_of"]

Values = dict[str, np.ndarray]


@dataclass
class Slot:
    """One variable of a unit, in TensorFlow's layout."""

    name: str
    shape: tuple[int, ...]
    parameters: tuple[str, ...]
    """The module's parameters that it becomes (several for torch's layouts)."""


@dataclass
class Unit:
    """A module's variables under one scope."""

    path: str
    """Where the module is: "encoder.cells.0"."""
    scope: str
    """The scope that a program built like the module would have given it."""
    kind: str
    """ "cell", "wrapper", "dense", "embedding" or "other"."""
    classes: tuple[str, ...]
    """Scope classes that are this cell ("basic_lstm_cell", "lstm_cell"); empty: any."""
    slots: dict[str, Slot]
    get: Callable[[], Values]
    """All variables as arrays."""
    put: Callable[[Values], None]
    """Copy arrays of all variables into the parameters."""
    forget_bias: float | None = None
    """What the cell adds to the forget gate; None where it adds none or takes any (torch)."""
    any_forget_bias: Callable[[float], None] | None = field(default=None, repr=False)
    """For torch.nn.LSTM: sets the forget bias that goes into its bias."""


def variables_of(module: nn.Module, scope: str = "") -> Values:
    """Every variable of a module under TensorFlow 1.15's names, in its layout: what `write` needs.

    A StackedCells becomes `multi_rnn_cell/cell_0/…`, a cell `lstm_cell/kernel`; other modules go by attribute names.
    """
    values: Values = {}
    for unit in units_of(module, scope):
        values.update({f"{unit.scope}/{name}".lstrip("/"): array for name, array in unit.get().items()})
    return values


def units_of(module: nn.Module, scope: str = "") -> Iterator[Unit]:
    """The units of a module, in order; one that stands in two places has its variables at the first, as TensorFlow."""
    yield from _units(module, scope, "", set())


def _units(module: nn.Module, scope: str, path: str, seen: set[int]) -> Iterator[Unit]:
    if id(module) in seen:
        return
    seen.add(id(module))
    inner = f"{scope}/" if scope else ""
    dot = f"{path}." if path else ""
    if isinstance(module, nn.LSTM | nn.GRU | nn.RNN):
        yield from _torch_units(module, scope, path)
    elif isinstance(module, StackedCells):
        for k, cell in enumerate(module.cells):
            yield from _units(cell, f"{inner}multi_rnn_cell/cell_{k}", f"{dot}cells.{k}", seen)
    elif isinstance(module, Wrapper):
        own = scope_of(module)
        here = f"{inner}{own}".rstrip("/")
        if any(True for _ in module.parameters(recurse=False)):
            yield _plain_unit(module, here, path, "wrapper", (own,) if own else (), without=None)
        yield from _units(module.cell, here, f"{dot}cell", seen)
    elif isinstance(module, AttentionWrapper):
        yield from _attention_units(module, scope, path, seen)
    elif isinstance(module, LeafCell):
        here = f"{inner}{scope_of(module)}".rstrip("/")
        cells = {name: child for name, child in module.named_children() if isinstance(child, BaseCell)}
        kind = "wrapper" if cells else "cell"
        yield _plain_unit(module, here, path, kind, _cell_classes(module), without=tuple(cells))
        for name, child in cells.items():
            yield from _units(child, here, f"{dot}{name}", seen)
    elif isinstance(module, nn.Linear):
        yield _linear_unit(module, scope, path)
    elif isinstance(module, nn.Embedding):
        yield _renamed_unit(module, scope, path, "embedding", {"weight": "embedding"})
    elif isinstance(module, nn.LayerNorm):
        yield _renamed_unit(module, scope, path, "other", {"weight": "gamma", "bias": "beta"})
    else:
        if any(True for _ in module.parameters(recurse=False)):
            named = getattr(module, "tf_scope", None)
            yield _plain_unit(module, scope, path, "other", (named,) if named else (), without=None)
        for name, part in module.named_children():
            yield from _units(part, f"{inner}{name}", f"{dot}{name}", seen)


def _attention_units(module: AttentionWrapper, scope: str, path: str, seen: set[int]) -> Iterator[Unit]:
    """Cell and mechanisms under `attention_wrapper`; the projections of memories lie outside, where they were made."""
    here, dot = f"{scope}/attention_wrapper".lstrip("/"), f"{path}." if path else ""
    yield from _units(module.cell, here, f"{dot}cell", seen)
    kinds: list[str] = []
    for k, mechanism in enumerate(module.mechanisms):
        kind, number = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(mechanism).__name__).lower(), f"_{k}" if k else ""
        again = kinds.count(kind)
        kinds.append(kind)
        own = [name for name, _ in mechanism.named_parameters()]
        for place, above, names in [
            (
                f"mechanisms.{k}.memory_layer",
                scope,
                {f"mechanisms.{k}.memory_layer.kernel": f"memory_layer{number}/kernel"},
            ),
            (
                f"mechanisms.{k}",
                f"{here}/{kind}{f'_{again}' if again else ''}",
                {f"mechanisms.{k}.{n}": n.replace(".", "/") for n in own if not n.startswith("memory_layer.")},
            ),
            (f"attention_layers.{k}", here, {f"attention_layers.{k}": f"attention_layer{number}/kernel"}),
        ]:
            if names and (place != f"attention_layers.{k}" or len(module.attention_layers) > k):
                unit = _renamed_unit(module, above, path, "other", names)
                unit.path = dot + place
                yield unit


def _cell_classes(cell: BaseCell) -> tuple[str, ...]:
    """The scope classes under which TensorFlow keeps such a cell, its own name first."""
    own = scope_of(cell).rpartition("/")[2]
    if isinstance(cell, LSTMCell):
        options = cell.options
        plain = not cell.peepholes and cell.output_size == cell.hidden_size and options.cell_clip is None
        names = [own, "lstm_cell", "lstm_fused_cell"] + ["basic_lstm_cell"] * plain
        return tuple(dict.fromkeys([*names, "cudnn_compatible_lstm_cell"] if options.forget_bias == 0 else names))
    return (own,) if own else ()


# -- units whose parameters are TensorFlow's variables as they are -----------------------------------------------------


def _copy(parameter: Tensor, values: np.ndarray) -> None:
    with torch.no_grad():
        parameter.copy_(tensor_of(values))


def _plain_unit(
    module: nn.Module, scope: str, path: str, kind: str, classes: tuple[str, ...], *, without: tuple[str, ...] | None
) -> Unit:
    """A unit of a module's own parameters: all but those of the children `without`, or (None) of any child."""
    renamed = getattr(module, "tf_names", {})
    own = [name for name, _ in module.named_parameters(recurse=without is not None)]
    names = {n: renamed.get(n, n.replace(".", "/")) for n in own if n.split(".")[0] not in (without or ())}
    unit = _renamed_unit(module, scope, path, kind, names)
    unit.classes = classes
    unit.forget_bias = getattr(getattr(module, "options", None), "forget_bias", None)
    return unit


def _renamed_unit(module: nn.Module, scope: str, path: str, kind: str, names: dict[str, str]) -> Unit:
    parameters = {own: module.get_parameter(own) for own in names if _has(module, own)}
    dot = f"{path}." if path else ""
    slots = {names[own]: Slot(names[own], tuple(p.shape), (dot + own,)) for own, p in parameters.items()}

    def get() -> Values:
        return {names[own]: array_of(parameter) for own, parameter in parameters.items()}

    def put(values: Values) -> None:
        for own, parameter in parameters.items():
            _copy(parameter, values[names[own]].reshape(parameter.shape))

    return Unit(path, scope, kind, (), slots, get, put)


def _has(module: nn.Module, name: str) -> bool:
    owner, _, leaf = name.rpartition(".")
    return getattr(module.get_submodule(owner), leaf, None) is not None


def _linear_unit(module: nn.Linear, scope: str, path: str) -> Unit:
    dot = f"{path}." if path else ""
    slots = {"kernel": Slot("kernel", (module.in_features, module.out_features), (f"{dot}weight",))}
    if module.bias is not None:
        slots["bias"] = Slot("bias", (module.out_features,), (f"{dot}bias",))

    def get() -> Values:
        bias = {} if module.bias is None else {"bias": array_of(module.bias)}
        return {"kernel": array_of(module.weight).T.copy(), **bias}

    def put(values: Values) -> None:
        _copy(module.weight, values["kernel"].T)
        if module.bias is not None:
            _copy(module.bias, values["bias"])

    return Unit(path, scope, "dense", (), slots, get, put)


# -- torch.nn's recurrent modules: one unit for each layer and direction -----------------------------------------------


def _torch_units(module: nn.LSTM | nn.GRU | nn.RNN, scope: str, path: str) -> Iterator[Unit]:
    directions = 2 if module.bidirectional else 1
    kind = next(made for base, made in _TORCH_LAYERS.items() if isinstance(module, base))
    for layer in range(module.num_layers):
        for turn in ("fw", "bw")[:directions]:
            alone = directions == 1
            pieces = [scope, f"multi_rnn_cell/cell_{layer}" if alone else f"cell_{layer}/bidirectional_rnn/{turn}"]
            width = module.input_size if layer == 0 else directions * (module.proj_size or module.hidden_size)
            here = f"{path}.l{layer}".lstrip(".") + ("" if alone else f".{turn}")
            part = kind(module, f"_l{layer}" + "_reverse" * (turn == "bw"), width, here)
            yield part.unit("/".join(p for p in pieces if p), path)


class _TorchLayer:
    """One layer and direction; without biases in the module, the variables' must be zero (with torch's forget bias)."""

    classes: tuple[str, ...]

    def __init__(self, module: Any, suffix: str, width: int, path: str) -> None:
        self.module, self.suffix, self.width, self.path = module, suffix, width, path
        self.units, self.outputs = module.hidden_size, module.proj_size or module.hidden_size

    def unit(self, scope: str, module_path: str) -> Unit:
        dot = f"{module_path}." if module_path else ""
        names = tuple(f"{dot}{kind}{self.suffix}" for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
        slots = {name: Slot(name, shape, names) for name, shape in self.shapes().items()}
        return Unit(
            self.path, f"{scope}/{self.classes[0]}".lstrip("/"), "cell", self.classes, slots, self.get, self.put
        )

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of the variables, by relative name."""
        raise NotImplementedError

    def get(self) -> Values:
        raise NotImplementedError

    def put(self, values: Values) -> None:
        raise NotImplementedError

    def own(self, kind: str) -> np.ndarray:
        """One of the module's own arrays; zeros for a bias that it has not."""
        if kind.startswith("bias") and not self.module.bias:
            weight = self.own("weight_hh")
            return np.zeros(weight.shape[0], weight.dtype)
        return array_of(getattr(self.module, kind + self.suffix))

    def fill(self, *arrays: np.ndarray) -> None:
        """Copy weight_ih, weight_hh, bias_ih and bias_hh."""
        for kind, values in zip(("weight_ih", "weight_hh", "bias_ih", "bias_hh"), arrays, strict=True):
            if self.module.bias or kind.startswith("weight"):
                _copy(getattr(self.module, kind + self.suffix), values)
            elif np.any(values != 0):
                raise ValueError(f"{self.path or 'the module'} has bias=False, but the variables' bias is not zero")


class _TorchLSTM(_TorchLayer):
    classes = ("lstm_cell", "basic_lstm_cell", "lstm_fused_cell", "cudnn_compatible_lstm_cell")
    forget_bias = 1.0

    def unit(self, scope: str, module_path: str) -> Unit:
        unit = super().unit(scope, module_path)
        unit.any_forget_bias = lambda value: setattr(self, "forget_bias", value)
        return unit

    def shapes(self) -> dict[str, tuple[int, ...]]:
        projection = {"projection/kernel": (self.units, self.outputs)} if self.module.proj_size else {}
        return {"kernel": (self.width + self.outputs, 4 * self.units), "bias": (4 * self.units,), **projection}

    def get(self) -> Values:
        bias = self.own("bias_ih") + self.own("bias_hh")
        kernel, bias = lstm_from_torch(self.own("weight_ih"), self.own("weight_hh"), bias, self.forget_bias)
        projection = {"projection/kernel": self.own("weight_hr").T.copy()} if self.module.proj_size else {}
        return {"kernel": kernel, "bias": bias, **projection}

    def put(self, values: Values) -> None:
        self.fill(*lstm_to_torch(values["kernel"], values["bias"], self.width, self.forget_bias))
        if self.module.proj_size:
            _copy(getattr(self.module, f"weight_hr{self.suffix}"), values["projection/kernel"].T)


class _TorchGRU(_TorchLayer):
    classes = ("cudnn_compatible_gru_cell",)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        inner, hidden, H = "candidate/input_projection", "candidate/hidden_projection", self.units
        return {
            "gates/kernel": (self.width + H, 2 * H), "gates/bias": (2 * H,), f"{inner}/kernel": (self.width, H),
            f"{inner}/bias": (H,), f"{hidden}/kernel": (H, H), f"{hidden}/bias": (H,),
        }  # fmt: skip

    def get(self) -> Values:
        return gru_after_from_torch(*map(self.own, ("weight_ih", "weight_hh", "bias_ih", "bias_hh")))

    def put(self, values: Values) -> None:
        self.fill(*gru_after_to_torch(values, self.width))


class _TorchRNN(_TorchLayer):
    classes = ("basic_rnn_cell",)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {"kernel": (self.width + self.units, self.units), "bias": (self.units,)}

    def get(self) -> Values:
        kernel = np.concatenate([self.own("weight_ih").T, self.own("weight_hh").T])
        return {"kernel": kernel, "bias": self.own("bias_ih") + self.own("bias_hh")}

    def put(self, values: Values) -> None:
        kernel, bias = values["kernel"], values["bias"]
        self.fill(kernel[: self.width].T, kernel[self.width :].T, bias, np.zeros_like(bias))


_TORCH_LAYERS: dict[type[nn.Module], type[_TorchLayer]] = {nn.LSTM: _TorchLSTM, nn.GRU: _TorchGRU, nn.RNN: _TorchRNN}
