"use strict";
// Everything can be read without this: it sorts tables, shows one clock of a curve at a time, and copies text.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    if (head.classList.contains("drawn")) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const ascending = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
      const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
      const rows = [...table.tBodies[0].rows].sort((a, b) => {
        const [x, y] = [key(a), key(b)];
        const [u, v] = [Number.parseFloat(x), Number.parseFloat(y)];
        const numbers = !Number.isNaN(u) && !Number.isNaN(v);
        if (Number.isNaN(u) !== Number.isNaN(v)) return Number.isNaN(u) ? 1 : -1; // what has no number comes last
        return (numbers ? u - v : x.localeCompare(y)) * (ascending ? 1 : -1);
      });
      table.tBodies[0].append(...rows);
    });
  });
}
for (const group of document.querySelectorAll(".clocks")) {
  const figures = [...group.querySelectorAll("figure")];
  if (figures.length < 2) continue;
  const tabs = document.createElement("div");
  tabs.className = "tabs";
  tabs.setAttribute("role", "group");
  tabs.setAttribute("aria-label", "Read the curves against");
  const show = (chosen) => {
    figures.forEach((figure, i) => { figure.hidden = i !== chosen; });
    [...tabs.children].forEach((tab, i) => tab.setAttribute("aria-pressed", String(i === chosen)));
  };
  figures.forEach((figure, i) => {
    const tab = document.createElement("button");
    tab.type = "button";
    tab.textContent = figure.dataset.name;
    tab.addEventListener("click", () => show(i));
    tabs.append(tab);
  });
  group.prepend(tabs);
  show(0);
}
for (const block of document.querySelectorAll("pre[data-copy]")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(block.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(block); // a file opened from a disk may not write to the clipboard
      button.textContent = "Selected: press Ctrl+C";
    }
  });
  block.before(button);
}
