"""descentkit: find out, on your own model, which optimizer to choose, how to set its learning rate, and what it costs.

Names are imported when they are first used, so that `import kit` is quick and loads no framework.
"""
