"""Ray for descentkit: `executor="ray"`."""
