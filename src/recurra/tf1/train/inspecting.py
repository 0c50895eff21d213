"""tensorflow.python.tools.inspect_checkpoint: a checkpoint's tensors on the screen."""

from __future__ import annotations

import math
import re
from typing import Any

from recurra.tf1 import errors
from recurra.tf1.names import tf_export
from recurra.tf1.train.saver import CheckpointReader


@tf_export("python.tools.inspect_checkpoint.print_tensors_in_checkpoint_file")
def print_tensors_in_checkpoint_file(
    file_name: str,
    tensor_name: str | None,
    all_tensors: bool,
    all_tensor_names: bool = False,
    count_exclude_pattern: str = "",
) -> None:
    """Print the names and values of a checkpoint's tensors, of one, or the list of all, and the number of parameters.

    What goes wrong is printed, too.
    """
    try:
        reader = CheckpointReader(file_name)
        shapes = reader.get_variable_to_shape_map()
        if all_tensors or all_tensor_names:
            for name in sorted(shapes):
                print("tensor_name: ", name)
                if all_tensors:
                    print(reader.get_tensor(name))
        elif not tensor_name:
            print(reader.debug_string().decode())
        else:
            print("tensor_name: ", tensor_name)
            print(reader.get_tensor(tensor_name))
        print(f"# Total number of params: {_parameters(shapes, count_exclude_pattern)}")
    except (errors.OpError, ValueError, OSError) as error:
        print(str(error))


def _parameters(shapes: dict[str, Any], exclude: str) -> int:
    left_out = {name for name in shapes if exclude and re.search(exclude, name)}
    if exclude:
        count = sum(math.prod(shapes[name]) for name in left_out)
        print(f"# Excluding {len(left_out)} tensors ({count} params) that match {exclude} when counting.")
    return sum(math.prod(shape) for name, shape in shapes.items() if name not in left_out)
