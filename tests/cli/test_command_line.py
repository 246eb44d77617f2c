"""The command `kit` as a user runs it: exit codes, one sentence for a mistake, one JSON document, quick."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kit.cli.group import COMMANDS

SOURCE = """
from kit.hookspecs import hookimpl
from kit.records import OptimizerSpec

@hookimpl
def kit_optimizers():
    yield OptimizerSpec(name="mine", rule="a:b", help="Mine.")
"""


def kit(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "kit", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=os.environ | environment,
        timeout=120,
    )


def only_sentence(run: subprocess.CompletedProcess[str]) -> str:
    """The one line on standard error; nothing stands on standard output."""
    assert run.stdout == ""
    assert "Traceback" not in run.stderr
    (line,) = run.stderr.splitlines()
    return line


def test_help_names_every_command(tmp_path: Path) -> None:
    bare, asked = kit(cwd=tmp_path), kit("--help", cwd=tmp_path)
    assert bare.returncode == asked.returncode == 0
    assert bare.stdout == asked.stdout
    for name, (_, says) in COMMANDS.items():
        assert f"  {name} " in asked.stdout
        assert says.split()[0] in asked.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_without_importing_what_it_runs(tmp_path: Path, command: str) -> None:
    run = kit(command, "--help", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith(f"Usage: kit {command}")
    assert run.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["plugin"], "There is no command named 'plugin'. Did you mean 'plugins'? Choices: plugins,"),
        (["plugins", "--jsno"], "No such option '--jsno'. Did you mean '--json'"),
        (["plugins", "extra"], "unexpected extra argument"),
        (["--versoin"], "No such option"),
    ],
)
def test_a_request_that_is_wrong(tmp_path: Path, arguments: list[str], words: str) -> None:
    run = kit(*arguments, cwd=tmp_path)
    assert run.returncode == 2
    assert words in only_sentence(run)


def test_a_wrong_request_for_json_is_a_document_too(tmp_path: Path) -> None:
    run = kit("plugins", "--jsno", "--json", cwd=tmp_path)
    assert run.returncode == 2
    error = json.loads(run.stdout)["error"]
    assert error["exit_code"] == 2
    assert error["message"] in run.stderr


def test_debug_shows_where_a_mistake_was_found(tmp_path: Path) -> None:
    run = kit("plugin", cwd=tmp_path, KIT_DEBUG="1")
    assert run.returncode == 2
    assert "Traceback" in run.stderr
    assert "UnknownNameError" in run.stderr


def test_version(tmp_path: Path) -> None:
    import kit as package

    assert kit("--version", cwd=tmp_path).stdout == f"kit (descentkit) {package.__version__}\n"


def test_plugins(install, tmp_path: Path) -> None:
    install("kit-fine", SOURCE, version="4.5")
    install("kit-bad", "import absent_framework")
    run = kit("plugins", cwd=tmp_path, KIT_PLUGINS="kit-fine,kit-bad")
    assert run.returncode == 0, run.stderr
    assert "kit_fine   kit-fine 4.5" in run.stdout
    assert "  optimizers  mine" in run.stdout
    assert (
        "failed kit_bad (kit-bad 1.0), import: It needs the package 'absent_framework', which is not installed here."
        in run.stdout.splitlines()
    )
    assert "Left out by KIT_PLUGINS or KIT_BLOCK: builtin (descentkit)" in run.stdout
    assert "import absent_framework" not in run.stdout  # the traceback is for --errors


def test_plugins_errors(install, tmp_path: Path) -> None:
    install("kit-fine", SOURCE)
    install("kit-bad", "import absent_framework")
    run = kit("plugins", "--errors", cwd=tmp_path, KIT_PLUGINS="kit-fine,kit-bad")
    assert run.returncode == 0
    assert "kit-fine" not in run.stdout
    assert "import absent_framework" in run.stdout  # the line of the plugin's that failed
    assert kit("plugins", "--errors", cwd=tmp_path, KIT_PLUGINS="kit-fine").stdout == "No plugin failed.\n"


def test_plugins_json(install, tmp_path: Path) -> None:
    install("kit-fine", "import os\nos.system('echo noise')\nprint('noise')\n" + SOURCE, version="4.5")
    install("kit-twin", SOURCE)
    run = kit("plugins", "--json", cwd=tmp_path, KIT_PLUGINS="kit-fine,kit-twin")
    assert run.returncode == 0
    document = json.loads(run.stdout)  # one document and nothing else, whatever a plugin writes
    fine = document["plugins"][0]
    assert (fine["name"], fine["distribution"], fine["version"]) == ("kit_fine", "kit-fine", "4.5")
    assert [offer["qualified"] for offer in fine["offers"]["optimizers"]] == ["kit-fine:mine"]
    assert [(f["stage"], f["note"]) for f in document["failures"]] == [("output", True)]
    assert document["ambiguous"] == [
        {"kind": "optimizer", "name": "mine", "qualified": ["kit-fine:mine", "kit-twin:mine"]}
    ]
    assert "builtin" in {point["name"] for point in document["left_out"]}
    errors = json.loads(kit("plugins", "--json", "--errors", cwd=tmp_path, KIT_PLUGINS="kit-fine,kit-twin").stdout)
    assert [plugin["distribution"] for plugin in errors["plugins"]] == ["kit-fine"]


def test_doctor_without_any_backend(install, tmp_path: Path) -> None:
    install("kit-fine", SOURCE)
    run = kit("doctor", cwd=tmp_path, KIT_PLUGINS="kit-fine")
    assert run.returncode == 0, run.stderr
    assert "No backend is loaded" in run.stdout
    document = json.loads(kit("doctor", "--json", cwd=tmp_path, KIT_PLUGINS="kit-fine").stdout)
    assert document["healthy"] is True
    assert document["versions"]["descentkit"]
    assert document["backends"] == []


def test_doctor_of_something_broken(install, tmp_path: Path) -> None:
    install("kit-bad", "import absent_framework")
    run = kit("doctor", "--json", cwd=tmp_path, KIT_PLUGINS="kit-bad")
    assert run.returncode == 1
    assert json.loads(run.stdout)["healthy"] is False


def test_an_interrupted_command_ends_cleanly(install, site: Path, tmp_path: Path) -> None:
    began = tmp_path / "began"
    install("kit-slow", f"import time\nopen({str(began)!r}, 'w').close()\ntime.sleep(60)")
    command = [sys.executable, "-m", "kit", "plugins"]
    environment = os.environ | {"KIT_PLUGINS": "kit-slow"}
    # Whoever starts the tests in the background (`&` in a shell script) has their children ignore SIGINT; a user's
    # terminal does not, and this test is about what a user sees.
    with subprocess.Popen(
        command,
        stdout=-1,
        stderr=-1,
        text=True,
        cwd=tmp_path,
        env=environment,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as child:
        for _ in range(600):
            if began.exists():
                break
            time.sleep(0.05)
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=30)
    assert (child.returncode, out, err.strip()) == (130, "", "kit: Interrupted.")


def test_a_reader_that_goes_away(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    run = subprocess.run([sys.executable, "-m", "kit", "plugins"], stdout=write, stderr=-1, text=True, cwd=tmp_path)
    os.close(write)
    assert (run.returncode, run.stderr) == (0, "")


@pytest.mark.parametrize(("command", "seconds"), [("--help", 0.3), ("plugins", 0.5)])
def test_it_is_quick(tmp_path: Path, command: str, seconds: float) -> None:
    kit(command, cwd=tmp_path)  # compiles the bytecode, where nothing did so before

    def cpu() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        kit(command, cwd=tmp_path)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(cpu() for _ in range(5)) < seconds


@pytest.mark.parametrize("arguments", [["plugins"], ["plugins", "--json"], ["--help"]])
def test_listing_imports_no_framework(tmp_path: Path, arguments: list[str]) -> None:
    code = f"""
import sys
from kit.cli import main
code = main({arguments!r})
heavy = {{"torch", "tensorflow", "keras", "jax"}} & set(sys.modules)
sys.exit(f"imported {{heavy}}" if heavy else code)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
