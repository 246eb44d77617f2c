"""The records of the probes; what they read stands in `kit.probes`."""

from __future__ import annotations

from kit.records import ProbeSpec

RECORDS = (
    ProbeSpec(
        name="gradient_norm", build="kit.probes:GradientNorm", help="Euclidean norm of the coming batch's gradient."
    ),
    ProbeSpec(
        name="update_ratio",
        build="kit.probes:UpdateRatio",
        help="Norm of the change since the last reading, per norm of the parameters.",
    ),
    ProbeSpec(name="parameter_norm", build="kit.probes:ParameterNorm", help="Euclidean norm of all parameters."),
    ProbeSpec(name="trajectory", build="kit.probes:Trajectory", help="The parameters themselves, for models with few."),
)
