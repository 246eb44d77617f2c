"""Wrong: it takes a step along the gradients that lie there before it asks for new ones."""

import kit
from kit.records import Hyperparameter, OptimizerSpec


@kit.hookimpl
def kit_optimizers():
    rate = Hyperparameter(name="learning_rate", default=0.05, low=0.0, help="Step size.")
    yield OptimizerSpec(
        name="stale_gradients",
        backend="torch",
        native="stale_gradients_torch:Sharp",
        requires=("torch",),
        hyperparameters=(rate,),
        help="Sharpness-aware descent.",
    )
