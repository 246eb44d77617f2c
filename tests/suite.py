"""The whole test suite, as `make test` runs it: `python tests/suite.py`, or `python tests/suite.py host style`.

Tests marked `slow` (hundreds of kills, thousands of damaged stores, all but a few of the notebooks in a browser, …) are
a session of their own: `make slow`, or `python tests/suite.py slow`; so are Ray's, in `.venv-ray`: `make test-ray`.

torch and tensorflow must never be in one process (constructing a `torch.optim` class after TensorFlow was imported
ends in a segmentation fault), so pytest runs once for the host and once for each framework; `tests/conftest.py` says
which files belong to which. JAX is not part of the default installation: its session runs in `.venv-jax`, which sees
`.venv`, or in this environment if it has JAX, and says so where there is neither. Sessions run side by side where there
are cores, and each runs to its end whatever the others did. The exit code is 0 only if every one passed and some test
ran.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIMIT_SECONDS = 1200  # a session that takes longer hangs: it is ended, and counts as failed
LIMIT_ON_REQUEST_SECONDS = 5400
NOTHING_COLLECTED = 5  # pytest's exit code where no test belongs to a session
COUNTED = {"passed": "passed", "failed": "failed", "error": "failed", "errors": "failed", "skipped": "skipped"}


def pytest(framework: str, *which: str, python: str = sys.executable) -> list[str]:
    options = ["-o", f"cache_dir=.pytest_cache/{framework}", f"--framework={framework}", *which, "--durations=5"]
    return [python, "-m", "pytest", "-q", *options, "tests"]


def with_jax() -> list[list[str]]:
    """The session of the JAX plugin; none where no environment has JAX."""
    own = ROOT / ".venv-jax" / "bin" / "python"
    if own.exists():
        return [pytest("jax", python=str(own))]
    return [pytest("jax")] if find_spec("jax") and find_spec("kit_jax") else []


def with_ray() -> list[list[str]]:
    """What every executor must do, and Ray's own tests, in the environment that has Ray."""
    own = ROOT / ".venv-ray" / "bin" / "python"
    options = ["-q", "--framework=host", "-k", "ray", "--durations=5", "tests/executors"]
    return [[str(own), "-m", "pytest", *options]] if own.exists() else []


def tool(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", name, *arguments]


# The longest first, so that two cores end together.
SESSIONS: dict[str, list[list[str]]] = {
    "notebooks": [[sys.executable, "tests/notebooks/validate.py"]],
    "tensorflow": [pytest("tensorflow")],
    "torch": [pytest("torch")],
    "host": [pytest("host")],
    "browser": [pytest("browser")],
    "jax": with_jax(),
    "types": [tool("mypy")],
    "style": [tool("ruff", "check", "."), tool("ruff", "format", "--check", ".")],
}
ON_REQUEST = {
    "slow": [pytest(framework, "-m", "slow") for framework in ("host", "torch", "tensorflow", "browser")],
    "ray": with_ray(),
}


@dataclass
class Outcome:
    """How a session ended."""

    name: str
    output: str = ""
    passed: bool = True
    seconds: float = 0.0
    counts: dict[str, int] = field(default_factory=lambda: {"passed": 0, "failed": 0, "skipped": 0})


def carry_out(command: list[str], limit: int) -> tuple[int, str]:
    """Run a command in a process group of its own, without standard input; (exit code, everything it said)."""
    # Two sessions share the cores: a thread each is faster than two that wait for each other.
    environment = {"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1", **os.environ}
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            output, _ = process.communicate(timeout=limit)
            return process.returncode, output
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
            return 1, f"{output}\nEnded after {limit} seconds.\n"


def closing(output: str) -> str:
    """pytest's last lines, one for each time that it ran."""
    return "\n".join(line for line in output.splitlines() if re.search(r"\d \w+.* in [\d.]+s\b", line))


def run(name: str) -> Outcome:
    outcome, began = Outcome(name), time.monotonic()
    if not (SESSIONS | ON_REQUEST)[name]:
        outcome.output = (
            f"Not run: {name} is not installed; `make test-{name}` installs it beside .venv and runs this.\n"
        )
    for command in (SESSIONS | ON_REQUEST)[name]:
        code, output = carry_out(command, LIMIT_ON_REQUEST_SECONDS if name in ON_REQUEST else LIMIT_SECONDS)
        outcome.output += f"$ {' '.join(command[1:])}\n{output}"
        tests = "pytest" in command or "tests/notebooks/validate.py" in command
        outcome.passed &= code == 0 or (tests and code == NOTHING_COLLECTED)
        for number, word in re.findall(r"(\d+) (passed|failed|errors?|skipped)\b", closing(output) if tests else ""):
            outcome.counts[COUNTED[word]] += int(number)
    outcome.seconds = time.monotonic() - began
    return outcome


def main(names: list[str]) -> int:
    known = SESSIONS | ON_REQUEST
    unknown = [name for name in names if name not in known]
    if unknown:
        print(f"There is no session named {', '.join(unknown)}. Choices: {', '.join(known)}.", file=sys.stderr)
        return 2
    outcomes = []
    with ThreadPoolExecutor(max_workers=max(1, min(2, os.cpu_count() or 1))) as pool:
        for future in as_completed([pool.submit(run, name) for name in names or SESSIONS]):
            outcome = future.result()
            outcomes.append(outcome)
            print(f"\n━━━ {outcome.name} ━━━\n{outcome.output}", flush=True)
    print("\n━━━ all ━━━")
    for outcome in outcomes:
        ending = "passed" if outcome.passed else "FAILED"
        ending = ending if (SESSIONS | ON_REQUEST)[outcome.name] else "not run"
        print(f"{ending}  {outcome.name}  ({outcome.seconds:.0f} s)")
    total = {word: sum(o.counts[word] for o in outcomes) for word in ("passed", "failed", "skipped")}
    tests = {"notebooks", "browser", "host", "torch", "tensorflow", "jax", "slow", "ray"}
    tested = total["passed"] > 0 or not set(names or SESSIONS) & tests
    if not tested:
        print("No test ran.")
    print(", ".join(f"{number} {word}" for word, number in total.items()))
    return 0 if tested and all(outcome.passed for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
