"""A backend's record. What it names is a class that satisfies `kit.engine.Engine`; plugins/jax has a whole one."""

import kit
from kit.records import BackendSpec


@kit.hookimpl
def kit_backends():
    yield BackendSpec(
        name="mlx",
        engine="kit_mlx.engine:Engine",
        requires=("mlx",),
        install="pip install mlx",
        model_types=("mlx.nn.layers.base:Module",),
        help="Apple's array framework.",
    )
