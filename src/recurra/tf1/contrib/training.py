"""tf.contrib.training's hyper-parameters and batching helpers."""

from __future__ import annotations

import json
import re
from typing import Any

from recurra.tf1.names import export, tf_export

__all__ = ["HParams"]

_ASSIGNMENT = re.compile(
    r"(?P<name>[a-zA-Z][\w.]*)(\[(?P<index>\d+)\])?\s*=\s*((?P<scalar>[^,\[]*)|\[(?P<values>[^\]]*)\])(,\s*|$)"
)


def _cast(kind: type, value: Any, name: str) -> Any:
    if kind is bool:
        if isinstance(value, bool):
            return value
        text = str(value).strip()
        if text in ("true", "True", "1"):
            return True
        if text in ("false", "False", "0"):
            return False
        raise ValueError(f"Could not parse {name}={value} as a bool")
    try:
        return kind(value.strip() if isinstance(value, str) and kind is not str else value)
    except (TypeError, ValueError):
        raise ValueError(f"Could not parse hparam '{name}' of type '{kind.__name__}' with value '{value}'") from None


@tf_export("contrib.training.parse_values")
def parse_values(values: str, type_map: dict[str, type], ignore_unknown: bool = False) -> dict[str, Any]:
    """`a=1,b=[2,3]` as a dict, cast to the types given."""
    result: dict[str, Any] = {}
    at = 0
    while at < len(values):
        match = _ASSIGNMENT.match(values, at)
        if not match:
            raise ValueError(f"Malformed hyperparameter value: {values[at:]}")
        at = match.end()
        name, index = match["name"], match["index"]
        if name not in type_map:
            if ignore_unknown:
                continue
            raise ValueError(f"Unknown hyperparameter type for {name}")
        kind = type_map[name]
        if match["values"] is not None:
            result[name] = [_cast(kind, v, name) for v in match["values"].split(",") if v.strip()]
        elif index is not None:
            result.setdefault(name, {})[int(index)] = _cast(kind, match["scalar"], name)
        else:
            result[name] = _cast(kind, match["scalar"], name)
    return result


@tf_export("contrib.training.HParams")
class HParams:
    """A bag of named, typed hyper-parameters that can be set from text and from JSON."""

    def __init__(self, hparam_def: Any = None, model_structure: Any = None, **kwargs: Any) -> None:
        self._hparam_types: dict[str, tuple[type, bool]] = {}
        self._model_structure = model_structure
        for name, value in kwargs.items():
            self.add_hparam(name, value)

    def add_hparam(self, name: str, value: Any) -> None:
        if getattr(self, name, None) is not None:
            raise ValueError(f"Hyperparameter name is reserved: {name}")
        if isinstance(value, (list, tuple)):
            if not value:
                raise ValueError(f"Multi-valued hyperparameters cannot be empty: {name}")
            self._hparam_types[name] = (type(value[0]), True)
        else:
            self._hparam_types[name] = (type(value), False)
        setattr(self, name, value)

    def set_hparam(self, name: str, value: Any) -> None:
        kind, is_list = self._hparam_types[name]
        if isinstance(value, list) != is_list:
            raise ValueError(
                (
                    "Must pass a list for multi-valued parameter: %s."
                    if is_list
                    else "Must not pass a list for single-valued parameter: %s"
                )
                % name
            )
        convert = (lambda v: v) if kind is type(None) else lambda v: _cast(kind, v, name)
        setattr(self, name, [convert(v) for v in value] if is_list else convert(value))

    def del_hparam(self, name: str) -> None:
        if hasattr(self, name):
            delattr(self, name)
            del self._hparam_types[name]

    def parse(self, values: str) -> HParams:
        return self.override_from_dict(parse_values(values, {n: kind for n, (kind, _) in self._hparam_types.items()}))

    def override_from_dict(self, values_dict: dict[str, Any]) -> HParams:
        for name, value in values_dict.items():
            if isinstance(value, dict):
                current = list(getattr(self, name))
                for index, item in value.items():
                    current[index] = item
                value = current
            self.set_hparam(name, value)
        return self

    def set_model_structure(self, model_structure: Any) -> None:
        self._model_structure = model_structure

    def get_model_structure(self) -> Any:
        return self._model_structure

    def to_json(self, indent: Any = None, separators: Any = None, sort_keys: bool = False) -> str:
        values = {k: v for k, v in self.values().items() if not callable(v)}
        return json.dumps(values, indent=indent, separators=separators, sort_keys=sort_keys)

    def parse_json(self, values_json: str) -> HParams:
        return self.override_from_dict(json.loads(values_json))

    def values(self) -> dict[str, Any]:
        return {n: getattr(self, n) for n in self._hparam_types}

    def get(self, key: str, default: Any = None) -> Any:
        return getattr(self, key) if key in self._hparam_types else default

    def __contains__(self, key: str) -> bool:
        return key in self._hparam_types

    def __str__(self) -> str:
        return str(sorted(self.values().items()))

    def __repr__(self) -> str:
        return f"HParams({self})"


export(HParams, "contrib.training.python.training.hparam.HParams")
