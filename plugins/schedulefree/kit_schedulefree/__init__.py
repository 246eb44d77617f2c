"""The optimizers of schedulefree for descentkit: names, needs, and functions that make those that wrap others."""
