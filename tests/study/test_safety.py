"""Nothing that a store, a study file or a stranger on the channel says is executed."""

from __future__ import annotations

import builtins
import json
import multiprocessing
import os
import stat
import subprocess
import sys
import threading
import time
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Listener
from pathlib import Path

import numpy as np
import pytest

import kit
import kit.child
import kit.pool
from kit.errors import InvalidValueError, WorkError
from kit.resume import resume
from kit.store import AttemptLog, Store


@pytest.fixture(autouse=True)
def children_find_the_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1] / "numpy_backend"))


def with_code(experiment: kit.Experiment, part: str, crater: Path) -> dict:
    """A study file that would make a folder if what it names were called."""
    document = kit.Study([experiment]).document()
    choice = {"name": "mkdir", "reference": "os:mkdir", "options": {"path": str(crater)}}
    document["experiments"][0][part] = choice
    return document


@pytest.mark.parametrize("part", ["model", "loss", "optimizer"])
def test_a_study_file_s_code_is_not_run(base, tmp_path, part):
    crater = tmp_path / "crater"
    text = json.dumps(with_code(base, part, crater))
    with pytest.raises(InvalidValueError, match=r"'mkdir' is the code os:mkdir.*trust=True"):
        kit.Study.from_json(text).run(store=tmp_path / "runs", progress=False)
    assert not crater.exists()
    (tmp_path / "study.json").write_text(text)
    command = [sys.executable, "-m", "kit", "compare", "--from", "study.json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "--trust" in done.stderr
    assert not crater.exists()
    trusted = kit.Study.from_json(text, trust=True).experiments[0]
    assert getattr(trusted, part).thing is os.mkdir
    assert getattr(trusted.replace(seed=1), part).thing is os.mkdir


def test_a_store_s_code_is_not_run(base, tmp_path):
    base.run(store=tmp_path / "runs", progress=False)
    specification = Store(tmp_path / "runs").runs()[0].specification
    specification["optimizer"] |= {"name": "mkdir", "reference": "os:mkdir", "options": {"path": str(tmp_path / "x")}}
    stranger = Store(tmp_path / "stranger")
    stranger.add("evil", specification)
    log = AttemptLog(stranger.begin("evil").folder)
    log.append({"kind": "start", "from_step": 0})
    log.close()
    with pytest.raises(InvalidValueError, match="needs the optimizer of the session that made it"):
        resume(store=tmp_path / "stranger", progress=False)
    assert not (tmp_path / "x").exists()


STEERING = "\x1b]0;owned\x07\x1b[2J\x9b31m"


def test_a_stranger_s_text_does_not_steer_the_terminal(base, tmp_path):
    base.run(store=tmp_path / "mine", progress=False)
    specification = Store(tmp_path / "mine").runs()[0].specification
    specification["optimizer"]["name"] = f"adam{STEERING}"
    store = Store(tmp_path / "runs")
    store.add("evil", specification)
    attempt = store.begin("evil")
    log = AttemptLog(attempt.folder)
    log.append({"kind": "start", "from_step": 0, "device": STEERING})
    log.append({"kind": "evaluation", "step": 0, "seconds": 0, "metrics": {f"loss{STEERING}": 1.0}})
    log.append({"kind": "end", "status": "failed", "reason": STEERING, "cost": {}})
    log.close()
    store.finish("evil", attempt.number)
    for arguments in (["runs"], ["show", "evil"], ["show", STEERING], ["runs", "--where", f"{STEERING}=1"]):
        command = [sys.executable, "-m", "kit", *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=60)
        said = (done.stdout + done.stderr).decode()
        assert "owned" in said
        assert not set("\x1b\x07\x9b") & set(said)


# --- the workers' channel


def test_a_stranger_without_the_key_is_refused_and_the_worker_starts(monkeypatch):
    addresses: list = []

    class Spied(Listener):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            addresses.append(self.address)

    monkeypatch.setattr(kit.child, "Listener", Spied)
    refused: list[type] = []
    over = threading.Event()

    def intrude() -> None:
        while not over.is_set():
            try:
                Client(addresses[0], authkey=b"guess")
            except AuthenticationError as error:
                refused.append(type(error))
            except (OSError, EOFError, IndexError):
                time.sleep(0.001)

    stranger = threading.Thread(target=intrude)
    stranger.start()
    try:
        worker = kit.pool.Worker("numpy", 1).ready()
    finally:
        over.set()
        stranger.join()
    assert worker.facts["versions"] == {"numpy": np.__version__}
    assert refused
    worker.close()
    assert isinstance(addresses[0], tuple) is (sys.platform == "win32")  # a socket file, where there are such


def test_the_socket_file_is_its_user_s_alone():
    with Listener(None, authkey=b"key") as listener:
        if not isinstance(listener.address, str):
            pytest.skip("no socket files on this system")
        assert stat.S_IMODE(Path(listener.address).parent.stat().st_mode) == 0o700


def test_a_worker_takes_no_word_from_who_has_not_its_key():
    with Listener(None, authkey=b"another key") as listener:
        opening = json.dumps({"address": listener.address, "key": b"its key".hex()}).encode() + b"\n"
        command = [sys.executable, "-m", "kit.worker"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as worker:
            assert worker.stdin is not None
            worker.stdin.write(opening)
            worker.stdin.close()
            with pytest.raises(AuthenticationError):
                listener.accept()
            assert worker.stderr is not None
            assert b"AuthenticationError" in worker.stderr.read()
        assert worker.returncode == 1


@pytest.mark.parametrize("function", [builtins.eval, os.system, kit.child.environment, np.load])
def test_what_a_worker_sends_calls_nothing_here(function):
    class Call:
        def __reduce__(self):
            return function, ("1 + 1",)

    here, there = multiprocessing.Pipe()
    there.send(("record", Call()))
    with pytest.raises(WorkError, match="plain values"):
        kit.child.received(here)
