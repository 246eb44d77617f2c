"""How a native optimizer is driven, where it needs more than the plain loop of `backward()` and `step()`.

An adapter in each framework knows these few needs, and no optimizer by its name. Four instances:

    Needs(closure="only", evaluations=None)      # LBFGS: it asks for loss and gradients itself, as often as it likes
    Needs(closure="after", evaluations=2)        # SAM: fresh gradients, and then a closure that takes them elsewhere
    Needs(second_order=True)                     # AdaHessian: gradients that can be differentiated again
    Needs(facts={"num_iterations": "steps"})     # Ranger21: it must be told how many steps there will be

A plugin says them on its `OptimizerSpec`; a class of your own says them in an attribute `kit_needs`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from kit.errors import PluginError

Closure = Literal["none", "only", "after", "loss"]
Parameters = Literal["tensors", "named", "model"]
Matrices = Literal["any", "only", "flagged"]
Fact = Literal["model", "steps", "epochs", "steps_per_epoch", "samples", "batch_size"]
FACTS: tuple[Fact, ...] = get_args(Fact)
_REFERENCE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*\Z")


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What an optimizer must be given, at its making and at each step.

    Raises `PluginError` with every fault in one message.
    """

    # How a step is taken:
    #   "none"   gradients, then `step()`
    #   "only"   `step(closure)`; the closure takes gradients and gives the loss, and none are taken before
    #   "after"  gradients, then `step(closure)` with a closure that takes them again
    #   "loss"   `step(closure)`; the closure gives the loss with its graph, from which the optimizer takes gradients
    #   None     as the signature of `step` says: a closure without a default is "only", anything else "none"
    closure: Closure | None = None
    # Gradients of a batch that one step takes; None: as many as it likes. What was really taken is counted in any
    # case; this is for the checks.
    evaluations: int | None = 1
    second_order: bool = False  # gradients with a graph of their own (`create_graph=True`)
    parameters: Parameters = "tensors"  # the first argument: tensors, (name, tensor) pairs, or the model itself
    # Which parameters it is for:
    #   "any"      all of them
    #   "only"     those with two axes; `companion` takes the others
    #   "flagged"  groups that say by `flag` whether theirs have two axes or more
    matrices: Matrices = "any"
    flag: str = ""  # e.g. "use_muon"
    companion: str | None = None  # "module:attribute" of the class for what is no matrix
    companion_options: Mapping[str, Any] = field(default_factory=dict)  # its arguments, but for the learning rate
    companion_rate: float = 1.0  # its learning rate, in terms of the experiment's
    # Whether other parameters are reported than those trained, by `eval()` and `train()`; None: if it has both.
    modes: bool | None = None
    rate: str | None = "lr"  # what the class and its groups call the learning rate; None: it finds its own
    facts: Mapping[str, Fact] = field(default_factory=dict)  # argument of the class -> what of the run it is given

    def __post_init__(self) -> None:
        if faults := self.faults():
            raise PluginError("The needs of an optimizer are not valid: " + "; ".join(faults) + ".")

    def __hash__(self) -> int:
        plain = {**vars(self), "facts": tuple(self.facts.items()), "companion_options": repr(self.companion_options)}
        return hash(tuple(plain.items()))

    def faults(self) -> list[str]:
        """Every fault, each a phrase; empty when valid."""
        found = []
        for name, kind in (("closure", Closure), ("parameters", Parameters), ("matrices", Matrices)):
            value, choices = getattr(self, name), get_args(kind)
            if value not in choices and not (name == "closure" and value is None):
                found.append(f"{name} is {value!r}, but must be one of {', '.join(choices)}")
        if self.evaluations is not None and (isinstance(self.evaluations, bool) or not self.evaluations >= 1):
            found.append(f"evaluations is {self.evaluations!r}, but must be 1 or more, or None")
        if (self.matrices == "only") != (self.companion is not None):
            found.append("matrices='only' and a companion for the rest go together")
        if (self.matrices == "flagged") != bool(self.flag):
            found.append("matrices='flagged' and a flag go together")
        if self.companion is not None and not _REFERENCE.match(self.companion):
            found.append(f"companion is {self.companion!r}, but must read 'package.module:attribute'")
        for argument, fact in self.facts.items():
            if fact not in FACTS:
                found.append(f"facts gives '{argument}' the fact {fact!r}, but there are {', '.join(FACTS)}")
        return found

    def said(self) -> str:
        """The needs beyond the plain loop in a phrase, for tables; empty where there are none."""
        words = {
            "only": "a closure",
            "after": "gradients, then a closure that takes them again",
            "loss": "a closure that gives the loss with its graph",
        }
        parts = [words[self.closure]] if self.closure in words else []
        if self.second_order:
            parts.append("gradients that can be differentiated")
        if self.parameters != "tensors":
            parts.append({"named": "named parameters", "model": "the model"}[self.parameters])
        if self.matrices == "only":
            parts.append(f"matrices only, {str(self.companion).rpartition(':')[2]} for the rest")
        if self.matrices == "flagged":
            parts.append(f"groups flagged by '{self.flag}'")
        if self.modes:
            parts.append("training and evaluation modes")
        if self.rate is None:
            parts.append("no learning rate")
        elif self.rate != "lr":
            parts.append(f"a learning rate called '{self.rate}'")
        parts += [f"{fact} as '{argument}'" for argument, fact in self.facts.items()]
        return ", ".join(parts)


PLAIN = Needs()  # the plain loop
