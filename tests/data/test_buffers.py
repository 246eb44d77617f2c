"""Memory that is recycled: on its boundary, and never while someone still looks at it."""

from __future__ import annotations

import numpy as np

from kit.data.buffers import ALIGNMENT, KEPT, Buffers


def address(array):
    return array.__array_interface__["data"][0]


def test_shape_type_and_boundary():
    buffers = Buffers()
    for shape, dtype in (((3, 5), np.float32), ((7,), np.float64), ((2, 3, 4), np.int64), ((), np.float32)):
        array = buffers.take(shape, dtype)
        assert (array.shape, array.dtype) == (shape, dtype)
        assert array.flags.c_contiguous
        assert array.flags.writeable
        assert address(array) % ALIGNMENT == 0


def test_an_array_without_elements():
    assert Buffers().take((2, 0, 4), np.int64).shape == (2, 0, 4)


def test_what_nobody_refers_to_is_handed_out_again():
    buffers = Buffers()
    array = buffers.take((100, 10), np.float32)
    first = address(array)
    del array
    smaller = buffers.take((5, 10), np.float64)
    assert address(smaller) == first


def test_what_is_still_in_use_keeps_its_values():
    buffers = Buffers()
    array = buffers.take((4, 4), np.float32)
    array[...] = 7
    view = array[1:3, 2]  # a reader may keep a part of it only
    del array
    others = [buffers.take((4, 4), np.float32) for _ in range(2 * KEPT)]
    for other in others:
        other[...] = 0
    assert (view == 7).all()
    assert len({address(other) for other in others}) == len(others)


def test_one_that_is_too_small_is_left():
    buffers = Buffers()
    first = address(buffers.take((10,), np.float32))
    held = buffers.take((10_000,), np.float32)
    assert address(held) != first
