"""A plugin as it was written for descentkit 0.1, in every hook. FROZEN: it is never edited. While 0.x lasts, the host
must load it, train with it, and find nothing to complain of, whatever hooks and records have gained since.
"""

from __future__ import annotations

import numpy as np

import kit
from kit.engine import DeviceReport, ParameterSpec, State
from kit.records import (
    BackendSpec,
    DatasetSpec,
    DeviceSpec,
    ExecutorSpec,
    Hyperparameter,
    LossSpec,
    ModelSpec,
    OptimizerSpec,
    ProbeSpec,
    ScheduleSpec,
)
from kit.rules import numpy_namespace as xp
from kit.rules.rule import LEARNING_RATE, Rule
from kit.rules.step import scalars, step


class FrozenRule(Rule):
    """Step against a running mean of gradients.

    m ← m + β (g − m),    p ← p − η m
    """

    name = "frozen_rule"
    title = "Frozen"
    hyperparameters = (LEARNING_RATE, Hyperparameter(name="beta", default=0.5, low=0.0, high=1.0, help="Share β of g."))
    slots = ("m",)
    source = "descentkit 0.1, 2026"

    def update(self, xp, p, g, s, h):
        m = s["m"] + h.beta * (g - s["m"])
        return p - h.learning_rate * m, {"m": m}


def parameters(inputs, *, scale):
    size = int(np.prod(inputs.shape))
    return (
        ParameterSpec(name="weight", shape=(inputs.outputs, size), initial=("uniform", scale)),
        ParameterSpec(name="bias", shape=(inputs.outputs,), initial="zeros"),
    )


def build(*, inputs, scale):
    return None  # the model is in the program


def squared(output, target):
    """Losses (samples,) and their gradient with respect to the output."""
    error = output - np.reshape(target, output.shape)
    return np.mean(error**2, axis=1), 2 * error / error.shape[1]


def load(generator, *, samples):
    from kit.data import Data

    x = generator.standard_normal((samples, 3))
    return Data(x=x, y=x @ np.array([[1.0, -1.0], [0.5, 2.0], [0.0, 1.0]]), task="regression")


def halving(step, steps, *, every):
    return 0.5 ** np.floor(np.asarray(step, dtype=np.float64) / every)


class Largest:
    needs = frozenset({"gradients"})

    def read(self, snapshot):
        each = [np.abs(g).reshape(len(g), -1).max(axis=1) for g in snapshot.gradients.values()]
        return {"largest_gradient": np.max(each, axis=0).astype(np.float64)}


class Alone:
    def __init__(self, registry):
        from kit.executors import Inline

        self.inline = Inline(registry)

    def run(self, pending, listener, stopping):
        self.inline.run(pending, listener, stopping)


def devices():
    return [DeviceReport(name="cpu", title="NumPy", memory_bytes=None, dtypes=("float32", "float64"))]


class Engine:
    name = "frozen"

    def __init__(self, threads=None):
        self.threads = threads

    def versions(self):
        return {"numpy": np.__version__}

    def devices(self):
        return devices()

    def strategies(self, problem, optimizer, stack):
        return ("loop",)

    def compile(self, problem, optimizer, stack, *, device, dtype, steps, strategy=None):
        return Program(problem, optimizer, stack, np.dtype(dtype))

    def initial_parameters(self, problem, seeds):
        raise NotImplementedError

    def peak_memory_bytes(self, device):
        return None


