"""What every rule must do: keep trials apart, be pure, be resumable, say what it is, and descend."""

from __future__ import annotations

import doctest
import importlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.errors import InvalidValueError, UnknownNameError
from kit.records import OptimizerSpec, resolve
from kit.rules import ALL, Adam, Muon, Rule
from kit.rules import numpy_namespace as xp
from kit.rules.reference import descend
from kit.rules.scalars import schedule_scalars
from kit.rules.step import scalars

# Issue 2, item 3; schedule-free stands there as "(SGD and AdamW)".
PROMISED = (
    "gd", "sgd", "minibatch", "momentum", "nesterov", "adagrad", "adadelta", "rmsprop", "adam", "amsgrad", "adamax",
    "nadam", "adamw", "lion", "lamb", "adafactor", "muon", "schedule_free", "schedule_free_adamw",
)  # fmt: skip

# The structural choices of a rule that change its slots or its arithmetic, beside its defaults.
VARIANTS: dict[str, tuple[dict[str, Any], ...]] = {
    "rmsprop": ({"centered": True},),
    "muon": ({"nesterov": False, "adjust_lr_fn": "original"}, {"decay": "coupled"}),
    "lamb": ({"decay": "coupled"},),
    "adafactor": ({"decay": "coupled"},),
    "adamw": ({"decay": "coupled"},),
    "schedule_free": ({"decay": "decoupled", "warmup_steps": 5},),
    "schedule_free_adamw": ({"bias_correction": "rate", "warmup_steps": 5, "decay": "coupled"},),
}
CASES = [(rule, {}) for rule in ALL] + [(r, options) for r in ALL for options in VARIANTS.get(r.name, ())]


def name_of(case: tuple[type[Rule], dict[str, Any]]) -> str:
    rule, structure = case
    return "-".join([rule.name, *map(str, structure.values())])


ELEMENTWISE = [case for case in CASES if case[0].elementwise]
each_case = pytest.mark.parametrize(("rule", "structure"), CASES, ids=map(name_of, CASES))
each_elementwise_case = pytest.mark.parametrize(("rule", "structure"), ELEMENTWISE, ids=map(name_of, ELEMENTWISE))
each_rule = pytest.mark.parametrize("rule", ALL, ids=lambda rule: rule.name)

STEPS = 25
TRIALS = 4


def spread(rule: type[Rule]) -> dict[str, np.ndarray]:
    """Every float hyperparameter with a value of its own for each trial, decay and clipping at work in some."""
    values: dict[str, np.ndarray] = {
        "weight_decay": np.array([0.0, 0.1, 0.02, 0.3]),
        "clip_norm": np.array([np.inf, 3.0, 100.0, 0.5]),
    }
    for h in rule.all_hyperparameters():
        if not h.structural and h.name not in values:
            middle = h.default or 0.1
            low = -np.inf if h.low is None else h.low
            values[h.name] = np.maximum([middle, 0.9 * middle, 0.7 * middle, 0.5 * middle], low)
            for value in values[h.name]:
                h.check(float(value), rule.name)
    return values


def factors(trials: int, steps: int = STEPS) -> np.ndarray:
    falling = np.linspace(1.0, 0.3, steps)[:, None]
    return falling * np.linspace(1.0, 0.8, trials)[None]


def trained(rules: Any, rule: type[Rule], structure: dict[str, Any], member: int | None = None) -> Any:
    """A stack with `spread`, or the one member of it, after STEPS steps."""
    picked = slice(None) if member is None else slice(member, member + 1)
    stack = rules.reference(
        rule,
        [p[picked] for p in rules.arrays(0, trials=TRIALS)],
        **structure,
        **{name: values[picked] for name, values in spread(rule).items()},
    )
    stack.advance(rules.Bowl(), factors(TRIALS)[:, picked])
    return stack


