"""What is chosen in the lab, made from the registry, and why some of it cannot be."""

import pytest

import kit
from kit.errors import InvalidValueError, KitError, UnknownNameError
from kit.laboratory.form import Form
from kit.laboratory.menus import menus
from kit.laboratory.part import OWN


@pytest.fixture
def form(quick):
    return Form.of(kit.Registry.load(), ["minibatch", "adam"], replicates=2, **quick)


@pytest.fixture
def everything(monkeypatch):
    """All that is installed, both frameworks included; nothing of them is imported."""
    monkeypatch.delenv("KIT_PLUGINS")
    return kit.Registry.load()


def reasons(form, menu):
    return {item["name"]: item["reason"] for item in menus(form)[menu]}


def test_a_form_becomes_the_study_that_one_would_write(form, quick):
    base = kit.Experiment(**quick, backend="numpy", probes=("gradient_norm", "update_ratio"))
    assert form.study() == kit.Study(base.vary(optimizer=["minibatch", "adam"], replicate=range(2)).experiments)


def test_what_is_typed_reaches_the_study(form):
    changed = form.with_lane_option(1, "beta1", "0.8").with_setting("batch_size", "8").with_setting("seed", "7")
    changed = changed.with_setting("unit", "epochs").with_setting("budget", "1.5").with_setting("evaluate_every", "5")
    adam = changed.experiments()[1][0]
    assert adam.optimizer == kit.optimizer("adam", beta1=0.8)
    assert (adam.batch_size, adam.seed, adam.budget, adam.evaluate_every) == (8, 7, kit.Budget(epochs=1.5), 5)


def test_a_third_partys_optimizer_is_in_the_menu_with_its_own_controls(install, monkeypatch, quick):
    install(
        "kit-extra",
        """
        import kit
        from kit.records import Hyperparameter, OptimizerSpec

        @kit.hookimpl
        def kit_optimizers():
            vigour = Hyperparameter(name="vigour", default=0.5, low=0.0, high=2.0, unit="N", help="How eager it is.")
            yield OptimizerSpec(name="eager", rule="kit_extra:Eager", hyperparameters=(vigour,), help="A stranger's.")
        """,
    )
    monkeypatch.setenv("KIT_PLUGINS", "builtin,numpy,kit_extra")
    form = Form.of(kit.Registry.load(), ["adam"], **quick)
    assert reasons(form, "optimizer/numpy")["eager"] == ""
    control = form.with_lane(0, "eager").lanes[0].part.controls["vigour"].document()
    assert (control["label"], control["unit"], control["help"]) == ("Vigour", "N", "How eager it is.")
    assert control["slider"] == {"low": 0.0, "high": 2.0, "log": False}


def test_what_cannot_work_says_why(everything):
    form = Form.of(everything, ["adam"], backend="torch")
    assert reasons(form, "model")["transformer"] == "is for language; the data are classification"
    assert reasons(form, "model")["mlp"] == reasons(form, "model")["rosenbrock"] == ""
    assert reasons(form, "loss")["mse"] == "is for regression; the data are classification"
    assert reasons(form, "optimizer/torch")["keras.Adam"] == "is offered for tensorflow, not for torch"
    assert reasons(form, "device")["gpu"] == "is offered for tensorflow, not for torch"
    seconds = form.with_setting("unit", "seconds")
    assert reasons(seconds, "schedule")["cosine"] == "needs a budget in steps, epochs or samples"
    assert reasons(form, "schedule")["cosine"] == ""


def test_a_package_that_is_missing_is_named_with_its_command(install, monkeypatch, quick):
    install(
        "kit-data",
        """
        import kit
        from kit.records import DatasetSpec

        @kit.hookimpl
        def kit_datasets():
            yield DatasetSpec(name="rare", load="kit_data:load", requires=("no_such",), install="pip install no-such")
        """,
    )
    monkeypatch.setenv("KIT_PLUGINS", "builtin,numpy,kit_data")
    form = Form.of(kit.Registry.load(), ["adam"], **quick)
    assert reasons(form, "dataset")["rare"] == "needs no_such: pip install no-such"
    assert form.with_part("dataset", "rare").faults() == ["dataset 'rare' needs no_such: pip install no-such."]


def test_a_lane_whose_optimizer_the_framework_has_not(everything):
    form = Form.of(everything, ["torch.Adam", "adam"], backend="torch")
    assert form.faults() == []
    moved = form.with_part("backend", "tensorflow")
    assert moved.faults() == [
        "Lane 1 (torch.Adam): optimizer 'torch.Adam' is offered for torch, not for tensorflow; "
        "the nearest there is 'keras.Adam'."
    ]
    with pytest.raises(InvalidValueError, match=r"Lane 1 \(torch\.Adam\)"):
        moved.study()
    assert moved.with_lane_backend(0, "torch").faults() == []  # a lane may have a framework of its own


def test_a_frameworks_own_optimizer_has_its_arguments_too(everything):
    form = Form.of(everything, [kit.optimizer("torch.SGD", momentum=0.5)], backend="torch")
    controls = form.lanes[0].part.controls
    assert [controls[name].text for name in ("learning_rate", "momentum", "nesterov")] == ["0.001", "0.5", "false"]
    assert form.lanes[0].part.choice() == kit.optimizer("torch.SGD", momentum=0.5)  # nothing else is given to the class
    nesterov = form.with_lane_option(0, "nesterov", "true").lanes[0].part.choice()
    assert nesterov == kit.optimizer("torch.SGD", momentum=0.5, nesterov=True)


