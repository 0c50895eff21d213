"""Tensors that stay in a session between runs: tf.get_session_handle, get_session_tensor, delete_session_tensor."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from recurra.tf1 import errors
from recurra.tf1.build import apply_op
from recurra.tf1.core_ops import placeholder
from recurra.tf1.dtypes import DType, as_dtype
from recurra.tf1.names import tf_export
from recurra.tf1.registry import op
from recurra.tf1.shape_rules import scalar
from recurra.tf1.tensor import Operation, Tensor
from recurra.tf1.values import to_numpy

_DEVICE = "/job:localhost/replica:0/task:0/device:CPU:0"
_serial = itertools.count()


@tf_export("python.ops.session_ops.TensorHandle")
class TensorHandle:
    """A tensor that a session holds; its memory is freed with the last reference to this object."""

    def __init__(self, handle: str, dtype: DType, session: Any):
        self._handle, self._dtype, self._session, self._owned = handle, dtype, session, True

    def __str__(self) -> str:
        return self._handle

    def __del__(self) -> None:
        if self._owned:
            _stored(self._session).pop(self._handle, None)

    def fetch_value(self) -> TensorHandle:
        """What Session.run returns for it: the handle itself, as the value stays in the session."""
        return self

    @property
    def handle(self) -> str:
        """The name under which the session holds the tensor."""
        return self._handle

    def fed_value(self, tensor: Tensor) -> Any:
        """What a feed of this handle gives to a tensor: the value."""
        return _value(self._session, self._handle)

    def eval(self) -> Any:
        """The tensor as an array."""
        self._check()
        return to_numpy(_value(self._session, self._handle))

    def delete(self) -> None:
        """Free the tensor now."""
        self._check()
        self._owned = False
        _stored(self._session).pop(self._handle, None)

    def get_raw_handle(self) -> str:
        """The handle's text; from now on the caller deletes the tensor (tf.delete_session_tensor)."""
        self._owned = False
        return self._handle

    def _check(self) -> None:
        if not self._owned:
            raise TypeError(f"Persistent tensor {self._handle} may have already been deleted.")


def _stored(session: Any) -> dict[str, Any]:
    return session.resource("session tensors", dict)


def _value(session: Any, handle: str) -> Any:
    try:
        return _stored(session)[handle]
    except KeyError:
        raise errors.invalid_argument(f"The tensor with handle '{handle}' is not in the session store.") from None


def _text(handle: Any) -> str:
    item = handle.handle if isinstance(handle, TensorHandle) else np.asarray(handle).reshape(-1)[0]
    return item.decode() if isinstance(item, bytes) else str(item)


def _bind_get(operation: Operation, session: Any) -> Callable[[Any], TensorHandle]:
    dtype = operation.inputs[0].dtype.base_dtype

    def get(value: Any) -> TensorHandle:
        handle = f"GetSessionHandle;{next(_serial)};{_DEVICE}"
        _stored(session)[handle] = value.clone() if hasattr(value, "clone") else value
        return TensorHandle(handle, dtype, session)

    return get


def _bind_read(operation: Operation, session: Any) -> Callable[[Any], Any]:
    return lambda handle: _value(session, _text(handle))


def _bind_delete(operation: Operation, session: Any) -> Callable[[Any], None]:
    return lambda handle: _stored(session).pop(_text(handle), None)


op("GetSessionHandle", "value:T -> string", bind=_bind_get, shape=scalar, diff=False)
op("GetSessionTensor", "handle:string -> dtype", bind=_bind_read, diff=False)
op("DeleteSessionTensor", "handle:string ->", bind=_bind_delete)


@tf_export("get_session_handle", "python.ops.session_ops.get_session_handle")
def get_session_handle(data: Any, name: str | None = None) -> Tensor:
    """A tensor whose value, when run, is a TensorHandle: `data` stays in the session under it."""
    if not isinstance(data, Tensor):
        raise TypeError("`data` must be of type Tensor.")
    return apply_op("GetSessionHandle", data, name=name)


@tf_export("get_session_tensor", "python.ops.session_ops.get_session_tensor")
def get_session_tensor(handle: Any, dtype: Any, name: str | None = None) -> tuple[Tensor, Tensor]:
    """(placeholder for a handle, the tensor of that dtype that the session holds under what is fed)."""
    holder = _holder()
    return holder, apply_op("GetSessionTensor", holder, dtype=as_dtype(dtype), name=name)


@tf_export("delete_session_tensor", "python.ops.session_ops.delete_session_tensor")
def delete_session_tensor(handle: Any, name: str | None = None) -> tuple[Tensor, Operation]:
    """(placeholder for a handle, the operation that frees what the session holds under what is fed)."""
    holder = _holder()
    return holder, apply_op("DeleteSessionTensor", holder, name=name)


def _holder() -> Tensor:
    return placeholder("string")
