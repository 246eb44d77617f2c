"""A plugin for one session: found, replaced, refused with a sentence, and gone with the process."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

RULE = """
import kit
from kit.rules import LEARNING_RATE, Rule


class Mine(Rule):
    '''Step {factor} times as far as gradient descent. p ← p − c η g'''

    name = "mine"
    hyperparameters = (LEARNING_RATE,)

    def update(self, xp, p, g, s, h):
        return p - {factor} * h.learning_rate * g, s


@kit.hookimpl
def kit_optimizers():
    yield Mine.record()
"""


def session(tmp_path: Path, code: str) -> str:
    """What a process of its own prints: the folder of a session lasts as long as its process."""
    done = subprocess.run(
        [sys.executable, "-c", f"RULE = {RULE!r}\n{textwrap.dedent(code)}"],
        capture_output=True, text=True, cwd=tmp_path, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_trains_at_once_and_again_after_a_change(tmp_path: Path) -> None:
    backend = str(Path(__file__).parents[1] / "numpy_backend")
    said = session(
        tmp_path,
        f"""
        import sys
        sys.path.insert(0, {backend!r})
        import kit
        from kit import guide

        def loss():
            base = kit.Experiment(dataset="diabetes", model="linear", dtype="float64", backend="numpy", budget=1)
            optimizer = kit.optimizer("mine", learning_rate=0.01)
            return base.replace(optimizer=optimizer, batch_size=354, seed=len(losses)).run(progress=False)

        losses = []
        for factor in (1, 5):
            guide.plugin("kit-mine", RULE.format(factor=factor))
            run = loss()
            losses.append(run)
            plain = kit.Experiment(
                dataset="diabetes", model="linear", dtype="float64", backend="numpy", budget=1, batch_size=354,
                optimizer=kit.optimizer("minibatch", learning_rate=0.01 * factor), seed=len(losses) - 1,
            ).run(progress=False)
            print(run.status, run.final("train_loss") == plain.final("train_loss"))
        """,
    )
    offers = "Installed for this session: kit-mine 0.1, which offers optimizer mine.\n"
    assert said == f"{offers}done True\n{offers}done True\n"


def test_what_does_not_load_is_said_and_leaves_what_was_there(tmp_path: Path) -> None:
    said = session(
        tmp_path,
        """
        import sys
        from kit import guide
        from kit.errors import KitError
        from kit.registry import Registry

        def attempt(*arguments):
            try:
                guide.plugin(*arguments)
            except KitError as error:
                print(error)

        attempt("kit-mine", "import kit_nowhere")
        print("mine" in Registry.load().names("optimizer"))
        attempt("kit-mine", RULE.format(factor=1))
        attempt("kit-mine", "x =")
        attempt("kit-mine", "x = 1")
        print("mine" in Registry.load().names("optimizer"))
        attempt("Kit Mine", RULE)
        attempt("json", RULE)
        print(sys.path[0])
        """,
    ).splitlines()
    assert said[0] == "kit-mine does not load: It needs the package 'kit_nowhere', which is not installed here."
    assert said[1] == "False"
    assert said[2].endswith("which offers optimizer mine.")
    assert said[3].startswith("kit-mine does not load: Importing it raised SyntaxError")
    assert said[4].startswith("kit-mine does not load: It implements no hook.")
    assert said[5] == "True"
    assert "'Kit Mine' cannot be a plugin's name" in said[6]
    assert said[7] == "There is a module 'json' already; give the plugin another name."
    assert not Path(said[8]).exists()


@pytest.mark.parametrize("name", ["plugin"])
def test_it_is_offered_where_notebooks_look(name: str) -> None:
    from kit import guide

    assert name in guide.__all__
    assert callable(getattr(guide, name))
