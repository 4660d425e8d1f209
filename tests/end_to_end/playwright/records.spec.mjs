// What the other specs rely on: a violation, an error in the console and the use of a mouse are found.
import { expect, test } from "./support.mjs";
import { withoutMouse } from "./keys.mjs";

test("a policy violation and an error in the console are recorded", async ({ page, faults }) => {
  await page.goto("/login");
  expect(faults.unexpected).toEqual([]);
  await page.evaluate(() => {
    document.head.append(Object.assign(document.createElement("style"), { textContent: "p { color: red }" }));
    console.error("an error");
  });
  await expect.poll(() => faults.unexpected.join("\n")).toContain("policy violation: style-src");
  expect(faults.unexpected.join("\n")).toContain("an error");
  faults.expect(/./);
});

test("the use of a mouse is recorded", async ({ page, faults }) => {
  await withoutMouse(page);
  await page.goto("/login");
  await page.keyboard.press("Tab");
  expect(faults.unexpected).toEqual([]);
  await page.getByLabel("Password").click();
  await expect.poll(() => faults.unexpected).toContainEqual(expect.stringContaining("a pointer was used"));
  faults.expect(/a pointer was used/);
});