class Program:
    strategy = "loop"
    compile_seconds = 0.0

    def __init__(self, problem, rule, stack, dtype):
        self.problem, self.rule, self.stack, self.dtype = problem, rule, stack, dtype
        self.timings, self.slots, self.now = {}, [], None

    def load(self, state):
        self.names = list(state.parameters)
        self.parameters = [np.array(value, dtype=self.dtype) for value in state.parameters.values()]
        self.slots = [{slot: np.array(state.slots[slot][name]) for slot in state.slots} for name in self.names]
        if not state.slots:
            self.slots = []

    def state(self):
        slots = {}
        for name, values in zip(self.names, self.slots, strict=False):
            for slot, value in values.items():
                slots.setdefault(slot, {})[name] = value.copy()
        named = dict(zip(self.names, (p.copy() for p in self.parameters), strict=True))
        return State(parameters=named, slots=slots)

    def evaluated_parameters(self):
        return self.state().parameters

    def scalars_for(self, rank):
        return scalars(xp, self.rule.scalar_names(), self.now, rank)

    def _rows(self, block, indices):
        """x, y with the trials in front: (N, B, …)."""
        trials = self.stack.replicates
        source = trials if len(block.x) > 1 else np.zeros_like(trials)
        if indices is None:
            return block.x[source], block.y[source]
        chosen = [indices[r] for r in trials]
        return tuple(np.stack([v[r][i] for r, i in zip(source, chosen, strict=True)]) for v in (block.x, block.y))

    def _losses(self, x, y):
        weight, bias = (self.parameters[self.names.index(name)] for name in ("weight", "bias"))
        losses, slopes = np.empty(len(weight)), {"weight": np.empty_like(weight), "bias": np.empty_like(bias)}
        for n in range(len(weight)):
            each, slope = self.problem.build_loss(x[n] @ weight[n].T + bias[n], y[n], **self.problem.loss_options)
            losses[n] = each.mean()
            slopes["weight"][n], slopes["bias"][n] = slope.T @ x[n] / len(each), slope.sum(axis=0) / len(each)
        return losses, [slopes[name] for name in self.names]

    def advance(self, indices, scalars, *, samples=None, noise=None):
        losses = np.empty(scalars.shape[:2])
        for k, now in enumerate(scalars.astype(self.dtype)):
            self.now = now
            if not self.slots:
                self.slots = [self.rule.start(xp, p, self.scalars_for(p.ndim)) for p in self.parameters]
            x, y = self._rows(self.problem.train, None if indices is None else indices[k])
            losses[k], gradients = self._losses(x, y)
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

    def evaluate(self, split):
        return {"loss": self._losses(*self._rows(self.problem.evaluation[split], None))[0]}

    def gradients(self, indices, samples=None):
        return dict(zip(self.names, self._losses(*self._rows(self.problem.train, indices))[1], strict=True))

    def close(self):
        pass


@kit.hookimpl
def kit_backends():
    yield BackendSpec(
        name="frozen", engine="kit_frozen:Engine", model_types=(), optimizer_types=(), help="NumPy, as of 0.1."
    )


@kit.hookimpl
def kit_models():
    scale = Hyperparameter(name="scale", default=0.1, low=0.0, high=1.0, bounds="[]", log=False, help="Of the start.")
    yield ModelSpec(
        name="frozen_model",
        family="frozen_linear",
        backend="frozen",
        build="kit_frozen:build",
        parameters="kit_frozen:parameters",
        noise=None,
        tasks=("regression",),
        hyperparameters=(scale,),
        requires=(),
        install="",
        help="One linear layer.",
        source="Gauss 1809",
    )


@kit.hookimpl
def kit_losses():
    yield LossSpec(
        name="frozen_loss",
        backend="frozen",
        build="kit_frozen:squared",
        tasks=("regression",),
        accuracy=None,
        help="Squared error.",
    )


@kit.hookimpl
def kit_optimizers():
    yield FrozenRule.record()
    yield OptimizerSpec(
        name="frozen_twin",
        family="frozen_rule",
        rule="kit_frozen:FrozenRule",
        native=None,
        batch="all",
        exempt_from_parity="It is a twin.",
        hyperparameters=FrozenRule.all_hyperparameters(),
        help="The same rule on all samples.",
    )


@kit.hookimpl
def kit_devices():
    yield DeviceSpec(
        name="cpu", backend="frozen", find="kit_frozen:devices", dtypes=("float32", "float64"), help="The processor."
    )


@kit.hookimpl
def kit_datasets():
    samples = Hyperparameter(name="samples", default=60, low=10, choices=(), unit="rows", help="How many samples.")
    yield DatasetSpec(
        name="frozen_data", load="kit_frozen:load", task="regression", hyperparameters=(samples,), help="A plane."
    )


@kit.hookimpl
def kit_schedules():
    every = Hyperparameter(name="every", default=10, low=1, unit="steps", help="Steps between two halvings.")
    yield ScheduleSpec(
        name="frozen_halving",
        build="kit_frozen:halving",
        needs_steps=False,
        hyperparameters=(every,),
        help="Halves the rate again and again.",
    )


@kit.hookimpl
def kit_probes():
    yield ProbeSpec(name="frozen_largest", build="kit_frozen:Largest", help="The largest gradient.")


@kit.hookimpl
def kit_executors():
    yield ExecutorSpec(name="frozen_alone", build="kit_frozen:Alone", help="In this process.")
