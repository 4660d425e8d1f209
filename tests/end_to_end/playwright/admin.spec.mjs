// An admin: from a fault to its repair, the queue, alerts, destinations, the stop of drafting, the audit trail.
import { readFileSync } from "node:fs";
import { SITE, enter, expect, readPath, sendStudy, statusOf, test } from "./support.mjs";

test.beforeEach(async ({ page }) => {
  await enter(page, "admin", "/admin");
});

test("a fault on the overview leads to its jobs, and the retry states their number first", async ({ page }) => {
  const fault = page.locator("#faults").locator("div.worst, li").filter({ hasText: "2 × Not delivered to vna" });
  await fault.getByRole("link", { name: "Show and retry" }).click();
  await page.waitForURL("**/queue?**");
  expect(new URL(page.url()).searchParams.get("state")).toBe("FAILED");
  await expect(page.locator("#rows tr")).toHaveCount(2);
  await page.getByRole("link", { name: "Retry all 2" }).click();
  await expect(page.locator("#batch h1")).toHaveText("Retry 2 jobs?");
  await page.getByRole("button", { name: "Retry 2 jobs" }).click();
  await expect(page.locator("#result h1")).toHaveText("2 jobs retried");
});

test("a filter of the queue is its address, and a batch does nothing before its number is confirmed", async ({ page }) => {
  await page.goto("/queue");
  await page.getByText("Filter", { exact: true }).click();
  await page.locator("form.filter").getByLabel("State").selectOption("NOT_ANALYSED");
  await page.getByRole("button", { name: "Apply" }).click();
  await page.waitForURL("**/queue?*state=NOT_ANALYSED*");
  const rows = page.locator("#rows tr");
  await expect(rows).toHaveCount(1);
  await expect(rows).toContainText("Not analyzed");
  await page.getByRole("button", { name: "Continue" }).click(); // no row is chosen
  await expect(page.locator("#batch")).toContainText("No row was chosen");
  await page.goBack();
  await rows.getByRole("checkbox").check();
  await expect(page.locator("#chosen-count")).toHaveText("1 row chosen");
  await page.getByRole("button", { name: "Continue" }).click();
  await expect(page.locator("#batch h1")).toHaveText("Retry 1 job?");
  await page.getByRole("link", { name: "Back, without a change" }).click();
  await expect(rows).toContainText("Not analyzed");
});

test("an alert is acknowledged", async ({ page }) => {
  await page.goto("/alerts");
  const open = page.getByRole("region", { name: /^Open alerts/ });
  const acknowledge = open.getByRole("button", { name: /^Acknowledge/ });
  const before = await acknowledge.count();
  expect(before).toBeGreaterThan(0);
  await acknowledge.first().click();
  await expect(acknowledge).toHaveCount(before - 1);
  await expect(page.locator("main")).toContainText("admin");
});

test("a destination is paused with a reason, and resumed", async ({ page }) => {
  await page.goto("/network");
  const archive = page.locator("#destination-archive");
  await archive.locator("summary").click();
  await archive.getByLabel(/^Reason/).fill("The archive is moved.");
  await archive.getByRole("button", { name: /^Pause now/ }).click();
  await expect(archive).toContainText("Paused by admin (web page)");
  await expect(archive).toContainText("The archive is moved. No attempt is made");
  await page.goto("/queue");
  await expect(page.locator("#destinations")).toContainText("Paused");
  await page.goto("/network");
  await archive.getByRole("button", { name: "Resume archive" }).click();
  await expect(archive).not.toContainText("Paused");
  await archive.getByRole("button", { name: "Test archive" }).click();
  await expect(page.locator("main")).toContainText("archive");
});

test("every page says that drafting is stopped; studies wait, and are read after the start", async ({ page, personAt, faults }) => {
  faults.expect(/status of 400/); // of pages that need a query: their error page says it too
  const reader = await personAt("roentgen", "/read");
  const stopped = (where) => where.locator("#drafting-stopped");
  let isStopped = true;
  await page.goto("/models");
  await page.getByLabel(/^Reason/).fill("The model is examined.");
  await page.getByRole("button", { name: "Stop drafting" }).click();
  try {
    for (const path of SITE.pages) {
      if (path === "/mine") continue; // for radiologists
      await page.goto(path);
      await expect(stopped(page), path).toContainText("Drafting is stopped by admin");
      await expect(stopped(page), path).toContainText("The model is examined. New studies");
    }
    for (const path of ["/read", readPath("shown"), "/mine"]) {
      await reader.goto(path);
      await expect(stopped(reader), path).toContainText("Drafting is stopped");
    }
    await page.goto("/admin");
    await expect(page.locator("#faults")).toContainText("Drafting is stopped:");
    await sendStudy("waiting");
    const row = page.locator(`#rows tr:has(a[title="${SITE.studies.waiting.uid}"])`);
    await page.goto("/queue");
    await expect(row).toContainText("Waiting");
    await page.goto("/admin");
    await page.getByRole("link", { name: "Start it again on the page Models" }).click();
    await page.getByRole("button", { name: "Start drafting again" }).click();
    await expect(stopped(page)).toHaveCount(0);
    isStopped = false;
    await page.goto("/queue");
    await expect(row).toContainText("Delivered");
  } finally {
    if (isStopped) await statusOf(page, "POST", "/drafting/start"); // the other specs need drafts
  }
});

test("the audit trail shows what was done, filtered by person, and is exported", async ({ page, faults }) => {
  faults.expect(/status of 403/);
  await page.goto(readPath("shown"));
  await statusOf(page, "POST", `/api/jobs/${SITE.studies.shown.job}/decisions`, {});
  await page.goto("/admin/audit");
  await page.getByLabel("Person").fill("admin");
  await page.getByRole("button", { name: "Filter" }).click();
  await page.waitForURL("**/admin/audit?*person=admin*");
  const rows = page.locator("main tbody tr");
  expect(await rows.count()).toBeGreaterThan(3);
  for (const actor of await rows.locator("td:nth-child(2)").allTextContents()) expect(actor).toContain("admin");
  await expect(rows.filter({ hasText: "Login" }).first()).toBeVisible();
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "Export as CSV" }).click()]);
  const [head, ...lines] = readFileSync(await download.path(), "utf8").trim().split("\r\n");
  expect(head).toContain("actor");
  expect(lines.length).toBeGreaterThan(3);
  for (const line of lines) expect(line).toContain("admin");
});
