// What a person types is kept while the session ends, or the service does not answer.
import { SITE, enter, expect, imageShown, readPath, test, wetread } from "./support.mjs";

test("a session that ends while a person types loses no text", async ({ page, faults }) => {
  faults.expect(/status of 401/);
  await enter(page, "curie", readPath("typed"));
  await imageShown(page);
  await page.keyboard.press(" ");
  await page.keyboard.press("e");
  const editor = page.locator(".sentence textarea:visible");
  await page.keyboard.type(" Before.");
  await expect(page.locator("#saved")).toHaveText("Stored");
  await wetread(["user", "password", "curie"], `${SITE.password}\n`); // ends her sessions
  await page.keyboard.type(" After.");
  const dialog = page.locator("#login-dialog");
  await expect(dialog).toBeVisible();
  await dialog.getByLabel("Password").fill("not her password");
  await dialog.getByRole("button", { name: "Log in" }).click();
  await expect(dialog.locator(".fault")).not.toBeEmpty();
  await dialog.getByLabel("Password").fill(SITE.password);
  await dialog.getByRole("button", { name: "Log in" }).click();
  await expect(dialog).toBeHidden();
  await expect(page.locator("#saved")).toHaveText("Stored");
  await page.reload();
  await expect(page.locator(".sentence .text").first()).toContainText("Before. After.");
});

test("text that the service did not get is kept in the tab, and stored after a reload", async ({ page }) => {
  await enter(page, "curie", readPath("unsent"));
  await imageShown(page);
  // No request of the page leaves the browser, also not the last one of a page that is left.
  await page.evaluate(() => { window.fetch = () => Promise.reject(new TypeError("no network")); });
  await page.keyboard.press(" ");
  await page.keyboard.press("e");
  await page.keyboard.type(" Unsent.");
  await expect(page.locator("#saved")).toContainText("your text is kept in this tab");
  await page.reload();
  await expect(page.locator("#saved")).toHaveText("Stored");
  await expect(page.locator(".sentence .text").first()).toContainText(" Unsent.");
  await page.evaluate(() => sessionStorage.clear());
  await page.reload();
  await expect(page.locator(".sentence .text").first()).toContainText(" Unsent.");
});
