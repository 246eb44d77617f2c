"""Every native optimizer of PyTorch, its own and those of the wrapper plugins, tried for a few steps in one process."""

from __future__ import annotations

import inspect
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from tests.natives.plugins import places  # noqa: E402

pytestmark = pytest.mark.torch

STEPS = 60  # as the page says: fewer show nothing of those that begin slowly


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    pytest.importorskip("pytorch_optimizer")
    pytest.importorskip("schedulefree")
    before = list(sys.path)
    sys.path[:0] = places(tmp_path_factory.mktemp("site"))
    from tests.natives.trial import Trials

    threads = torch.get_num_threads()
    yield Trials("torch", STEPS)
    torch.set_num_threads(threads)
    sys.path[:] = before


def test_every_one_trains_and_is_taken_up_to_the_bit(trials: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the packages' own: deprecations, and hints on their arguments
        found = {record.name: trials.of(record) for record in trials.records()}
    from kit_pytorch_optimizer.names import DOUBTFUL

    faults = {name: each.fault for name, each in found.items() if each.fault}
    assert set(faults) == {f"pytorch_optimizer.{name}" for name in DOUBTFUL}, faults
    assert len([name for name in found if name.startswith("pytorch_optimizer.")]) >= 120


def test_the_names_are_those_of_the_packages(trials: Any) -> None:
    import pytorch_optimizer.optimizer
    import schedulefree
    from kit_pytorch_optimizer.names import CANNOT, NEEDS, RATES
    from kit_schedulefree import names

    module = pytorch_optimizer.optimizer
    classes = {name for name in module.__all__ if inspect.isclass(getattr(module, name))}
    assert set(RATES) | set(CANNOT) == classes
    assert not set(RATES) & set(CANNOT)
    assert set(NEEDS) <= set(RATES)
    assert set(names.RATES) == {name for name, kind in vars(schedulefree).items() if inspect.isclass(kind)}


def test_the_learning_rates_are_those_of_the_classes(trials: Any) -> None:
    import pytorch_optimizer.optimizer
    import schedulefree
    from kit_pytorch_optimizer.names import RATES
    from kit_schedulefree import names

    for module, rates in ((pytorch_optimizer.optimizer, RATES), (schedulefree, names.RATES)):
        for name, rate in rates.items():
            own = inspect.signature(getattr(module, name)).parameters.get("lr")
            if own is not None and isinstance(own.default, int | float):
                assert rate == own.default, name


def test_a_wrapper_says_which_optimizers_there_are(trials: Any) -> None:
    from kit_pytorch_optimizer.making import base_class

    assert base_class("Lion").__name__ == "Lion"
    assert base_class("Adam") is torch.optim.Adam
    with pytest.raises(ValueError, match="base='Adamm' is no optimizer"):
        base_class("Adamm")
