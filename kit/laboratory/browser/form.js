// The controls. Each is made once and then kept up with what the kernel says, never under the hand that is typing.

let made = 0;

function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function button(label, title, action, more = {}) {
  return element("button", { type: "button", title, onclick: action, ...more }, label);
}

// A label over a control, with what is wrong below it.
function field(label, control, { unit = "", help = "" } = {}) {
  const id = `kit-lab-${++made}`;
  control.id = id;
  const fault = element("span", { class: "kit-fault", id: `${id}-fault`, hidden: true });
  const hint = help ? element("span", { class: "kit-hidden", id: `${id}-help` }, help) : null;
  control.setAttribute("aria-describedby", hint ? `${id}-fault ${id}-help` : `${id}-fault`);
  if (help) control.title = help;
  const words = element("label", { for: id }, label, unit ? ` (${unit})` : null);
  const root = element("div", { class: "kit-field" }, words, control, hint, fault);
  return {
    root,
    control,
    say(text) {
      write(fault, text ? `⚠ ${text}` : "");
      fault.hidden = !text;
      control.setAttribute("aria-invalid", text ? "true" : "false");
    },
  };
}

// A menu whose items may be impossible: those stand apart, with the reason.
function menuField(label, choose) {
  const select = element("select", { onchange: () => choose(select.value) });
  const made = field(label, select);
  let drawn = "";
  return {
    root: made.root,
    update(items, chosen, fault, disabled = false) {
      const key = JSON.stringify([items, chosen]);
      if (key !== drawn) {
        drawn = key;
        fill(select, items, chosen);
      }
      if (select.value !== chosen) select.value = chosen;
      select.disabled = disabled;
      const item = items.find((each) => each.name === chosen);
      select.title = item?.help || "";
      made.say(fault);
    },
  };
}

function fill(select, items, chosen) {
  const option = (each) => element("option", { value: each.name, title: each.help, selected: each.name === chosen,
    disabled: Boolean(each.reason) && each.name !== chosen },
  each.reason && each.name !== chosen ? `${each.title}: ${each.reason}` : each.title); // the chosen one's stands below
  const possible = items.filter((each) => !each.reason);
  const impossible = items.filter((each) => each.reason);
  select.replaceChildren(...possible.map(option));
  if (!items.some((each) => each.name === chosen)) select.append(option({ name: chosen, title: chosen, reason: "" }));
  if (impossible.length) select.append(element("optgroup", { label: "not possible here" }, ...impossible.map(option)));
  select.value = chosen;
}

// One hyperparameter, from its record.
function controlField(document, change) {
  if (document.kind === "choice" || document.kind === "switch") {
    const made = menuField(document.label, change);
    const names = document.kind === "switch" ? ["true", "false"] : document.choices;
    const items = names.map((name) => ({ name, title: { true: "yes", false: "no" }[name] ?? name, help: document.help, reason: "" }));
    return { root: made.root, update: (now) => made.update(items, now.text, now.fault) };
  }
  const input = element("input", { type: "text", inputmode: document.kind === "number" ? "decimal" : "text",
    autocomplete: "off", spellcheck: "false", placeholder: document.optional ? "automatic" : document.default, onchange: () => change(input.value) });
  const help = [document.help, document.range ? `${document.range}.` : ""].filter(Boolean).join(" ");
  const made = field(document.label, input, { unit: document.unit, help });
  const slider = document.slider ? sliderFor(document, input, change) : null;
  if (slider) made.root.insertBefore(slider.node, made.root.children[2] || null);
  return {
    root: made.root,
    update(now) {
      if (input.getRootNode().activeElement !== input && input.value !== now.text) input.value = now.text;
      if (slider) slider.update(now.text);
      made.say(now.fault);
    },
  };
}

const NOTCHES = 120; // of a slider

function sliderFor(document, input, change) {
  const { low, high, log } = document.slider;
  const value = (notch) => (log ? low * (high / low) ** (notch / NOTCHES) : low + ((high - low) * notch) / NOTCHES);
  const notch = (number) => (NOTCHES * (log ? Math.log(number / low) / Math.log(high / low) : (number - low) / (high - low)));
  const node = element("input", { type: "range", min: 0, max: NOTCHES, step: 1, tabindex: "0",
    "aria-label": `${document.label}, slider`, title: document.help });
  let timer = 0;
  node.addEventListener("input", () => {
    const text = String(Number(value(Number(node.value)).toPrecision(log ? 2 : 3)));
    input.value = text;
    node.setAttribute("aria-valuetext", text);
    clearTimeout(timer);
    timer = setTimeout(() => change(text), 150);
  });
  return {
    node,
    update(text) {
      const number = Number(text);
      if (node.getRootNode().activeElement === node || !(number > 0 || (number === 0 && !log))) return;
      node.value = Math.min(NOTCHES, Math.max(0, Math.round(notch(number))));
      node.setAttribute("aria-valuetext", text);
    },
  };
}

// Controls side by side, made anew when they become others: another optimizer has other settings.
function fieldsOf(change) {
  const root = element("div", { class: "kit-fields" });
  let drawn = null;
  let fields = [];
  return {
    root,
    update(controls) {
      const key = JSON.stringify(controls.map((each) => [each.name, each.kind, each.default, each.slider, each.range]));
      if (key !== drawn) {
        drawn = key;
        fields = controls.map((each) => controlField(each, (text) => change(each.name, text)));
        root.replaceChildren(...fields.map((each) => each.root));
        root.hidden = !fields.length;
      }
      controls.forEach((each, i) => fields[i].update(each));
    },
  };
}

// What stands behind a line that opens.
function more(label, ...inside) {
  const summary = element("summary", {}, label);
  return { root: element("details", {}, summary, ...inside), summary };
}
