// The lab's view. All that is shown comes from the widget's traits (see kit/laboratory/widget.py); all that is done is
// asked of the kernel.

const STATUS_WORDS = { idle: "Ready", running: "Training", paused: "Paused", stopping: "Stopping" };
const COLUMNS = [["status", "Status"], ["progress", "Progress"], ["train_loss", "Training loss"],
  ["validation_loss", "Validation loss"], ["accuracy", "Accuracy"], ["speed", "Updates"], ["left", "Time left"]];

function themeOf(node) {
  const declared = document.body.dataset.jpThemeLight;
  if (declared) return declared === "false" ? "dark" : "light";
  for (let each = node; each; each = each.parentElement) {
    const colour = getComputedStyle(each).backgroundColor.match(/[\d.]+/g)?.map(Number);
    if (colour && (colour[3] ?? 1) > 0.5) return 0.3 * colour[0] + 0.59 * colour[1] + 0.11 * colour[2] < 128 ? "dark" : "light";
  }
  return "light";
}

function swatch(page, run, label) {
  const canvas = element("canvas", { width: 32, height: 32, class: "kit-swatch", "aria-hidden": "true" });
  const c = canvas.getContext("2d");
  mark(c, run.look ?? run.lane, 16, 16, 9, page.colour(run), null);
  return canvas;
}

// --- the bar with the buttons

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
      write(said, status.fault ? "Could not run." : status.sentence || STATUS_WORDS[status.state]);
      progress.value = status.share || 0;
      progress.hidden = !status.progress;
      write(far, status.progress || "");
      const faults = [page.silent ? "The kernel does not answer: it is busy with another cell, or it was restarted; then run the cell of this lab again. What was kept is in the store." : "",
        page.fault, status.fault, ...(status.notes || [])].filter(Boolean);
      write(fault, faults.length ? `⚠ ${[...new Set(faults)].join(" ")}` : "");
      fault.hidden = !faults.length;
    },
  };
}

// --- the problem

function problem(page) {
  const menus = new Map();
  const parts = element("div", { class: "kit-fields" });
  const extra = more("More settings of the problem");
  const extras = new Map();
  const settings = element("div", { class: "kit-fields" });
  const rest = element("div", { class: "kit-fields" });
  const first = ["batch_size", "budget", "unit", "replicates", "seed"];
  const change = (name, text) => page.ask("setting", { option: name, text });
  const shown = optionsOf(settings, change);
  const hidden = optionsOf(rest, change);
  for (const [kind, label] of [["dataset", "Dataset"], ["model", "Model"], ["loss", "Loss"], ["schedule", "Schedule"], ["backend", "Framework"]]) {
    const made = menuField(label, (name) => page.ask("part", { kind, name }));
    menus.set(kind, made);
    parts.append(made.root);
  }
  menus.set("device", menuField("Device", (name) => page.ask("part", { kind: "device", name })));
  for (const kind of ["dataset", "model", "loss", "schedule"]) {
    const host = element("div", { class: "kit-fields" });
    const heading = element("h4", {});
    extras.set(kind, { root: element("div", {}, heading, host), heading, options: optionsOf(host, (option, text) => page.ask("option", { kind, option, text })) });
    extra.inside.append(extras.get(kind).root);
  }
  extra.inside.className = "";
  rest.append();
  extra.inside.append(element("h4", {}, "Run"), element("div", { class: "kit-fields" }, menus.get("device").root), rest);
  const root = element("section", { "aria-label": "Problem" }, element("h3", {}, "Problem"), parts, settings, extra.root);
  return {
    root,
    update() {
      const form = page.model.get("form");
      const items = page.model.get("menus");
      for (const part of form.parts) {
        const idle = part.kind === "dataset" && form.objective;
        menus.get(part.kind).update(items[part.kind], part.name, idle ? "" : part.misfit, idle);
        const { root: host, heading, options } = extras.get(part.kind);
        write(heading, `${part.label}: ${part.title || "as it is"}`);
        host.hidden = !options.update(idle ? [] : part.controls);
      }
      menus.get("backend").update(items.backend, form.backend, items.backend.length ? "" : "No framework is installed.");
      const devices = [...items.device];
      if (!devices.some((each) => each.name === form.device)) devices.unshift({ name: form.device, title: form.device, help: "", reason: "" });
      menus.get("device").update(devices, form.device, form.device_fault);
      shown.update(form.settings, (each) => !first.includes(each.name));
      hidden.update(form.settings, (each) => first.includes(each.name));
      const faulty = form.parts.some((part) => part.controls.some((each) => each.fault)) || form.device_fault;
      if (faulty) extra.root.open = true;
    },
  };
}

