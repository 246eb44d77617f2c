"""Ray on a local cluster of two nodes, and who may speak to a cluster of ours. Runs where Ray is installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("ray")
pytest.importorskip("kit_ray")

import kit
from kit.executors import Pending
from kit.records import resolve

TWO_NODES = """
import json, os, signal, sys
import psutil
from ray.cluster_utils import Cluster

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
cluster.add_node(num_cpus=1)
os.environ["RAY_ADDRESS"] = cluster.address

import kit
from kit.store import read_log

store, raylets = sys.argv[1], set()

class Killer:
    killed = None
    def begin(self, runs, found): pass
    def close(self): pass
    def note(self, sentence): pass
    def record(self, run_id, record):
        if record["kind"] != "points":
            return
        from pathlib import Path
        logs = list(Path(store).glob("runs/*/attempt-1/log.jsonl"))
        pids = {r["pid"] for log in logs for r in read_log(log) if r["kind"] == "start"}
        if len(pids) == 2 and self.killed is None:
            raylets.update(psutil.Process(pid).ppid() for pid in pids)
            self.killed = min(pids)
            os.kill(self.killed, signal.SIGKILL)

study = kit.Study.from_json(open(sys.argv[2]).read())
results = study.run(store=store, executor="ray", progress=Killer())
print(json.dumps({
    "raylets": len(raylets),
    "attempts": [run.outcome.attempts for run in results],
    "interruptions": [run.record.get("interruptions") for run in results],
    "curves": [run.curve("batch_loss").tolist() for run in results],
}))
"""


def python(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, *arguments], capture_output=True, text=True, timeout=180
    )


def document(output: str) -> dict[str, Any]:
    """What a script printed, among what Ray did."""
    (line,) = [line for line in output.splitlines() if line.startswith("{")]
    return dict(json.loads(line))


def test_a_killed_worker_on_a_cluster_of_two_nodes(tmp_path: Path) -> None:
    base = kit.Experiment(
        dataset="blobs", model=kit.model("faulty", seconds=0.02), backend="numpy", dtype="float64", budget=100
    )
    study = base.vary(optimizer=["adam", "momentum"], replicate=range(2))
    (tmp_path / "study.json").write_text(study.to_json())
    inline = study.run(store=tmp_path / "inline", executor="inline", progress=False)
    done = python(TWO_NODES, str(tmp_path / "runs"), str(tmp_path / "study.json"))
    assert done.returncode == 0, done.stderr[-3000:]
    said = document(done.stdout)
    assert said["raylets"] == 2
    assert sorted(said["attempts"]) == [1, 1, 2, 2]
    assert all("Ray lost the numpy worker" in why[0] for why in said["interruptions"] if why)
    assert said["curves"] == [run.curve("batch_loss").tolist() for run in inline]


TOGETHER = """
import json, os, signal, sys
import psutil
from ray.cluster_utils import Cluster

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
cluster.add_node(num_cpus=1)
os.environ["RAY_ADDRESS"] = cluster.address

import kit

def ranks():
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if "RayTrainWorker" in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            pass
    return found

class Watcher:
    nodes = None
    def begin(self, runs, found): pass
    def close(self): pass
    def note(self, sentence): pass
    def record(self, run_id, record):
        if record["kind"] == "points" and self.nodes is None:
            found = ranks()
            self.nodes = len({process.ppid() for process in found})
            if sys.argv[3] == "kill":
                found[1].kill()

