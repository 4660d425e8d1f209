// Markup and script in every text of a DICOM header that pages show: it is text there, and runs nowhere.
import { SITE, enter, expect, imageShown, readPath, test } from "./support.mjs";

const { job, uid, texts } = SITE.studies.markup;

// The markup of the header is in the page as text, and no element was made of it.
const expectText = async (page, ...expected) => {
  for (const text of expected) await expect(page.locator("body")).toContainText(text);
  const made = await page.evaluate(() => ({
    elements: [...document.querySelectorAll("[onerror], [onload], [onclick], main script, main b[id=evil]")].map((each) => each.outerHTML),
    ran: window.ran ?? null,
  }));
  expect(made, page.url()).toEqual({ elements: [], ran: null });
};

test("a radiologist sees the header's markup as text", async ({ page }) => {
  await enter(page, "roentgen", "/read");
  await expectText(page, texts.name, texts.accession);
  await page.goto(readPath("markup"));
  await imageShown(page);
  await expectText(page, texts.name, texts.accession, texts.description, texts.patient_id);
  await page.goto(`/read?q=${encodeURIComponent(texts.accession)}`);
  await expect(page.locator("#rows tr")).toHaveCount(1);
  await expectText(page, texts.name, texts.accession);
  await page.goto(`/search?q=${encodeURIComponent(texts.name)}`);
  await expectText(page);
  await page.goto(`/studies/${uid}/similar`);
  await expectText(page);
  await page.goto(readPath("markup"));
  await imageShown(page);
  await page.keyboard.press("r");
  await page.keyboard.press("6"); // another reason, in words
  await page.locator("#reject-dialog input[name=reason]").fill(texts.description);
  await page.keyboard.press("Enter");
  await expect(page.locator("#undo")).toContainText("The draft was rejected.");
  await page.goto(readPath("markup"));
  await expectText(page, texts.description);
  await page.goto("/mine");
  await expectText(page, texts.name);
});

test("an admin sees it as text in the queue, on the page of the study and in the audit trail", async ({ page }) => {
  await enter(page, "admin", `/queue?text=${encodeURIComponent(texts.accession)}`);
  await expect(page.locator("#rows tr")).toHaveCount(1);
  await expectText(page, texts.accession);
  await page.goto(`/studies/${uid}?job=${job}`);
  await expectText(page, texts.name, texts.accession, texts.description, texts.patient_id);
  await page.goto(`/admin/audit?study=${uid}`);
  await expectText(page, texts.patient_id);
  await page.goto(`/admin/audit?patient=${encodeURIComponent(texts.patient_id)}`);
  await expectText(page, texts.patient_id);
  await page.goto(`/admin`);
  await expectText(page);
});
