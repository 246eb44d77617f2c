"""Figures: what they refuse, that nothing overlaps, that colours can be told apart, that no state is left behind."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.errors import InvalidValueError, UnknownNameError
from kit.plot.chart import Chart
from kit.plot.cost import front_of, points_of
from kit.plot.ends import spread
from kit.plot.palette import DARK, LIGHT, Theme, looks, told_apart
from kit.plot.scales import log_ticks, tick_text
from kit.results import Results
from kit.results.run import CLOCKS


def texts(chart: Chart) -> list[Any]:
    """(text, box in pixels) of all that is written."""
    from matplotlib.text import Text

    chart.canvas.draw()
    renderer = chart.canvas.get_renderer()  # type: ignore[attr-defined]
    hidden = {
        id(tick.label1)
        for axes in chart.axes
        for axis, (low, high) in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim()))
        for tick in axis.get_major_ticks()
        if not low <= tick.get_loc() <= high  # matplotlib keeps them, and draws them not
    }
    found = [t for t in chart.findobj(Text) if t.get_visible() and t.get_text().strip() and id(t) not in hidden]
    return [(t.get_text(), t.get_window_extent(renderer)) for t in found]


def overlapping(chart: Chart) -> list[tuple[str, str]]:
    """Pairs of texts that cover each other by more than a pixel either way."""
    found = []
    for (one, a), (other, b) in itertools.combinations(texts(chart), 2):
        if min(a.x1, b.x1) - max(a.x0, b.x0) > 1 and min(a.y1, b.y1) - max(a.y0, b.y0) > 1:
            found.append((one, other))
    return found


def outside(chart: Chart) -> list[str]:
    width, height = chart.get_size_inches() * chart.dpi
    return [t for t, box in texts(chart) if box.x0 < -1 or box.y0 < -1 or box.x1 > width + 1 or box.y1 > height + 1]


def twelve(make_outcome: Any) -> Results:
    """Twelve methods, many of which end close to each other; one diverged in part, one always."""

    def ends(i: int, r: int) -> int | None:
        return 60 if i == 7 or (i == 5 and r) else None

    return Results(
        [
            make_outcome(f"method_{i}", "torch", r, level=0.1 + 0.004 * i, diverged_at=ends(i, r))
            for i in range(12)
            for r in range(3)
        ]
    )


def trajectory(make_outcome: Any, name: str, backend: str, x: Any, y: Any, status: str = "done") -> Any:
    import pandas as pd

    frame = make_outcome(name, backend, 0).curves.iloc[: len(x)]
    points = {"position.0": x, "position.1": y}
    parts = [frame.assign(metric=metric, step=range(len(x)), value=values) for metric, values in points.items()]
    return replace(make_outcome(name, backend, 0), curves=pd.concat(parts, ignore_index=True), status=status)


def bowl(x: Any, y: Any) -> Any:
    return 0.5 * (x * x + 10 * y * y)


def spirals(make_outcome: Any) -> Results:
    angle = np.linspace(0, 20, 200)
    shrink = np.exp(-angle / 6)
    outcomes = [
        trajectory(make_outcome, name, backend, scale * shrink * np.cos(angle), shrink * np.sin(angle))
        for name, scale in (("gd", 1.0), ("adam", 1.5))
        for backend in ("torch", "tensorflow")
    ]
    far = np.geomspace(1, 1e30, 30)
    return Results([*outcomes, trajectory(make_outcome, "wild", "torch", far, -far, "diverged")])


@pytest.fixture(scope="module")
def figures(make_study: Any, make_sweep: Any, make_outcome: Any) -> dict[str, Callable[..., Chart]]:
    study = Results(make_study())
    sweep = Results(make_sweep([1e-3, 1e-2, 0.1, 1.0], ("adam", "sgd"), ("torch", "tensorflow"), 3))
    many, paths = twelve(make_outcome), spirals(make_outcome)
    return {
        **{f"curves by {clock}": lambda c=clock, **o: study.plot_curves(against=c, **o) for clock in CLOCKS},  # type: ignore[misc]
        "batch loss": lambda **o: study.plot_curves("batch_loss", against="samples", **o),
        "accuracy": lambda **o: study.plot_curves("validation_accuracy", **o),
        "one panel": lambda **o: study.plot_curves(facet=None, **o),
        "twelve": lambda **o: many.plot_curves(**o),
        "curves of a search": lambda **o: sweep.plot_curves(**o),
        "sensitivity": lambda **o: sweep.plot_sensitivity(**o),
        "cost": lambda **o: study.plot_cost(**o),
        "memory": lambda **o: study.plot_cost(cost="peak_memory_bytes", **o),
        "parity": lambda **o: study.plot_parity(**o),
        "trajectories": lambda **o: paths.plot_trajectories(bowl, minima=((0.0, 0.0),), **o),
    }


NAMES = [
    *(f"curves by {clock}" for clock in CLOCKS), "batch loss", "accuracy", "one panel", "twelve", "curves of a search",
    "sensitivity", "cost", "memory", "parity", "trajectories",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("narrow", [False, True])
def test_no_text_covers_another_or_leaves_the_figure(
    figures: dict[str, Callable[..., Chart]], name: str, narrow: bool
) -> None:
    chart = figures[name](narrow=narrow)
    if not (narrow and name in ("cost", "memory")):  # eight names in a phone's width: the placing does what it can
        assert overlapping(chart) == []
    assert outside(chart) == []
    assert len(chart.words) > 40


@pytest.mark.parametrize("name", ["curves by step", "twelve", "sensitivity", "cost", "parity", "trajectories"])
def test_the_dark_figure_has_the_same_words_on_a_dark_ground(
    figures: dict[str, Callable[..., Chart]], name: str
) -> None:
    from PIL import Image

    dark = figures[name](theme="dark")
    assert dark.words == figures[name]().words
    import io

    pixels = np.asarray(Image.open(io.BytesIO(dark.png())).convert("RGB")).astype(int)
    assert pixels[0, 0].sum() < 100
    assert (pixels.sum(axis=2) > 600).any()  # and something light on it


def test_a_notebook_shows_it_and_no_state_is_left(figures: dict[str, Callable[..., Chart]]) -> None:
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    chart = figures["curves by step"]()
    data, size = chart._repr_png_()
    assert data.startswith(b"\x89PNG")
    assert size["width"] > size["height"]
    chart.svg()
    assert dict(mpl.rcParams) == before


def test_users_defaults_do_not_reach_the_figure(make_study: Any) -> None:
    import matplotlib as mpl

    results = Results(make_study(("gd", "adam"), ("torch",), 2))
    plain = results.plot_curves().png()
    with mpl.rc_context({"text.color": "red", "axes.labelcolor": "red", "font.size": 30, "axes.facecolor": "yellow"}):
        assert results.plot_curves().png() == plain


def test_the_same_algorithm_has_the_same_look_everywhere(make_study: Any) -> None:
    results = Results(make_study())
    whole = looks(results.lanes, results.palette, LIGHT)
    part = results.select(optimizer=["adam", "sgd"], backend="tensorflow")
    selected = looks(part.lanes, part.palette, LIGHT)
    assert selected["adam"] == whole["adam · torch"] == whole["adam · tensorflow"]
    assert len({(look.colour, look.marker) for look in whole.values()}) == 4


def test_twelve_methods_have_twelve_looks(make_outcome: Any) -> None:
    results = twelve(make_outcome)
    found = looks(results.lanes, results.palette, LIGHT)
    assert len(set(found.values())) == 12
    assert len({look.marker for look in found.values()}) == 12
    assert len({(look.colour, look.dashes) for look in found.values()}) == 12


def test_a_method_that_stands_twice_in_a_panel_is_told_apart_by_dashes(make_study: Any) -> None:
    results = Results(make_study(("gd", "adam"), replicates=2))
    whole = looks(results.lanes, results.palette, LIGHT)
    panel = told_apart(results.lanes, whole)
    assert len(set(panel.values())) == 4
    assert panel["gd · torch"].colour == panel["gd · tensorflow"].colour
    assert panel["gd · torch"] == whole["gd · torch"]


# Machado, Oliveira & Fernandes 2009: full deficiency, on linear RGB.
VISION = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}


def linear(colour: str) -> Any:
    part = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)


def lab(rgb: Any) -> Any:
    """CIE L*a*b* (D65) of linear RGB."""
    matrix = np.array(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    )
    xyz = matrix @ np.clip(rgb, 0, 1) / np.array([0.95047, 1.0, 1.08883])
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def contrast(one: str, other: str) -> float:
    """WCAG's ratio of two colours."""
    a, b = sorted((float(linear(c) @ np.array([0.2126, 0.7152, 0.0722])) for c in (one, other)), reverse=True)
    return (a + 0.05) / (b + 0.05)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
