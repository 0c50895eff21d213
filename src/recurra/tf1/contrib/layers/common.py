"""How contrib.layers names and collects: kernel -> weights, bias -> biases, outputs in collections."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from recurra.tf1.graph import get_default_graph
from recurra.tf1.graph_keys import GraphKeys
from recurra.tf1.scopes import variable_scope

__all__ = ["activate", "collect", "collect_variable", "renaming_scope"]


def renaming_getter(rename: dict[str, str]) -> Callable[..., Any]:
    """A custom getter that makes model variables under contrib's own names."""

    def getter(getter: Callable[..., Any], name: str, *args: Any, **kwargs: Any) -> Any:
        head, _, last = name.rpartition("/")
        renamed = rename.get(last, last)
        name = f"{head}/{renamed}" if head else renamed
        kept = kwargs.pop("collections", None) or [GraphKeys.GLOBAL_VARIABLES]
        kept = list(kept) + ([GraphKeys.MODEL_VARIABLES] if GraphKeys.MODEL_VARIABLES not in kept else [])
        return getter(name, *args, collections=kept, **kwargs)

    return getter


def renaming_scope(scope: Any, default: str, inputs: Any, reuse: Any, rename: dict[str, str] | None = None) -> Any:
    table = {"kernel": "weights", "bias": "biases"} if rename is None else rename
    return variable_scope(scope, default, [inputs], reuse=reuse, custom_getter=renaming_getter(table))


def collect_variable(variable: Any, collections: Any, name: str) -> None:
    """Put a layer's variable into the collections given as a list, or per name as a dict."""
    wanted = collections.get(name, None) if isinstance(collections, dict) else collections
    if not wanted or variable is None:
        return
    for key in wanted if isinstance(wanted, (list, tuple)) else [wanted]:
        get_default_graph().add_to_collection(key, variable)


def collect(outputs_collections: Any, alias: str, outputs: Any) -> Any:
    if outputs_collections:
        outputs.aliases = [*getattr(outputs, "aliases", []), alias]
        for key in outputs_collections if isinstance(outputs_collections, (list, tuple)) else [outputs_collections]:
            get_default_graph().add_to_collection(key, outputs)
    return outputs


def activate(outputs: Any, normalizer_fn: Any, normalizer_params: Any, activation_fn: Any) -> Any:
    if normalizer_fn is not None:
        outputs = normalizer_fn(outputs, **(normalizer_params or {}))
    return activation_fn(outputs) if activation_fn is not None else outputs
