"""The code that the lab shows is run, and must ask for the very runs that the lab would train."""

import pytest

import kit
from kit.laboratory.code import code_of
from kit.laboratory.form import Form
from kit.resolve import Resolver


@pytest.fixture
def registry(monkeypatch):
    monkeypatch.delenv("KIT_PLUGINS")
    return kit.Registry.load()


def asked_for(code, monkeypatch):
    """The study that a program runs, taken from it before it trains."""
    found = []
    monkeypatch.setattr(kit.Study, "run", lambda study, **options: found.append((study, options)) or Answers())
    exec(compile(code, "shown code", "exec"), {"__name__": "shown"})
    [(study, options)] = found
    return study, options


class Answers:
    def table(self):
        return ""

    def plot_curves(self):
        pass


def run_ids(registry, study):
    resolver = Resolver(registry)
    return [resolver.resolve(experiment).run_id for experiment in study.experiments]


FORMS = {
    "plain": lambda form: form,
    "options": lambda form: (
        form.with_option("model", "hidden", "16, 8")
        .with_lane_option(0, "learning_rate", "1e-4")
        .with_lane_option(1, "clip_norm", "2.5")
        .with_lane_option(1, "decay", "decoupled")
        .with_part("schedule", "cosine")
        .with_option("schedule", "warmup_steps", "10")
    ),
    "settings": lambda form: (
        form.with_setting("unit", "epochs")
        .with_setting("budget", "2")
        .with_setting("seed", "5")
        .with_setting("dtype", "float64")
        .with_setting("evaluate_every", "7")
        .with_setting("replicates", "1")
        .with_part("loss", "hinge")
    ),
    "two frameworks": lambda form: form.with_lane_backend(0, "torch").with_lane_backend(1, "tensorflow"),
    "native": lambda form: form.with_part("backend", "torch").with_lane(0, "torch.Adam"),
    "a function": lambda form: form.with_part("model", "quadratic").with_option("model", "start", "1, 2"),
    "six lanes": lambda form: form.with_copy(0).with_copy(1).with_copy(0).with_copy(0),
    "data": lambda form: form.with_part("dataset", "blobs").with_option("dataset", "classes", "4"),
}


@pytest.mark.parametrize("name", FORMS)
def test_the_code_asks_for_the_same_runs(registry, name, monkeypatch):
    form = FORMS[name](Form.of(registry, ["sgd", "adam"], backend="torch", replicates=2))
    code = code_of(form, "my runs")
    study, options = asked_for(code, monkeypatch)
    assert run_ids(registry, study) == run_ids(registry, form.study())
    assert options == {"store": "my runs"}
    assert all(len(line) <= 120 for line in code.splitlines())


def test_a_class_with_an_import_path_is_imported(registry, monkeypatch, tmp_path):
    (tmp_path / "my_losses.py").write_text("def absolute(output, target):\n    return abs(output - target)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import my_losses

    form = Form.of(registry, ["adam"], backend="torch", dataset="diabetes", loss=my_losses.absolute)
    study, _ = asked_for(code_of(form, "runs"), monkeypatch)
    assert study.experiments[0].loss.thing is my_losses.absolute


def test_an_object_without_an_import_path_is_named_for_the_reader(registry):
    form = Form.of(registry, ["adam"], backend="torch", dataset="diabetes", loss=lambda output, target: output)
    assert "# my_loss: the loss that you passed to kit.lab" in code_of(form, "runs")
    assert "loss=my_loss" in code_of(form, "runs")


def test_the_shown_code_trains(make, tmp_path, monkeypatch):
    """In full, without a double: the lab's own runs are found in the store that the program left."""
    lab = make(replicates=1)
    monkeypatch.chdir(tmp_path)
    exec(compile(lab.code(), "shown code", "exec"), {"__name__": "shown"})
    stored = {run.run_id for run in kit.Store(tmp_path / "runs").runs(status="done")}
    assert stored == set(run_ids(lab.form.registry, lab.study()))
