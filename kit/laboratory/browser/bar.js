// The buttons, and where the training stands.

// An application of Voilà's has no cells.
const UNHEARD = `The kernel does not answer: it is busy${document.body.dataset.voila ? ", or it has ended; then reload this page. " :
  " with another cell, or it was restarted; then run the cell of this lab again. "}What was kept is in the store.`;

function bar(page) {
  const run = button("Run", "Train what the controls say, from the start", () => page.ask("run"), { class: "kit-main kit-run" });
  const pause = button("Pause", "What trains waits, and holds no core", () =>
    page.ask(page.model.get("status").state === "paused" ? "resume" : "pause"), { class: "kit-pause" });
  const stop = button("Stop", "End now; everything so far stays", () => page.ask("stop"), { class: "kit-stop" });
  const seed = button("New seed", "Other random draws, the same for all lanes: split, start, order", () => page.ask("seed"));
  const said = element("span", { role: "status", "aria-live": "polite", class: "kit-said" });
  const progress = element("progress", { max: 1, value: 0, "aria-label": "Progress of the whole" });
  const far = element("span", { class: "kit-far" });
  const fault = element("p", { role: "alert", class: "kit-fault kit-alert", hidden: true });
  const buttons = element("div", { class: "kit-buttons", role: "toolbar", "aria-label": "Training" }, run, pause, stop, seed);
  const root = element("div", { class: "kit-bar" }, buttons, element("div", { class: "kit-state" }, said, progress, far), fault);
  return {
    root,
    update() {
      const status = page.model.get("status");
      const active = status.state !== "idle";
      run.disabled = active;
      pause.disabled = !(status.state === "running" || status.state === "paused");
      stop.disabled = !active || status.state === "stopping";
      seed.disabled = active;
      write(run, active || !status.progress ? "Run" : "Run again");
      write(pause, status.state === "paused" ? "Resume" : "Pause");
      pause.classList.toggle("kit-run", status.state === "paused");
      write(said, status.fault ? "Could not run." : status.sentence);
      progress.value = status.share || 0;
      progress.hidden = !status.progress;
      write(far, status.progress || "");
      const faults = [page.silent ? UNHEARD : "", page.fault, status.fault, ...(status.notes || [])].filter(Boolean);
      write(fault, faults.length ? `⚠ ${[...new Set(faults)].join(" ")}` : "");
      fault.hidden = !faults.length;
    },
  };
}

