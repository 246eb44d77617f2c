// A number: a field under its question, and what is wrong with the answer.

function render({ model, el }) {
  const id = `kit-number-${++views}-${Math.random()}`;
  const input = element("input", { type: "text", inputmode: "decimal", id, placeholder: "a number", autocomplete: "off",
    "aria-describedby": `${id}-fault` });
  const fault = element("p", { class: "kit-wrong", role: "status", id: `${id}-fault` });
  const root = element("div", { class: "kit-ask" }, element("label", { for: id }, model.get("question")),
    element("div", { class: "kit-answers" }, element("span", {}, input, ` ${model.get("unit")}`)), fault);
  input.addEventListener("change", () => tell(model, { text: input.value }));
  keepKeys(root);
  el.append(root);
  return follow(model, ["text", "fault"], () => {
    if (input.getRootNode().activeElement !== input) input.value = model.get("text");
    fault.textContent = model.get("fault");
    input.setAttribute("aria-invalid", String(Boolean(model.get("fault"))));
  });
}

export default { render };