def numbers(stack: Any, member: int = 0) -> list[np.ndarray]:
    """Parameters, slots, carry and averages of one member, bit for bit."""
    slots = [slots[name] for slots in stack.slots for name in sorted(slots)]
    carried = [stack.carry[name] for name in sorted(stack.carry)]
    return [array[member] for array in (*stack.parameters, *slots, *carried, *stack.evaluated())]


@each_case
def test_members_of_a_stack_equal_each_alone(rule: type[Rule], structure: dict[str, Any], rules: Any) -> None:
    stack = trained(rules, rule, structure)
    for member in range(TRIALS):
        alone = trained(rules, rule, structure, member)
        for a, b in zip(numbers(stack, member), numbers(alone), strict=True):
            np.testing.assert_array_equal(a, b)
    assert not np.array_equal(stack.parameters[1][0], stack.parameters[1][3]), "members differ in what they do"


@each_case
def test_a_diverged_member_leaves_the_others(rule: type[Rule], structure: dict[str, Any], rules: Any) -> None:
    healthy = trained(rules, rule, structure)
    start = rules.arrays(0, trials=TRIALS)
    for p, bad in zip(start, (np.nan, np.inf, np.nan, -np.inf, 1e200), strict=True):
        p[1] = bad
    stack = rules.reference(rule, start, **structure, **spread(rule))
    with np.errstate(all="ignore"):
        stack.advance(rules.Bowl(), factors(TRIALS))
    for member in (0, 2, 3):
        for a, b in zip(numbers(stack, member), numbers(healthy, member), strict=True):
            np.testing.assert_array_equal(a, b)
    assert not np.isfinite(stack.parameters[0][1])


@each_elementwise_case
def test_one_flat_buffer_equals_each_parameter(rule: type[Rule], structure: dict[str, Any], rules: Any) -> None:
    options = {**structure, **spread(rule), "clip_norm": np.full(TRIALS, np.inf)}
    start, bowl, flat_bowl = rules.arrays(0, trials=TRIALS), rules.Bowl(), rules.Bowl()
    sizes = np.cumsum([p[0].size for p in start])[:-1]

    def flat(arrays: list[np.ndarray]) -> np.ndarray:
        return np.concatenate([a.reshape(TRIALS, -1) for a in arrays], axis=1)

    def split(buffer: np.ndarray) -> list[np.ndarray]:
        parts = np.split(buffer, sizes, axis=1)
        return [part.reshape(p.shape) for part, p in zip(parts, start, strict=True)]

    separate = rules.reference(rule, start, **options)
    separate.advance(bowl, factors(TRIALS))
    whole = rules.reference(rule, [flat(start)], **options)
    whole.advance(lambda p: [flat(flat_bowl(split(p[0])))], factors(TRIALS))
    np.testing.assert_array_equal(flat(separate.parameters), whole.parameters[0])
    np.testing.assert_array_equal(flat(separate.evaluated()), whole.evaluated()[0])


@each_case
def test_scalars_do_not_depend_on_the_chunks(rule: type[Rule], structure: dict[str, Any], rules: Any) -> None:
    made, floats = rules.options_of(rule, {**structure, **spread(rule)}, TRIALS)
    steps, chunk = 300, 7
    whole, carry = schedule_scalars(made, floats, factors(TRIALS, steps), 0, made.carry(TRIALS))
    assert whole.shape == (steps, TRIALS, len(made.scalar_names()))
    assert np.isfinite(whole[..., [name != "clip_norm" for name in made.scalar_names()]]).all()
    pieces, carried = [], made.carry(TRIALS)
    for first in range(0, steps, chunk):
        before = {name: value.copy() for name, value in carried.items()}
        given = carried
        piece, carried = schedule_scalars(made, floats, factors(TRIALS, steps)[first : first + chunk], first, given)
        assert all((given[name] == before[name]).all() for name in before), "the carry given is not changed"
        pieces.append(piece)
    np.testing.assert_array_equal(np.concatenate(pieces), whole)
    for name in carry:
        np.testing.assert_array_equal(carried[name], carry[name])


