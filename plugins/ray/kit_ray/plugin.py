"""What this distribution offers to the kit. Listing it imports no Ray."""

from __future__ import annotations

from collections.abc import Iterator

from kit.hookspecs import hookimpl
from kit.records import ExecutorSpec


@hookimpl
def kit_executors() -> Iterator[ExecutorSpec]:
    yield ExecutorSpec(
        name="ray",
        build="kit_ray.executor:Ray",
        requires=("ray",),
        install="pip install 'ray[train]'",
        help="Ray tasks, on this machine or on the cluster that RAY_ADDRESS names; the store must be reachable by all.",
        source="https://docs.ray.io",
    )
