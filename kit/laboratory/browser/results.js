// What is left of a session: the code, kept runs, the report.

function results(page) {
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
  const show = more("Show code", element("div", { class: "kit-buttons" }, copy, copied), code);
  const name = element("input", { type: "text", placeholder: "run 1", maxlength: 60, autocomplete: "off" });
  const named = field("Keep as", name, { help: "The runs go into the store under this name; empty: the next number." });
  const keep = button("Keep", "Put these runs into the store", () => page.ask("keep", { name: name.value }));
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
        name.value = "";
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

