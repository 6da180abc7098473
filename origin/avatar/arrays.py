"""Numpy arrays and tuples as the kernels want them."""

# mypy: disable-error-code="no-untyped-call,no-any-return,type-arg,var-annotated"

from __future__ import annotations

from typing import Any

import numpy as np
import warp as wp


def vec(v: Any) -> wp.vec3:
    """Three numbers as a kernel argument."""
    return wp.vec3(*(float(x) for x in v))


def vectors(a: Any, dtype: Any = wp.vec3) -> wp.array:
    """(n, k) numbers as an array of vectors on the current device."""
    return wp.array(np.ascontiguousarray(a, np.float32), dtype=dtype)


def triples(a: Any) -> wp.array:
    """Triangles (t, 3) as an array of integer vectors."""
    return wp.array(np.ascontiguousarray(a, np.int32), dtype=wp.vec3i)


def ints(a: Any) -> wp.array:
    return wp.array(np.ascontiguousarray(a, np.int32), dtype=int)


def floats(a: Any) -> wp.array:
    return wp.array(np.ascontiguousarray(a, np.float32), dtype=float)


def octets(a: Any, dtype: Any = wp.uint8) -> wp.array:
    """Bytes, or with wp.vec4ub pixels of four bytes."""
    return wp.array(np.ascontiguousarray(a, np.uint8), dtype=dtype)
