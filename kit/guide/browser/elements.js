// What the guide's widgets are built with.

function paragraphs(texts) {
  return texts.map((text) => element("p", {}, text));
}

// Keep a view up with traits of its model until it is closed.
function follow(model, names, update) {
  for (const name of names) model.on(`change:${name}`, update);
  update();
  return () => {
    for (const name of names) model.off(`change:${name}`, update);
  };
}

// Ask the kernel to set traits; it has them set here in return. Not by the model's own `save_changes`: to a message that
// comes while a cell awaits its training, ipykernel 7.4 answers no "idle", and ipywidgets then holds back every later one.
function tell(model, values) {
  model.send({ set: values });
}

let views = 0; // on this page: each has names of its own for its parts
