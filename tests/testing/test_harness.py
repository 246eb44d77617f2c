"""The harness around the checks: statuses, what is expected to fail, plugins that break it, and the three faces."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kit.cli import main
from kit.errors import UnknownNameError
from kit.pool import Pool
from kit.registry import Registry
from kit.testing import CHECKS, Report, check
from kit.testing.cases import cases_of, plugins_of
from kit.testing.conduct import results_of
from kit.testing.report import Result

# Schedules, since they need no framework: a worker without one starts in half a second.
ODD = """
import os, sys, time
import numpy as np
import kit
from kit.records import ScheduleSpec

def constant(step, steps):
    return np.ones_like(step, dtype=np.float64)

def negative(step, steps):
    return -constant(step, steps)

def leaves(step, steps):
    sys.exit(3)

def dies(step, steps):
    os.kill(os.getpid(), 9)

def hangs(step, steps):
    time.sleep(600)

def raises(step, steps):
    raise RuntimeError("not today")

@kit.hookimpl
def kit_schedules():
    name = "schedule.gives_one_factor_per_step"
    expected = {
        "expected": ("negative", {name: "It climbs, on purpose."}),
        "elsewhere": ("negative", {name + "@torch": "Only there."}),
        "unexpected": ("constant", {name: "It fails, they say."}),
        "misspelled": ("constant", {"schedule.gives_one_facter": "It fails."}),
    }
    for each, (function, failures) in expected.items():
        yield ScheduleSpec(
            name=each, build="kit_odd:" + function, needs_steps=False, help="A shape.", expected_failures=failures
        )
    for each in ("leaves", "dies", "hangs", "raises", "constant"):
        yield ScheduleSpec(name=each + "_odd", build="kit_odd:" + each, help="A shape.")
"""
FACTOR = "schedule.gives_one_factor_per_step"


@pytest.fixture
def odd(install: Callable[..., str]) -> str:
    return install("kit-odd", ODD, requires=("descentkit>=0.1,<0.2",))


def results(name: str, component: str, **names: str) -> dict[str, Result]:
    registry, pool = Registry.load(), Pool()
    try:
        found = results_of(cases_of(registry, plugins_of(name), component=component, **names), registry, pool=pool)
    finally:
        pool.close()
    return {result.check: result for result in found}


def test_what_a_record_expects_to_fail(odd: str) -> None:
    found = results(odd, "expected")[FACTOR]
    assert (found.status, found.reason) == ("expected failure", "It climbs, on purpose.")
    assert "-1.0" in found.got
    assert results(odd, "elsewhere")[FACTOR].status == "failed"


def test_a_failure_that_does_not_come_is_one(odd: str) -> None:
    found = results(odd, "unexpected")[FACTOR]
    assert (found.status, found.reason) == ("failed", "It fails, they say.")
    assert found.mend == f"Take '{FACTOR}' out of the record's expected_failures."


def test_an_expected_failure_of_a_check_that_there_is_not(odd: str) -> None:
    found = results(odd, "misspelled")["component.expects_failures_that_there_are"]
    assert found.status == "failed"
    assert found.got == "'schedule.gives_one_facter'"


@pytest.mark.parametrize(
    ("component", "words"),
    [
        ("leaves_odd", "SystemExit: 3 (kit_odd.py, line"),
        ("dies_odd", "was killed by SIGKILL"),
        ("hangs_odd", "It did not end within 1 s."),
        ("raises_odd", "RuntimeError: not today (kit_odd.py, line"),
    ],
)
def test_a_plugin_that_breaks_what_checks_it(
    odd: str, component: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its check fails with what happened, and the checks after it go on, in a new worker where it took one along."""
    monkeypatch.setattr("kit.testing.conduct.CHECK_SECONDS", 1.0)
    found = results(odd, component)
    assert found[FACTOR].status == "failed"
    assert words in found[FACTOR].got, found[FACTOR].got
    assert found["component.is_documented"].status == "passed"


def test_names_that_there_are_not(odd: str) -> None:
    with pytest.raises(UnknownNameError, match=r"'kit-od'. Did you mean 'kit-odd'"):
        check("kit-od")
    with pytest.raises(UnknownNameError, match=r"no check named 'schedule.cuts'"):
        check(odd, check="schedule.cuts")
    with pytest.raises(UnknownNameError, match=r"no component named 'constat_odd'. Did you mean 'constant_odd'"):
        check(odd, component="constat_odd")
    with pytest.raises(UnknownNameError, match=r"no backend named 'turch'. Did you mean 'torch'"):
        check(odd, backend="turch")


def test_the_table_and_the_document(odd: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", odd, "--component", "unexpected"]) == 1
    said = capsys.readouterr().out
    assert f"{FACTOR}, schedule unexpected, host: failed" in said
    again = f"kit check kit-odd --check {FACTOR} --component unexpected --backend host"
    for words in ("rule      It gives a finite factor", "expected  a failure", "got       it passed", again):
        assert words in said
    assert "checks ran: " in said
    assert " did not apply." in said

    assert main(again.split()[1:]) == 1  # the line that it gives runs just that check
    assert "1 checks ran: 0 passed, 1 failed" in capsys.readouterr().out

    assert main(["check", odd, "--component", "constant_odd", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["passed"]
    assert document["counts"]["failed"] == 0
    assert document["counts"]["not applicable"] == 1
    (reason,) = [r["reason"] for r in document["results"] if r["status"] == "not applicable"]
    assert reason == "its record says that it needs the budget"

    assert main(["check", "kit-od"]) == 2
    assert "Did you mean 'kit-odd'" in capsys.readouterr().err


def test_a_report_shows_itself_in_a_notebook(odd: str) -> None:
    report = check("kit_odd", component="unexpected")  # however its distribution is spelled
    assert isinstance(report, Report)
    shown = report._repr_html_()
    assert "<td>schedule unexpected</td><td>host</td>" in shown
    assert "expected  a failure" in shown
    assert repr(report).startswith("kit-odd 1.0: ")
    assert not report.passed


def test_an_author_s_test_file(odd: str, tmp_path: Path) -> None:
    """Two lines, in a pytest of its own: passed, skipped, expected to fail and failed."""
    lines = 'from kit.testing import conformance\ntest_conformance = conformance("kit-odd", component="{}")\n'
    for name in ("expected", "unexpected"):
        (tmp_path / f"test_{name}.py").write_text(lines.format(name))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rA", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=dict(os.environ), timeout=120)
    assert done.returncode == 1
    assert f"XFAIL test_expected.py::test_conformance[{FACTOR}-expected-host] - It climbs, on purpose." in done.stdout
    assert f"FAILED test_unexpected.py::test_conformance[{FACTOR}-unexpected-host]" in done.stdout
    assert "rule      It gives a finite factor" in done.stdout
    assert " 1 failed" in done.stdout or "\n1 failed" in done.stdout
    assert ", 1 xfailed" in done.stdout


def test_no_plugin_of_pytest_is_loaded_by_itself() -> None:
    code = "import sys, kit.testing; print('pytest' in sys.modules, 'numpy' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said == "False False\n"
    from importlib import metadata

    assert not [point for point in metadata.entry_points(group="pytest11") if point.value.startswith("kit")]


def test_every_check_says_its_rule_and_its_mend() -> None:
    assert len(CHECKS) > 60
    for name, each in CHECKS.items():
        assert each.rule.endswith("."), name
        assert len(each.rule) < 160, name
        assert each.mend, name
