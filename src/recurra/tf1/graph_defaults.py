"""Attributes that TensorFlow leaves out of a stripped graph, with the defaults that they then have."""

from __future__ import annotations

from typing import Any

from recurra.tf1 import dtypes
from recurra.tf1.shapes import unknown_shape

_SEEDS = {"seed": 0, "seed2": 0}
_PLANE, _VOLUME = {"data_format": "NHWC"}, {"data_format": "NDHWC"}
_QUEUE = {"capacity": -1, "shapes": [], "container": "", "shared_name": ""}
_INDEX = {"out_idx": dtypes.int32}
_FOUND = {"out_type": dtypes.int32}
_GROUPS: list[tuple[str, dict[str, Any]]] = [
    ("AvgPool AvgPoolGrad MaxPool MaxPoolGrad", _PLANE),
    ("AvgPool3D MaxPool3D", _VOLUME),
    ("Conv2D Conv2DBackpropFilter Conv2DBackpropInput DepthwiseConv2dNative DepthwiseConv2dNativeBackpropFilter "
     "DepthwiseConv2dNativeBackpropInput", {**_PLANE, "dilations": [1] * 4}),
    ("Conv3D Conv3DBackpropFilterV2 Conv3DBackpropInputV2", {**_VOLUME, "dilations": [1] * 5}),
    ("MaxPoolWithArgmax", {"Targmax": dtypes.int64}),
    ("RandomUniform RandomStandardNormal TruncatedNormal RandomUniformInt RandomShuffle RandomGamma RandomPoissonV2 "
     "Multinomial LogUniformCandidateSampler UniformCandidateSampler LearnedUnigramCandidateSampler", _SEEDS),
    ("Multinomial StatelessMultinomial", {"output_dtype": dtypes.int64}),
    ("StatelessRandomNormal StatelessRandomUniform StatelessTruncatedNormal", {"dtype": dtypes.float32}),
    ("FIFOQueueV2 PaddingFIFOQueueV2 RandomShuffleQueueV2 PriorityQueueV2", _QUEUE),
    ("RandomShuffleQueueV2", {**_SEEDS, "min_after_dequeue": 0}),
    ("TensorArrayV3", {"element_shape": unknown_shape(), "dynamic_size": False, "clear_after_read": True,
                       "array_name": ""}),
    ("ListDiff Unique UniqueWithCounts", _INDEX),
    ("LowerBound UpperBound", _FOUND),
    ("StringToNumber", {"out_type": dtypes.float32}),
    ("StringFormat", {"template": "%s", "placeholder": "%s", "summarize": 3}),
    ("HistogramFixedWidth", {"dtype": dtypes.int32}),
    ("DecodePng", {"dtype": dtypes.uint8}),
    ("InitializeTableFromTextFileV2", {"vocab_size": -1, "delimiter": "\t"}),
    ("Pack Unpack", {"axis": 0}),
    ("Print", {"message": "", "first_n": -1, "summarize": 3}),
    ("ReverseSequence", {"batch_dim": 0}),
    ("HashTableV2", {"mutable": False}),
    ("MutableHashTableV2", {"mutable": True}),
]  # fmt: skip

LEFT_OUT: dict[str, dict[str, Any]] = {}
for _types, _values in _GROUPS:
    for _type in _types.split():
        LEFT_OUT.setdefault(_type, {}).update(_values)
