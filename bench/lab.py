"""What the lab costs and how quickly it answers, in a real JupyterLab with a real browser looking on.

    python -m bench.lab torch

The same study of 6 lanes × 5 replicates is trained in turn without the lab and in it, by the same warm workers, in one
kernel, the curves on the screen all the while; what each kind of process took of the processor is counted beside it.
Then Stop is pressed twenty times while both cores train, and a hundred curves of ten thousand points are drawn over and
over. One JSON document goes to standard output.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.jupyter import ARGUMENTS, CHROMIUM, SIZE, Notebook, Server, written

LANES = ["minibatch", "momentum", "nesterov", "rmsprop", "adam", "adamw"]
CURVES, POINTS = 100, 10_000

SHOW = """
import asyncio, contextlib, json, shutil, tempfile, time
import psutil
from kit.store import Store
import kit
lab = kit.lab({lanes}, backend="{backend}", replicates=5, budget={steps}, store=tempfile.mkdtemp())
lab
"""
WARM = """
results = await lab.run()
{{run.status for run in results}}
"""
TURNS = """
async def settled():
    await asyncio.to_thread(lab.display.settled.wait, 30)

def empty():
    # A store without runs that remembers the loops that the lab's session chose: both train with the same.
    place = Store(tempfile.mkdtemp())
    shutil.copytree(lab.session.store.layout.strategies, place.layout.strategies)
    return place.layout.root

async def alone():
    store = empty()
    began = time.perf_counter()
    results = await lab.study().start(store=store, progress=False)
    trained["alone"].append(sum(run.cost.seconds for run in results))
    return time.perf_counter() - began

async def watched():
    began = time.perf_counter()
    lab.start()
    results = await asyncio.wrap_future(lab.session.future)
    trained["watched"].append(sum(run.cost.seconds for run in results))
    return time.perf_counter() - began

def processor():
    # Seconds of processor so far: of the kernel, of its workers, of JupyterLab's server, of the browser.
    mine = psutil.Process()
    kinds = {{"kernel": [mine], "workers": mine.children(recursive=True), "server": [mine.parent()]}}
    kinds["browser"] = [each for each in mine.parents()[1].children(recursive=True) if "chrom" in each.name()]
    found = {{}}
    for kind, processes in kinds.items():
        found[kind] = 0.0
        for each in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                found[kind] += sum(each.cpu_times()[:2])
    return found

trained = {{"alone": [], "watched": []}}
walls, used = {{"alone": [], "watched": []}}, {{"alone": [], "watched": []}}
for turn in range({turns}):
    for kind in (alone, watched) if turn % 2 else (watched, alone):
        before = processor()
        walls[kind.__name__].append(await kind())
        after = processor()
        used[kind.__name__].append({{name: after[name] - before[name] for name in after}})
        await settled()  # the last picture is drawn after the training
print("WALLS", json.dumps([walls, used, trained]))
"""
STOPS = """
lab.set(budget=10_000_000)
waited = []
for _ in range({stops}):
    lab.start()
    while lab.session.watch.stream.size == 0:
        await asyncio.sleep(0.02)
    await asyncio.sleep(0.5)
    asked = time.perf_counter()
    lab.stop()
    await asyncio.wrap_future(lab.session.future)
    waited.append(time.perf_counter() - asked)
    await settled()
print("STOPS", json.dumps(waited))
"""
MANY = """
import numpy as np
from kit.laboratory.stream import Stream
noise = np.random.default_rng(0)
stream = Stream(lab.session.metrics)
for run in range({curves}):
    values = np.exp(-np.arange({points}) / 3000) * noise.lognormal(0, 0.5, {points})
    stream.add(run, "batch_loss", 1, values, (0.0, 1.0))
lab.session.watch.stream = stream
lab.widget.generation += 1
lab.widget.runs = {{str(run): {{"lane": run % 6, "look": run % 6, "name": f"lane {{run % 6 + 1}}", "batch": 1,
                              "status": "training"}} for run in range({curves})}}
