"""The string hashes of TensorFlow's bucket ops: FarmHash Fingerprint64, its own 64-bit Murmur variant, SipHash-2-4.

Algorithms from their published descriptions (FarmHash's `farmhashna`, Murmur2-64A, Aumasson and Bernstein's SipHash);
values checked against TensorFlow 1.15.
"""

from __future__ import annotations

__all__ = ["farm_fingerprint64", "murmur64", "siphash24"]

_MASK = (1 << 64) - 1
_K0, _K1, _K2 = 0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F
_MURMUR_SEED, _MURMUR_MULTIPLIER = 0xDECAFCAFFE, 0xC6A4A7935BD1E995


def _rotate(value: int, bits: int) -> int:
    value &= _MASK
    return ((value >> bits) | (value << (64 - bits))) & _MASK


def _shift_mix(value: int) -> int:
    value &= _MASK
    return value ^ (value >> 47)


def _word(data: bytes, at: int, size: int = 8) -> int:
    return int.from_bytes(data[at : at + size], "little")


def _mix16(u: int, v: int, multiplier: int) -> int:
    a = _shift_mix((u ^ v) * multiplier)
    return _shift_mix((v ^ a) * multiplier) * multiplier & _MASK


def _weak32(data: bytes, at: int, a: int, b: int) -> tuple[int, int]:
    """Hash 32 bytes with two seeds, quickly and weakly."""
    w, x, y, z = (_word(data, at + 8 * n) for n in range(4))
    a += w
    b = _rotate(b + a + z, 21)
    c = a
    a += x + y
    return (a + z) & _MASK, (b + _rotate(a, 44) + c) & _MASK


def _up_to_16(data: bytes) -> int:
    size = len(data)
    multiplier = _K2 + size * 2
    if size >= 8:
        a, b = _word(data, 0) + _K2, _word(data, size - 8)
        return _mix16(_rotate(b, 37) * multiplier + a & _MASK, (_rotate(a, 25) + b) * multiplier & _MASK, multiplier)
    if size >= 4:
        return _mix16(size + (_word(data, 0, 4) << 3), _word(data, size - 4, 4), multiplier)
    if size:
        low = data[0] + (data[size >> 1] << 8)
        high = size + (data[size - 1] << 2)
        return _shift_mix(low * _K2 ^ high * _K0) * _K2 & _MASK
    return _K2


def _edges(data: bytes, first: int) -> tuple[int, int, int]:
    """The part that lengths 17-32 and 33-64 share: (y, second operand, a)."""
    size = len(data)
    multiplier = _K2 + size * 2
    a, b = _word(data, 0) * first & _MASK, _word(data, 8)
    c, d = _word(data, size - 8) * multiplier & _MASK, _word(data, size - 16) * _K2
    return (_rotate(a + b, 43) + _rotate(c, 30) + d) & _MASK, (a + _rotate(b + _K2, 18) + c) & _MASK, a


def _up_to_64(data: bytes) -> int:
    size = len(data)
    multiplier = _K2 + size * 2
    y, second, a = _edges(data, _K2)
    z = _mix16(y, second, multiplier)
    e, f = _word(data, 16) * multiplier & _MASK, _word(data, 24)
    g = (y + _word(data, size - 32)) * multiplier & _MASK
    h = (z + _word(data, size - 24)) * multiplier
    return _mix16((_rotate(e + f, 43) + _rotate(g, 30) + h) & _MASK, (e + _rotate(f + a, 18) + g) & _MASK, multiplier)


def farm_fingerprint64(data: bytes) -> int:
    """FarmHash's stable 64-bit fingerprint, unsigned (string_to_hash_bucket_fast)."""
    size = len(data)
    if size <= 16:
        return _up_to_16(data)
    if size <= 32:
        y, second, _ = _edges(data, _K1)
        return _mix16(y, second, _K2 + size * 2)
    return _up_to_64(data) if size <= 64 else _long(data)


