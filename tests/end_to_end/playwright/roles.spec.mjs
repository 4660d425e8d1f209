// What each role may see and do, and that nobody sees anything without a login.
import { SITE, enter, expect, readPath, statusOf, test } from "./support.mjs";

const { job } = SITE.studies.shown;
const DECISION = { verdict: "reject", rejection: "other", reason: "x", base_version: 0, seconds: { total: 1 } };
const REVIEW = { sentences: [], findings: [] };

for (const login of ["viewer", "admin"]) {
  test(`the ${login} sees a draft and can neither edit nor decide`, async ({ page, faults }) => {
    faults.expect(/status of 403/);
    await enter(page, login, readPath("shown"));
    await expect(page.getByText("AI draft, unverified")).toBeVisible();
    await expect(page.locator("h1")).toHaveText("Doe, Jane");
    await expect(page.locator(".sentence .text").first()).toBeVisible();
    for (const part of ["#decision", "#accept-dialog", ".sentence button", ".sentence textarea", "#ask-form"]) {
      await expect(page.locator(part)).toHaveCount(0);
    }
    for (const key of ["a", "r", "e", "y"]) await page.keyboard.press(key);
    await expect(page.locator("dialog[open], textarea:visible")).toHaveCount(0);
    expect(await statusOf(page, "PUT", `/api/jobs/${job}/review`, REVIEW)).toBe(403);
    expect(await statusOf(page, "POST", `/api/jobs/${job}/decisions`, DECISION)).toBe(403);
    expect(await statusOf(page, "POST", `/api/jobs/${job}/questions`, { text: "Is there an effusion?" })).toBe(403);
  });
}

test("viewer and radiologist have no page of an admin", async ({ browser, faults }) => {
  faults.expect(/status of 403/);
  for (const login of ["viewer", "roentgen"]) {
    const page = await (await browser.newContext({ baseURL: SITE.url })).newPage();
    await faults.watch(page.context());
    await enter(page, login);
    for (const path of SITE.admin_pages) {
      await expect(page.locator(`nav.areas a[href$="${path}"]`)).toHaveCount(0);
      expect((await page.goto(path)).status(), `${login} at ${path}`).toBe(403);
      await expect(page.locator("main")).not.toContainText("Doe, Jane");
    }
    await page.context().close();
  }
});

test("without a login every page leads to the login and shows nothing", async ({ page }) => {
  expect(SITE.pages.length).toBeGreaterThan(15);
  for (const path of SITE.pages) {
    await page.goto(path);
    const asked = new URL(page.url());
    expect(asked.pathname, path).toBe("/login");
    expect(asked.searchParams.get("next") ?? "/", path).toBe(path);
    await expect(page.locator("body")).not.toContainText("Doe, Jane");
  }
});
