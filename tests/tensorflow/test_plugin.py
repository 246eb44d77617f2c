"""What the distribution offers: the records resolve, and listing them imports no framework."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from kit.families import FAMILIES
from kit.records import resolve
from kit.rules.conformance import namespace_faults
from kit_tensorflow import plugin, xp
from kit_tensorflow.environment import CHATTER, keras, tf

pytestmark = pytest.mark.tensorflow

HOOKS = (plugin.kit_backends, plugin.kit_models, plugin.kit_losses, plugin.kit_optimizers, plugin.kit_devices)


def test_listing_imports_no_framework() -> None:
    code = (
        "import sys; from kit_tensorflow import plugin\n"
        "for hook in (plugin.kit_backends, plugin.kit_models, plugin.kit_losses, plugin.kit_optimizers, "
        "plugin.kit_devices):\n    assert list(hook())\n"
        "assert not {'tensorflow', 'keras', 'torch', 'numpy'} & sys.modules.keys(), sorted(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("record", [record for hook in HOOKS for record in hook()], ids=lambda r: f"{r.kind} {r.name}")
def test_every_reference_resolves(record: Any) -> None:
    assert record.backend in ("tensorflow", None)
    for name in ("engine", "build", "parameters", "noise", "native", "find"):
        if getattr(record, name, None):
            assert callable(resolve(getattr(record, name)))


def test_the_same_families_as_everywhere() -> None:
    assert [record.family for record in plugin.kit_models()] == list(FAMILIES)
    families = {record.family for record in plugin.kit_losses()}
    assert families == {"mse", "mae", "huber", "cross_entropy", "binary_cross_entropy", "hinge", "output"}


def test_a_users_classes_are_recognised_by_their_names() -> None:
    """The host compares the names along a class's method resolution, without importing Keras."""
    (backend,) = plugin.kit_backends()

    class Mine(keras.optimizers.Adam):
        pass

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    functional = keras.Model(model.inputs, model.outputs)
    for things, types in (((model, functional), backend.model_types), ((Mine(),), backend.optimizer_types)):
        for thing in things:
            along = {f"{c.__module__}:{c.__qualname__}" for c in type(thing).__mro__}
            assert along & set(types)


def test_the_array_functions_are_the_references() -> None:
    assert namespace_faults(xp, to_backend=tf.constant, to_numpy=lambda t: t.numpy()) == []


def test_nan_wins_under_xla_too() -> None:
    """XLA's own minimum and maximum drop a NaN in the second place, and the trace of divergence with it."""
    x, y = np.array([1.0, np.nan, 3.0, np.nan]), np.array([2.0, 2.0, np.nan, np.nan])

    @tf.function(jit_compile=True, autograph=False)
    def functions(x: Any, y: Any) -> Any:
        return [xp.maximum(x, y), xp.minimum(x, y), xp.maximum(x, 2.0), xp.minimum(x, 2.0), xp.sqrt(x), xp.sign(x)]

    given = [x, y]
    expected = [np.maximum(*given), np.minimum(*given), np.maximum(x, 2.0), np.minimum(x, 2.0), np.sqrt(x), np.sign(x)]
    for found, right in zip(functions(tf.constant(x), tf.constant(y)), expected, strict=True):
        np.testing.assert_array_equal(found, right)


@pytest.mark.parametrize(
    ("line", "chatter"),
    [
        (b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR", True),
        (b"I0000 00:00:1795.03 10175 port.cc:153] oneDNN custom operations are on.", True),
        (b"E0000 00:00:1795.29 20967 cuda_platform.cc:52] failed call to cuInit: INTERNAL: CUDA error", True),
        (b"Traceback (most recent call last):", False),
        (b"my own words about cuda", False),
        (b"E0000 00:00:1795.29 20967 allocator.cc:1] ran out of memory", False),
    ],
)
def test_only_the_frameworks_chatter_is_kept_from_the_user(line: bytes, chatter: bool) -> None:
    assert bool(CHATTER.search(line)) is chatter


def test_importing_is_quiet_and_what_else_is_said_gets_through() -> None:
    code = (
        "import os\nfrom kit_tensorflow.environment import quiet, tf\n"
        "from kit_tensorflow.engine import TensorFlowEngine\nTensorFlowEngine(threads=1)\n"
        "with quiet():\n    os.write(2, b'heard\\n')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "heard\n")


def test_keras_on_another_backend_is_refused() -> None:
    code = (
        "import sys, types\nkeras = types.ModuleType('keras')\n"
        "keras.config = types.SimpleNamespace(backend=lambda: 'jax')\nsys.modules['keras'] = keras\n"
        "import kit_tensorflow.environment\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "InvalidValueError: Keras is already running on 'jax'" in done.stderr


def test_a_lost_device_is_told_from_memory_that_ran_out() -> None:
    from kit.engine import TellsLoss
    from kit_tensorflow.engine import TensorFlowEngine

    engine = TensorFlowEngine()
    assert isinstance(engine, TellsLoss)
    launch = "Failed to synchronize: CUDA_ERROR_LAUNCH_FAILED: unspecified launch failure"
    assert engine.lost_device(tf.errors.InternalError(None, None, launch))
    assert not engine.lost_device(RuntimeError(launch))  # of somebody else
    assert not engine.lost_device(tf.errors.ResourceExhaustedError(None, None, "CUDA_ERROR_OUT_OF_MEMORY"))
    assert not engine.lost_device(tf.errors.InternalError(None, None, "Blas xGEMM launch failed"))
