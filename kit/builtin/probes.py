"""The records of the probes; what they read stands in `kit.probes`."""

from __future__ import annotations

from kit.records import Hyperparameter, ProbeSpec

RECORDS = (
    ProbeSpec(
        name="gradient_norm", build="kit.probes:GradientNorm", help="Euclidean norm of the coming batch's gradient."
    ),
    ProbeSpec(
        name="update_ratio",
        build="kit.probes:UpdateRatio",
        help="Norm of the change since the last reading, per norm of the parameters.",
    ),
    ProbeSpec(
        name="layers",
        build="kit.layers:Layers",
        help="Gradient norm and update ratio of every parameter, a curve each: which layers learn.",
    ),
    ProbeSpec(name="parameter_norm", build="kit.probes:ParameterNorm", help="Euclidean norm of all parameters."),
    ProbeSpec(
        name="curvature",
        build="kit.curvature:Curvature",
        hyperparameters=(
            Hyperparameter(
                name="iterations", default=30, low=1, help="Of Lanczos' method; two gradients over all samples each."
            ),
        ),
        help="Largest and smallest eigenvalue of the training loss's Hessian: 2/λ bounds the learning rate.",
    ),
    ProbeSpec(
        name="gradient_noise",
        build="kit.gradient_noise:GradientNoise",
        hyperparameters=(
            Hyperparameter(name="batch", default=16, low=1, unit="samples", help="Samples of a batch."),
            Hyperparameter(name="batches", default=64, low=2, help="Batches that are drawn at a reading."),
        ),
        help="Gradient noise scale tr Σ / ‖G‖², in samples: where a larger batch stops paying for itself.",
    ),
    ProbeSpec(name="trajectory", build="kit.probes:Trajectory", help="The parameters themselves, for models with few."),
)