// --- the lanes

function lanes(page) {
  const list = element("div", { class: "kit-lanes", role: "list" });
  const add = button("+ Add lane", "One optimizer more, up to six", () => page.ask("add"));
  const root = element("section", { "aria-label": "Lanes" }, element("div", { class: "kit-heading" }, element("h3", {}, "Lanes"), add), list);
  const cards = [];
  return {
    root,
    update() {
      const form = page.model.get("form");
      while (cards.length < form.lanes.length) {
        cards.push(card(page, cards.length));
        list.append(cards.at(-1).root);
      }
      while (cards.length > form.lanes.length) cards.pop().root.remove();
      form.lanes.forEach((lane, i) => cards[i].update(lane, form));
      add.disabled = form.lanes.length >= form.most;
    },
  };
}

function card(page, number) {
  const head = element("div", { class: "kit-head" });
  const sign = element("span", { class: "kit-sign" });
  const choose = menuField(`Lane ${number + 1}: optimizer`, (name) => page.ask("lane", { number, name }));
  const place = menuField("Framework of this lane", (name) => page.ask("lane_backend", { number, name }));
  const front = element("div", { class: "kit-fields" });
  const extra = more("More settings");
  const inside = element("div", { class: "kit-fields" });
  const change = (option, text) => page.ask("lane_option", { number, option, text });
  const first = optionsOf(front, change);
  const others = optionsOf(inside, change);
  extra.inside.replaceChildren(place.root, ...[inside]);
  extra.inside.className = "kit-more";
  head.append(sign, choose.root);
  const copy = button("Duplicate", "", () => page.ask("copy", { number }), { "aria-label": `Duplicate lane ${number + 1}`, title: "A second lane like this one" });
  const remove = button("Remove", "", () => page.ask("remove", { number }), { "aria-label": `Remove lane ${number + 1}`, title: "Take this lane out" });
  const root = element("div", { class: "kit-card", role: "listitem" }, head, front, extra.root, element("div", { class: "kit-buttons" }, copy, remove));
  let drawn = "";
  return {
    root,
    update(lane, form) {
      const key = `${lane.look}|${page.look}`;
      if (key !== drawn) {
        drawn = key;
        sign.replaceChildren(swatch(page, lane));
        root.style.setProperty("--kit-lane", page.colour(lane));
      }
      const menus = page.model.get("menus");
      const items = [...(lane.own ? [{ ...lane.own, help: "", reason: "" }] : []), ...(menus[lane.menu] || [])];
      choose.update(items, lane.name, lane.misfit);
      const backends = [{ name: "", title: `as above (${form.backend})`, help: "", reason: "" }, ...menus.backend];
      place.update(backends, lane.backend, "");
      const leading = lane.controls[0]?.name;
      first.update(lane.controls, (each) => each.name !== leading);
      const count = others.update(lane.controls, (each) => each.name === leading);
      write(extra.summary, `More settings (${count + 1})`);
      if (lane.controls.some((each) => each.fault && each.name !== leading)) extra.root.open = true;
      copy.disabled = form.lanes.length >= form.most;
      remove.disabled = form.lanes.length <= 1;
    },
  };
}

// --- the figures