@each_case
def test_update_is_pure_and_keeps_the_precision(rule: type[Rule], structure: dict[str, Any], rules: Any) -> None:
    made, floats = rules.options_of(rule, {**structure, **spread(rule)}, TRIALS)
    packed, _ = schedule_scalars(made, floats, np.ones((1, TRIALS)), 0, made.carry(TRIALS))
    for p in rules.arrays(0, trials=TRIALS):
        p = p.astype(np.float32)
        g, h = np.sin(p), scalars(xp, made.scalar_names(), packed[0].astype(np.float32), p.ndim)
        s = made.start(xp, p, h)
        assert set(s) <= set(rule.slots)
        arrays = [p, g, *s.values()]
        assert not any(np.shares_memory(slot, p) for slot in s.values()), "slots are fresh arrays"
        before = [a.copy() for a in arrays]
        after, slots = made.update(xp, p, g, s, h)
        assert all((a == b).all() for a, b in zip(arrays, before, strict=True)), "the arguments are not changed"
        assert (after.shape, after.dtype) == (p.shape, np.float32)
        assert {k: (v.shape, v.dtype) for k, v in slots.items()} == {k: (v.shape, v.dtype) for k, v in s.items()}
        assert made.evaluated(xp, after, slots, h).shape == p.shape


@each_rule
@given(
    shape=st.lists(st.integers(1, 4), max_size=4).map(tuple),
    order=st.permutations(range(3)),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=15, deadline=None)
def test_trials_in_another_order(rule: type[Rule], shape: tuple[int, ...], order: list[int], seed: int) -> None:
    """Whatever the shape, permuting the trials permutes the result, bit for bit, and everything stays finite."""
    source = np.random.default_rng(seed)
    p, g = source.normal(size=(2, 3, *shape))
    made = rule()
    floats = {name: values[:3] for name, values in spread(rule).items()}
    packed, _ = schedule_scalars(made, floats, np.ones((2, 3)), 0, made.carry(3))

    def run(rows: list[int]) -> np.ndarray:
        q, s = p[rows], None
        for now in packed[:, rows]:
            h = scalars(xp, made.scalar_names(), now, q.ndim)
            s = made.start(xp, q, h) if s is None else s
            q, s = made.update(xp, q, g[rows], s, h)
        return q

    straight = run([0, 1, 2])
    assert np.isfinite(straight).all()
    np.testing.assert_array_equal(run(order), straight[order])


CURVATURES = np.array([[0.1, 0.5, 0.3], [0.05, 0.7, 1.0]])


def quadratic(x: np.ndarray) -> float:
    return float(0.5 * (CURVATURES * x * x).sum())


@each_case
def test_lowers_a_convex_quadratic_at_its_defaults(rule: type[Rule], structure: dict[str, Any]) -> None:
    path = descend(rule, lambda x: CURVATURES * x, np.ones((2, 3)), steps=50, **structure)
    losses = [quadratic(x) for x in path]
    assert losses[-1] < losses[0] * 0.9999
    assert max(losses) == losses[0]


@each_case
def test_minimises_a_convex_quadratic_at_some_rate(rule: type[Rule], structure: dict[str, Any]) -> None:
    """Under a learning rate that falls to zero, for some start of it, without weight decay."""
    start, falling = np.ones((2, 3)), np.linspace(1, 0, 400)
    options = {"weight_decay": 0.0, "factors": falling, **structure}
    with np.errstate(all="ignore"):  # the larger rates are too large for some
        ends = [
            quadratic(descend(rule, lambda x: CURVATURES * x, start, steps=400, learning_rate=rate, **options)[-1])
            for rate in (0.01, 0.1, 1.0, 10.0)
        ]
    assert np.nanmin(ends) < 1e-3 * quadratic(start)


