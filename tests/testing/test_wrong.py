"""Plugins that are wrong in one way each: the check that names the mistake finds it, and nothing breaks on the way.

They stand in `wrong/`, one file each; all are checked beside PyTorch, in the same two workers.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.pool import Pool
from kit.registry import Registry
from kit.testing.cases import cases_of, plugins_of
from kit.testing.conduct import results_of
from kit.testing.report import Result

HERE = Path(__file__).parent / "wrong"
# name: (the check that names the mistake, words of what it says, the other checks that the mistake makes fail)
MISTAKES: dict[str, tuple[str, str, set[str]]] = {
    "stale_gradients": (
        "ignores_stale_gradients",
        "differs",
        {"resumes_bit_for_bit", "restores_after_evaluation", "stacks_as_alone"},
    ),
    "hidden_global_state": (
        "keeps_state_to_itself",
        "differs",
        {
            "is_deterministic",
            "resumes_bit_for_bit",
            "restores_after_evaluation",
            "stacks_as_alone",
            "leaves_neighbours_of_a_diverged_run",
            "computes_what_numpy_computes",
        },
    ),
    "float64_leak": ("keeps_its_precision", "float64", set()),
    "learning_rate_ignored": ("uses_its_learning_rate", "half the rate", set()),
    "state_lost_on_resume": (
        "resumes_bit_for_bit",
        "differs",
        {
            "keeps_state_to_itself",
            "is_deterministic",
            "restores_after_evaluation",
            "stacks_as_alone",
            "computes_what_numpy_computes",
        },
    ),
    "wrong_bias_correction": ("agrees_with_its_reference", "step 1", set()),
    "changes_its_input": ("leaves_its_arguments", "read-only", set()),
    "random_without_seed": (
        "is_deterministic",
        "differs",
        {
            "keeps_state_to_itself",
            "resumes_bit_for_bit",
            "restores_after_evaluation",
            "stacks_as_alone",
            "leaves_neighbours_of_a_diverged_run",
            "computes_what_numpy_computes",
        },
    ),
    "wrong_layout": ("agrees_across_backends", "differs", set()),
    "loss_averaged_wrongly": ("gives_one_number_per_sample", "differs", set()),
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, list[Result]]]:
    """The results of every wrong plugin, all installed at once; the backend is PyTorch alone."""
    site = tmp_path_factory.mktemp("site")
    for name in MISTAKES:
        for file in HERE.glob(f"{name}*.py"):
            (site / file.name).write_text(file.read_text())
        folder = site / f"kit_{name}-1.0.dist-info"
        folder.mkdir()
        head = f"Metadata-Version: 2.1\nName: kit-{name}\nVersion: 1.0\nRequires-Dist: descentkit>=0.1,<0.2\n"
        (folder / "METADATA").write_text(head)
        (folder / "entry_points.txt").write_text(f"[kit.plugins]\n{name} = {name}\n")
    pool = Pool()
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(site))
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH", "")])))
        patch.setenv("KIT_BLOCK", "tensorflow,jax")
        registry = Registry.load()
        cases = {name: cases_of(registry, plugins_of(f"kit-{name}")) for name in MISTAKES}
        found = iter(results_of([case for each in cases.values() for case in each], registry, pool=pool))
        yield {name: [next(found) for _ in each] for name, each in cases.items()}
    pool.close()
    for name in set(sys.modules) & MISTAKES.keys():
        del sys.modules[name]


@pytest.mark.parametrize("name", MISTAKES)
def test_the_check_that_names_the_mistake_finds_it(results: dict[str, list[Result]], name: str) -> None:
    check, words, others = MISTAKES[name]
    failed = [result for result in results[name] if result.status == "failed"]
    named = [result for result in failed if result.check.endswith(f".{check}")]
    assert named, [result.check for result in failed]
    assert any(words in result.got for result in named)
    unexpected = {result.check.partition(".")[2] for result in failed} - others - {check}
    assert not unexpected


def test_no_check_breaks(results: dict[str, list[Result]]) -> None:
    """Each failure is a violation that a check found; none is an error, and no worker died."""
    for result in (result for each in results.values() for result in each if result.status == "failed"):
        assert result.expected not in ("no error", "an answer"), result.said()
        assert result.mend, result.check
        assert result.rule.endswith("."), result.check
        assert result.again.startswith(f"kit check kit-{result.component.split()[1]} --check {result.check} ")


def test_every_plugin_is_otherwise_right(results: dict[str, list[Result]]) -> None:
    for name, each in results.items():
        assert sum(result.status == "passed" for result in each) > 12, name
