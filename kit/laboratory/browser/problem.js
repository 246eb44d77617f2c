// The problem: dataset, model, loss, schedule, framework, and the numbers of a run.

const FIRST = ["batch_size", "budget", "unit", "replicates", "seed"]; // the others stand behind "More settings"
const PARTS = ["dataset", "model", "loss", "schedule"];

function problem(page) {
  const menu = (kind, label) => menuField(label, (name) => page.ask("part", { kind, name }));
  const menus = { dataset: menu("dataset", "Dataset"), model: menu("model", "Model"), loss: menu("loss", "Loss"),
    schedule: menu("schedule", "Schedule"), backend: menu("backend", "Framework"), device: menu("device", "Device") };
  const setting = (option, text) => page.ask("setting", { option, text });
  const front = fieldsOf(setting);
  const back = fieldsOf(setting);
  const options = Object.fromEntries(PARTS.map((kind) => [kind, partOptions(page, kind)]));
  const extra = more("More settings of the problem", ...PARTS.map((kind) => options[kind].root),
    element("h4", {}, "Run"), element("div", { class: "kit-fields" }, menus.device.root, back.root));
  const chosen = ["dataset", "model", "loss", "schedule", "backend"].map((kind) => menus[kind].root);
  const root = element("section", { "aria-label": "Problem" }, element("h3", {}, "Problem"),
    element("div", { class: "kit-fields" }, ...chosen), front.root, extra.root);
  return {
    root,
    update() {
      const form = page.model.get("form");
      const items = page.model.get("menus");
      for (const part of form.parts) {
        const idle = part.kind === "dataset" && form.objective; // a function to be minimised needs no data
        menus[part.kind].update(items[part.kind], part.name, idle ? "" : part.misfit, idle);
        options[part.kind].update(part, idle ? [] : part.controls);
      }
      menus.backend.update(items.backend, form.backend, items.backend.length ? "" : "No framework is installed.");
      menus.device.update(items.device, form.device, form.device_fault);
      front.update(form.settings.filter((each) => FIRST.includes(each.name)));
      back.update(form.settings.filter((each) => !FIRST.includes(each.name)));
      if (form.device_fault || form.parts.some((part) => part.controls.some((each) => each.fault))) extra.root.open = true;
    },
  };
}

function partOptions(page, kind) {
  const fields = fieldsOf((option, text) => page.ask("option", { kind, option, text }));
  const heading = element("h4");
  const root = element("div", {}, heading, fields.root);
  return {
    root,
    update(part, controls) {
      write(heading, `${part.label}: ${part.title}`);
      fields.update(controls);
      root.hidden = !controls.length;
    },
  };
}
