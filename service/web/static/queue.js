// The choice of rows on the queue's page: all rows at once, and how many are chosen.
(() => {
  const all = document.getElementById("choose-all");
  const count = document.getElementById("chosen-count");
  const rows = document.getElementById("rows");
  if (!all || !rows) return;
  const unchosen = count.textContent;
  const boxes = () => [...rows.querySelectorAll('input[name="job"]')];
  const show = () => {
    const chosen = boxes().filter((box) => box.checked).length;
    count.textContent = chosen ? `${chosen} ${chosen === 1 ? "row" : "rows"} chosen` : unchosen;
    all.checked = chosen > 0 && chosen === boxes().length;
    all.indeterminate = chosen > 0 && !all.checked;
  };
  all.addEventListener("change", () => {
    for (const box of boxes()) box.checked = all.checked;
    show();
  });
  rows.addEventListener("change", show);
  new MutationObserver(show).observe(rows, { childList: true });
  show();
})();