function figures(page) {
  const metric = element("select", { onchange: () => page.set({ metric: metric.value, yLog: null }) });
  const clock = element("select", { onchange: () => page.set({ clock: clock.value }) },
    ...Object.entries(CLOCKS).map(([name, words]) => element("option", { value: name }, words)));
  const yScale = element("select", { onchange: () => page.set({ yLog: yScale.value === "log" }) },
    element("option", { value: "log" }, "logarithmic"), element("option", { value: "linear" }, "linear"));
  const xScale = element("select", { onchange: () => page.set({ xLog: xScale.value === "log" }) },
    element("option", { value: "linear" }, "linear"), element("option", { value: "log" }, "logarithmic"));
  const axes = element("div", { class: "kit-fields kit-axes", role: "group", "aria-label": "Axes" },
    field("Curve", metric).root, field("Vertical scale", yScale).root, field("Horizontal axis", clock).root,
    field("Horizontal scale", xScale).root);
  const loss = new Chart(page, "Curves", { metric: () => page.metric(), wide: true });
  const paths = new Paths(page);
  const norm = new Chart(page, "Gradient norm", { metric: () => "gradient_norm", wide: false });
  const ratio = new Chart(page, "Update ratio", { metric: () => "update_ratio", wide: false });
  const empty = element("p", { class: "kit-empty" }, "Press Run: the curves appear here while the lanes train.");
  const still = element("img", { class: "kit-still", hidden: true });
  const panel = (chart, title, kind) => element("figure", { class: `kit-figure kit-${kind}` }, element("figcaption", {}, title), chart.canvas);
  const main = element("figure", { class: "kit-figure kit-curves" }, loss.canvas, empty, still);
  const path = panel(paths, "Paths over the function's contours", "paths");
  const small = [panel(norm, "Gradient norm ‖g‖", "small"), panel(ratio, "Update ratio ‖Δp‖ ∕ ‖p‖", "small")];
  const grid = element("div", { class: "kit-figures" }, main, path, ...small);
  const words = element("p", { class: "kit-words" });
  const root = element("section", { "aria-label": "Figures" }, axes, grid, words);
  const charts = [loss, paths, norm, ratio];
  return {
    root,
    charts,
    update() {
      const choices = page.choices();
      const names = choices.length ? choices : [page.metric()];
      if (metric.dataset.drawn !== names.join()) {
        metric.dataset.drawn = names.join();
        metric.replaceChildren(...names.map((name) => element("option", { value: name }, metricTitle(name))));
      }
      metric.value = page.metric();
      const share = page.metric().endsWith("accuracy");
      yScale.value = (page.axes.yLog ?? !share) ? "log" : "linear";
      clock.value = page.axes.clock;
      xScale.value = page.axes.xLog ? "log" : "linear";
      const drawn = page.curves.map.size > 0;
      const saved = page.model.get("still");
      const alone = !page.heard && Boolean(saved) && page.silent;
      empty.hidden = drawn || alone;
      still.hidden = !alone;
      if (alone && !still.src) still.src = `data:image/png;base64,${saved}`;
      still.alt = page.words;
      const known = (name) => page.metrics.includes(name);
      path.hidden = !page.landscape;
      small[0].hidden = !known("gradient_norm");
      small[1].hidden = !known("update_ratio");
      grid.classList.toggle("kit-two", Boolean(page.landscape));
      grid.classList.toggle("kit-plain", !page.landscape && small[0].hidden && small[1].hidden);
      write(words, page.words);
    },
  };
}

function metricTitle(name) {
  const words = metricWords(name);
  return name === "batch_loss" ? "loss of each batch" : words;
}

// --- the table

function table(page) {
  const body = element("tbody");
  const head = element("tr", {}, element("th", { scope: "col" }, "Lane"), ...COLUMNS.map(([, words]) => element("th", { scope: "col" }, words)));
  const root = element("section", { "aria-label": "Table", class: "kit-table" }, element("table", {},
    element("caption", { class: "kit-hidden" }, "The lanes: status, losses, accuracy, speed and time left"), element("thead", {}, head), body));
  const reasons = element("ul", { class: "kit-reasons" });
  root.append(reasons);
  let drawn = "";
  return {
    root,
    update() {
      const rows = page.model.get("table");
      root.hidden = !rows.length;
      const looks = new Map(Object.values(page.runs).filter((run) => !run.kept).map((run) => [run.lane, run]));
      const key = `${page.look}|${rows.map((row, i) => `${row.name}:${looks.get(i)?.look}`).join("|")}`;
      if (key !== drawn) {
        drawn = key;
        body.replaceChildren(...rows.map((row, i) => element("tr", {},
          element("th", { scope: "row" }, looks.get(i) ? swatch(page, looks.get(i)) : null, row.name), ...COLUMNS.map(() => element("td")))));
      }
      rows.forEach((row, i) => COLUMNS.forEach(([name], j) => write(body.rows[i].cells[j + 1], row[name])));
      const said = rows.filter((row) => row.reason).map((row) => `${row.name}: ${row.reason}`);
      if (reasons.dataset.said !== said.join("|")) {
        reasons.dataset.said = said.join("|");
        reasons.replaceChildren(...said.map((text) => element("li", {}, text)));
      }
    },
  };
}

// --- what is left of it: code, kept runs, report

