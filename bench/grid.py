"""The learning-rate grid as whole commands, each as its own documentation has it: `python -m bench.grid raw torch …`.

    raw       the best hand-written loop, one learning rate after the other
    optuna    the same loop inside an objective: study.optimize over a GridSampler
    ray       the same loop inside a function trainable: Tuner.fit, two at a time, actors used again
    ours      kit.sweep

All train the same problem with the same learning rates and print the losses they end at, so that it can be checked.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.problems import PROBLEMS, Material

LOWEST, HIGHEST = 1e-4, 0.1


def learning_rates(trials: int) -> list[float]:
    """Evenly spaced on a log scale, all inside the stable range of the problems that are swept."""
    ratio = math.log(HIGHEST / LOWEST) / max(1, trials - 1)
    return [float(f"{LOWEST * math.exp(ratio * i):.6g}") for i in range(trials)]


def loop_of(backend: str, kind: str, material: Material) -> Any:
    raw = importlib.import_module(f"bench.raw_{backend}")
    raw.threads(1)
    return raw.LOOPS[kind](material)


def trained(loop: Any, material: Material, rate: float, steps: int) -> float:
    """The loss on the last batch of a fresh run."""
    loop.restart(rate)
    return float(loop.advance(material.batches(0, steps)))


def raw(options: argparse.Namespace, material: Material) -> list[float]:
    loop = loop_of(options.backend, options.loop, material)
    return [trained(loop, material, rate, options.steps) for rate in learning_rates(options.trials)]


def optuna(options: argparse.Namespace, material: Material) -> list[float]:
    import optuna as library

    library.logging.set_verbosity(library.logging.WARNING)
    loop, rates = loop_of(options.backend, options.loop, material), learning_rates(options.trials)

    def objective(trial: Any) -> float:
        rate = trial.suggest_float("learning_rate", LOWEST / 2, HIGHEST * 2, log=True)
        return trained(loop, material, rate, options.steps)

    study = library.create_study(sampler=library.samplers.GridSampler({"learning_rate": rates}))
    study.optimize(objective, n_trials=len(rates))
    found = {trial.params["learning_rate"]: trial.value for trial in study.trials}
    return [found[rate] for rate in rates]


def ray(options: argparse.Namespace, material: Material) -> list[float]:
    import ray as library
    from ray import tune

    path, backend, kind, steps = str(options.material.absolute()), options.backend, options.loop, options.steps

    def trainable(config: dict[str, Any]) -> None:
        from bench import grid  # in the worker: one loop for all trials that an actor carries out

        held = vars(grid).setdefault("HELD", {})
        if not held:
            held["material"] = Material.read(Path(path))
            held["loop"] = loop_of(backend, kind, held["material"])
        tune.report({"loss": trained(held["loop"], held["material"], config["learning_rate"], steps)})

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        environment = {"env_vars": {"PYTHONPATH": str(Path(__file__).resolve().parent.parent)}}
        library.init(
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
            runtime_env=environment,
            _temp_dir=folder,
        )
        tuner = tune.Tuner(
            tune.with_resources(trainable, {"cpu": 1}),
            param_space={"learning_rate": tune.grid_search(learning_rates(options.trials))},
            tune_config=tune.TuneConfig(metric="loss", mode="min", reuse_actors=True),
            run_config=tune.RunConfig(storage_path=folder, verbose=0),
        )
        results = tuner.fit()
        found = {result.config["learning_rate"]: result.metrics["loss"] for result in results}
        library.shutdown()
    return [found[rate] for rate in learning_rates(options.trials)]


def ours(options: argparse.Namespace, material: Material) -> list[float]:
    import kit

    with tempfile.TemporaryDirectory() as folder:
        experiment = PROBLEMS[options.problem].experiment(options.backend, options.steps)
        results = kit.sweep(
            experiment, learning_rate=learning_rates(options.trials), replicates=1, store=folder, progress=False
        )
        return [float(run.curve("batch_loss").iloc[-1]) for run in results.runs]


KINDS = {"raw": raw, "optuna": optuna, "ray": ray, "ours": ours}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("backend", choices=("torch", "tensorflow"))
    parser.add_argument("problem", choices=PROBLEMS)
    parser.add_argument("material", type=Path)
    parser.add_argument("--loop", default="")
    parser.add_argument("--trials", type=int, default=32)
    parser.add_argument("--steps", type=int, default=1000)
    options = parser.parse_args()
    began = time.perf_counter()
    losses = KINDS[options.kind](options, Material.read(options.material))
    json.dump({"losses": losses, "seconds": time.perf_counter() - began}, sys.stdout)


if __name__ == "__main__":
    main()
