// Training under way: how far it is, and Stop. How it ended stands in the cell's output, and this view gives way to it;
// but JupyterLab hands the output of a cell only to the page that ran it (jupyterlab#2833). So a page that was opened
// in the middle says the end itself, and what to do then.

const AGAIN = "This page was opened while the training ran, so what the cell shows afterwards could not reach it. Run this " +
  "cell and those below it: what has been trained is found, and not trained again.";
const PAGE = (globalThis.kitPage ??= `${Date.now()}-${Math.random()}`); // the same for all widgets of a page

function initialize({ model }) {
  const begunIn = model.get("page");
  if (!begunIn) tell(model, { page: PAGE });
  else if (begunIn !== PAGE && !model.get("said").length) tell(model, { late: true });
}

function render({ model, el }) {
  const bar = element("progress", { max: 1, "aria-label": "Training" });
  const words = element("span", {});
  const stop = element("button", { type: "button", title: "End the training; what was trained is kept." }, "Stop");
  const line = element("div", { class: "kit-under-way" }, "Training: ", bar, words, stop);
  const ended = element("div", { role: "status" });
  const root = element("div", { class: "kit-ask" }, line, ended);
  stop.addEventListener("click", () => tell(model, { stopping: true }));
  keepKeys(root);
  el.append(root);
  return follow(model, ["share", "words", "stopping", "said", "late"], () => {
    const said = model.get("said");
    bar.value = model.get("share");
    words.textContent = model.get("stopping") ? "stopping …" : model.get("words");
    stop.disabled = model.get("stopping");
    line.hidden = said.length > 0;
    const here = said.length > 0 && model.get("late") && model.get("page") !== PAGE;
    root.hidden = said.length > 0 && !here;
    if (here && !ended.childElementCount) ended.append(...paragraphs([...said, AGAIN]));
  });
}

export default { initialize, render };
