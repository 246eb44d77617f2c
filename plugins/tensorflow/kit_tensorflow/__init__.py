"""TensorFlow for descentkit: engine, models, losses, devices and native optimizers.

Listing what it offers (`kit_tensorflow.plugin`) imports no TensorFlow; whatever computes imports it through
`kit_tensorflow.environment`, which keeps it quiet and Keras on TensorFlow.
"""
