"""tf.Variable.SaveSliceInfo: which part of a partitioned variable a variable is."""

from __future__ import annotations

from typing import Any


class SaveSliceInfo:
    """Which part of a partitioned variable this one is."""

    def __init__(
        self,
        full_name: Any = None,
        full_shape: Any = None,
        var_offset: Any = None,
        var_shape: Any = None,
        save_slice_info_def: Any = None,
        import_scope: Any = None,
    ):
        if save_slice_info_def is not None:
            proto = save_slice_info_def
            full_name = f"{import_scope}/{proto.full_name}" if import_scope else proto.full_name
            full_shape, var_offset, var_shape = (list(p) for p in (proto.full_shape, proto.var_offset, proto.var_shape))
        self.full_name, self.full_shape, self.var_offset, self.var_shape = (
            full_name,
            full_shape,
            var_offset,
            var_shape,
        )

    @property
    def spec(self) -> str:
        """`full shape` and `offset,size` per dimension, as checkpoints of version 1 write it."""
        extents = ":".join(f"{o},{s}" for o, s in zip(self.var_offset, self.var_shape, strict=True))
        return " ".join(str(d) for d in self.full_shape) + " " + extents

    def to_proto(self, export_scope: str | None = None) -> Any:
        from recurra.tf1.protos import message

        return message("variable_pb2", "SaveSliceInfoDef")(
            full_name=self.full_name,
            full_shape=list(self.full_shape),
            var_offset=list(self.var_offset),
            var_shape=list(self.var_shape),
        )
