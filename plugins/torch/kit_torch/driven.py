"""One member's native optimizer: made with what it needs, and stepped as it needs (`kit.needs.Needs`)."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from kit.engine import Native
from kit.errors import InvalidValueError, MemberError
from kit.records import resolve
from kit_torch import optimizer_state
from kit_torch.members import trained

START = 1e-3  # a learning rate to make an optimizer with, where none is known
COMPANION = "companion_"  # options of this prefix are the companion's


class Evaluate(Protocol):
    """Evaluates a member's batch at its present parameters."""

    def __call__(self, *, gradients: bool = True, second_order: bool = False) -> Tensor:
        """The loss: detached, with fresh gradients in the parameters; or without those, and with its graph."""


class Driven:
    """The optimizer of member n. Raises `InvalidValueError` with the class's own words where it cannot be made."""

    def __init__(self, native: Native, n: int, module: nn.Module) -> None:
        self.native, self.n, self.needs, self.module = native, n, native.needs, module
        self.name = getattr(native.build, "__name__", repr(native.build))
        self.base = native.rates[n] if native.rates else START
        self.rate: float | None = None  # that was set last
        named = trained(module)
        self.parameters = list(named.values())
        options = dict(native.options[n])
        own = {key: options.pop(key) for key in list(options) if key.startswith(COMPANION)}
        main, rest = self._split(named)
        self.optimizers = [self._made(native.build, self._first(main), options | self._told())]
        if rest:
            assert self.needs.companion is not None
            given = {**self.needs.companion_options, **{k.removeprefix(COMPANION): v for k, v in own.items()}}
            self.optimizers.append(self._made(resolve(self.needs.companion), list(rest.values()), given))
        elif own:
            raise InvalidValueError(f"optimizer '{self.name}' has no companion here for {', '.join(sorted(own))}.")
        self.groups = [_groups(optimizer) for optimizer in self.optimizers]
        self.shares = [[self._share(group) for group in groups] for groups in self.groups]
        self.closure = self.needs.closure or _closure(self.optimizers[0])
        self.modes = self.needs.modes
        if self.modes is None:
            self.modes = all(callable(getattr(self.optimizers[0], mode, None)) for mode in ("train", "eval"))
        self.mode("train")

    # --- making

    def _split(self, named: dict[str, nn.Parameter]) -> tuple[dict[str, nn.Parameter], dict[str, nn.Parameter]]:
        """(what the class takes, what its companion takes)."""
        if self.needs.matrices != "only":
            return named, {}
        main = {name: p for name, p in named.items() if p.ndim == 2}
        if not main:
            raise InvalidValueError(f"optimizer '{self.name}' takes matrices only, and the model has none.")
        return main, {name: p for name, p in named.items() if p.ndim != 2}

    def _first(self, named: dict[str, nn.Parameter]) -> Any:
        """The first argument of the class."""
        if self.needs.matrices == "flagged":
            parts = {flag: [p for p in named.values() if (p.ndim >= 2) == flag] for flag in (True, False)}
            return [{"params": part, self.needs.flag: flag} for flag, part in parts.items() if part]
        return {"tensors": list(named.values()), "named": list(named.items()), "model": self.module}[
            self.needs.parameters
        ]

    def _told(self) -> dict[str, Any]:
        """What the class is told of the run."""
        known: dict[str, Any] = {**self.native.facts, "model": self.module}
        for fact in self.needs.facts.values():
            if fact not in known:
                raise InvalidValueError(f"optimizer '{self.name}' must know the {fact}, which is not known here.")
        return {argument: known[fact] for argument, fact in self.needs.facts.items()}

    def _made(self, build: Callable[..., Any], first: Any, options: Mapping[str, Any]) -> Any:
        rate = self.needs.rate
        given = {rate: self.base} if rate and _takes(build, rate) else {}
        try:
            made = build(first, **{**given, **options})
        except (TypeError, ValueError, RuntimeError, NotImplementedError, KeyError, AttributeError) as error:
            name = getattr(build, "__name__", repr(build))
            raise MemberError(f"optimizer '{name}' cannot be made: {error}") from error
        if rate and not any(rate in group for group in _groups(made)):
            raise InvalidValueError(
                f"optimizer '{self.name}' keeps no learning rate called '{rate}' in its groups; say what it is called "
                "in its needs: kit_needs = kit.needs.Needs(rate=…)."
            )
        return made

    def _share(self, group: Mapping[str, Any]) -> float | None:
        """A group's learning rate in terms of the experiment's: groups may differ. None: it has none."""
        value = group.get(self.needs.rate) if self.needs.rate else None
        if value is None:
            return None
        return 1.0 if float(value) == self.base or not self.base else float(value) / self.base

    # --- stepping

    def step(self, rate: float, evaluate: Evaluate) -> tuple[Tensor, int]:
        """One step. Returns the loss before it, and how many times gradients were taken."""
        self._set(rate)
        losses: list[Tensor] = []

        def gradients() -> Tensor:
            losses.append(evaluate(second_order=self.needs.second_order))
            return losses[-1]

        def graph() -> Tensor:
            loss = evaluate(gradients=False)
            losses.append(loss.detach())
            return loss

        main, *others = self.optimizers
        with torch.enable_grad():  # as in the plain loop: a class that wants no graph says so itself
            if self.closure in ("none", "after"):
                gradients()
            if self.closure == "none":
                main.step()
            else:
                main.step(graph if self.closure == "loss" else gradients)
            for other in others:
                other.step()
        if self.needs.second_order:  # the graph would outlive the step
            for parameter in self.parameters:
                parameter.grad = None
        if not losses:
            raise InvalidValueError(f"optimizer '{self.name}' took a step without evaluating its closure.")
        return losses[0], len(losses)

    def _set(self, rate: float) -> None:
        """Set the learning rate where it changes, as a scheduler would; in between it is the optimizer's own."""
        if rate == self.rate or not self.needs.rate:
            return
        self.rate = rate
        ratios = (1.0, self.needs.companion_rate)
        for ratio, groups, shares in zip(ratios, self.groups, self.shares, strict=False):
            for group, share in zip(groups, shares, strict=True):
                if share is not None:
                    group[self.needs.rate] = rate * ratio * share

    def mode(self, name: str) -> None:
        """ "train" or "eval": whether the parameters are those to train or those to report."""
        if self.modes:
            getattr(self.optimizers[0], name)()

    # --- state

    def to_bytes(self) -> bytes:
        """Raises `kit_torch.optimizer_state.CannotStoreError`."""
        return optimizer_state.to_bytes([self.rate, self.optimizers], self.parameters, self.module)

    def restore(self, row: bytes) -> None:
        root = [self.rate, self.optimizers]
        kinds = [kind for each in self.optimizers for kind in type(each).__mro__]
        packages = {kind.__module__.partition(".")[0] for kind in kinds} - {"builtins"}
        optimizer_state.restore(root, row, self.parameters, sorted(packages))
        self.rate = root[0]
        self.groups = [_groups(optimizer) for optimizer in self.optimizers]

    def check(self, row: bytes) -> None:
        """Whether a new object takes up what was stored, tried on a copy. Raises `CannotStoreError` if not."""
        try:
            other = Driven(self.native, self.n, copy.deepcopy(self.module))
            other.restore(row)
            again = other.to_bytes()
        except Exception as error:
            raise optimizer_state.CannotStoreError(str(error) or type(error).__name__) from error
        if again != row:
            raise optimizer_state.CannotStoreError("a new object that was given what was stored is not the same")


def _closure(optimizer: Any) -> str:
    """How a step is taken, from its signature: a closure that has no default is asked for."""
    step = inspect.unwrap(type(optimizer).step)
    closure = inspect.signature(step).parameters.get("closure")
    return "only" if closure is not None and closure.default is inspect.Parameter.empty else "none"


def _takes(build: Callable[..., Any], argument: str) -> bool:
    try:
        parameters = inspect.signature(build).parameters
    except (TypeError, ValueError):
        return True
    return argument in parameters or any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())


def _groups(optimizer: Any) -> list[dict[str, Any]]:
    """The parameter groups of an optimizer and of those within it, each once."""
    found: dict[int, dict[str, Any]] = {}
    for each in _within(optimizer, set()):
        for group in getattr(each, "param_groups", ()):
            found[id(group)] = group
    return list(found.values())


def _within(optimizer: Any, seen: set[int]) -> Iterator[Any]:
    if id(optimizer) in seen:
        return
    seen.add(id(optimizer))
    yield optimizer
    for value in vars(optimizer).values():
        for part in value if isinstance(value, list | tuple) else (value,):
            if isinstance(part, torch.optim.Optimizer):
                yield from _within(part, seen)
