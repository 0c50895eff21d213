"""Attention: scores and probabilities as pure functions (`functional.py`), mechanisms with parameters, the wrapper.

May import cells and below. Read `functional.py` first.
"""

from recurra.attention.functional import (
    bahdanau_score,
    hardmax,
    luong_score,
    monotonic_attention,
    monotonic_probability,
    safe_cumprod,
    softmax,
)
from recurra.attention.mechanisms import (
    AttentionMechanism,
    BahdanauAttention,
    BahdanauMonotonicAttention,
    LuongAttention,
    LuongMonotonicAttention,
    Memory,
)
from recurra.attention.wrapper import AttentionWrapper, AttentionWrapperState, read_memory

__all__ = [
    "AttentionMechanism",
    "AttentionWrapper",
    "AttentionWrapperState",
    "BahdanauAttention",
    "BahdanauMonotonicAttention",
    "LuongAttention",
    "LuongMonotonicAttention",
    "Memory",
    "bahdanau_score",
    "hardmax",
    "luong_score",
    "monotonic_attention",
    "monotonic_probability",
    "read_memory",
    "safe_cumprod",
    "softmax",
]
