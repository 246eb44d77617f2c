"""Where the members of a stack stand in its arrays, and which of them share their samples.

Members of one replicate train on the same samples. So they stand together, and the stack is laid out as *sets* of
members that share them, (sets, each): a layer that multiplies shared samples is then one tall product for all members
of a set. Where replicates have unequal numbers of members, every member is a set of its own.

    4 learning rates × 3 replicates                  3 sets of 4
    12 learning rates, one replicate                 1 set of 12
"""

from __future__ import annotations

from typing import Any

import numpy as np

Host = np.ndarray[Any, np.dtype[Any]]


class Layout:
    """`order[i]` is the member at place i, `back[n]` the place of member n; arrays on the device are in places."""

    def __init__(self, replicates: Any) -> None:
        given = np.asarray(replicates)
        self.size = len(given)
        self.present, counts = np.unique(given, return_counts=True)
        self.even = bool((counts == counts[0]).all())
        self.order = np.argsort(given, kind="stable") if self.even else np.arange(self.size)
        self.back = np.argsort(self.order)
        self._moved = bool((self.order != np.arange(self.size)).any())
        self._replicates = given[self.order]

    def sets(self, shared: bool) -> Host:
        """The replicate of each set, (sets,). shared: all members see the same samples, those of the first."""
        if shared or len(self.present) == 1:
            return self.present[:1]
        return self.present if self.even else self._replicates

    def placed(self, array: Host) -> Host:
        """An array of the members, (N, …), in places."""
        return array[self.order] if self._moved else array

    def of_members(self, array: Host, axis: int = 0) -> Host:
        """An array in places as one of the members."""
        return np.take(array, self.back, axis) if self._moved else array