def test_colours_differ_for_every_kind_of_colour_vision(theme: Theme) -> None:
    for vision, matrix in VISION.items():
        for one, other in itertools.combinations(theme.series, 2):
            distance = float(np.linalg.norm(lab(matrix @ linear(one)) - lab(matrix @ linear(other))))
            assert distance > 12, f"{one} and {other} look alike with {vision}: {distance:.1f}"
    assert contrast(theme.ink, theme.surface) > 7
    assert contrast(theme.muted, theme.surface) > 4.5
    for colour in theme.series:
        assert contrast(colour, theme.surface) > 2


@settings(deadline=None)
@given(st.lists(st.floats(-5, 15), max_size=15), st.floats(0.1, 2))
def test_labels_are_spread_apart_in_their_order(wanted: list[float], gap: float) -> None:
    found = spread(wanted, gap, 0.0, 10.0)
    fitting = min(gap, 10.0 / max(1, len(wanted) - 1))
    for i, j in itertools.combinations(range(len(wanted)), 2):
        assert abs(found[i] - found[j]) >= fitting - 1e-9
        if wanted[i] < wanted[j]:
            assert found[i] < found[j]
    assert all(-1e-9 <= place <= 10 + 1e-9 for place in found)


@settings(deadline=None)  # the minimiser is slow at first use
@given(st.lists(st.floats(2, 8), min_size=1, max_size=4))
def test_labels_move_as_little_as_they_can(wanted: list[float]) -> None:
    """Against scipy's minimiser of the squared moves under the same constraints."""
    from scipy.optimize import LinearConstraint, minimize

    wanted = sorted(wanted)
    found = spread(wanted, 0.5, 0.0, 10.0)
    n = len(wanted)
    constraints = [LinearConstraint(np.eye(n, k=1)[:-1] - np.eye(n)[:-1], 0.5, np.inf)] if n > 1 else []
    start = np.linspace(0, 10, n)
    best = minimize(lambda z: np.sum((z - wanted) ** 2), start, method="SLSQP", constraints=constraints)
    assert np.sum((np.array(found) - wanted) ** 2) <= best.fun + 1e-6


