"""How a stack's parameters lie on the device, and the way there from canonical NumPy arrays and back.

canonical   one tensor per parameter, (members, *canonical shape): what matrix rules and batched products take
native      one tensor per parameter, (members, *Keras shape): what Keras models take
flat        one tensor for all, (members, numbers), each parameter in its Keras order: fewest operations per step
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from kit_tensorflow.environment import tf
from kit_tensorflow.layout import Layout

Tensor = Any
Array = np.ndarray[Any, np.dtype[Any]]
Form = Literal["canonical", "native", "flat"]


class Storage:
    """One form of the parameters of a model, in one precision."""

    def __init__(self, layouts: Sequence[Layout], form: Form, dtype: np.dtype[Any]) -> None:
        self.layouts, self.form, self.dtype = list(layouts), form, dtype
        self.sizes = [math.prod(layout.native_shape) for layout in layouts]

    def pack(self, named: Mapping[str, Array]) -> list[Array]:
        """name -> (members, *canonical shape), as arrays in this form."""
        arrays = [np.asarray(named[layout.name], dtype=self.dtype) for layout in self.layouts]
        if self.form == "canonical":
            return arrays
        native = [a.transpose(layout.to_native) for a, layout in zip(arrays, self.layouts, strict=True)]
        if self.form == "native":
            return native
        return [np.concatenate([a.reshape(len(a), -1) for a in native], axis=1)]

    def unpack(self, arrays: Sequence[Array]) -> dict[str, Array]:
        """The inverse of `pack`; the arrays are copies."""
        if self.form == "flat":
            parts = np.split(arrays[0], np.cumsum(self.sizes)[:-1], axis=1)
            arrays = [
                part.reshape(len(part), *layout.native_shape) for part, layout in zip(parts, self.layouts, strict=True)
            ]
        if self.form != "canonical":
            arrays = [a.transpose(layout.to_canonical) for a, layout in zip(arrays, self.layouts, strict=True)]
        return {layout.name: np.array(a, order="C", copy=True) for layout, a in zip(self.layouts, arrays, strict=True)}

    def shapes(self, members: int) -> list[tuple[int, ...]]:
        """Of the tensors."""
        if self.form == "flat":
            return [(members, sum(self.sizes))]
        canonical = self.form == "canonical"
        return [(members, *(layout.shape if canonical else layout.native_shape)) for layout in self.layouts]

    def member(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """In a graph: the parameters of a stack of one, in Keras's shapes."""
        parts = tf.split(tensors[0], self.sizes, axis=1) if self.form == "flat" else tensors
        return [tf.reshape(p, layout.native_shape) for p, layout in zip(parts, self.layouts, strict=True)]

    def stack_of_one(self, natives: Sequence[Tensor]) -> list[Tensor]:
        """In a graph: the inverse of `member`."""
        if self.form == "flat":
            return [tf.concat([tf.reshape(p, (1, -1)) for p in natives], axis=1)]
        return [p[None] for p in natives]

    def canonical(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """In a graph: from this form, canonical or native, to canonical."""
        if self.form == "canonical":
            return list(tensors)
        pairs = zip(tensors, self.layouts, strict=True)
        return [t if layout.same else tf.transpose(t, layout.to_canonical) for t, layout in pairs]

    def from_canonical(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """In a graph: the inverse of `canonical`."""
        if self.form == "canonical":
            return list(tensors)
        pairs = zip(tensors, self.layouts, strict=True)
        return [t if layout.same else tf.transpose(t, layout.to_native) for t, layout in pairs]
