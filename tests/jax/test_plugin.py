"""What the distribution offers: the records resolve, and listing them imports no framework."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax")

from kit.families import FAMILIES  # noqa: E402
from kit.records import resolve  # noqa: E402
from kit.rules.conformance import namespace_faults  # noqa: E402
from kit_jax import plugin, xp  # noqa: E402
from kit_jax.environment import jnp  # noqa: E402

pytestmark = pytest.mark.jax

HOOKS = (plugin.kit_backends, plugin.kit_models, plugin.kit_losses, plugin.kit_optimizers, plugin.kit_devices)


def test_listing_imports_no_framework() -> None:
    code = (
        "import sys; from kit_jax import plugin\n"
        "for hook in (plugin.kit_backends, plugin.kit_models, plugin.kit_losses, plugin.kit_optimizers, "
        "plugin.kit_devices):\n    assert list(hook())\n"
        "assert not {'jax', 'jaxlib', 'optax', 'numpy'} & sys.modules.keys(), sorted(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_reference_resolves() -> None:
    for record in (record for hook in HOOKS for record in hook()):
        assert record.backend in ("jax", None)
        for name in ("engine", "build", "parameters", "noise", "native", "find"):
            if getattr(record, name, None):
                assert callable(resolve(getattr(record, name)))


def test_the_same_families_as_everywhere() -> None:
    assert [record.family for record in plugin.kit_models()] == list(FAMILIES)
    families = {record.family for record in plugin.kit_losses()}
    assert families == {"mse", "mae", "huber", "cross_entropy", "binary_cross_entropy", "hinge", "output"}


@pytest.mark.parametrize("compiled", [False, True])
def test_the_array_functions_are_the_references(compiled: bool) -> None:
    """As they are, and as XLA compiles them, whose minimum and maximum could drop a NaN."""
    assert namespace_faults(xp, to_backend=jnp.asarray, to_numpy=np.asarray) == []
    x, y = jnp.asarray([1.0, np.nan, 3.0, np.nan]), jnp.asarray([2.0, 2.0, np.nan, np.nan])

    def functions(x: Any, y: Any) -> Any:
        return [xp.maximum(x, y), xp.minimum(x, y), xp.maximum(x, 2.0), xp.minimum(x, 2.0), xp.sqrt(x), xp.sign(x)]

    expected = [np.maximum(x, y), np.minimum(x, y), np.maximum(x, 2.0), np.minimum(x, 2.0), np.sqrt(x), np.sign(x)]
    for found, right in zip((jax.jit(functions) if compiled else functions)(x, y), expected, strict=True):
        np.testing.assert_array_equal(found, right)