function after(page) {
  const code = element("pre", { tabindex: "0", "aria-label": "Python code of these settings" });
  const copied = element("span", { role: "status", "aria-live": "polite" });
  const copy = button("Copy", "Copy the code", async () => {
    try {
      await navigator.clipboard.writeText(code.textContent);
      copied.textContent = "Copied.";
    } catch {
      getSelection().selectAllChildren(code);
      copied.textContent = "Selected: press Ctrl+C.";
    }
  });
  const show = more("Show code");
  show.inside.className = "";
  show.inside.append(element("div", { class: "kit-buttons" }, copy, copied), code);
  const name = element("input", { type: "text", placeholder: "run 1", maxlength: 60, autocomplete: "off" });
  const named = field("Keep as", name, { help: "The runs go into the store under this name; empty: the next number." });
  const keep = button("Keep", "Put these runs into the store", () => {
    page.ask("keep", { name: name.value });
    name.value = "";
  });
  const report = button("Report", "Write the HTML report of these runs beside the notebook", () => page.ask("report"));
  const link = element("a", { target: "_blank", rel: "noopener", hidden: true });
  const over = element("fieldset", { class: "kit-kept" }, element("legend", {}, "Kept runs, to lay over"));
  const row = element("div", { class: "kit-after" }, named.root, keep, report, link);
  const root = element("section", { "aria-label": "Results" }, row, over, show.root);
  let drawn = "";
  return {
    root,
    update() {
      write(code, page.model.get("code"));
      const status = page.model.get("status");
      const ready = status.state === "idle" && Boolean(status.progress) && !status.fault;
      keep.disabled = report.disabled = name.disabled = !ready;
      const kept = page.model.get("kept");
      over.hidden = !kept.length;
      const key = JSON.stringify(kept.map((each) => each.name));
      if (key !== drawn) {
        drawn = key;
        over.replaceChildren(over.firstChild, ...kept.map((each) => {
          const box = element("input", { type: "checkbox", onchange: () => page.ask("overlay", { name: each.name, on: box.checked }) });
          return element("label", {}, box, ` ${each.name}`);
        }));
      }
      kept.forEach((each, i) => (over.querySelectorAll("input")[i].checked = each.on));
      if (page.report) {
        link.hidden = false;
        link.href = page.report.url;
        write(link, `Open ${page.report.name}`);
      }
    },
  };
}

// --- the whole

const PAGES = new Map(); // key of the widget -> its page; views come and go

function pageOf(model) {
  const key = model.get("key");
  if (!PAGES.has(key)) PAGES.set(key, new Page(model));
  return PAGES.get(key);
}

function render({ model, el }) {
  const page = pageOf(model);
  const sections = [bar(page), problem(page), lanes(page), figures(page), table(page), after(page)];
  const root = element("div", { class: "kit-lab", role: "region", "aria-label": "Optimizer lab" }, ...sections.map((each) => each.root));
  el.append(root);
  const paint = () => {
    page.look = themeOf(el);
    root.dataset.theme = page.look;
    const style = getComputedStyle(root);
    const colour = (name) => style.getPropertyValue(name).trim();
    page.colours = { ink: colour("--kit-ink"), muted: colour("--kit-muted"), grid: colour("--kit-grid"), surface: colour("--kit-surface") };
    page.revision += 1;
  };
  let stale = true;
  const refresh = () => {
    stale = true;
  };
  page.views.add(refresh);
  const traits = ["form", "menus", "status", "table", "runs", "metrics", "words", "code", "kept", "landscape", "still"];
  for (const name of traits) model.on(`change:${name}`, refresh);
  const themes = new MutationObserver(() => {
    paint();
    refresh();
  });
  themes.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light", "data-jp-theme-name", "class"] });
  let running = true;
  let figuresOf = sections[3];
  let seen = -1;
  const frame = (now) => {
    if (!running) return;
    const began = performance.now();
    if (stale || seen !== page.curves.map.size) {
      if (!page.colours) paint();
      stale = false;
      seen = page.curves.map.size;
      for (const each of sections) each.update();
    }
    for (const chart of figuresOf.charts) {
      if (!chart.canvas.closest("[hidden]") && performance.now() - began < SLICE_MS) chart.frame(now);
    }
    const spent = performance.now() - began;
    page.stats.longest = Math.max(page.stats.longest, spent);
    page.stats.spent += spent;
    requestAnimationFrame(frame);
  };
  root.kitLab = page; // for measuring
  requestAnimationFrame(() => {
    paint();
    frame(performance.now());
  });
  return () => {
    running = false;
    page.views.delete(refresh);
    for (const name of traits) model.off(`change:${name}`, refresh);
    themes.disconnect();
  };
}

export default { initialize: ({ model }) => void pageOf(model), render };