def _long(data: bytes) -> int:
    size, seed = len(data), 81
    y = (seed * _K1 + 113) & _MASK
    z = _shift_mix(y * _K2 + 113) * _K2 & _MASK
    x = (seed * _K2 + _word(data, 0)) & _MASK
    v = w = (0, 0)
    for at in range(0, (size - 1) // 64 * 64, 64):
        x, y, z, v, w = _round64(data, at, (x, y, z, v, w), _K1, 1)
    multiplier = (_K1 + ((z & 0xFF) << 1)) & _MASK
    w = (w[0] + ((size - 1) & 63), w[1])
    v = (v[0] + w[0], v[1])
    w = (w[0] + v[0], w[1])
    x, y, z, v, w = _round64(data, size - 64, (x, y, z, v, w), multiplier, 9)
    first = _mix16(v[0], w[0], multiplier) + _shift_mix(y) * _K0 + z
    return _mix16(first & _MASK, (_mix16(v[1], w[1], multiplier) + x) & _MASK, multiplier)


_Lanes = tuple[int, int, int, tuple[int, int], tuple[int, int]]


def _round64(data: bytes, at: int, lanes: _Lanes, multiplier: int, weight: int) -> _Lanes:
    """One 64-byte round; `weight` is 9 in the last one, which also uses its own multiplier."""
    x, y, z, v, w = lanes
    x = _rotate(x + y + v[0] + _word(data, at + 8), 37) * multiplier & _MASK
    y = _rotate(y + v[1] + _word(data, at + 48), 42) * multiplier & _MASK
    x ^= w[1] * weight & _MASK
    y = (y + v[0] * weight + _word(data, at + 40)) & _MASK
    z = _rotate(z + w[0], 33) * multiplier & _MASK
    v = _weak32(data, at, v[1] * multiplier & _MASK, x + w[0])
    w = _weak32(data, at + 32, z + w[1], y + _word(data, at + 16))
    return z, y, x, v, w


def murmur64(data: bytes) -> int:
    """TensorFlow's `Hash64` with its fixed seed, unsigned (string_to_hash_bucket)."""
    multiplier = _MURMUR_MULTIPLIER
    value = _MURMUR_SEED ^ (len(data) * multiplier & _MASK)
    whole = len(data) // 8 * 8
    for at in range(0, whole, 8):
        word = _shift_mix(_word(data, at) * multiplier) * multiplier & _MASK
        value = (value ^ word) * multiplier & _MASK
    if whole < len(data):
        value = (value ^ _word(data, whole)) * multiplier & _MASK
    return _shift_mix(_shift_mix(value) * multiplier)


def siphash24(data: bytes, key: tuple[int, int]) -> int:
    """SipHash-2-4 with a 128-bit key given as two words (string_to_hash_bucket_strong)."""
    k0, k1 = (k & _MASK for k in key)
    state = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]
    whole = len(data) // 8 * 8
    words = [_word(data, at) for at in range(0, whole, 8)]
    words.append(_word(data, whole) | (len(data) & 0xFF) << 56)
    for word in words:
        state[3] ^= word
        _sip_rounds(state, 2)
        state[0] ^= word
    state[2] ^= 0xFF
    _sip_rounds(state, 4)
    return state[0] ^ state[1] ^ state[2] ^ state[3]


def _sip_rounds(state: list[int], count: int) -> None:
    a, b, c, d = state
    for _ in range(count):
        a, c = (a + b) & _MASK, (c + d) & _MASK
        b, d = _rotate(b, 51) ^ a, _rotate(d, 48) ^ c
        a = _rotate(a, 32)
        c, a = (c + b) & _MASK, (a + d) & _MASK
        b, d = _rotate(b, 47) ^ c, _rotate(d, 43) ^ a
        c = _rotate(c, 32)
    state[:] = [a, b, c, d]
