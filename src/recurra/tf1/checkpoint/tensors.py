"""Arrays as torch's tensors and back; bfloat16, which NumPy lacks, is ml_dtypes' there."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import torch
from torch import Tensor


def tensor_of(values: np.ndarray) -> Tensor:
    """A copy of an array of numbers."""
    if values.dtype == ml_dtypes.bfloat16:
        return torch.from_numpy(np.array(values, order="C").view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(np.array(values, order="C"))


def array_of(tensor: Tensor) -> np.ndarray:
    """A copy of a tensor."""
    tensor = tensor.detach().cpu()
    if tensor.dtype is torch.bfloat16:
        return tensor.contiguous().view(torch.int16).numpy().view(ml_dtypes.bfloat16).copy()
    return tensor.numpy().copy()
