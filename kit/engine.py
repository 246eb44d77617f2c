"""What a backend implements: compile a problem and a rule into a program that trains a stack.

The host draws everything random (initial weights, batches, noise) in NumPy and hands it in; the engine only computes.
N trials train together; they belong to R replicates, and the trials of one replicate share data, start and order:

    program = engine.compile(problem, optimizer, stack, device="cpu", dtype="float32", steps=500)
    program.load(state)                                          # NumPy in
    losses = program.advance(indices, scalars)                   # (K, N): K steps of all N trials in one call
    program.evaluate("validation")                               # {"loss": (N,), "accuracy": (N,)}
    state = program.state()                                      # NumPy out, from which the run continues bit for bit
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from kit.needs import PLAIN, Needs

if TYPE_CHECKING:
    import numpy as np

    from kit.rules.namespace import Namespace
    from kit.rules.rule import Rule

    Floats = np.ndarray[Any, np.dtype[np.floating[Any]]]
    Integers = np.ndarray[Any, np.dtype[np.integer[Any]]]

Dtype = Literal["float32", "float64", "bfloat16"]
DTYPES: tuple[Dtype, ...] = ("float32", "float64", "bfloat16")
Split = Literal["train", "validation"]


@dataclass(frozen=True, kw_only=True)
class InputSpec:
    """What a model must fit: the shape of one sample and what its target is."""

    shape: tuple[int, ...]  # of one sample, e.g. (64,), (28, 28, 1), (128,) token numbers
    outputs: int  # classes, target columns, or the size of the vocabulary
    task: str  # one of kit.records.TASKS
    image_shape: tuple[int, int, int] | None = None  # (height, width, channels) where flat features are an image
    tokens: int | None = None  # size of the vocabulary where samples are token numbers


@dataclass(frozen=True, kw_only=True)
class ParameterSpec:
    """One parameter in its canonical form: PyTorch's names and layouts (a dense weight is (out, in), a kernel
    (out, in, height, width)); an engine of another framework transposes."""

    name: str
    shape: tuple[int, ...]
    # "zeros", "ones", ("normal", std), ("uniform", bound) or ("constant", values): drawn by the host, in float64.
    initial: str | tuple[str, Any]
    exempt_from_parity: str = ""  # the reason, e.g. a key bias, whose gradient is zero but for rounding


@dataclass(frozen=True, kw_only=True)
class Block:
    """One split of the data for R replicates. Shared data has R = 1 whatever the number of replicates.

    A block whose `x` is not resident (a memory map) is read by the host: `Program.advance` then gets gathered samples.
    """

    x: np.ndarray[Any, Any]  # (R, rows, *sample)
    y: np.ndarray[Any, Any]  # (R, rows) or (R, rows, outputs)


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Dataset + model + loss, resolved: what an engine compiles."""

    inputs: InputSpec
    build_model: (
        Callable[..., Any] | None
    )  # None with model_object; (inputs=InputSpec, **model_options) -> the framework's module; or the user's own
    model_options: Mapping[str, Any]
    model_object: Any = None  # the user's own module, or a function without arguments that makes one
    parameters: tuple[ParameterSpec, ...] | None  # canonical; None: the module's own names, shapes and start
    build_loss: Callable[..., Any]  # (output, target, **loss_options) -> (samples,)
    loss_options: Mapping[str, Any]
    accuracy: Literal["argmax", "sign", None]
    train: Block | None  # None: streamed, see Program.advance
    evaluation: Mapping[Split, Block] = field(default_factory=dict)  # what evaluate() reads
    full_batch: bool = False  # every step uses all rows of `train`, in their order; advance gets no indices
    noise: tuple[
        tuple[str, tuple[int, ...]], ...
    ] = ()  # (name, shape per sample) of uniform draws that the model takes
    # A step's gradient is taken in so many parts of its batch, one after the other (see `kit.levers.parts`).
    gradient_accumulation: int = 1
    # Activations are computed again for the backward pass instead of being kept.
    activation_checkpointing: bool = False


@dataclass(frozen=True, kw_only=True)
class Native:
    """A framework's own optimizer class, with its arguments. It is a fresh object per trial."""

    build: Callable[..., Any]  # the class, or a function of the same arguments that makes the object
    options: tuple[Mapping[str, Any], ...]  # one mapping per trial; learning_rate is among the scalars, not here
    rates: tuple[float, ...] = ()  # one learning rate per trial, without its schedule, to make the object with
    needs: Needs = PLAIN  # how it is driven
    facts: Mapping[str, int | float] = field(default_factory=dict)  # kit.needs.FACTS but "model", as far as known


@dataclass(frozen=True, kw_only=True)
class Stack:
    """Which trials train together."""

    replicates: Integers  # (N,): the replicate (row of the blocks and of the indices) that each trial belongs to
    seeds: Integers  # (N,): for what the host cannot draw (a user's own module's start, its own dropout)
    decays: bool = False  # any trial has weight_decay > 0
    clips: bool = False  # any trial has a finite clip_norm

    @property
    def size(self) -> int:
        return len(self.replicates)


# name -> array with the trials in front. Parameters: {"weight": (N, *shape)}, canonical layout; slots: {"m":
# {"weight": …}};
# buffers: what a module keeps beside its parameters (moving means). Everything that a resumed run needs is in here.
@dataclass(kw_only=True)
class State:
    """A stack's state as NumPy arrays."""

    parameters: dict[str, Floats]
    slots: dict[str, dict[str, Any]] = field(default_factory=dict)  # slot -> parameter -> (N, …); {} before step 1
    buffers: dict[str, Any] = field(default_factory=dict)
    unsaved: str = ""  # why a run cannot continue from here, in a sentence: an optimizer keeps what cannot be stored