def test_all_promised_rules_are_there() -> None:
    assert tuple(rule.name for rule in ALL) == PROMISED


@each_rule
def test_says_what_it_is(rule: type[Rule]) -> None:
    """The idea in a sentence, the mathematics, hyperparameters with range, an example, the reference."""
    text = rule.__doc__ or ""
    assert text.strip().splitlines()[0].endswith("."), "the idea in a sentence"
    assert "←" in text, "the mathematics"
    assert ">>> " in text, "a runnable example"
    assert rule.title
    assert any(character.isdigit() for character in rule.source), "a reference with its year"
    for h in rule.all_hyperparameters():
        assert f"{h.name} = {h.default!r} ({h.range})" in text
        assert h.help.endswith(".")


@each_rule
def test_record_leads_back_to_the_rule(rule: type[Rule]) -> None:
    record = rule.record()
    assert isinstance(record, OptimizerSpec)
    assert resolve(record.rule or "") is rule
    assert (record.name, record.family, record.source) == (rule.name, rule.name, rule.source)
    assert {"learning_rate", "weight_decay", "decay", "clip_norm"} <= set(record.defaults())
    assert record.help.startswith(rule.title)


def test_batch_is_part_of_what_the_algorithm_is() -> None:
    policies = {rule.name: rule.batch for rule in ALL}
    assert (policies.pop("gd"), policies.pop("sgd")) == ("all", "one")
    assert set(policies.values()) == {"any"}


def test_gradient_descent_has_one_update() -> None:
    gd, sgd, minibatch = ALL[:3]
    assert gd.update is sgd.update is minibatch.update


@each_rule
def test_examples_run(rule: type[Rule]) -> None:
    names = {**vars(importlib.import_module(rule.__module__)), "descend": descend}
    results = [
        doctest.DocTestRunner().run(example)
        for example in doctest.DocTestFinder(recurse=False).find(rule, rule.__name__, globs=names)
    ]
    assert sum(result.attempted for result in results) > 0
    assert sum(result.failed for result in results) == 0


@pytest.mark.parametrize("module", ["kit.rules.reference", "kit.rules.conformance", "kit.rules.papers", "kit.losses"])
def test_examples_of_modules_run(module: str) -> None:
    result = doctest.testmod(importlib.import_module(module))
    assert result.attempted > 0
    assert result.failed == 0


def test_structure_is_checked() -> None:
    assert Adam(decay="decoupled").decoupled
    with pytest.raises(UnknownNameError, match=r"'decays'.*Did you mean 'decay'"):
        Adam(decays="decoupled")
    with pytest.raises(InvalidValueError, match=r"one of coupled, decoupled"):
        Adam(decay="neither")
    with pytest.raises(UnknownNameError):
        Adam(beta1=0.5)  # a float hyperparameter is a scalar of the step, not structure


def test_muon_takes_three_coefficients() -> None:
    assert Muon(ns_coefficients=(2, -1.5, 0.5)).structure["ns_coefficients"] == (2, -1.5, 0.5)
    with pytest.raises(InvalidValueError, match=r"three numbers a, b, c"):
        Muon(ns_coefficients=(1.5, -0.5))
    with pytest.raises(InvalidValueError, match=r"three numbers a, b, c"):
        Muon(ns_coefficients=("3", "-4", "2"))


class Bare(Rule):
    name = "bare"


def test_a_rule_without_a_docstring_has_a_record() -> None:
    assert Bare.record().help == "bare."


def test_descend_checks_its_options() -> None:
    with pytest.raises(UnknownNameError, match=r"Did you mean 'learning_rate'"):
        descend(Adam, lambda x: x, [1.0], steps=1, learning_rat=0.1)
    with pytest.raises(InvalidValueError, match=r"beta1=1\.5"):
        descend(Adam, lambda x: x, [1.0], steps=1, beta1=1.5)
