"""The optimizers of pytorch_optimizer for descentkit: names, needs, and functions that make those that wrap others."""
