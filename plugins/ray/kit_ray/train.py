"""One run over many devices by Ray Train: the ranks that `kit.ranks` speaks of, wherever in the cluster they find room.

A trainer of Ray's places a process for each, has them meet (PyTorch's process group, TensorFlow's cluster), and notices
when one is gone. What is said between them and the worker that conducts them goes through an actor: no port is opened
but Ray's own, which ask for Ray's token.
"""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import queue
import shutil
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
import ray.train
from ray.exceptions import RayError
from ray.train import RunConfig, ScalingConfig

from kit.errors import DeviceLostError, WorkError
from kit.parallel import Rank, processes
from kit.rank import serve
from kit.records import resolve
from kit.store.files import PARTIAL
from kit_ray.remote import environment

if TYPE_CHECKING:
    from kit.records import Parallel
    from kit.task import StackTask

# Whose ranks Ray knows how to have meet. Another backend's are placed, and meet by themselves.
TRAINERS = {"torch": "ray.train.torch:TorchTrainer", "tensorflow": "ray.train.tensorflow:TensorflowTrainer"}
PLAIN = "ray.train.v2.api.data_parallel_trainer:DataParallelTrainer"
LARGE_BYTES = 100_000  # up to which Ray sends an argument with the call
LOOK_SECONDS = 0.2  # how often ranks that do not answer are looked at
ENDING_SECONDS = 5.0  # for Ray to notice that a rank is gone, and for ranks to go by themselves


class Exchange:
    """An actor: words for each rank, and their answers, packed."""

    def __init__(self, size: int) -> None:
        self.words: list[asyncio.Queue[Any]] = [asyncio.Queue() for _ in range(size)]
        self.answers: asyncio.Queue[Any] = asyncio.Queue()

    async def say(self, word: list[Any]) -> None:
        for each in self.words:
            each.put_nowait(word)

    async def take(self, number: int) -> list[Any]:
        return list(await self.words[number].get())

    async def answer(self, number: int, answer: list[Any]) -> None:
        self.answers.put_nowait((number, answer))

    async def hear(self) -> tuple[int, list[Any]]:
        number, answer = await self.answers.get()
        return number, answer


def _packed(word: Any) -> list[Any]:
    """What is large goes by Ray's store, beside the actor: in a list, where a reference is left as it is."""
    data = pickle.dumps(word)
    return [data if len(data) < LARGE_BYTES else ray.put(data)]


def _unpacked(packed: list[Any]) -> Any:
    (data,) = packed
    return pickle.loads(data if isinstance(data, bytes) else ray.get(data))


class TrainRanks:
    """See `kit.ranks.Ranks`."""

    def __init__(self, task: StackTask, way: Parallel, devices: int) -> None:
        self.size = processes(way, devices)
        self.exchange = ray.remote(num_cpus=0)(Exchange).remote(self.size)
        self.folder = Path(task.trials[0].folder) / f".ray-train{PARTIAL}"  # every node reaches the store
        opening = {"engine": way.engine, "task": task, "threads": task.threads, "devices": devices, "path": sys.path}
        share, cards = devices // self.size, task.trials[0].specification["device"] != "cpu"
        trainer = resolve(TRAINERS.get(task.backend, PLAIN))(
            part({**opening, "folder": str(self.folder)}, self.exchange),
            scaling_config=ScalingConfig(
                num_workers=self.size,
                use_gpu=cards,
                resources_per_worker={"CPU": task.threads * share, **({"GPU": share} if cards else {})},
            ),
            run_config=RunConfig(
                name="ranks",
                storage_path=str(self.folder),
                worker_runtime_env={"env_vars": environment(task.backend, task.threads)},
            ),
        )
        self.error: BaseException | None = None
        self.ended = threading.Event()
        threading.Thread(target=self._fit, args=(trainer,), daemon=True).start()

    def _fit(self, trainer: Any) -> None:
        try:
            trainer.fit()
        except BaseException as error:
            self.error = error
        finally:
            self.ended.set()

    def ask(self, word: str, *content: Any) -> Any:
        return self.ask_each(word, *content)[0]

    def ask_each(self, word: str, *content: Any) -> list[Any]:
        answers: dict[int, Any] = {}
        try:
            self.exchange.say.remote(_packed((word, content)))
            heard = self.exchange.hear.remote()
            while len(answers) < self.size:
                if ray.wait([heard], timeout=LOOK_SECONDS)[0]:
                    number, packed = ray.get(heard)
                    answers[number] = self._answer(_unpacked(packed))
                    heard = self.exchange.hear.remote() if len(answers) < self.size else None
                elif self.ended.is_set():
                    self._lost()
        except RayError as error:
            self.error = self.error or error
            self._lost()
        return [answers[number] for number in sorted(answers)]

    def _answer(self, answer: tuple[str, Any]) -> Any:
        word, content = answer
        if word == "failed":
            if self.ended.wait(ENDING_SECONDS):  # what it says is only that it misses another
                self._lost()
            self.close()
            raise WorkError(str(content))
        return content

    def _lost(self) -> None:
        failures = getattr(self.error, "worker_failures", None) or {"": self.error}
        number, why = next(iter(failures.items()))
        said = next((line.strip() for line in str(why).splitlines() if line.strip()), type(why).__name__)
        self.close()
        raise DeviceLostError(f"Ray Train lost rank {number} of {self.size}: {said}")

    def close(self) -> None:
        self.exchange.say.remote(_packed(("close", ())))
        self.ended.wait(2 * ENDING_SECONDS)
        ray.kill(self.exchange)
        shutil.rmtree(self.folder, ignore_errors=True)


def part(opening: dict[str, Any], exchange: Any) -> Callable[[], None]:
    """What each process does that the trainer starts."""

    def work() -> None:
        os.environ.pop("TF_USE_LEGACY_KERAS", None)  # Ray sets it; the kit trains with Keras 3
        context = ray.train.get_context()
        cluster = json.loads(os.environ.get("TF_CONFIG", "{}")).get("cluster", {})
        rank = Rank(
            number=context.get_world_rank(),
            size=context.get_world_size(),
            devices=opening["devices"],
            local=_own_device(context),
            folder=opening["folder"],
            addresses=tuple(cluster.get("worker", ())),
        )
        words: queue.Queue[Any] = queue.Queue()
        threading.Thread(target=_listen, args=(exchange, rank.number, words), daemon=True).start()
        serve(
            {**opening, "rank": rank},
            words.get,
            lambda answer: exchange.answer.remote(rank.number, _packed(answer)),
        )

    return work


def _own_device(context: Any) -> int:
    """Ray shows PyTorch's processes all cards that they have on a node, and others their own alone."""
    shown = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    return int(context.get_local_rank()) if len(shown) > 1 else 0


def _listen(exchange: Any, number: int, words: queue.Queue[Any]) -> None:
    """The words as they come, while the training thread may be waiting for another rank. Who conducts is gone when the
    exchange is, and one that hangs is not waited for."""
    try:
        word = ("", ())
        while word[0] != "close":
            word = _unpacked(ray.get(exchange.take.remote(number)))
            words.put(word)
        time.sleep(ENDING_SECONDS)
    except RayError:
        pass
    os._exit(0)
