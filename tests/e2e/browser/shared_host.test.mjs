// Two clusters of one tenant on one shared host, one of them hostile (hostile/evil_plugin.py), and a person who is signed
// in to both. To the browser that is one place: what still holds, and what does not. docs/tenants.md says the same.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";
import { facts, openAirflow } from "./journey.mjs";

const { victim, hostile, console: home } = facts;
const evil = (path) => `${hostile.url}evil/${path}`;
let browser, context, attacker;

before(async () => {
  assert.equal(new URL(victim.url).host, new URL(hostile.url).host, "one host");
  browser = await chromium.launch({ executablePath: facts.chromium, args: ["--no-sandbox", "--disable-background-networking"] });
  context = await browser.newContext();
  attacker = await context.newPage();
  await openAirflow(attacker, victim.url);
  // As an Airflow of the victim's would set it: for its own path.
  await context.addCookies([{ name: "victims_own", value: "secret", domain: new URL(victim.url).hostname, path: new URL(victim.url).pathname }]);
  await attacker.goto(evil("page"));
  assert.equal(await attacker.title(), "EVIL", "the hostile page is really there");
});

after(() => browser?.close());

const attempt = (script, argument) => attacker.evaluate(script, argument);

// === what holds ===

test("the console is on another host, and stays closed", async () => {
  for (const url of [`${home}/api/v1/me`, `${home}/`]) {
    assert.equal(await attempt((to) => fetch(to, { credentials: "include" }).then((r) => r.text(), () => null), url), null, url);
  }
  const stop = `${home}/api/v1/clusters/${victim.id}/stop`;
  await attempt((to) => fetch(to, { method: "POST", mode: "no-cors", credentials: "include" }).catch(() => 0), stop);
  const page = await context.newPage();
  await page.goto(evil("page"));
  const [answer] = await Promise.all([
    page.waitForResponse((response) => response.request().method() === "POST"),
    page.evaluate((to) => {
      const form = Object.assign(document.createElement("form"), { method: "POST", action: to });
      document.body.append(form);
      form.submit();
    }, `${home}/clusters/${victim.id}/stop`),
  ]);
  assert.equal(answer.status(), 403, "a form of another site");
  await page.close();
});

test("nobody's session can be read, kept or used elsewhere", async () => {
  assert.doesNotMatch(await attempt(() => document.cookie), /updraft_/, "HttpOnly");
  const seen = await attempt((to) => fetch(to).then((r) => r.json()), evil("headers"));
  assert.doesNotMatch(seen.cookie ?? "", /updraft_|victims_own/, "what reaches the hostile cluster's server");
  const minted = seen.authorization;
  assert.ok(minted?.startsWith("Bearer "), "control: the edge's own token is there");
  for (const url of [`${victim.url}api/v2/dags`, `${home}/api/v1/me`]) {
    const replayed = await fetch(url, { headers: { Authorization: minted, Accept: "application/json" }, redirect: "manual" });
    assert.ok([401, 403, 404].includes(replayed.status), `${url} took a minted token: ${replayed.status}`);
  }
});

test("no service worker takes the neighbour over, and nothing the hostile cluster answers signs anybody out", async () => {
  const register = (scope) =>
    attempt(([script, where]) => navigator.serviceWorker.register(script, { scope: where }).then(() => true, () => false), [evil("sw.js"), scope]);
  assert.equal(await attempt(() => isSecureContext && "serviceWorker" in navigator), true, "control: the browser would do it");
  for (const scope of ["/", new URL(victim.url).pathname, new URL(evil("")).pathname]) {
    assert.equal(await register(scope), false, scope);
  }
  const answer = await attacker.goto(evil("page"));
  assert.equal(answer.headers()["clear-site-data"], undefined);
  assert.doesNotMatch(answer.headers()["set-cookie"] ?? "", /tossed/);
});

test("whoever has no role on the neighbour is no use against it", async () => {
  const page = await (await browser.newContext()).newPage();
  await openAirflow(page, hostile.url, facts.visitor);
  await page.goto(evil("page"));
  const status = (path) => page.evaluate((to) => fetch(to).then((r) => r.status), path);
  assert.equal(await status(`${hostile.url}api/v2/dags`), 200, "control: signed in");
  assert.equal(await status(`${victim.url}api/v2/dags`), 404);
  await page.context().close();
});

// === what does not: mutual trust ===

test("the hostile page acts in the neighbour as whoever visits it", async () => {
  const dag = `${victim.url}api/v2/dags/hello_updraft`;
  const read = await attempt((to) => fetch(to).then(async (r) => [r.status, (await r.json()).dag_id]), dag);
  assert.deepEqual(read, [200, "hello_updraft"], "it reads what the person may read");
  const pause = (paused) =>
    attempt(
      ([to, is_paused]) =>
        fetch(to, { method: "PATCH", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ is_paused }) }).then((r) => r.status),
      [dag, paused],
    );
  assert.equal(await pause(true), 200, "it changes what the person may change: the Origin is the same");
  assert.equal(await pause(false), 200);
});

test("the hostile page reads and writes what the neighbour keeps in the browser", async () => {
  await attempt((path) => {
    localStorage.setItem("planted", "by the neighbour");
    document.cookie = `victims_own=overwritten; Path=${path}`;
  }, new URL(victim.url).pathname);
  const page = await context.newPage();
  await page.goto(victim.url);
  assert.equal(await page.evaluate(() => localStorage.getItem("planted")), "by the neighbour");
  assert.match(await page.evaluate(() => document.cookie), /victims_own=overwritten/);
  assert.ok(page.url().startsWith(victim.url), "and is signed in yet");
  await page.close();
});
