"""The exercises of the guided notebooks: what is right, what to do with a wrong answer, and why the right one is right.

They stand here and not in the notebooks, where everybody would read the answer on the way to the question. The
solution, one click away there, says more.
"""

from __future__ import annotations

from dataclasses import dataclass

EXACT = 1e-6  # relative: how near is right where nothing else is said


@dataclass(frozen=True, kw_only=True)
class Exercise:
    """A question whose answer is a number. Right is what lies between `low` and `high`."""

    low: float
    high: float
    otherwise: str
    because: str

    @classmethod
    def near(cls, value: float, within: float = EXACT, *, otherwise: str, because: str) -> Exercise:
        """Right is what comes within a share of a positive value."""
        return cls(low=value * (1 - within), high=value * (1 + within), otherwise=otherwise, because=because)


EXERCISES = {
    "steps of an epoch": Exercise.near(
        1438 / 64,
        0.03,
        otherwise="divide the training samples by the samples of one step",
        because="1,438 / 64 is about 22.5, so 300 steps are 13 epochs",
    ),
    "centimetres": Exercise.near(
        1e-5,
        otherwise="the numbers are 100 times larger, so the curvature is 100² times larger",
        because="2/λ falls by 100², and η with it: 0.1 becomes 0.00001",
    ),
    "a lower floor": Exercise.near(
        0.44,
        0.01,
        otherwise="the distance to the lowest is proportional to the learning rate; which distance, and what is a "
        "quarter of it?",
        because="0.08 above the lowest becomes 0.02 above it: 0.44",
    ),
    "four times the batch": Exercise.near(
        3200,
        0.03,
        otherwise="S is S_min (1 + B/b): find S_min from the first batch size, then put in the second",
        because="8,000 = 5 S_min, so S_min = 1,600, and with b = B it is twice that: 3,200, 60% fewer",
    ),
    "a long valley": Exercise(
        low=800,
        high=1300,
        otherwise="compare κ/2 with √κ/2",
        because="√κ = 100: a hundredth of the steps is 500, and momentum's first steps cost about as many again",
    ),
    "the first step": Exercise.near(
        10,
        0.01,
        otherwise="the step is η g / √v; put in v",
        because="g / √(0.01 g²) = 10: the first step is ten times too long, which the bias correction repairs",
    ),
    "a translated decay": Exercise.near(
        0.1,
        otherwise="write down one step of both: (1 − ηλ) p − η g, and p − η (g + λ' p)",
        because="without momentum and adaptive rates both are (1 − ηλ) p − η g: 0.1; with momentum they part",
    ),
    "three times sharper": Exercise(
        low=90,
        high=125,
        otherwise="three times narrower, and the width goes with one over the square root of the number",
        because="12 · 3² = 108: nine times the price for three times the sharpness",
    ),
    "different learning rates": Exercise.near(
        20,
        otherwise="no two points drawn at random from a continuous range have the same learning rate",
        because="each run has its own: 20 instead of 5",
    ),
    "what fits": Exercise(
        low=740,
        high=770,
        otherwise="first take off what the parameters, gradients and means need: 16 bytes for each parameter",
        because="16 · 10 million bytes are 160 megabytes; (4,000 − 160) / 5 = 768, less what the framework needs",
    ),
    "what to explain": Exercise.near(
        7.5,
        otherwise="it is a difference of two logits",
        because="8.0 − 0.5 = 7.5: the half that is missing is the error of the sum over points",
    ),
    "ten times the people": Exercise.near(
        10,
        0.05,
        otherwise="the noise is added to the sum, and the sum is divided by the number of samples",
        because="σ C / b with ten times the b is a tenth, for the noise is added once and not per sample",
    ),
    "the trials' axis": Exercise.near(
        12,
        otherwise="what is counted along the first axis of every array?",
        because="axis 0 counts the trials: a mean over it would mix runs that have nothing to do with each other",
    ),
}
