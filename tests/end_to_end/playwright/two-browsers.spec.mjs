// Two people at browsers of their own: conflicts, and pages that follow without a reload.
import { SITE, enter, expect, imageShown, isLive, readPath, sendStudy, test } from "./support.mjs";

const FIRST = ".sentence[data-id] >> nth=0";

// Shows the draft and writes at the end of the first sentence.
const write = async (page, text) => {
  await page.keyboard.press(" ");
  await page.keyboard.press("e");
  await expect(page.locator(`${FIRST} >> textarea`)).toBeFocused();
  await page.keyboard.type(text);
};

// A page that is loaded again loses the mark.
const mark = (page) => page.evaluate(() => { window.sameLoad = true; });
const expectSameLoad = async (page) => expect(await page.evaluate(() => window.sameLoad)).toBe(true);

test("the second editor sees both texts, and nothing that was typed is lost", async ({ personAt, faults }) => {
  faults.expect(/status of 412/);
  const [his, hers] = [await personAt("roentgen", readPath("edited")), await personAt("curie", readPath("edited"))];
  for (const page of [his, hers]) await imageShown(page);
  await expect(hers.locator("#others")).toContainText("Also open: Wilhelm Röntgen");
  await write(his, " His.");
  await expect(his.locator("#saved")).toHaveText("Stored");
  await write(hers, " Hers.");
  await expect(hers.locator("#conflict-dialog")).toBeVisible();
  await expect(hers.locator("#conflict-who")).toContainText("Wilhelm Röntgen");
  await expect(hers.locator("#conflict-theirs")).toContainText(" His.");
  await expect(hers.locator("#conflict-mine")).toContainText(" Hers.");
  await hers.keyboard.press("Escape"); // no choice is made by it
  await expect(hers.locator("#conflict-dialog")).toBeVisible();
  await hers.locator("#keep-mine").click();
  await expect(hers.locator("#saved")).toHaveText("Stored");
  await expect(his.locator("#alert")).toContainText("Marie Curie changed the text of this draft");
  await his.reload();
  await expect(his.locator(`${FIRST} >> .text`)).toContainText(" Hers.");
  await expect(his.locator(`${FIRST} >> .text`)).not.toContainText(" His.");
});

test("a decision in one browser changes the page and the worklist in the other", async ({ personAt }) => {
  const { job } = SITE.studies.decided;
  const his = await personAt("roentgen", readPath("decided"));
  const hers = await personAt("curie", readPath("decided"));
  const list = await hers.context().newPage();
  await list.goto("/read");
  for (const page of [hers, list]) await mark(page);
  const row = list.locator(`#draft-${job}`);
  await expect(row).toContainText("open: Wilhelm Röntgen");
  await imageShown(his);
  await his.keyboard.press("r");
  await his.locator("#reject-dialog").getByRole("radio", { name: "3 Wrong side" }).check();
  await his.getByRole("button", { name: "Reject the draft" }).click();
  await expect(his.locator("#undo")).toContainText("The draft was rejected.");
  await expect(row).toHaveCount(0);
  await expect(hers.locator("#alert")).toContainText("Wilhelm Röntgen has decided on this draft");
  for (const page of [hers, list]) await expectSameLoad(page);
});

test("a new study appears in the open queue and is delivered before the eyes of the admin", async ({ page }) => {
  await enter(page, "admin", "/queue");
  await isLive(page);
  await mark(page);
  const row = page.locator(`#rows tr:has(a[title="${SITE.studies.arriving.uid}"])`);
  await expect(row).toHaveCount(0);
  await sendStudy("arriving");
  await expect(row).toHaveCount(1);
  await expect(row).toContainText("Delivered");
  await expectSameLoad(page);
});

test("eight tabs of one browser load, and all are live", async ({ context, page }) => {
  const { uid, job } = SITE.studies.shown;
  await enter(page, "admin", "/queue");
  const paths = ["/queue", "/queue?state=FAILED", "/admin", "/admin", `/studies/${uid}`, `/studies/${uid}`, "/queue"];
  const tabs = [page];
  for (const path of paths) {
    const tab = await context.newPage();
    await tab.goto(path);
    tabs.push(tab);
  }
  expect(tabs).toHaveLength(8);
  for (const tab of tabs) await isLive(tab);
  await expect(tabs.at(-1).locator(`#job-${job}`)).toBeVisible();
});
