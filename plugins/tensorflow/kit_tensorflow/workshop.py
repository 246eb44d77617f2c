"""What programs of one kind share, so that the next one finds it made: the model, its updates, everything compiled.

A worker trains stack after stack of the same problem: other seeds, other learning rates, the rest of a large study. The
data and the state are each program's own; everything here is independent of them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import fields, replace
from functools import cached_property
from typing import Any

from kit.engine import Dtype, Native, Problem, Stack
from kit.rules.rule import Rule
from kit_tensorflow.criterion import Criterion
from kit_tensorflow.environment import tf
from kit_tensorflow.keras_update import KerasUpdate
from kit_tensorflow.loop import Loop
from kit_tensorflow.readings import Readings
from kit_tensorflow.update import RuleUpdate, Update

KEPT = 8  # workshops per engine; a graph takes some megabytes


class Workshop:
    """The model, the updates and the compiled functions for a problem and an optimizer, without any data."""

    def __init__(self, problem: Problem, optimizer: Rule | Native, stack: Stack, device: str, dtype: Dtype) -> None:
        self.problem = replace(problem, train=None, evaluation={})
        self.optimizer, self.device, self.dtype = optimizer, device, dtype
        self.decays, self.clips = stack.decays, stack.clips
        self.loops: dict[Hashable, Loop] = {}
        self.checked: set[Hashable] = set()  # shapes of samples and targets that the model and the loss take
        self._updates: dict[Hashable, Update] = {}

    @cached_property
    def criterion(self) -> Criterion:
        with tf.device(self.device):
            return Criterion(self.problem, self.dtype)

    @cached_property
    def readings(self) -> Readings:
        return Readings(self.criterion)

    def update(self, options: Any) -> Update:
        """The update of members with these options of a Keras optimizer; a rule's is the same for all."""
        key = None if isinstance(self.optimizer, Rule) else options_key(options)
        if key not in self._updates:
            self._updates[key] = (
                RuleUpdate(self.optimizer, self.decays, self.clips)
                if isinstance(self.optimizer, Rule)
                else KerasUpdate(self.optimizer, options, self.criterion.network)
            )
        return self._updates[key]


class Workshops:
    """The workshops of an engine, the least recently used given up first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, Workshop] = OrderedDict()

    def get(self, problem: Problem, optimizer: Rule | Native, stack: Stack, device: str, dtype: Dtype) -> Workshop:
        """The workshop for these, made if there is none."""
        key = (_problem_key(problem), _optimizer_key(optimizer), stack.decays, stack.clips, device, dtype)
        if key not in self._kept:
            self._kept[key] = Workshop(problem, optimizer, stack, device, dtype)
        self._kept.move_to_end(key)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return self._kept[key]


def options_key(options: Any) -> Hashable:
    """Options as something to compare by."""
    return tuple(sorted((name, repr(value)) for name, value in options.items()))


def _problem_key(problem: Problem) -> Hashable:
    """Everything of a problem but its data, whose shapes the compiled functions are kept by."""
    left_out = ("train", "evaluation")
    values = {each.name: getattr(problem, each.name) for each in fields(problem) if each.name not in left_out}
    # What is not hashable (a dictionary of options) is compared by what it says; functions and models by identity.
    return tuple((name, value if _hashable(value) else repr(value)) for name, value in values.items())


def _optimizer_key(optimizer: Rule | Native) -> Hashable:
    if isinstance(optimizer, Rule):
        return type(optimizer), options_key(optimizer.structure)
    told = tuple((argument, optimizer.facts.get(fact)) for argument, fact in optimizer.needs.facts.items())
    return optimizer.build if _hashable(optimizer.build) else id(optimizer.build), optimizer.needs, told


def _hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True
