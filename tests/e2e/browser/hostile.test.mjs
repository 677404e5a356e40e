// Two clusters in one Chromium, one of them hostile (hostile/evil_plugin.py). The person is signed in everywhere.
// Each attack runs from the hostile cluster's own page; each has a positive control where one is possible.
import assert from "node:assert/strict";
import { before, after, test } from "node:test";
import { chromium } from "playwright-core";
import { facts, openAirflow } from "./journey.mjs";

const { victim, hostile, console: home } = facts;
const evil = (path) => `${hostile.url}evil/${path}`;
let browser, context, attacker;

before(async () => {
  browser = await chromium.launch({ executablePath: facts.chromium, args: ["--no-sandbox", "--disable-background-networking"] });
  context = await browser.newContext();
  const page = await context.newPage();
  await openAirflow(page, victim.url);
  await openAirflow(page, hostile.url);
  await page.close();
  attacker = await context.newPage();
  const answer = await attacker.goto(evil("page"));
  assert.equal(await attacker.title(), "EVIL", "the hostile page is really there");
  assert.equal(answer.headers()["clear-site-data"], undefined, "cannot sign the person out");
  assert.equal(answer.headers()["service-worker-allowed"], undefined);
});

after(() => browser?.close());

const attempt = (script, argument) => attacker.evaluate(script, argument);

async function stillSignedIn() {
  const page = await context.newPage();
  await page.goto(`${home}/`);
  assert.equal(await page.locator("input[type=password]").count(), 0, "still signed in to the console");
  await page.goto(victim.url, { waitUntil: "networkidle" });
  assert.ok(page.url().startsWith(victim.url), `still signed in to the victim: ${page.url()}`);
  assert.notEqual(await page.title(), "EVIL");
  await page.close();
}

test("fetch reads nothing of the console or the neighbour", async () => {
  for (const url of [`${home}/api/v1/me`, `${home}/`, `${victim.url}api/v2/dags`, `${victim.url}api/v2/variables`]) {
    const got = await attempt((to) => fetch(to, { credentials: "include" }).then((r) => r.text(), () => null), url);
    assert.equal(got, null, url);
  }
  const own = await attempt((to) => fetch(to).then((r) => r.status), `${hostile.url}api/v2/dags`);
  assert.equal(own, 200, "control: its own API answers");
});

test("forged requests change nothing", async () => {
  const stop = `${home}/api/v1/clusters/${victim.id}/stop`;
  await attempt((to) => fetch(to, { method: "POST", mode: "no-cors", credentials: "include" }).catch(() => 0), stop);
  await attempt((to) => fetch(to, { method: "POST", mode: "no-cors", credentials: "include", body: "is_paused=true" }).catch(() => 0), `${victim.url}api/v2/dags/hello_updraft`);
  for (const action of [stop, `${home}/clusters/${victim.id}/stop`]) {
    const page = await context.newPage();
    await page.goto(evil("page"));
    const [answer] = await Promise.all([
      page.waitForResponse((response) => response.request().method() === "POST" || response.url() === action),
      page.evaluate((to) => {
        const form = Object.assign(document.createElement("form"), { method: "POST", action: to });
        document.body.append(form);
        form.submit();
      }, action),
    ]);
    assert.ok(answer.status() >= 300, `${action} answered ${answer.status()}`);
    await page.close();
  }
  const page = await context.newPage();
  await page.goto(victim.url);
  const power = await page.evaluate(() => fetch(location.href).then((r) => r.status));
  assert.equal(power, 200, "the victim runs (that no operation was made is checked by the caller)");
  await page.close();
});

test("neither is shown in a frame", async () => {
  for (const url of [`${home}/`, victim.url]) {
    const inside = await attempt(
      (to) =>
        new Promise((resolve) => {
          const frame = Object.assign(document.createElement("iframe"), { src: to });
          frame.onload = () => {
            try {
              resolve(frame.contentDocument?.body.innerText ?? null);
            } catch {
              resolve(null);
            }
          };
          setTimeout(() => resolve(null), 5000);
          document.body.append(frame);
        }),
      url,
    );
    assert.ok(!inside, url);
    const page = await context.newPage();
    const headers = (await page.goto(url)).headers();
    const framed = headers["x-frame-options"] ?? headers["content-security-policy"] ?? "";
    assert.match(framed, /deny|sameorigin|frame-ancestors/i, `${url} says who may frame it`);
    await page.close();
  }
});

