// One worker: all specs use one site, and each has studies of its own.
import { defineConfig } from "@playwright/test";
import { LAUNCH, SITE } from "./support.mjs";

export default defineConfig({
  testDir: ".",
  testMatch: "*.spec.mjs",
  workers: 1,
  timeout: 60_000,
  expect: { timeout: 20_000 },
  outputDir: "failures",
  reporter: [["list"], ["json", { outputFile: SITE.report }]],
  use: {
    baseURL: SITE.url,
    browserName: "chromium",
    launchOptions: LAUNCH,
    viewport: { width: 1400, height: 900 },
    screenshot: "only-on-failure",
  },
});
