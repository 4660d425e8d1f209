// The rows of the editor as a report, and a report as rows.
export const plain = (text) => text.replace(/\s+/g, " ").trim();

export const rowsOf = (article) => [...article.querySelectorAll(".sentence[data-id]")];
const area = (row) => row.querySelector("textarea");

export const sentenceOf = (row) => ({
  id: row.dataset.id,
  section: row.dataset.section,
  text: row.classList.contains("removed") ? "" : plain(area(row).value),
  answer: row.dataset.answer,
});
export const isChanged = (row) => sentenceOf(row).text !== row.dataset.draft;
export const isAnswered = (row) => row.dataset.answer !== "" || isChanged(row);
export const isRefusedButKept = (row) => row.dataset.answer === "disagree" && !isChanged(row);

// Shows in a row what its data and its text say.
export const show = (row) => {
  const { text } = sentenceOf(row);
  const removed = row.classList.contains("removed");
  row.querySelector(".text").textContent = removed ? row.dataset.draft : text;
  row.classList.toggle("changed", isChanged(row));
  row.querySelector(".drafted").hidden = !row.dataset.draft || !isChanged(row) || removed;
  row.querySelector(".mark-remove").textContent = removed ? "Restore" : "Remove";
  for (const answer of ["agree", "disagree"]) {
    row.querySelector(`.mark-${answer}`)?.setAttribute("aria-pressed", String(row.dataset.answer === answer));
  }
};

export const openEditor = (row) => {
  if (row.classList.contains("removed")) return;
  row.querySelector(".editor").hidden = false;
  row.querySelector(".sentence-text").hidden = true;
  const text = area(row);
  text.focus();
  text.setSelectionRange(text.value.length, text.value.length);
};

export const closeEditor = (row, { focus = false } = {}) => {
  if (row.querySelector(".editor").hidden) return;
  row.querySelector(".editor").hidden = true;
  row.querySelector(".sentence-text").hidden = false;
  if (!row.dataset.draft && !plain(area(row).value)) { row.remove(); return; }
  show(row);
  if (focus) row.querySelector(".sentence-text").focus();
};

export const addRow = (article, section, id, text = "") => {
  const row = document.getElementById("new-sentence").content.firstElementChild.cloneNode(true);
  Object.assign(row.dataset, { id, section });
  row.querySelector("textarea").value = text;
  article.querySelector(`.sentences[data-section="${section}"]`).append(row);
  show(row);
  return row;
};

export const findingsOf = (article) => [
  ...[...article.querySelectorAll("#coded [data-verdict]")]
    .filter((row) => row.dataset.verdict)
    .map((row) => ({ verdict: row.dataset.verdict, id: row.dataset.finding })),
  ...[...article.querySelectorAll("#added [data-finding-added]")].map((item) => JSON.parse(item.dataset.findingAdded)),
];

export const showVerdict = (row) => {
  for (const verdict of ["agree", "disagree"]) {
    row.querySelector(`.finding-${verdict}`)?.setAttribute("aria-pressed", String(row.dataset.verdict === verdict));
  }
};

export const addFinding = (article, finding) => {
  const item = document.createElement("li");
  item.dataset.findingAdded = JSON.stringify(finding);
  const text = [finding.side, finding.observation, finding.text].filter(Boolean).join(" ");
  const button = Object.assign(document.createElement("button"), { type: "button", className: "small unadd", textContent: "Remove" });
  item.append(Object.assign(document.createElement("strong"), { textContent: "Added by you:" }), ` ${text} `, button);
  article.querySelector("#added").append(item);
};

export const contentOf = (article) => ({
  sentences: rowsOf(article).map(sentenceOf).filter(({ id, text }) => text || !id.startsWith("n")),
  findings: findingsOf(article),
});

// Makes the rows show a stored report.
export const applyContent = (article, content) => {
  const known = new Map(rowsOf(article).map((row) => [row.dataset.id, row]));
  const stored = new Map(content.sentences.map((each) => [each.id, each]));
  for (const each of content.sentences) {
    if (!known.has(each.id)) known.set(each.id, addRow(article, each.section, each.id));
  }
  for (const [id, row] of known) {
    const { text, answer } = stored.get(id) ?? { text: "", answer: "" };
    if (!text && !row.dataset.draft) { row.remove(); continue; }
    row.dataset.answer = answer;
    row.classList.toggle("removed", !text);
    area(row).value = text || row.dataset.draft;
    show(row);
  }
  const verdicts = new Map(content.findings.map((each) => [each.id, each.verdict]));
  for (const row of article.querySelectorAll("#coded [data-verdict]")) {
    row.dataset.verdict = verdicts.get(row.dataset.finding) ?? "";
    showVerdict(row);
  }
  article.querySelector("#added").replaceChildren();
  for (const each of content.findings) if (each.verdict === "add") addFinding(article, each);
};