def test_faults_are_collected_and_mended_one_by_one(form):
    faulty = form.with_setting("batch_size", "").with_lane_option(0, "learning_rate", "quick").with_part("model", "mlp")
    assert len(faulty.faults()) == 3
    assert "The lab: batch_size is empty" in faulty.faults()[0]
    assert any("Lane 1 (minibatch): optimizer 'minibatch': learning_rate='quick'" in fault for fault in faulty.faults())
    mended = faulty.with_setting("batch_size", "4").with_lane_option(0, "learning_rate", "0.1")
    assert mended.with_part("model", "linear").faults() == []


def test_lanes_are_named_by_what_tells_them_apart(form):
    form = form.with_copy(1).with_copy(1)
    assert form.lane_names() == ["minibatch", "adam", "adam (2)", "adam (3)"]
    form = form.with_lane_option(2, "learning_rate", "0.1").with_lane_option(3, "beta1", "0.5")
    assert form.lane_names() == [
        "minibatch",
        "adam at 0.001, beta1 0.9",
        "adam at 0.1, beta1 0.9",
        "adam at 0.001, beta1 0.5",
    ]


def test_lanes_keep_their_looks_when_others_go(form):
    form = form.with_copy(0).with_copy(0).without(1)
    assert [lane.look for lane in form.lanes] == [0, 2, 3]
    assert form.with_copy(0).lanes[-1].look == 1


def test_there_are_at_most_six_lanes_and_at_least_one(form):
    for _ in range(4):
        form = form.with_copy(0)
    with pytest.raises(InvalidValueError, match="6 lanes"):
        form.with_copy(0)
    for _ in range(6):
        form = form.without(0)
    assert form.faults() == ["The lab has no lane; add one."]
    with pytest.raises(InvalidValueError, match="no lane 1"):
        form.without(0)


def test_a_function_to_be_minimised_needs_no_data(everything):
    form = Form.of(everything, ["gd"], backend="torch", model="rosenbrock", budget=400)
    assert form.objective
    assert form.faults() == []
    experiment = form.experiments()[0][0]
    assert [probe.name for probe in experiment.probes] == ["gradient_norm", "update_ratio", "trajectory"]
    assert experiment.evaluate_every == 2  # 200 points of its path
    assert not form.with_part("model", "mlp").objective


def test_objects_of_the_users_own_stand_in_the_menus(form, quick):
    import numpy as np

    x = np.random.default_rng(0).normal(size=(60, 3))
    mine = Form.of(kit.Registry.load(), ["adam"], **{**quick, "dataset": (x, x[:, 0] > 0)})
    assert menus(mine)["dataset"][0]["title"].startswith("your own")
    assert mine.data_task == "classification"
    assert mine.faults() == []
    back = mine.with_part("dataset", "iris").with_part("dataset", mine.parts["dataset"].name)
    assert back.study() == mine.study()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"dataset": "digitz"}, UnknownNameError),
        ({"model": kit.model("linear", hidden=(3,))}, UnknownNameError),
        ({"replicates": 0}, InvalidValueError),
        ({"replicates": 21}, InvalidValueError),
        ({"bach_size": 3}, InvalidValueError),
        ({"backend": "jacks"}, KitError),
    ],
)
def test_a_lab_that_cannot_be_says_so_when_it_is_made(quick, options, error, tmp_path):
    with pytest.raises(error):
        kit.lab(["adam"], store=tmp_path, **{**quick, **options})


def test_an_optimizer_that_there_is_not(quick, tmp_path):
    with pytest.raises(UnknownNameError, match="Did you mean 'adam'"):
        kit.lab(["adm"], store=tmp_path, **quick)


class Sluggish:
    """An optimizer class as frameworks write them; only its signature counts here."""

    def __init__(
        self, params, lr=0.01, momentum=0.5, weight_decay: float = 0, betas=(0.9, 0.99), nesterov=False, fused=None
    ):
        pass


def test_an_optimizer_class_of_the_users_own_has_controls_from_its_signature(quick):
    mine = Form.of(kit.Registry.load(), kit.optimizer(Sluggish, lr=0.1, fused=True), **quick)
    part = mine.lanes[0].part
    assert [(name, control.kind, control.text) for name, control in part.controls.items()] == [
        ("learning_rate", "number", "0.1"),
        ("momentum", "number", "0.5"),
        ("weight_decay", "number", "0"),
        ("betas", "list", "0.9, 0.99"),
        ("nesterov", "switch", "false"),
    ]
    assert part.choice().options == {"learning_rate": 0.1, "fused": True}
    changed = mine.with_lane_option(0, "betas", "0.8, 0.9").with_lane_option(0, "nesterov", "true")
    choice = changed.with_lane_option(0, "learning_rate", "0.01").lanes[0].part.choice()
    assert choice.options == {"fused": True, "betas": (0.8, 0.9), "nesterov": True}  # 0.01 is the class's own
    assert choice.thing is Sluggish
    assert mine.with_lane_option(0, "momentum", "much").faults() == [
        "Lane 1 (Sluggish): optimizer 'Sluggish': momentum='much' is not valid; it must be a number."
    ]
    back = mine.with_lane(0, "adam").with_lane(0, OWN)  # what was passed is still there
    assert back.lanes[0].part == part
    two = changed.with_copy(0).with_lane_option(1, "momentum", "0.9")
    assert two.lane_names() == ["Sluggish, momentum 0.5", "Sluggish, momentum 0.9"]


def test_a_function_that_makes_an_optimizer_has_its_learning_rate(quick):
    mine = kit.optimizer(lambda params, lr: Sluggish(params, lr))
    part = Form.of(kit.Registry.load(), mine, **quick).lanes[0].part
    assert {name: control.text for name, control in part.controls.items()} == {"learning_rate": "0.001"}
