// The errors that a reader marks: a sentence, selected words, or the whole text; type and significance.
const SHOWN = 60; // characters of a quotation

// Returns what is selected, or the sentence with the focus: { start, end } in characters of the text.
export const marked = (list) => {
  const selection = document.getSelection();
  if (selection && !selection.isCollapsed && list.contains(selection.anchorNode) && list.contains(selection.focusNode)) {
    const range = selection.getRangeAt(0);
    const start = offsetOf(range.startContainer, range.startOffset);
    const end = offsetOf(range.endContainer, range.endOffset);
    if (end > start) return { start, end };
  }
  const item = document.activeElement?.closest?.("#text > li");
  if (!item) return { start: 0, end: 0 };
  const start = Number(item.dataset.start);
  return { start, end: start + item.textContent.length };
};

const offsetOf = (node, offset) => {
  const item = (node instanceof Element ? node : node.parentElement).closest("li");
  if (!item) return 0;
  const before = document.createRange();
  before.setStart(item, 0);
  before.setEnd(node, offset);
  return Number(item.dataset.start) + before.toString().length;
};

// Asks for type and significance; resolves with the error, or with null.
export const askError = (dialog, place, text) =>
  new Promise((resolve) => {
    const form = dialog.querySelector("form");
    form.reset();
    dialog.querySelector("#error-of").textContent = quoted(place, text) || "the whole text";
    dialog.addEventListener("close", () => {
      const { type, significant } = form.elements;
      const isAdded = dialog.returnValue === "add" && type.value && significant.value;
      resolve(isAdded ? { ...place, type: type.value, significant: significant.value === "yes" } : null);
    }, { once: true });
    dialog.returnValue = "";
    dialog.showModal();
  });

const quoted = ({ start, end }, text) => {
  const quote = text.slice(start, end).replaceAll("\n", " ");
  return quote && `“${quote.length > SHOWN ? `${quote.slice(0, SHOWN)}…` : quote}”`;
};

// Shows the list; `removed` gets the number of one that is removed.
export const showErrors = (list, errors, text, removed) => {
  list.replaceChildren(...errors.map((error, number) => {
    const row = document.createElement("li");
    const name = document.querySelector(`#error-dialog input[value="${error.type}"]`).parentElement.textContent.trim();
    const where = quoted(error, text) || "whole text";
    row.append(`${name}, ${error.significant ? "significant" : "not significant"}: ${where} `);
    const button = document.createElement("button");
    button.type = "button";
    button.className = "plain small";
    button.textContent = "Remove";
    button.setAttribute("aria-label", `Remove: ${name}`);
    button.addEventListener("click", () => removed(number));
    row.append(button);
    return row;
  }));
};