lab.display._send_all()
print("MANY", stream.size)
"""
# While the page is made to draw anew all the time: milliseconds between frames, and of our own work in one.
FRAMES = """
seconds => new Promise(done => {
    const page = document.querySelector(".kit-lab").kitLab;
    const times = [];
    const begun = performance.now();
    page.set({metric: "batch_loss"});
    page.stats.longest = 0;
    const drawn = page.stats.frames;
    const step = now => {
        times.push(now);
        page.revision += 1;
        page.refresh();
        if (now - begun < 1000 * seconds) requestAnimationFrame(step);
        else done({gaps: times.slice(1).map((time, i) => time - times[i]), longest: page.stats.longest,
                   drawings: page.stats.frames - drawn});
    };
    requestAnimationFrame(step);
})
"""
IN_VIEW = "() => document.querySelector('.kit-curves').scrollIntoView()"
SHOW_ALL = """() => {
    const notebook = window.jupyterapp.shell.currentWidget.content;
    notebook.notebookConfig = {...notebook.notebookConfig, windowingMode: 'none'};
}"""
MOVING = "() => document.querySelector('.kit-lab').kitLab.curves.map.size > 0"
COUNT = """() => {
    const page = document.querySelector(".kit-lab").kitLab;
    return [performance.now(), page.stats.frames, page.model.get("status").state];
}"""


def cell(book: Notebook, number: int, marker: str, seconds: float) -> Any:
    """Run a cell, the lab's curves on the screen, and read the JSON that it prints after a marker."""
    book.page.evaluate("n => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = n; }", number)
    book.command("notebook:run-cell")
    book.page.wait_for_timeout(300)  # the notebook scrolls to the cell
    book.page.evaluate(IN_VIEW)
    output = book.page.locator(".jp-Notebook .jp-Cell").nth(number).locator(".jp-OutputArea-output", has_text=marker)
    output.wait_for(timeout=1000 * seconds)
    said = str(output.inner_text())
    if not said.startswith(marker):
        raise RuntimeError(said)
    return json.loads(said.removeprefix(marker))


def frames_a_second(book: Notebook, seconds: float = 5.0) -> float:
    """How often the main figure is drawn anew while the lab trains."""
    began, before, state = book.page.evaluate(COUNT)
    book.page.wait_for_timeout(1000 * seconds)
    ended, after, _ = book.page.evaluate(COUNT)
    assert state == "running", "the lab was to be training"
    return float((after - before) / (ended - began) * 1000)


def measure(backend: str, steps: int, turns: int, stops: int) -> dict[str, Any]:
    from playwright.sync_api import sync_playwright

    sizes = {"curves": CURVES, "points": POINTS, "stops": stops, "turns": turns}
    cells = [SHOW.format(lanes=LANES, backend=backend, steps=steps), WARM.format(), TURNS.format(**sizes)]
    cells += [STOPS.format(**sizes), MANY.format(**sizes)]
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        server = Server(Path(folder))
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        try:
            written(server.root / "bench.ipynb", cells)
            book = Notebook(server, browser.new_context(viewport=SIZE), "bench.ipynb")
            book.await_kernel()
            book.page.evaluate(SHOW_ALL)
            began = time.perf_counter()
            for number in (0, 1):
                book.page.evaluate(
                    "n => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = n; }", number
                )
                book.command("notebook:run-cell")
            page = book.page
            page.locator(".kit-lab").wait_for(timeout=60_000)
            page.evaluate(IN_VIEW)
            page.wait_for_function(MOVING, timeout=120_000)
            first = time.perf_counter() - began
            page.wait_for_timeout(500)
            fps = frames_a_second(book, 4.0)
            page.locator(".jp-OutputArea-output", has_text="done").last.wait_for(timeout=600_000)
            walls, used, trained = cell(book, 2, "WALLS", 60 * turns * 3)
            waited = cell(book, 3, "STOPS", 30 * stops)
            cell(book, 4, "MANY", 60)
            page.wait_for_timeout(2000)
            page.evaluate(IN_VIEW)
            many = page.evaluate(FRAMES, 5)
        finally:
            browser.close()
            server.close()
    gaps = sorted(many["gaps"])
    return {
        "backend": backend,
        "steps": steps,
        "walls": walls,
        "training_seconds": trained,
        "processor_seconds": {
            kind: {name: statistics.median(turn[name] for turn in turns) for name in turns[0]}
            for kind, turns in used.items()
        },
        "ratio": statistics.median(w / a for w, a in zip(trained["watched"], trained["alone"], strict=True)),
        "first_curve": first,
        "frames_a_second": fps,
        "stops": waited,
        "frame_ms": {
            "median": statistics.median(gaps),
            "p95": gaps[len(gaps) * 95 // 100],
            "longest": gaps[-1],
            "own": many["longest"],
            "drawings_a_second": many["drawings"] / 5,
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.lab", description=__doc__)
    parser.add_argument("backend")
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--stops", type=int, default=20)
    options = parser.parse_args()
    print(json.dumps(measure(options.backend, options.steps, options.turns, options.stops)))


if __name__ == "__main__":
    main()