watcher = Watcher()
study = kit.Study.from_json(open(sys.argv[2]).read())
(run,) = study.run(store=sys.argv[1], executor="ray", progress=watcher).runs
print(json.dumps({
    "status": run.status,
    "reason": run.reason,
    "nodes": watcher.nodes,
    "attempts": run.outcome.attempts,
    "interruptions": run.record.get("interruptions"),
    "strategy": run.record.get("strategy"),
    "left": len(ranks()),
}))
"""


def together(study: kit.Study, folder: Path, act: str) -> dict[str, Any]:
    """What became of a run of two ranks on a cluster of two nodes, which have a core each."""
    (folder / "study.json").write_text(study.to_json())
    done = python(TOGETHER, str(folder / "runs"), str(folder / "study.json"), act)
    assert done.returncode == 0, done.stderr[-3000:]
    said = document(done.stdout)
    assert said["status"] == "done", said["reason"]
    assert (said["nodes"], said["left"]) == (2, 0)
    assert not list((folder / "runs").rglob("*.partial"))
    return said


def curves_and_parameters(store: Path) -> tuple[Any, dict[str, Any]]:
    (run,) = kit.open_store(store)
    return run.curve("batch_loss"), run.parameters()


def test_a_rank_that_is_killed_on_a_cluster_of_two_nodes(tmp_path: Path) -> None:
    base = kit.Experiment(
        dataset="blobs", model=kit.model("faulty", seconds=0.02), backend="numpy", dtype="float64", budget=100
    )
    base.run(store=tmp_path / "one", executor="inline", progress=False)
    said = together(base.replace(devices=2, parallel="copies").vary(replicate=[0]), tmp_path, "kill")
    assert said["attempts"] == 2
    assert "Ray Train lost rank" in said["interruptions"][0]
    (one, first), (two, second) = map(curves_and_parameters, (tmp_path / "one", tmp_path / "runs"))
    np.testing.assert_array_equal(two, one)
    assert all(np.array_equal(value, first[name]) for name, value in second.items())


@pytest.mark.parametrize(
    ("backend", "way"), [("torch", "ddp"), ("torch", "fsdp"), ("tensorflow", "multi_worker_mirrored")]
)
def test_a_framework_s_ranks_train_as_one_process_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str, way: str
) -> None:
    if not find_spec(f"kit_{backend}"):
        pytest.skip(f"descentkit-{backend} is not installed")
    monkeypatch.setenv("KIT_PLUGINS", f"builtin,{backend},ray")
    base = kit.Experiment(
        dataset="iris",
        model=kit.model("mlp", hidden=(5,), dropout=0.2),
        optimizer=kit.optimizer("adam", learning_rate=0.01, clip_norm=0.5),
        batch_size=15,
        budget=12,
        backend=backend,
        dtype="float64",
        gradient_accumulation=2,
    )
    base.run(store=tmp_path / "one", executor="processes", progress=False)
    said = together(base.replace(devices=2, parallel=way).vary(replicate=[0]), tmp_path, "watch")
    assert said["strategy"] == way
    (one, first), (two, second) = map(curves_and_parameters, (tmp_path / "one", tmp_path / "runs"))
    np.testing.assert_allclose(two, one, rtol=1e-12)
    for name, value in second.items():
        np.testing.assert_allclose(value, first[name], rtol=0, atol=1e-12, err_msg=name)


OURS = """
import os, sys
import ray
from kit_ray.cluster import connected

print(connected().cores, ray.get_runtime_context().gcs_address, flush=True)
sys.stdin.readline()
"""
STRANGER = """
import sys
import ray

ray.init(address=sys.argv[1], log_to_driver=False)
print("entered")
"""


def test_a_cluster_of_ours_asks_for_its_token_and_keeps_to_itself() -> None:
    command = [sys.executable, "-W", "ignore", "-c", OURS]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    before = set(Path(tempfile.gettempdir()).glob("kit-scratch-ray-*"))
    with subprocess.Popen(command, text=True, **pipes) as ours:  # type: ignore[call-overload]
        said = ours.stdout.readline().split()
        (folder,) = set(Path(tempfile.gettempdir()).glob("kit-scratch-ray-*")) - before
        assert folder.stat().st_mode & 0o777 == 0o700
        stranger = [sys.executable, "-W", "ignore", "-c", STRANGER, said[-1]]
        environment = os.environ | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "guessed"}
        environment["RAY_gcs_rpc_server_reconnect_timeout_s"] = "2"
        try:
            done = subprocess.run(stranger, capture_output=True, text=True, timeout=40, env=environment)
        except subprocess.TimeoutExpired as error:
            said_there = (error.stdout or b"") + (error.stderr or b"")
            assert b"entered" not in said_there
            assert b"Unauthenticated" in said_there
        else:
            assert "entered" not in done.stdout
            assert "uthentica" in done.stderr
        ours.stdin.write("\n")
        ours.stdin.close()
        ours.wait(60)
    assert not folder.exists()


class Ear:
    """A listener that hears only what was refused."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def refused(self, pending: Pending, sentence: str) -> None:
        self.said.append(sentence)

    def pausing(self) -> bool:
        return False


def test_more_devices_than_the_cluster_has_places_are_refused() -> None:
    def make(threads: int, facts: dict[str, Any]) -> Any:
        raise AssertionError("an attempt was claimed")

    registry, ear = kit.Registry.load(), Ear()
    runner = resolve(registry.find("executor", "ray").build)(registry)
    runner.run([Pending(backend="numpy", weight=1.0, make=make, devices=10_000)], ear, lambda: False)
    (said,) = ear.said
    assert said.startswith("devices=10000 is not valid: the Ray cluster has room for ")
