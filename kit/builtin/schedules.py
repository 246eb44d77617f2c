"""The records of the learning-rate schedules; their formulas stand in `kit.schedules`."""

from __future__ import annotations

from kit.records import Hyperparameter, ScheduleSpec


def _warmup(fraction: float) -> tuple[Hyperparameter, ...]:
    return (
        Hyperparameter(
            name="warmup_steps",
            default=0,
            low=0,
            unit="steps",
            help="Steps over which the rate rises at the beginning.",
        ),
        Hyperparameter(
            name="warmup_fraction",
            default=fraction,
            low=0.0,
            high=1.0,
            bounds="[)",
            help="The same as a share of the budget; warmup_steps goes first.",
        ),
    )


WARMUP = _warmup(0.0)
FINAL = Hyperparameter(name="final", default=0.0, low=0.0, help="Factor at the end.")

RECORDS = (
    ScheduleSpec(
        name="constant",
        build="kit.schedules:constant",
        needs_steps=False,
        hyperparameters=WARMUP,
        help="The same rate throughout.",
    ),
    ScheduleSpec(
        name="step",
        build="kit.schedules:step",
        hyperparameters=(
            Hyperparameter(name="factor", default=0.1, low=0.0, help="What each drop multiplies the rate by."),
            Hyperparameter(
                name="every_fraction",
                default=1 / 3,
                low=0.0,
                high=1.0,
                bounds="(]",
                help="Distance between drops, as a share of the budget.",
            ),
            Hyperparameter(
                name="every_steps", default=0, low=0, unit="steps", help="The same in steps, which goes first; 0: not."
            ),
            *WARMUP,
        ),
        help="Drops by a factor at even distances.",
        source="He et al. 2016, arXiv:1512.03385",
    ),
    ScheduleSpec(
        name="exponential",
        build="kit.schedules:exponential",
        hyperparameters=(
            Hyperparameter(
                name="final",
                default=0.01,
                low=0.0,
                bounds="()",
                log=True,
                help="Factor at the end; above 1 the rate rises, as in a range test.",
            ),
            *WARMUP,
        ),
        help="Falls, or rises, by the same ratio in every step.",
    ),
    ScheduleSpec(
        name="polynomial",
        build="kit.schedules:polynomial",
        hyperparameters=(
            Hyperparameter(name="power", default=1.0, low=0.0, bounds="()", help="Of the curve; 1: a straight line."),
            *WARMUP,
        ),
        help="To zero along (1 − t)^power.",
        source="Liu, Rabinovich & Berg 2015, arXiv:1506.04579",
    ),
    ScheduleSpec(
        name="cosine",
        build="kit.schedules:cosine",
        hyperparameters=(FINAL, *WARMUP),
        help="Half a cosine, from 1 to the final factor.",
        source="Loshchilov & Hutter 2017, arXiv:1608.03983",
    ),
    ScheduleSpec(
        name="one_cycle",
        build="kit.schedules:one_cycle",
        hyperparameters=(
            Hyperparameter(
                name="peak_fraction",
                default=0.3,
                low=0.0,
                high=1.0,
                bounds="()",
                help="Where the peak is, as a share of the budget.",
            ),
            Hyperparameter(name="start", default=0.04, low=0.0, help="Factor in the first step."),
            Hyperparameter(name="final", default=4e-6, low=0.0, log=True, help="Factor in the last step."),
            *WARMUP,
        ),
        help="Up to the rate, then down to nearly nothing.",
        source="Smith & Topin 2017, arXiv:1708.07120",
    ),
    ScheduleSpec(
        name="warmup_stable_decay",
        build="kit.schedules:warmup_stable_decay",
        hyperparameters=(
            Hyperparameter(
                name="decay_fraction",
                default=0.2,
                low=0.0,
                high=1.0,
                bounds="(]",
                help="Share of the steps after the warm-up that decays.",
            ),
            FINAL,
            Hyperparameter(name="shape", default="linear", choices=("linear", "sqrt"), help="Of the decay."),
            *_warmup(0.1),
        ),
        help="Warm-up, a plateau, then decay.",
        source="Hu et al. 2024, arXiv:2404.06395",
    ),
)