@settings(deadline=None)
@given(st.floats(1e-12, 1e6), st.floats(1.05, 1e9))
def test_ticks_are_few_and_within(low: float, ratio: float) -> None:
    ticks = log_ticks(low, low * ratio)
    assert 1 <= len(ticks) <= 8
    assert all(low * 0.99 <= tick <= low * ratio * 1.01 for tick in ticks)
    assert len({tick_text(tick) for tick in ticks}) == len(ticks) or ratio < 1.2


def test_the_front_is_what_nothing_beats_in_both(make_study: Any) -> None:
    results = Results(make_study(noise=0.4))
    points = points_of(results, "validation_loss", "seconds")
    beaten = {
        p.lane.name
        for p in points
        for q in points
        if q.cost.estimate < p.cost.estimate and q.quality.estimate < p.quality.estimate
    }
    front = {p.lane.name for p in front_of(points, "validation_loss")}
    assert front
    assert not front & beaten
    assert {p.lane.name for p in points} - front <= beaten | {
        p.lane.name for p in points for q in points if p is not q and q.quality.estimate == p.quality.estimate
    }


def test_a_title_says_no_more_than_was_shown(make_outcome: Any) -> None:
    outcomes = [make_outcome(name, "torch", r, level=0.2, noise=0.1) for name in ("adam", "lion") for r in range(3)]
    words = Results(outcomes).plot_curves().words
    assert "not shown to differ from" in words
    one = [make_outcome(name, "torch", 0) for name in ("adam", "sgd")]
    assert "(one run each)" in Results(one).plot_curves().words


def test_names_that_look_like_formulas_are_text(make_outcome: Any) -> None:
    outcomes = [make_outcome(name, "torch", r) for name in ("$x^2", "a$b$c_{") for r in range(2)]
    results = Results(outcomes)
    for chart in (results.plot_curves(), results.plot_cost()):
        assert any("$x^2" in text for text, _ in texts(chart))


