// The table: a row for each lane, and why a run did not reach its end.

const COLUMNS = [["status", "Status"], ["progress", "Progress"], ["train_loss", "Training loss"],
  ["validation_loss", "Validation loss"], ["accuracy", "Accuracy"], ["speed", "Updates"], ["left", "Time left"]];

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

