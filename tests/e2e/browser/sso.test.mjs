// Signing in through the organisation's own identity provider, the certified oidc-provider, and what a person sees when
// it is away, slow, or has other keys.
import assert from "node:assert/strict";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { airflowStatus, assertTold, facts, withBrowser } from "./journey.mjs";

const { idp, demo } = facts;
const THROUGH = `${facts.console}/sign-in/through/${facts.provider}`;
// A change is noticed within a minute of being made there.
const NOTICED_MS = 60_000;

/** Changes what the provider knows; it reads the file again for each request. */
function change(changes) {
  const state = { ...JSON.parse(readFileSync(idp.state, "utf8")), ...changes };
  writeFileSync(`${idp.state}.new`, JSON.stringify(state));
  renameSync(`${idp.state}.new`, idp.state);
}

function putGroups(groups) {
  const { users } = JSON.parse(readFileSync(idp.state, "utf8"));
  change({ users: { ...users, [idp.login]: { ...users[idp.login], groups } } });
}

/** Fills in the provider's own form. */
async function signInThere(page) {
  await page.locator("input[name=login]").fill(idp.login);
  await page.locator("input[name=password]").fill("any");
  await page.locator("form button[type=submit], form input[type=submit], form button").first().click();
}

async function openAirflow(page, url = demo.url) {
  await page.goto(url);
  if (page.url().startsWith(demo.url)) return;
  await page.locator("input[type=email]").fill(idp.email);
  await page.getByRole("button", { name: "Continue" }).click();
  await page.waitForURL((now) => now.href.startsWith(idp.issuer));
  await signInThere(page);
  await page.waitForURL((now) => now.href.startsWith(demo.url));
}

const status = (page, path) => airflowStatus(page, demo.url, path);

async function becomes(page, path, wanted) {
  const begun = Date.now();
  for (;;) {
    const now = await status(page, path);
    if (wanted(now)) return Math.round((Date.now() - begun) / 100) / 10;
    assert.ok(Date.now() - begun < NOTICED_MS, `${path} still answers ${now}`);
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}

test("a bookmarked deep Airflow URL is landed on", () =>
  withBrowser(async (context) => {
    const page = await context.newPage();
    const wanted = `${demo.url}dags?search=hello`;
    await openAirflow(page, wanted);
    assert.equal(new URL(page.url()).pathname, new URL(wanted).pathname);
    assert.equal(new URL(page.url()).search, new URL(wanted).search);
    await page.getByText("hello_updraft").first().waitFor();
    await page.goto(`${facts.console}/account`);
    await page.getByText(idp.email).first().waitFor();
  }));

test("a group that changes there changes the role here", () =>
  withBrowser(async (context) => {
    const page = await context.newPage();
    putGroups(["data"]);
    await openAirflow(page);
    assert.equal(await status(page, "variables"), 403, "a cluster user");
    putGroups(["platform"]);
    const up = await becomes(page, "variables", (now) => now === 200);
    putGroups([]);
    const down = await becomes(page, "variables", (now) => now !== 200);
    console.log(`user to admin after ${up} s, admin to nobody after ${down} s`);
    putGroups(["data"]);
  }));

test("log out everywhere ends it here, in Airflow and there", () =>
  withBrowser(async (context) => {
    const page = await context.newPage();
    await openAirflow(page);
    await page.goto(`${facts.console}/sign-out`);
    await page.getByRole("button", { name: "Sign out everywhere" }).click();
    await page.waitForURL((now) => now.href.startsWith(idp.issuer));
    await page.locator("button[name=logout], button").first().click();
    await page.waitForURL((now) => now.href.startsWith(`${facts.console}/sign-in`));
    await page.goto(demo.url);
    assert.ok(page.url().startsWith(facts.console), `still inside: ${page.url()}`);
    await page.goto(THROUGH);
    await page.locator("input[name=login]").waitFor();
  }));

test("a logout there ends it here, without the browser", () =>
  withBrowser(async (context) => {
    const page = await context.newPage();
    await openAirflow(page);
    const there = await context.newPage();
    await there.goto(`${idp.issuer}/session/end`);
    await there.locator("button[name=logout], button").first().click();
    await becomes(page, "dags", (now) => now !== 200);
    // Airflow's own page may be on its way to sign-in by itself.
    const anew = await context.newPage();
    await anew.goto(`${facts.console}/clusters`);
    assert.ok(anew.url().includes("/sign-in"), anew.url());
  }));

test("a provider that is away, slow or late is told in words, with a way on", () =>
  withBrowser(async (context) => {
    const answerless = "Your identity provider does not answer";
    for (const [mood, words] of [
      [{ only: "/token", down: true }, answerless],
      [{ only: "/token", slow_ms: 20_000 }, answerless],
      [{ skew_seconds: 900 }, "You are not signed in"],
    ]) {
      await context.clearCookies();
      const page = await context.newPage();
      change(mood);
      try {
        await page.goto(THROUGH);
        await signInThere(page);
        await assertTold(page, words);
      } finally {
        change({ only: "", down: false, slow_ms: 0, skew_seconds: 0 });
      }
      await page.getByRole("link", { name: "Try again" }).click();
      await page.waitForURL((now) => now.href.startsWith(`${facts.console}/clusters`));
      await page.close();
    }
  }));

test("keys that were rotated are learned without anybody noticing", () =>
  withBrowser(async (context) => {
    const page = await context.newPage();
    change({ keys: 2 });
    await openAirflow(page);
    change({ keys: 1 });
  }));

test("a way back that was used, or comes in another browser, leads nowhere", () =>
  withBrowser(async (context, browser) => {
    const page = await context.newPage();
    let callback;
    page.on("request", (request) => {
      if (request.url().includes("/callback?")) callback = request.url();
    });
    await page.goto(THROUGH);
    await signInThere(page);
    await page.waitForURL((now) => now.href.startsWith(`${facts.console}/clusters`));
    await page.goto(callback);
    await page.getByRole("heading", { name: "You are not signed in" }).waitFor();

    // Again, as far as the way back: the provider knows the person already.
    const step = async (url) => (await context.request.get(url, { maxRedirects: 0 })).headers().location;
    const stolen = await step(await step(THROUGH));
    assert.ok(stolen.startsWith(facts.console), stolen);
    const other = await (await browser.newContext()).newPage();
    await other.goto(stolen);
    await other.getByRole("heading", { name: "You are not signed in" }).waitFor();
    await other.goto(`${facts.console}/clusters`);
    assert.ok(other.url().includes("/sign-in"), "the other browser is nobody");
  }));