def test_what_cannot_be_drawn_is_refused_in_words(make_study: Any, make_outcome: Any) -> None:
    results = Results(make_study(("adam",), ("torch",), 2))
    with pytest.raises(UnknownNameError, match="Did you mean 'validation_loss'"):
        results.plot_curves("validation_los")
    with pytest.raises(UnknownNameError, match="Did you mean 'step'"):
        results.plot_curves(against="steps")  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match="Choices: dark, light"):
        results.plot_curves(theme="blue")
    with pytest.raises(UnknownNameError, match="cost"):
        results.plot_cost(cost="money")
    with pytest.raises(InvalidValueError, match="no learning-rate search"):
        results.plot_sensitivity()
    with pytest.raises(InvalidValueError, match="differ in nothing but the framework"):
        results.plot_parity()
    with pytest.raises(InvalidValueError, match="probes="):
        results.plot_trajectories(bowl)
    with pytest.raises(InvalidValueError, match="no runs"):
        Results([]).plot_curves()
    with pytest.raises(InvalidValueError, match="No run finished"):
        Results([make_outcome("wild", "torch", 0, diverged_at=20)]).plot_cost()


def test_all_diverged_still_shows_how(make_outcome: Any) -> None:
    chart = Results([make_outcome("wild", "torch", r, diverged_at=40) for r in range(3)]).plot_curves()
    assert any("3 of 3 diverged" in text for text, _ in texts(chart))
    assert "No run finished" in chart.words


def test_replicates_with_no_step_in_common_are_left_out(make_outcome: Any) -> None:
    outcomes = [make_outcome(name, "torch", r) for name in ("adam", "sgd") for r in range(2)]
    outcomes[0].curves["step"] += 1
    chart = Results(outcomes).plot_curves()
    assert "sgd from" in chart.words
    assert "adam from" not in chart.words


def test_a_long_curve_is_averaged_in_blocks_of_known_means(make_outcome: Any) -> None:
    from kit.plot.series import POINTS, series_of

    (lane,) = Results([make_outcome("adam", "torch", 0, steps=6000)]).lanes
    whole = lane.runs[0].curve("batch_loss").to_numpy()
    for log_x in (False, True):
        series = series_of(lane, "batch_loss", "step", log=False, log_x=log_x)
        assert POINTS / 2 < len(series.x) <= POINTS
        assert series.x[0] >= 1
        assert (np.diff(series.x) > 0).all()
    series = series_of(lane, "batch_loss", "step", log=False)
    first = round(2 * series.x[0] - 1)  # the block of steps 1 … first has its mean in the middle
    assert series.mean[0] == pytest.approx(whole[:first].mean())


def test_negative_losses_are_drawn_on_a_linear_scale(make_outcome: Any) -> None:
    outcomes = [make_outcome("adam", "torch", r) for r in range(2)]
    for outcome in outcomes:
        outcome.curves["value"] -= 1.0
    chart = Results(outcomes).plot_curves()
    assert chart.axes[0].get_yscale() == "linear"


def with_model(results: Results, model: dict[str, Any]) -> Results:
    changed = [replace(run.outcome, specification={**run.specification, "model": model}) for run in results.runs]
    return Results(changed)


def test_the_contours_are_those_of_the_function_that_was_minimised(make_outcome: Any) -> None:
    options = {"a": 2.0, "b": 5.0, "start": (0.0, 0.0)}
    results = with_model(spirals(make_outcome), {"name": "rosenbrock", "options": options})
    by_hand = results.plot_trajectories(lambda x, y: (2 - x) ** 2 + 5 * (y - x * x) ** 2, minima=((2.0, 4.0),))
    of_itself = results.plot_trajectories()
    assert of_itself.words == by_hand.words
    assert texts(of_itself)[0][0] == texts(by_hand)[0][0]
    with pytest.raises(InvalidValueError, match="did not minimise one test function: their model is mlp"):
        with_model(results, {"name": "mlp"}).plot_trajectories()


def test_a_path_to_infinity_does_not_shrink_the_others(make_outcome: Any) -> None:
    chart = spirals(make_outcome).plot_trajectories(bowl)
    assert max(abs(limit) for limit in chart.axes[0].get_xlim()) < 5
    assert any("wild (diverged)" in text for text, _ in texts(chart))
