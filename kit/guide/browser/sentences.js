// Sentences that may change where they stand.

function render({ model, el }) {
  const root = element("div", { class: "kit-ask", role: "status" });
  el.append(root);
  return follow(model, ["said"], () => root.replaceChildren(...paragraphs(model.get("said"))));
}

export default { render };
