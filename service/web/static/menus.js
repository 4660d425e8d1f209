// Menus: a `details` of the class "menu" lies above the page. Its summary opens and closes it, also without this
// script; Escape, a click or focus outside, and another menu that opens close it too. The document listens, because
// rows are replaced while the page is open.

const openMenus = () => document.querySelectorAll("details.menu[open]");

const closeOthers = (kept) => {
  for (const menu of openMenus()) if (menu !== kept) menu.open = false;
};

// The event does not bubble.
document.addEventListener("toggle", ({ target }) => {
  if (target.matches("details.menu[open]")) closeOthers(target);
}, true);

for (const name of ["click", "focusin"]) {
  document.addEventListener(name, ({ target }) => closeOthers(target.closest("details.menu")), true);
}

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.isComposing || document.querySelector("dialog[open]")) return;
  const menu = document.querySelector("details.menu[open]");
  if (!menu) return;
  event.preventDefault(); // the key closes nothing else, such as a search field's text
  menu.open = false;
  menu.querySelector("summary").focus();
}, true);
