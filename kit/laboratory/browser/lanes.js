// The lanes: an optimizer each, with its settings.

function lanes(page) {
  const list = element("div", { class: "kit-lanes", role: "list" });
  let asked = null; // what was pressed here: the focus follows it to the lane that comes, or stays among those left
  const ask = (word, more) => {
    asked = word;
    page.ask(word, more);
  };
  const add = button("+ Add lane", "One optimizer more, up to six", () => ask("add"));
  const root = element("section", { "aria-label": "Lanes" }, element("div", { class: "kit-heading" }, element("h3", {}, "Lanes"), add), list);
  const cards = [];
  return {
    root,
    update() {
      const form = page.model.get("form");
      const before = cards.length;
      while (cards.length < form.lanes.length) {
        cards.push(card(page, cards.length, ask));
        list.append(cards.at(-1).root);
      }
      while (cards.length > form.lanes.length) cards.pop().root.remove();
      if (asked && before && cards.length !== before) {
        (asked === "remove" ? add : cards.at(-1).root.querySelector("select")).focus();
        asked = null;
      }
      form.lanes.forEach((lane, i) => cards[i].update(lane, form));
      add.disabled = form.lanes.length >= form.most;
    },
  };
}

function card(page, number, ask) {
  const sign = element("span", { class: "kit-sign" });
  const choose = menuField(`Lane ${number + 1}: optimizer`, (name) => page.ask("lane", { number, name }));
  const place = menuField("Framework of this lane", (name) => page.ask("lane_backend", { number, name }));
  const change = (option, text) => page.ask("lane_option", { number, option, text });
  const front = fieldsOf(change);
  const back = fieldsOf(change);
  const extra = more("More settings", place.root, back.root);
  const act = (label, title, word) => button(label, title, () => ask(word, { number }),
    { "aria-label": `${label} lane ${number + 1}` });
  const copy = act("Duplicate", "A second lane like this one", "copy");
  const remove = act("Remove", "Take this lane out", "remove");
  const root = element("div", { class: "kit-card", role: "listitem" }, element("div", { class: "kit-head" }, sign, choose.root),
    front.root, extra.root, element("div", { class: "kit-buttons" }, copy, remove));
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
      const own = lane.own ? [{ ...lane.own, help: "", reason: "" }] : [];
      choose.update([...own, ...(menus[lane.menu] || [])], lane.name, lane.misfit);
      place.update([{ name: "", title: `as above (${form.backend})`, help: "", reason: "" }, ...menus.backend], lane.backend, "");
      const [first, ...others] = lane.controls;
      front.update(first ? [first] : []);
      back.update(others);
      write(extra.summary, `More settings (${others.length + 1})`);
      if (others.some((each) => each.fault)) extra.root.open = true;
      copy.disabled = form.lanes.length >= form.most;
      remove.disabled = form.lanes.length <= 1;
    },
  };
}
