// A radiologist without a mouse, from the login to the accepted report. pytest reads it back from the PACS.
import { SITE, expect, imageShown, readPath, test } from "./support.mjs";
import { expectVisibleFocus, pressUntil, withoutMouse } from "./keys.mjs";

const logInByKeys = async (page, login, path) => {
  await page.goto(`/login?next=${path}`);
  await pressUntil(page, "Tab", () => document.activeElement.name === "name");
  await page.keyboard.type(login);
  await page.keyboard.press("Tab");
  expect(await expectVisibleFocus(page)).toBe("password");
  await page.keyboard.type(SITE.password);
  await page.keyboard.press("Enter");
  await page.waitForURL((url) => url.pathname === path);
};

test("keys alone lead from the login to an accepted report", async ({ page }) => {
  const { job } = SITE.studies.accepted;
  await withoutMouse(page);
  await logInByKeys(page, "roentgen", "/read");
  await pressUntil(page, "j", (id) => document.activeElement.closest("tr")?.id === id, `draft-${job}`);
  await page.keyboard.press("Enter");
  await page.waitForURL(`**/read/${job}`);
  await imageShown(page);
  await expect(page.locator("#draft")).not.toHaveAttribute("open");
  await page.keyboard.press("a");
  await expect(page.locator("#accept-dialog")).toBeHidden();
  await page.keyboard.press(" ");
  await expect(page.locator("#draft")).toHaveAttribute("open");
  await expect(page.getByText("AI draft, unverified")).toBeVisible();

  const sentences = await page.locator(".sentence[data-id]").count();
  expect(sentences).toBeGreaterThan(0);
  for (let number = 0; number < sentences; number += 1) {
    await expectVisibleFocus(page);
    await page.keyboard.press("y");
  }
  await expect(page.locator("#missing")).toBeEmpty();
  await expect(page.locator(".sentence[data-answer=agree]")).toHaveCount(sentences);
  await expect(page.locator("#saved")).toHaveText("Stored");
  await page.keyboard.press("a");
  await expect(page.locator("#accept-dialog")).toHaveJSProperty("open", true);
  await expectVisibleFocus(page);
  await page.keyboard.press("1");
  await expect(page.locator("#undo")).toContainText("The draft was accepted.");
  expect(page.url()).not.toContain(job);
});

test("a rejection has a reason, and can be undone by a key", async ({ page }) => {
  const { job } = SITE.studies.rejected;
  await withoutMouse(page);
  await logInByKeys(page, "roentgen", readPath("rejected"));
  await imageShown(page);
  await page.keyboard.press("r");
  const dialog = page.locator("#reject-dialog");
  await expect(dialog).toHaveJSProperty("open", true);
  await page.keyboard.press("Enter"); // no reason is chosen
  await expect(dialog).toHaveJSProperty("open", true);
  await page.keyboard.press("3");
  await page.keyboard.press("Enter");
  await expect(page.locator("#undo")).toContainText("The draft was rejected.");
  await page.keyboard.press("u");
  await page.waitForURL(`**/read/${job}`);
  await expect(page.locator("#decision")).toBeVisible();
  await expect(page.locator("#decided")).toHaveCount(0);
});
