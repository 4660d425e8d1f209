// The main pages at the widths of a phone, a laptop and a reading station, and their screenshots.
import { SITE, enter, expect, imageShown, isLive, readPath, scrollsSideways, test } from "./support.mjs";

const SIZES = { 390: 844, 1366: 768, 2560: 1440 };
const PEOPLE = {
  roentgen: { worklist: "/read", reading: readPath("shown"), mine: "/mine", search: "/search?q=effusion" },
  admin: {
    overview: "/admin", queue: "/queue", study: `/studies/${SITE.studies.shown.uid}`, network: "/network",
    alerts: "/alerts", models: "/models", monitor: "/monitor", audit: "/admin/audit", people: "/people",
  },
};

for (const [login, paths] of Object.entries(PEOPLE)) {
  test(`no page of the ${login} scrolls sideways at any width`, async ({ page }) => {
    test.setTimeout(120_000);
    await enter(page, login);
    for (const [name, path] of Object.entries(paths)) {
      await page.goto(path);
      for (const [width, height] of Object.entries(SIZES)) {
        await page.setViewportSize({ width: Number(width), height });
        expect(await scrollsSideways(page), `${path} at ${width} pixels`).toBe(false);
        await page.screenshot({ path: `${SITE.seen}/${name}-${width}.png` });
      }
    }
  });
}

test("a phone shows image and draft, and does not decide", async ({ page }) => {
  await enter(page, "roentgen", readPath("shown"));
  await page.setViewportSize({ width: 390, height: 844 });
  await page.keyboard.press(" ");
  await page.keyboard.press("a");
  await expect(page.locator(".sentence .text").first()).toBeVisible();
  await expect(page.locator("#decision")).toBeHidden();
  await expect(page.locator(".phone-note")).toBeVisible();
});

test("buttons and fields of a study are 44 pixels high", async ({ page }) => {
  await enter(page, "roentgen", readPath("shown"));
  await page.keyboard.press(" ");
  await expect(page.locator("#decision")).toBeVisible();
  const small = await page.evaluate(() => [...document.querySelectorAll("main button, main input")]
    .filter((each) => !each.closest(".viewer-tools") && each.type !== "checkbox")
    .filter((each) => each.getClientRects().length && each.getBoundingClientRect().height < 44)
    .map((each) => each.outerHTML));
  expect(small).toEqual([]);
});

// The pictures of the documents.
test("screenshots of a radiologist's pages", async ({ personAt }) => {
  for (const colorScheme of ["light", "dark"]) {
    const page = await personAt("roentgen", "/read", { colorScheme, viewport: { width: 1440, height: 900 } });
    const shot = (name) => page.screenshot({ path: `${SITE.seen}/${name}-${colorScheme}.png` });
    await page.locator("#rows tr").first().waitFor();
    await shot("read-worklist");
    await page.goto(readPath("shown"));
    await imageShown(page);
    await shot("read-study-folded");
    await page.keyboard.press(" ");
    for (let presses = 0; presses < 20 && !(await page.locator(".sentence.current").textContent()).includes("effusion"); presses += 1) {
      await page.keyboard.press("y");
    }
    await expect(page.locator("#viewer g.finding-on")).not.toHaveCount(0);
    await expect(page.locator("#saved")).toHaveText("Stored");
    await shot("read-study");
  }
});

const OF_ADMIN = { light: ["overview", "queue", "network", "alerts"], dark: ["queue", "study"] };
for (const [colorScheme, names] of Object.entries(OF_ADMIN)) {
  test(`screenshots of an admin's pages, ${colorScheme}`, async ({ personAt }) => {
    const page = await personAt("admin", "/admin", { colorScheme, viewport: { width: 1400, height: 1000 } });
    for (const name of names) {
      await page.goto(PEOPLE.admin[name]);
      if (await page.locator("#live").count()) await isLive(page);
      await page.waitForFunction(() => [...document.images].every((each) => each.complete));
      await page.screenshot({ path: `${SITE.seen}/${name}-${colorScheme}.png`, fullPage: name !== "queue" });
    }
  });
}
