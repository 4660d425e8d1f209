// A sentence shows its place and a place its sentence: pointer or focus on one lights all of the finding.
// The viewer lights its regions for elements with one finding; a sentence may state several.
const idsOf = (element) => (element.dataset.findings ?? element.dataset.finding ?? "").split(" ").filter(Boolean);

export const linkRegions = (article, signal) => {
  const light = (event) => {
    const from = event.target.closest?.("[data-finding], [data-findings]");
    const wanted = new Set(from ? idsOf(from) : []);
    for (const each of article.querySelectorAll("[data-finding], [data-findings]")) {
      each.classList.toggle("finding-on", idsOf(each).some((id) => wanted.has(id)));
    }
  };
  article.addEventListener("pointerover", light, { signal });
  article.addEventListener("focusin", light, { signal });
};
