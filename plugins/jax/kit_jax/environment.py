"""The one place where JAX is imported: with 64-bit types, products in full precision, and room left on a GPU.

    from kit_jax.environment import jax, jnp

All of it must be said before JAX computes anything, so no other module imports JAX by itself.
"""

from __future__ import annotations

import os

# The same program gives the same bits on a GPU too; an unknown flag would end the process, so it is one of every build.
_DETERMINISTIC = "--xla_gpu_deterministic_ops=true"
if "xla_gpu_deterministic_ops" not in os.environ.get("XLA_FLAGS", ""):
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {_DETERMINISTIC}".strip()
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # other backends' workers share the card

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_default_matmul_precision", "highest")  # no TF32 in float32


def set_threads(number: int) -> None:
    """How many threads XLA computes with on a CPU. Heard only before JAX looks for its devices."""
    os.environ["PJRT_NPROC"] = str(number)


__all__ = ["jax", "jnp", "set_threads"]
