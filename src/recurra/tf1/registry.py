"""The registry of primitive operations: TensorFlow's op type -> signature, torch lowering, shape rule.

    op("MatMul", "a:T, b:T -> T", matmul, shape=shape_rules.matmul)

The signature's types are attributes bound by the arguments ("T"), or fixed ("int32"); `N*T` is a list, `*` a list of anything, `&T` a
variable (the lowering gets its Cell). `list_of` outputs: `num*T` (attribute `num` of them) or `*Tout` (attribute Tout lists dtypes).
"""  # noqa: E501

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

from recurra.tf1 import dtypes
from recurra.tf1.dtypes import DType


class Arg(NamedTuple):
    """One argument or result of a signature."""

    name: str
    type: str
    kind: str  # "one", "list" (count attr * one type), "any" (list of any types)
    count: str
    ref: bool

    @property
    def fixed(self) -> DType | None:
        """The literal dtype, or None when the type is an attribute."""
        return _FIXED.get(self.type)


_FIXED: dict[str, DType] = {name: kind for name, kind in dtypes._BY_NAME.items() if not name.endswith("_ref")}


class OpDef:
    """What the wing knows about one op type."""

    def __init__(
        self,
        type_: str,
        signature: str,
        fn: Callable[..., Any] | None,
        *,
        shape: Callable[..., Any] | None,
        bind: Callable[..., Any] | None,
        diff: bool | Callable[..., bool],
        writes: bool,
        stateful: bool,
        defaults: dict[str, Any],
        allow: dict[str, tuple[DType, ...]] | None = None,
        many: Callable[..., None] | None = None,
    ):
        self.type, self.fn, self.shape, self.bind, self.many = type_, fn, shape, bind, many
        self.name = type_
        self.diff, self.writes, self.stateful = diff, writes, stateful or writes or bind is not None
        head, _, tail = signature.partition("->")
        self.inputs = [_parse(part) for part in _split(head)]
        self.outputs = [_parse(part) for part in _split(tail)]
        self.defaults = defaults
        self.allow = allow or {}
        self.keywords: frozenset[str] = frozenset()
        if fn is not None:
            try:
                parameters = inspect.signature(fn).parameters.values()
            except (TypeError, ValueError):
                parameters = ()  # type: ignore[assignment]
            positional = {a.name for a in self.inputs}
            self.keywords = frozenset(
                p.name for p in parameters if p.kind == p.KEYWORD_ONLY or p.name not in positional
            )

    def type_attr(self, op: Any, name: str) -> Any:
        """A type attribute that was bound by the inputs (`T`), or a list length (`N`); None when unknown."""
        index = 0
        for arg in self.inputs:
            size = arg_size(op, arg) if arg.kind != "one" else 1
            if arg.type == name and size:
                return op.inputs[index].dtype.base_dtype
            if arg.count == name:
                return size
            index += size
        return self.defaults.get(name)

    def kwargs(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """The attributes that the lowering wants."""
        return {k: v for k, v in attrs.items() if k in self.keywords}


def arg_size(op: Any, arg: Arg) -> int:
    """How many inputs of `op` belong to the list argument `arg`."""
    return op.attrs.get("_lengths", {}).get(arg.name, 0)


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _parse(text: str) -> Arg:
    name, _, kind = text.rpartition(":")
    ref = kind.strip().startswith("&")
    kind = kind.strip().lstrip("&")
    if kind.startswith("*"):
        return Arg(name.strip(), kind[1:], "any", "", ref)
    if "*" in kind:
        count, _, type_ = kind.partition("*")
        return Arg(name.strip(), type_, "list", count, ref)
    return Arg(name.strip(), kind, "one", "", ref)


OPS: dict[str, OpDef] = {}


def op(
    type_: str,
    signature: str,
    fn: Callable[..., Any] | None = None,
    *,
    shape: Callable[..., Any] | None = None,
    bind: Callable[..., Any] | None = None,
    diff: bool = True,
    writes: bool = False,
    stateful: bool = False,
    allow: dict[str, tuple[DType, ...]] | None = None,
    many: Callable[..., None] | None = None,
    **defaults: Any,
) -> OpDef:
    """Declare a primitive. `defaults` are attribute values used when the caller gives none (and dtypes for unbound type attributes);
    `allow` lists the dtypes that a type attribute may take. `many` runs neighbouring operations of the type at once: it gets a list of
    their arguments. A lowering with a keyword `wanted` is told which of its outputs something uses."""  # noqa: E501
    definition = OpDef(
        type_,
        signature,
        fn,
        shape=shape,
        bind=bind,
        diff=diff,
        writes=writes,
        stateful=stateful,
        defaults=defaults,
        allow=allow,
        many=many,
    )
    OPS[type_] = definition
    return definition


def get(type_: str) -> OpDef:
    """The declaration of an op type; NotImplementedError when the wing has none."""
    try:
        return OPS[type_]
    except KeyError:
        raise NotImplementedError(f"Op type {type_!r} is not implemented in recurra") from None
