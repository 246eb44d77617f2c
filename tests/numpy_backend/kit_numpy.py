"""A backend in plain NumPy, for the host's tests: linear models, real training, no framework, and faults on demand.

It is written against the public contract only (`kit.engine`), as a third party would. The model `faulty` is `linear`
that raises, kills its own process, hangs, leaves or takes all memory at a step of one's choosing, or does so for the
company of a trial with a certain learning rate.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Any

import numpy as np

import kit
import kit.recorder
from kit.engine import DeviceReport, Native, Problem, Stack, State
from kit.errors import DeviceError
from kit.records import BackendSpec, DeviceSpec, Hyperparameter, LossSpec, ModelSpec, Parallel
from kit.rules import numpy_namespace as xp
from kit.rules.step import scalars, step

NEVER = -1
FAULTS = (
    Hyperparameter(name="raise_at", default=NEVER, help="Step at which the model raises."),
    Hyperparameter(name="die_at", default=NEVER, help="Step at which the process kills itself."),
    Hyperparameter(name="hang_at", default=NEVER, help="Step that never ends."),
    Hyperparameter(name="exit_at", default=NEVER, help="Step at which the model calls sys.exit."),
    Hyperparameter(name="lose_at", default=NEVER, help="Step at which the device is unplugged."),
    Hyperparameter(name="grow_at", default=NEVER, help="Step at which the model takes memory until there is none."),
    Hyperparameter(name="group", default="", help="Control group that the process enters before it grows."),
    Hyperparameter(name="poison", default=0.0, low=0.0, help="A trial with this learning rate kills the process."),
    Hyperparameter(name="spoilt", default=0.0, low=0.0, help="A trial with this learning rate raises at step 6."),
    Hyperparameter(name="seconds", default=0.0, low=0.0, help="Sleep in every step."),
    Hyperparameter(
        name="once",
        default="",
        help="A file: when it exists the fault does not happen; it is made by the fault.",
    ),
)


@kit.hookimpl
def kit_backends():
    copies = Parallel(name="copies", engine="kit_numpy:copies")
    yield BackendSpec(name="numpy", engine="kit_numpy:NumpyEngine", parallel=(copies,))


@kit.hookimpl
def kit_models():
    tasks = ("classification", "regression")
    yield ModelSpec(
        name="linear",
        backend="numpy",
        build="kit_numpy:linear",
        parameters="kit.architectures:linear",
        tasks=tasks,
    )
    yield ModelSpec(
        name="faulty",
        backend="numpy",
        build="kit_numpy:linear",
        parameters="kit_numpy:faulty",
        tasks=tasks,
        hyperparameters=FAULTS,
    )


@kit.hookimpl
def kit_losses():
    yield LossSpec(name="mse", backend="numpy", build="kit_numpy:mse", tasks=("regression",))
    yield LossSpec(
        name="cross_entropy",
        backend="numpy",
        build="kit_numpy:cross_entropy",
        tasks=("classification",),
        accuracy="argmax",
    )


@kit.hookimpl
def kit_devices():
    yield DeviceSpec(name="cpu", backend="numpy", find="kit_numpy:devices")


def devices() -> list[DeviceReport]:
    return [DeviceReport(name="cpu", title="NumPy")]


def linear(**options: Any) -> None:
    """The model is in the program."""


def faulty(inputs: Any, **options: Any) -> Any:
    from kit.architectures import linear

    return linear(inputs)


def mse(output: Any, target: Any) -> tuple[Any, Any]:
    """Per-sample losses and their gradient with respect to the output (B, outputs)."""
    error = output - np.reshape(target, output.shape)
    return np.mean(error**2, axis=1), 2 * error / error.shape[1]


def cross_entropy(output: Any, target: Any) -> tuple[Any, Any]:
    shifted = output - output.max(axis=1, keepdims=True)
    log = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    gradient = np.exp(log)
    gradient[np.arange(len(target)), target] -= 1
    return -log[np.arange(len(target)), target], gradient


def raises(options: Any) -> None:
    raise RuntimeError("the plugin's model raised, as it was asked to")


def dies(options: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def hangs(options: Any) -> None:
    time.sleep(1e6)


def exits(options: Any) -> None:
    sys.exit("the plugin's model left, as it was asked to")


class UnpluggedError(RuntimeError):
    """Says that the device is gone."""


def loses(options: Any) -> None:
    raise UnpluggedError("unplugged, as it was asked to\nand more that only its maker reads")


def grows(options: Any) -> None:
    if options["group"]:
        with open(f"{options['group']}/cgroup.procs", "w") as group:
            group.write(str(os.getpid()))
        time.sleep(1.5)  # for whoever watches from outside to notice
    taken = []
    while True:
        taken.append(b"x" * 2**24)


# The option that says at which step, and what then happens.
MISDEEDS = {"raise_at": raises, "die_at": dies, "hang_at": hangs, "exit_at": exits, "lose_at": loses, "grow_at": grows}


class NumpyEngine:
    name = "numpy"

    def __init__(self, threads: int | None = None) -> None:
        # A test's runs are too short to have a checkpoint before their end otherwise.
        if often := os.environ.get("KIT_NUMPY_CHECKPOINT_SECONDS"):
            kit.recorder.CHECKPOINT_SECONDS, kit.recorder.CHECKPOINT_SHARE = float(often), 1.0

    def lost_device(self, error: BaseException) -> bool:
        return isinstance(error, UnpluggedError)

    def versions(self) -> dict[str, str]:
        return {"numpy": np.__version__}

    def devices(self) -> list[DeviceReport]:
        return devices()

    def strategies(self, problem: Any, optimizer: Any, stack: Any) -> tuple[str, ...]:
        return ("loop",)

    def compile(self, problem, optimizer, stack, *, device, dtype, steps, strategy=None):  # type: ignore[no-untyped-def]
        if device != "cpu":
            raise DeviceError(f"device '{device}' is not there; the numpy backend has: cpu.")
        return NumpyProgram(problem, optimizer, stack, np.dtype(dtype))

    def initial_parameters(self, problem: Problem, seeds: Any) -> Any:
        raise NotImplementedError

    def peak_memory_bytes(self, device: str) -> int | None:
        return None


def copies(rank: Any, threads: int) -> NumpyEngine:
    """A way to train on several devices that divides nothing: every process does it all."""
    return NumpyEngine(threads)


class NumpyProgram:
    """Every trial on its own, one step after another: the plainest thing that can be right."""

    strategy = "loop"
    compile_seconds = 0.0

    def __init__(self, problem: Problem, optimizer: Any, stack: Stack, dtype: Any) -> None:
        assert not isinstance(optimizer, Native)
        self.problem, self.rule, self.stack, self.dtype = problem, optimizer, stack, dtype
        self.timings: dict[str, float] = {}
        self.slots: list[dict[str, Any]] = []
        self.now: Any = None
        self.taken = 0

    def load(self, state: State) -> None:
        self.names = list(state.parameters)
        self.parameters = [np.array(state.parameters[name], dtype=self.dtype) for name in self.names]
        self.slots = []
        if state.slots:
            self.slots = [{slot: np.array(state.slots[slot][name]) for slot in state.slots} for name in self.names]

    def state(self) -> State:
        named = dict(zip(self.names, (p.copy() for p in self.parameters), strict=True))
        slots: dict[str, Any] = {}
        for name, values in zip(self.names, self.slots, strict=False):
            for slot, value in values.items():
                slots.setdefault(slot, {})[name] = value.copy()
        return State(parameters=named, slots=slots)

    def evaluated_parameters(self) -> dict[str, Any]:
        if not self.slots:
            return self.state().parameters
        rows = zip(self.names, self.parameters, self.slots, strict=True)
        return {name: self.rule.evaluated(xp, p, s, self.scalars_for(p.ndim)) for name, p, s in rows}

    def scalars_for(self, rank: int) -> Any:
        return scalars(xp, self.rule.scalar_names(), self.now, rank)

    def misbehave(self) -> None:
        options = self.problem.model_options
        self.taken += 1
        time.sleep(options.get("seconds", 0.0))
        rates = self.now[:, self.rule.scalar_names().index("learning_rate")]
        if options.get("poison") and (rates == options["poison"]).any():
            os.kill(os.getpid(), signal.SIGKILL)
        if options.get("spoilt") and self.taken > 5 and (rates == options["spoilt"]).any():
            raises(options)
        chosen = [misdeed for option, misdeed in MISDEEDS.items() if options.get(option) == self.taken]
        once = options.get("once", "")
        if chosen and not (once and os.path.exists(once)):
            if once:
                with open(once, "w"):
                    pass
            chosen[0](options)

    def loss_and_gradients(self, parameters: list[Any], x: Any, y: Any) -> tuple[Any, list[Any]]:
        """x: (N, B, features). Returns the losses (N,) and gradients, each (N, …)."""
        weight, bias = (parameters[self.names.index(name)] for name in ("weight", "bias"))
        losses, gradients = np.empty(len(weight)), [np.empty_like(p) for p in parameters]
        for n in range(len(weight)):
            each, slope = self.problem.build_loss(x[n] @ weight[n].T + bias[n], y[n], **self.problem.loss_options)
            losses[n] = each.mean()
            slope = slope / len(each)
            gradients[self.names.index("weight")][n] = slope.T @ x[n]
            gradients[self.names.index("bias")][n] = slope.sum(axis=0)
        return losses, gradients

    def rows(self, indices: Any) -> tuple[Any, Any]:
        """indices: (R, B), or None for a full batch. Returns x, y with the trials in front."""
        block, trials = self.problem.train, self.stack.replicates
        source = trials if len(block.x) > 1 else np.zeros_like(trials)
        if indices is None:
            return block.x[source], block.y[source]
        return np.stack([block.x[r][indices[i]] for r, i in zip(source, trials, strict=True)]), np.stack(
            [block.y[r][indices[i]] for r, i in zip(source, trials, strict=True)]
        )

    def advance(self, indices, scalars, *, samples=None, noise=None):  # type: ignore[no-untyped-def]
        losses = np.empty(scalars.shape[:2])
        for k, now in enumerate(scalars.astype(self.dtype)):
            self.now = now
            self.misbehave()
            if not self.slots:
                self.slots = [self.rule.start(xp, p, self.scalars_for(p.ndim)) for p in self.parameters]
            if samples is None:
                x, y = self.rows(None if indices is None else indices[k])
            else:
                x, y = samples[0][k][self.stack.replicates], samples[1][k][self.stack.replicates]
            with np.errstate(all="ignore"):
                losses[k], gradients = self.loss_and_gradients(self.parameters, x, y)
                self.parameters, self.slots = step(
                    self.rule,
                    xp,
                    self.parameters,
                    gradients,
                    self.slots,
                    self.scalars_for,
                    decays=self.stack.decays,
                    clips=self.stack.clips,
                )
        return losses

    def evaluate(self, split: Any) -> dict[str, Any]:
        block, trials = self.problem.evaluation[split], self.stack.replicates
        source = trials if len(block.x) > 1 else np.zeros_like(trials)
        named = self.evaluated_parameters()
        with np.errstate(all="ignore"):
            losses, _ = self.loss_and_gradients([named[name] for name in self.names], block.x[source], block.y[source])
            found = {"loss": losses}
            if self.problem.accuracy == "argmax":
                outputs = np.einsum("nbi,noi->nbo", block.x[source], named["weight"]) + named["bias"][:, None]
                found["accuracy"] = (outputs.argmax(axis=2) == block.y[source]).mean(axis=1)
        return found

    def gradients(self, indices: Any, samples: Any = None) -> dict[str, Any]:
        x, y = (
            self.rows(indices)
            if samples is None
            else (samples[0][self.stack.replicates], samples[1][self.stack.replicates])
        )
        return dict(zip(self.names, self.loss_and_gradients(self.parameters, x, y)[1], strict=True))

    def close(self) -> None:
        pass
