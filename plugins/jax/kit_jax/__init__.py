"""JAX for descentkit: engine, models, losses, devices, and optax's optimizers.

Listing what it offers (`kit_jax.plugin`) imports no JAX; whatever computes imports it through `kit_jax.environment`,
which sets its precision before the first array is made.
"""