test("a window it opened stays closed to it", async () => {
  const reached = await attempt(async (to) => {
    const other = window.open(to);
    await new Promise((resolve) => setTimeout(resolve, 1500));
    try {
      return other?.document?.body?.innerText || null;
    } catch {
      return null;
    }
  }, `${home}/`);
  assert.equal(reached, null);
});

test("no service worker, not even below its own prefix", async () => {
  const register = (scope) =>
    attempt(([script, where]) => navigator.serviceWorker.register(script, { scope: where }).then(() => true, () => false), [evil("sw.js"), scope]);
  assert.equal(await attempt(() => isSecureContext && "serviceWorker" in navigator), true, "control: the browser would do it");
  assert.equal(await attempt((to) => fetch(to).then((r) => r.status), evil("sw.js")), 200, "control: the script is there");
  for (const scope of ["/", "/airflow-webserver-", new URL(hostile.url).pathname, new URL(evil("")).pathname]) {
    assert.equal(await register(scope), false, scope);
  }
  await stillSignedIn();
});

test("tossed cookies reach nobody else", async () => {
  await attempt(() => {
    for (const name of ["updraft_session", "updraft_edge", "updraft_binding"]) {
      for (const domain of ["", "; Domain=localhost", "; Domain=127.0.0.1", "; Domain=0.0.1"]) {
        for (const path of ["/", "/airflow-webserver-1/", "/_updraft/"]) document.cookie = `${name}=tossed; Path=${path}${domain}`;
      }
    }
  });
  const others = (await context.cookies([home, victim.url])).filter((cookie) => cookie.value === "tossed");
  assert.deepEqual(others, []);
  await stillSignedIn();
});

test("it sees no credential of the person", async () => {
  assert.ok(!(await attempt(() => document.cookie)).match(/updraft_(session|edge)=(?!tossed)/), "HttpOnly");
  const page = await context.newPage();
  await openAirflow(page, hostile.url);
  const seen = await page.evaluate((to) => fetch(to).then((r) => r.json()), evil("headers"));
  assert.ok(!/updraft_(session|edge|binding)/.test(seen.cookie ?? ""), seen.cookie);
  const minted = seen.authorization;
  assert.ok(minted?.startsWith("Bearer "), "control: the edge's own token is there");
  for (const url of [`${victim.url}api/v2/dags`, `${hostile.url}api/v2/dags`, `${home}/api/v1/me`]) {
    const replayed = await fetch(url, { headers: { Authorization: minted, Accept: "application/json" }, redirect: "manual" });
    assert.ok([401, 403, 404].includes(replayed.status), `${url} took a minted token: ${replayed.status}`);
  }
  await page.close();
});

test("its answers poison no cache", async () => {
  const page = await context.newPage();
  await openAirflow(page, victim.url);
  const script = await page.evaluate(() => [...document.scripts].map((one) => one.src).find((src) => src.includes("/static/")));
  const path = new URL(script).pathname.replace(new URL(victim.url).pathname, "");
  await attempt(async (to) => {
    for (const cache of ["reload", "default"]) await fetch(to, { cache, headers: { "X-Forwarded-Host": "127.0.0.1" } }).catch(() => 0);
  }, new URL(path, hostile.url).href);
  const text = await page.evaluate((to) => fetch(to, { cache: "reload" }).then((r) => r.text()), script);
  assert.ok(text.length > 1000 && !text.includes("EVIL"), "the victim gets the runtime's own file");
  const own = await attempt((to) => fetch(to, { cache: "reload" }).then((r) => r.text()), new URL(path, hostile.url).href);
  assert.ok(!own.includes("'EVIL'"), "even the hostile cluster's assets are the runtime's");
  await page.close();
  await stillSignedIn();
});