@dataclass(frozen=True, kw_only=True)
class DeviceReport:
    """A device that is there."""

    name: str  # "cpu", "cuda:0", "mps", "gpu:0"
    title: str  # "NVIDIA H100", "x86_64, 2 cores"
    memory_bytes: int | None = None
    dtypes: tuple[str, ...] = DTYPES


class Program(Protocol):
    """A compiled stack. Not shared between threads."""

    strategy: str  # "" until the first chunk was timed, then the name of the loop that was kept
    compile_seconds: float  # spent so far, inside `compile` and `advance`, on building programs and timing candidates
    timings: dict[
        str, float
    ]  # candidate loop -> µs per step of the whole stack; a sentence is logged for those left out
    # Gradients of its batch that each step of the last `advance` took, (K, N), int64; None, or no such attribute: one.
    evaluations: Integers | None

    def load(self, state: State) -> None:
        """Set parameters, slots and buffers. Slots that are empty are started by the rule."""

    def state(self) -> State:
        """Parameters, slots and buffers as they are, in NumPy, canonical layout, the program's precision."""

    def evaluated_parameters(self) -> dict[str, Floats]:
        """The parameters to report, name -> (N, *shape): the rule's averages where it has them."""

    def advance(
        self,
        indices: Integers | None,
        scalars: Floats,
        *,
        samples: tuple[Any, Any] | None = None,
        noise: Mapping[str, Floats] | None = None,
    ) -> Floats:
        """Train K steps of all trials in one call; returns the losses on each step's batch, before its update: (K,
        N), float64.

        indices: (K, R, B) rows of each replicate's own training block; None for a full batch or with `samples`.
        scalars: (K, N, S), float64, in the order of `rule.scalar_names()`; for a native optimizer S = 1, the
        learning rate.
        samples: x (K, R, B, *sample) and y, gathered by the host, where the training block is not resident.
        noise: name -> (K, R, B, *shape), uniform in [0, 1), where the problem declares noise.
        """

    def evaluate(self, split: Split) -> dict[str, Floats]:
        """Mean loss, and accuracy where there is one, of each trial over a split, at `evaluated_parameters`, evaluation
        mode: {"loss": (N,), "accuracy": (N,)}, float64."""

    def gradients(self, indices: Integers | None, samples: tuple[Any, Any] | None = None) -> dict[str, Floats]:
        """The gradient of the mean loss at the present parameters, over rows (R, B) or the full batch: name -> (N,
        *shape)."""

    def close(self) -> None:
        """Give back the memory."""


class Engine(Protocol):
    """A backend. Made once per worker process; keeps what it compiled."""

    name: str

    def __init__(self, threads: int | None = None) -> None: ...

    def versions(self) -> dict[str, str]:
        """Packages and versions that decide the numbers, for the run's record."""

    def devices(self) -> list[DeviceReport]:
        """The devices that are there."""

    def strategies(self, problem: Problem, optimizer: Rule | Native, stack: Stack) -> tuple[str, ...]:
        """The loops that could train this, the universal one first."""

    def compile(
        self,
        problem: Problem,
        optimizer: Rule | Native,
        stack: Stack,
        *,
        device: str,
        dtype: Dtype,
        steps: int,
        strategy: str | None = None,
    ) -> Program:
        """Make a program. steps: how many are to come, so that compiling is tried only where it can pay.

        strategy: the loop to use; None: candidates are timed on the first chunk and the fastest is kept.
        Raises `kit.errors.DeviceError` for a device or precision that is not there, `InvalidValueError` for a
        strategy or a
        model whose output does not fit the loss.
        """

    def initial_parameters(self, problem: Problem, seeds: Integers) -> tuple[dict[str, Floats], dict[str, Any]]:
        """The start of a user's own module (parameters is None): parameters name -> (N, *shape), and buffers, alike."""

    def peak_memory_bytes(self, device: str) -> int | None:
        """The most memory used on an accelerator since the last call; None on a CPU, where the process is measured."""


class Arrays(Protocol):
    """What lets `kit check` call a backend's losses, and the functions of its `xp`, with arrays of its own choosing.

    A module of functions satisfies it as well as an object does; `BackendSpec.arrays` names it. Without it those checks
    do not apply. A program may also have a method `spoil()`, which leaves garbage where gradients of an earlier step
    would lie: training must not read it.
    """

    xp: Namespace

    def from_numpy(self, values: np.ndarray[Any, Any], /) -> Any:
        """The backend's array of the same numbers and dtype, on the CPU; a copy."""

    def to_numpy(self, array: Any, /) -> np.ndarray[Any, Any]:
        """The numbers of a backend's array; a copy."""

    def gradient(self, function: Callable[[Any], Any], at: Any, /) -> Any:
        """The gradient of the sum of `function(at)` with respect to `at`, alike."""


@runtime_checkable
class TellsLoss(Protocol):
    """What an engine may have besides: it tells the loss of its device from other errors. Then the run is lost and
    continues in another process; without it, the run fails."""

    def lost_device(self, error: BaseException) -> bool:
        """Whether the error says that the device answers no more, so that this process cannot go on."""
