// What all specs share: the site, people who log in, and a record of what went wrong in any page.
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { promisify } from "node:util";
import { test as base, chromium, expect } from "@playwright/test";

export { expect };

// Written by pytest: addresses, accounts, studies, commands.
export const SITE = JSON.parse(readFileSync(process.env.PLAYWRIGHT_SITE, "utf8"));
export const LAUNCH = {
  executablePath: SITE.chromium,
  args: ["--no-sandbox", "--disable-quic", "--disable-dev-shm-usage", "--disable-gpu"],
};
const run = promisify(execFile);

// Sends the image of a study by DCMTK's storescu.
export const sendStudy = (name) => {
  const [program, ...given] = SITE.store_scu;
  return run(program, [...given, SITE.studies[name].path]);
};

// Runs a command of the site; `input` is its standard input.
export const wetread = async (words, input = "") => {
  const [program, ...given] = SITE.wetread;
  const running = run(program, [...given, ...words], { env: { ...process.env, ...SITE.environment } });
  running.child.stdin.end(input);
  return (await running).stdout;
};

// Errors in the console, script errors and violations of the Content Security Policy, of all pages of a test.
class Faults {
  #found = [];
  #expected = [];

  // A test that provokes an error names it.
  expect(pattern) {
    this.#expected.push(pattern);
  }

  get unexpected() {
    return this.#found.filter((each) => !this.#expected.some((pattern) => pattern.test(each)));
  }

  async watch(context) {
    context.on("console", (message) => {
      if (message.type() === "error") this.#found.push(`${message.text()} (${message.location().url})`);
    });
    context.on("weberror", (error) => this.#found.push(String(error.error())));
    await context.addInitScript(() => {
      document.addEventListener("securitypolicyviolation", (event) => {
        console.error(`policy violation: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`);
      });
    });
  }
}

export const test = base.extend({
  faults: [
    async ({}, use) => {
      const faults = new Faults();
      await use(faults);
      expect(faults.unexpected, "errors and policy violations in the pages").toEqual([]);
    },
    { auto: true },
  ],

  context: async ({ context, faults }, use) => {
    await faults.watch(context);
    await use(context);
  },

  // A person at a browser of their own, a separate process: resolves with the page after the login.
  personAt: async ({ faults }, use) => {
    const browsers = [];
    await use(async (login, path, options = {}) => {
      const browser = await chromium.launch(LAUNCH);
      browsers.push(browser);
      const context = await browser.newContext({ baseURL: SITE.url, viewport: { width: 1400, height: 900 }, ...options });
      await faults.watch(context);
      return enter(await context.newPage(), login, path);
    });
    await Promise.all(browsers.map((each) => each.close()));
  },
});

// Logs in on the login page, and resolves with the page that was asked for.
export const enter = async (page, login, path = "/") => {
  await page.goto(`/login?next=${encodeURIComponent(path)}`);
  await page.getByLabel("Login name").fill(login);
  await page.getByLabel("Password").fill(SITE.password);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.waitForURL((url) => url.pathname !== "/login");
  return page;
};

export const readPath = (name) => `/read/${SITE.studies[name].job}`;

// Resolves once the image of an unread draft is on the screen.
export const imageShown = (page) => expect(page.locator("#missing")).toHaveText("Read the draft first (Space).");

export const isLive = (page) => expect(page.locator("#live")).toHaveAttribute("data-mode", "live");

export const scrollsSideways = (page) =>
  page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth);

// The status of a request that a script of the page makes, as a page's own forms and scripts do.
export const statusOf = (page, method, path, body) =>
  page.evaluate(async ([how, where, sent]) => {
    const headers = sent ? { "Content-Type": "application/json", "If-Match": '"0"' } : {};
    const answer = await fetch(where, { method: how, headers, body: sent && JSON.stringify(sent) });
    return answer.status;
  }, [method, path, body]);
