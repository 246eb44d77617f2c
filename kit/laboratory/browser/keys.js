// A key that is pressed in a control is the control's. Within JupyterLab and Notebook 7 it would else be a shortcut as
// well: ArrowDown goes to the next cell instead of the next answer, "x" in a menu cuts the cell. What is pressed with
// Ctrl, Alt or Cmd, Shift-Enter (run this cell) and Escape stay the notebook's, which listens at the document.
function keepKeys(root) {
  root.addEventListener("keydown", (event) => {
    const shortcut = event.ctrlKey || event.altKey || event.metaKey || event.key === "Escape" ||
      (event.shiftKey && event.key === "Enter");
    if (!shortcut) event.stopPropagation();
  });
}
