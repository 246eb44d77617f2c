"""What the doctor finds, and the command that it says mends it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from kit import inquiry, machine, packages
from kit.doctor import Diagnosis, Finding, examine
from kit.inquiry import Answer, inquire
from kit.records import BackendSpec
from kit.registry import Registry

ENGINES = """
import os, signal, sys, time
print("a framework says hello on standard output")

class Report:
    pass

class Good:
    def __init__(self, threads=None):
        assert threads == 1
        os.system("echo and so does its C library")
    def versions(self):
        return {"framework": "1.2"}
    def devices(self):
        from kit.engine import DeviceReport
        return [DeviceReport(name="cpu", title="a processor", memory_bytes=8)]

class Raises(Good):
    def __init__(self, threads=None):
        raise RuntimeError("no such driver")

class Exits(Good):
    def __init__(self, threads=None):
        print("licence has expired", file=sys.stderr)
        sys.exit(7)

class Dies(Good):
    def __init__(self, threads=None):
        os.kill(os.getpid(), signal.SIGSEGV)

class Hangs(Good):
    def __init__(self, threads=None):
        time.sleep(60)
"""
PLUGIN = """
from kit.hookspecs import hookimpl
from kit.records import BackendSpec, DatasetSpec

@hookimpl
def kit_backends():
    yield BackendSpec(name="fake", engine="{engine}", requires={requires!r}, install="pip install {requires[0]}")

@hookimpl
def kit_datasets():
    yield DatasetSpec(name="far", load="a:b", requires=("absent_data",), install="pip install absent-data")
