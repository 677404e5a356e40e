// What the journeys share: facts about the installation, a browser, signing in, and a record of requests.
import { chromium } from "playwright-core";

export const facts = JSON.parse(process.env.UPDRAFT_JOURNEY);

// Chromium talks to nobody but the pages under test.
const FLAGS = [
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--disable-quic",
];

export async function withBrowser(run) {
  const args = process.getuid() === 0 ? [...FLAGS, "--no-sandbox"] : FLAGS;
  const browser = await chromium.launch({ executablePath: facts.chromium, args });
  try {
    return await run(await browser.newContext(), browser);
  } finally {
    await browser.close();
  }
}

/** Fills in the console's sign-in page, wherever the browser was sent to it; waits when there were many sign-ins. */
export async function signIn(page, { email, password } = facts.admin) {
  for (let tries = 0; tries < 10; tries++) {
    await page.locator("input[type=email], input[name=email]").first().fill(email);
    await toPassword(page);
    await page.locator("input[type=password]").first().fill(password);
    const [answer] = await Promise.all([
      page.waitForResponse((response) => response.request().method() === "POST"),
      page.locator("form:has(input[type=password]) button").first().click(),
    ]);
    if (answer.status() !== 429) return;
    await new Promise((resolve) => setTimeout(resolve, 2000));
  }
}

/** Keeps pictures of a page for people to look at, where UPDRAFT_TEST_SHOTS names a directory: light, dark, telephone. */
export async function look(page, name) {
  const directory = process.env.UPDRAFT_TEST_SHOTS;
  if (!directory) return;
  const size = page.viewportSize();
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    await shot(page, `${directory}/${name}-${colorScheme}.png`);
  }
  await page.setViewportSize({ width: 375, height: 740 });
  await shot(page, `${directory}/${name}-phone.png`, { fullPage: true });
  await page.setViewportSize(size);
  await page.emulateMedia({ colorScheme: null });
}

/** Colours that are just changing are shown as they will be. */
function shot(page, path, how = {}) {
  return page.screenshot({ path, animations: "disabled", ...how });
}

/** Past the page that asks for the address alone. */
export async function toPassword(page) {
  if (await page.locator("input[type=password]").count()) return;
  await page.getByRole("button", { name: "Continue" }).click();
  await page.locator("input[type=password]").first().waitFor();
}

/** Opens a cluster's Airflow, signing in on the way where that is asked for. */
export async function openAirflow(page, url, person = facts.admin) {
  await page.goto(url);
  if (!page.url().startsWith(url)) {
    await signIn(page, person);
    await page.waitForURL((now) => now.href.startsWith(url));
  }
  await page.waitForLoadState("networkidle");
}

/** What an Airflow's own API answers this browser. */
export async function airflowStatus(page, airflow, path) {
  const answer = await page.context().request.get(`${airflow}api/v2/${path}`, { maxRedirects: 0 });
  return answer.status();
}

/** A sign-in that failed: in words, with a way on, and something to quote. */
export async function assertTold(page, heading, words = "") {
  await page.getByRole("heading", { name: heading }).waitFor();
  await page.getByRole("alert").filter({ hasText: words }).waitFor();
  await page.getByRole("link", { name: "Sign in another way" }).waitFor();
  await page.getByText(/^Reference [0-9a-f-]{36}$/).waitFor();
}

/** Every request of a context that failed, was refused, or went elsewhere than the allowed prefixes. */
export function watchRequests(context, allowed) {
  const wrong = [];
  const inside = (url) => url.startsWith("data:") || url.startsWith("blob:") || allowed.some((one) => url.startsWith(one));
  context.on("request", (request) => {
    if (!inside(request.url())) wrong.push(`outside: ${request.method()} ${request.url()}`);
  });
  context.on("response", (response) => {
    if (response.status() >= 400) wrong.push(`${response.status()}: ${response.request().method()} ${response.url()}`);
  });
  context.on("requestfailed", (request) => {
    // A page that is left cancels what it no longer needs.
    if (request.failure()?.errorText !== "net::ERR_ABORTED") wrong.push(`${request.failure()?.errorText}: ${request.url()}`);
  });
  return wrong;
}
