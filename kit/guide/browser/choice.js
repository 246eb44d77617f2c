// One of several answers: radio buttons that say together what they answer.

function render({ model, el }) {
  let asked = null; // the last answer that the kernel has not confirmed: what it says of those before is old
  const group = `kit-choice-${++views}-${Math.random()}`;
  const inputs = model.get("options").map(([key, text]) => {
    const input = element("input", { type: "radio", name: group, value: key });
    input.addEventListener("change", () => {
      asked = key;
      tell(model, { answer: key });
    });
    return [input, element("label", {}, input, element("span", {}, text))];
  });
  const answers = element("div", { class: model.get("inline") ? "kit-answers kit-inline" : "kit-answers" },
    ...inputs.map(([, label]) => label));
  const root = element("fieldset", { class: "kit-ask" }, element("legend", {}, model.get("question")), answers);
  keepKeys(root);
  el.append(root);
  return follow(model, ["answer"], () => {
    const answer = model.get("answer");
    if (asked !== null && answer !== asked) return;
    asked = null;
    for (const [input] of inputs) input.checked = input.value === answer;
  });
}

export default { render };