"""


@pytest.fixture
def engines(site: Path) -> None:
    (site / "engines.py").write_text(ENGINES)


def findings(diagnosis: Diagnosis, level: str) -> list[Finding]:
    return [finding for finding in diagnosis.findings if finding.level == level]


def test_every_engine_is_asked_in_a_process_of_its_own(engines: None) -> None:
    answers = inquire({name: f"engines:{name}" for name in ("Good", "Raises", "Exits", "Dies")})
    assert answers["Good"].fault == ""
    assert answers["Good"].versions == {"framework": "1.2"}
    assert [(d["name"], d["title"], d["memory_bytes"]) for d in answers["Good"].devices] == [("cpu", "a processor", 8)]
    assert answers["Raises"].fault == "Its engine could not be started: RuntimeError: no such driver"
    assert answers["Exits"].fault.endswith("exit code 7 when its engine was started: licence has expired")
    assert "SIGSEGV" in answers["Dies"].fault
    assert "engines" not in sys.modules


def test_an_engine_that_hangs(engines: None) -> None:
    assert inquire({"x": "engines:Hangs"}, seconds=1.5)["x"].fault == "It did not answer within 1.5 s."


def test_an_engine_that_is_not_there(engines: None) -> None:
    answers = inquire({"x": "engines:Absent", "y": "absent_module:Engine"})
    assert "'engines' has no 'Absent'" in answers["x"].fault
    assert "needs the package 'absent_module', which is not installed" in answers["y"].fault
    assert inquire({}) == {}


def test_a_backend_that_works(install, engines: None) -> None:
    install("kit-fake", PLUGIN.format(engine="engines:Good", requires=("engines",)))
    diagnosis = examine(Registry.load(["kit-fake"]))
    (backend,) = diagnosis.backends
    assert (backend.name, backend.state, backend.distribution) == ("fake", "ready", "kit-fake")
    assert diagnosis.healthy
    far = [finding for finding in findings(diagnosis, "missing") if "dataset far" in finding.sentence]
    assert far == [
        Finding(
            level="missing",
            sentence="The dataset far needs absent_data, which is not installed.",
            mend="pip install absent-data",
        )
    ]


def test_a_backend_that_is_broken_is_not_healthy(install, engines: None) -> None:
    install("kit-fake", PLUGIN.format(engine="engines:Raises", requires=("engines",)))
    diagnosis = examine(Registry.load(["kit-fake"]))
    assert diagnosis.backends[0].state == "broken"
    assert not diagnosis.healthy
    assert [f.sentence for f in findings(diagnosis, "broken")] == [
        "The backend fake (kit-fake 1.0) cannot be used. Its engine could not be started: RuntimeError: no such driver"
    ]


def test_a_backend_without_its_framework_is_missing_and_not_asked(install, site: Path, monkeypatch) -> None:
    monkeypatch.setattr(inquiry, "_ask", lambda *_: pytest.fail("asked"))
    install("kit-fake", PLUGIN.format(engine="engines:Good", requires=("absent_framework",)))
    diagnosis = examine(Registry.load(["kit-fake"]))
    (backend,) = diagnosis.backends
    assert (backend.state, backend.missing) == ("missing", ("absent_framework",))
    assert diagnosis.healthy  # nothing that is installed is broken
    about = [f for f in findings(diagnosis, "missing") if "backend fake" in f.sentence]
    assert [f.mend for f in about] == ["pip install absent_framework"]


def test_a_requirement_that_is_not_met_is_said_once(install, site: Path) -> None:
    source = PLUGIN.format(engine="engines:Good", requires=("absent_framework",))
    install("kit-fake", source, requires=("absent-framework>=2; python_version>'3'", "click<0.1"))
    diagnosis = examine(Registry.load(["kit-fake"]))
    told = [f for f in diagnosis.findings if "absent-framework" in f.sentence or "absent_framework" in f.sentence]
    assert len(told) == 1
    assert told[0].sentence == "kit-fake needs the package absent-framework, which is not installed."
    assert told[0].mend.endswith("-m pip install 'absent-framework>=2'")
    assert any("kit-fake needs click<0.1, but" in f.sentence for f in findings(diagnosis, "broken"))


def test_no_backend_at_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(packages, "checkout", lambda: tmp_path)
    (finding,) = [f for f in examine(Registry(offers=())).findings if "No backend" in f.sentence]
    assert finding.mend == ""  # an unpublished name would make pip take a stranger's package
    folder = tmp_path / "plugins" / "torch"
    folder.mkdir(parents=True)
    (folder / "pyproject.toml").touch()
    (finding,) = [f for f in examine(Registry(offers=())).findings if "No backend" in f.sentence]
    assert finding.mend.endswith(f"-m pip install -e {folder}")


def test_plugins_that_failed_are_findings(install) -> None:
    install("kit-bad", "import absent_framework")
    diagnosis = examine(Registry.load(["kit-bad"]))
    assert not diagnosis.healthy
    assert any("The plugin kit_bad (kit-bad 1.0)" in f.sentence for f in findings(diagnosis, "broken"))


def test_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    facts = machine.compiler_facts()
    assert (facts["command"], facts["path"], facts["version"]) == ("no-such-compiler", None, None)
    assert any("no C++ compiler (no-such-compiler)" in f.sentence for f in examine(Registry(offers=())).findings)


def test_a_compiler_is_asked_for_its_version(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake = tmp_path / "c++fake"
    fake.write_text("#!/bin/sh\necho fake 1.0\necho more\n")
    fake.chmod(0o755)
    monkeypatch.setenv("CXX", str(fake))
    assert machine.compiler_facts()["version"] == "fake 1.0"


@pytest.mark.parametrize(
    ("files", "cores", "memory"),
    [
        ({}, None, None),
        ({"cpu.max": "max 100000", "memory.max": "max"}, None, None),
        ({"cpu.max": "150000 100000", "memory.max": "1073741824"}, 1.5, 2**30),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None, None),
        ({"cpu/cpu.cfs_quota_us": "50000", "cpu/cpu.cfs_period_us": "100000"}, 0.5, None),
        ({"memory/memory.limit_in_bytes": str(2**63 - 4096)}, None, None),
        ({"memory/memory.limit_in_bytes": "4096"}, None, 4096),
    ],
)
def test_a_container_s_limits(tmp_path: Path, files: dict[str, str], cores: float, memory: int) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    assert machine.core_quota(tmp_path) == cores
    assert machine.memory_limit(tmp_path) == memory


def test_a_quota_below_the_visible_cores_and_an_idle_gpu_are_noted(monkeypatch, install, engines) -> None:
    install("kit-fake", PLUGIN.format(engine="engines:Good", requires=("engines",)))
    facts = machine.machine_facts() | {"cores_quota": 0.5, "cores_usable": 4, "nvidia_driver": True}
    monkeypatch.setattr("kit.doctor.machine_facts", lambda: facts)
    notes = [f.sentence for f in findings(examine(Registry.load(["kit-fake"])), "note")]
    assert any("4 cores are visible, but this container may use 0.5" in note for note in notes)
    assert any("NVIDIA driver, but fake finds no GPU" in note for note in notes)


def test_the_facts_of_this_machine_are_json() -> None:
    facts = machine.machine_facts()
    assert json.loads(json.dumps(facts)) == facts
    assert 1 <= facts["cores_usable"] <= facts["cores"]
    assert 0 < facts["memory_available_bytes"] <= facts["memory_bytes"]


def test_an_answer_says_ready_only_without_a_fault() -> None:
    record = BackendSpec(name="x", engine="a:b")
    assert packages.missing(record) == ()
    assert packages.missing(BackendSpec(name="x", engine="a:b", requires=("json", "absent.part"))) == ("absent.part",)
    assert Answer(versions={}, devices=()).fault == ""
