// Loads Airflow's home page twice in one fresh profile and says how long each took and what it moved.
import { createRequire } from "node:module";

const require = createRequire(new URL("../../e2e/browser/package.json", import.meta.url));
const { chromium } = require("playwright-core");
const { url, cookie, authorization } = JSON.parse(process.argv[2]);

const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
const context = await browser.newContext(authorization ? { extraHTTPHeaders: { authorization } } : {});
if (cookie) {
  const [name, value] = cookie.split("=");
  await context.addCookies([{ name, value, url: new URL(url).origin, httpOnly: true, sameSite: "Lax" }]);
}
const page = await context.newPage();
const network = await context.newCDPSession(page);
await network.send("Network.enable");
let moved = { requests: 0, bytes: 0 };
network.on("Network.loadingFinished", (event) => {
  moved.requests += 1;
  moved.bytes += event.encodedDataLength;
});
page.on("response", (response) => {
  if (response.status() >= 400) throw new Error(`${response.status()} ${response.url()}`);
});

async function load() {
  moved = { requests: 0, bytes: 0 };
  const started = performance.now();
  await page.goto(url, { waitUntil: "commit" });
  await page.locator("#root h2, #root h1").first().waitFor();
  const ms = performance.now() - started;
  await page.waitForLoadState("networkidle");
  return { ms, ...moved };
}

const first = await load();
await page.goto("about:blank");
const repeat = await load();
console.log(JSON.stringify({ first, repeat }));
await browser.close();
