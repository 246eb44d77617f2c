"""Finding a record by its short or qualified name, and what is said when it is not found."""

from __future__ import annotations

import pytest

from kit.entry_points import EntryPoint
from kit.errors import AmbiguousNameError, UnknownNameError
from kit.ledger import Failure
from kit.records import BackendSpec, Component, ModelSpec, OptimizerSpec
from kit.registry import Offer, Registry


def offer(record: Component, distribution: str, plugin: str = "") -> Offer[Component]:
    return Offer(record=record, distribution=distribution, version="1.0", plugin=plugin or distribution)


def model(name: str, backend: str | None = None) -> ModelSpec:
    return ModelSpec(name=name, backend=backend, build="a:b")


def adam(backend: str | None = None) -> OptimizerSpec:
    return OptimizerSpec(name="adam", backend=backend, rule="a:b")


TORCH, FLOW = BackendSpec(name="torch", engine="a:b"), BackendSpec(name="tensorflow", engine="a:b")
MLP_TORCH, MLP_FLOW, ONLY = model("mlp", "torch"), model("mlp", "tensorflow"), model("resnet", "torch")
ADAM = adam()


@pytest.fixture
def registry() -> Registry:
    return Registry(
        offers=(
            offer(TORCH, "descentkit-torch"),
            offer(FLOW, "descentkit-tensorflow"),
            offer(MLP_TORCH, "descentkit-torch"),
            offer(MLP_FLOW, "descentkit-tensorflow"),
            offer(ONLY, "descentkit-torch"),
            offer(ADAM, "descentkit"),
        )
    )


def test_find_by_short_name(registry: Registry) -> None:
    assert registry.find("model", "mlp", "torch") is MLP_TORCH
    assert registry.find("model", "mlp", "tensorflow") is MLP_FLOW
    assert registry.find("optimizer", "adam") is ADAM
    assert registry.find("optimizer", "adam", "tensorflow") is ADAM
    assert registry.find("backend", "torch") is TORCH
    assert registry.find("model", "resnet") is ONLY  # the only one, whatever its backend


@pytest.mark.parametrize(
    ("kind", "name", "found"),
    [
        ("model", "descentkit-torch:torch/mlp", MLP_TORCH),
        ("model", "Descentkit.Torch:torch/mlp", MLP_TORCH),  # as packaging compares names
        ("model", "tensorflow/mlp", MLP_FLOW),
        ("optimizer", "descentkit:adam", ADAM),
    ],
)
def test_find_by_qualified_name(registry: Registry, kind: str, name: str, found: Component) -> None:
    assert registry.find(kind, name) is found


def test_every_offer_is_found_by_its_qualified_name(registry: Registry) -> None:
    for each in registry.offers:
        assert registry.find(each.record.kind, each.qualified) is each.record


def test_a_misspelled_name_gets_the_nearest_match_and_every_choice(registry: Registry) -> None:
    with pytest.raises(UnknownNameError) as error:
        registry.find("model", "mpl", "torch")
    assert str(error.value) == "There is no model named 'mpl'. Did you mean 'mlp'? Choices: mlp, resnet."


def test_a_misspelled_qualified_name(registry: Registry) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'descentkit-torch:torch/mlp'"):
        registry.find("model", "descentkit-torch:torch/mpl", "torch")
    with pytest.raises(UnknownNameError):
        registry.find("model", "descentkit-torch:mlp")  # it has a backend, so the name says which


def test_a_name_for_another_backend_only(registry: Registry) -> None:
    with pytest.raises(UnknownNameError) as error:
        registry.find("model", "resnet", "tensorflow")
    assert str(error.value) == (
        "The model 'resnet' is offered for torch only, not for tensorflow. Choices for tensorflow: mlp."
    )


def test_a_backend_that_is_not_there(registry: Registry) -> None:
    with pytest.raises(UnknownNameError, match=r"no backend named 'troch'. Did you mean 'torch'"):
        registry.find("model", "mlp", "troch")


def test_a_kind_that_is_not_there(registry: Registry) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'optimizer'"):
        registry.find("optimiser", "adam")


def test_several_backends_and_none_said(registry: Registry) -> None:
    with pytest.raises(AmbiguousNameError) as error:
        registry.find("model", "mlp")
    assert str(error.value) == (
        "The model 'mlp' is offered for several backends. "
        "Say which is meant: 'descentkit-torch:torch/mlp' or 'descentkit-tensorflow:tensorflow/mlp'."
    )
    assert registry.ambiguous() == ()  # an experiment always says its backend


@pytest.mark.parametrize("backend", [None, "torch"])
def test_two_plugins_of_one_name(registry: Registry, backend: str | None) -> None:
    mine = adam(backend)
    both = Registry(offers=(offer(mine, "kit-mine"), *registry.offers))
    qualified = "kit-mine:torch/adam" if backend else "kit-mine:adam"
    with pytest.raises(AmbiguousNameError) as error:
        both.find("optimizer", "adam", "torch")
    assert str(error.value) == (
        f"2 plugins offer the optimizer 'adam'. Say which is meant: '{qualified}' or 'descentkit:adam'."
    )
    assert both.find("optimizer", qualified, "torch") is mine
    assert both.find("optimizer", "descentkit:adam", "torch") is ADAM
    assert both.ambiguous() == (("optimizer", "adam", (qualified, "descentkit:adam")),)


def test_two_plugins_of_one_distribution_with_one_name() -> None:
    both = Registry(offers=(offer(adam(), "kit-mine", "first"), offer(adam(), "kit-mine", "second")))
    with pytest.raises(AmbiguousNameError, match=r"'first' and 'second' of kit-mine.* KIT_BLOCK=second"):
        both.find("optimizer", "kit-mine:adam")


def test_names(registry: Registry) -> None:
    assert registry.names("model") == ["mlp", "resnet"]
    assert registry.names("model", "tensorflow") == ["mlp"]
    assert registry.names("optimizer", "torch") == ["adam"]
    assert registry.names("probe") == []


def test_what_did_not_load_is_named_when_something_is_missing() -> None:
    failure = Failure(plugin="torch", distribution="d", version="1", stage="import", reason="It broke.")
    note = Failure(plugin="noisy", distribution="d", version="1", stage="output", reason="It printed.")
    point = EntryPoint(name="flow", target="a", distribution="d", version="1", requirements=())
    empty = Registry(offers=(), failures=(failure, note), left_out=(point,))
    with pytest.raises(UnknownNameError) as error:
        empty.find("model", "mlp", "torch")
    assert str(error.value) == (
        "There is no model named 'mlp'. Choices: nothing is installed that offers one. "
        "Not everything loaded (torch): `kit plugins --errors` says why. "
        "Left out by KIT_PLUGINS or KIT_BLOCK: flow."
    )


def test_a_registry_is_a_value(registry: Registry) -> None:
    assert registry == Registry(offers=registry.offers)
    assert registry != Registry(offers=registry.offers[:1])
