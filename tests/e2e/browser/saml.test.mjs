// Signing in through the organisation's own SAML provider, pysaml2, and what a person sees when it is away, its clock is
// wrong, or it signs with a certificate that is not on file.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { airflowStatus, assertTold, facts, look, withBrowser } from "./journey.mjs";

const { idp, demo } = facts;
const THROUGH = `${facts.console}/sign-in/through/${facts.provider}`;
const HOUR_S = 3600;
const NOTICED_MS = 60_000;
const TROUBLE = "You are not signed in";

/** Changes what the provider knows; it reads the file again for each request. */
function change(changes) {
  const settings = { ...JSON.parse(readFileSync(idp.settings, "utf8")), ...changes };
  writeFileSync(`${idp.settings}.new`, JSON.stringify(settings));
  renameSync(`${idp.settings}.new`, idp.settings);
}

function putGroups(groups) {
  const { people } = JSON.parse(readFileSync(idp.settings, "utf8"));
  change({ people: { ...people, [idp.login]: { ...people[idp.login], groups } } });
}

/** The owner changes the provider's settings here. */
async function configure(changes) {
  const address = `${facts.console}/api/v1/identity-providers/${facts.provider}`;
  const headers = { Authorization: `Bearer ${facts.token}`, "Content-Type": "application/json" };
  const { config } = await (await fetch(address, { headers })).json();
  const body = JSON.stringify({ config: { ...config, ...changes } });
  const answer = await fetch(address, { method: "PATCH", headers, body });
  assert.equal(answer.status, 200, await answer.text());
}

const trust = (...certificates) => configure({ certificates });

const status = (page, path) => airflowStatus(page, demo.url, path);

/** Fills in the provider's own form. */
async function signInThere(page) {
  await page.locator("input[name=user]").fill(idp.login);
  await page.locator("input[name=password]").fill(idp.password);
  await page.getByRole("button", { name: "Sign in" }).click();
}

/** On from a page that says what is wrong. */
async function tryAgain(page) {
  await page.getByRole("link", { name: "Try again" }).click();
  await signInThere(page);
  await page.waitForURL((now) => now.href.startsWith(`${facts.console}/clusters`));
  await page.context().clearCookies();
}

/** As far as the provider's answer, which is told and not sent on. */
async function intercepted(page) {
  let form;
  await page.route("**/acs", (route) => {
    form = route.request().postData();
    return route.abort();
  });
  await page.goto(THROUGH);
  await signInThere(page);
  await assert.rejects(page.waitForURL("**/acs", { timeout: 5000 }));
  await page.unroute("**/acs");
  return form;
}

/** As the provider's page would. */
async function post(page, form) {
  await page.goto(`${idp.address}/signed-out`);
  await page.evaluate(
    ([action, fields]) => {
      const sent = Object.assign(document.createElement("form"), { method: "POST", action });
      for (const [name, value] of new URLSearchParams(fields)) {
        sent.append(Object.assign(document.createElement("input"), { type: "hidden", name, value }));
      }
      document.body.append(sent);
      sent.submit();
    },
    [`${facts.console}/sign-in/saml/${facts.provider}/acs`, form],
  );
}

async function openAirflow(page, url = demo.url) {
  await page.goto(url);
  if (page.url().startsWith(demo.url)) return;
  await page.locator("input[type=email]").fill(idp.email);
  await page.getByRole("button", { name: "Continue" }).click();
  await page.waitForURL((now) => now.href.startsWith(idp.address));
  await signInThere(page);
  await page.waitForURL((now) => now.href.startsWith(demo.url));
}

/** Who is signed in at the provider, and where. */
async function sessionsThere() {
  return (await fetch(`${idp.address}/sessions`)).json();
}

async function becomes(page, path, wanted) {
  const begun = Date.now();
  for (let now; !wanted((now = await status(page, path))); ) {
    assert.ok(Date.now() - begun < NOTICED_MS, `${path} still answers ${now}`);
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
}

async function signIn(page) {
  await page.goto(THROUGH);
  await signInThere(page);
  await page.waitForURL((now) => now.href.startsWith(`${facts.console}/clusters`));
}

test("a bookmarked deep Airflow URL is landed on, for hours at most", () =>
  withBrowser(async (context) => {
    const page = await context.newPage();
    const wanted = `${demo.url}dags?search=hello`;
    await openAirflow(page, wanted);
    assert.equal(page.url(), wanted);
    await page.getByText("hello_updraft").first().waitFor();
    const [session] = (await context.cookies(facts.console)).filter(({ name }) => name === "updraft_session");
    const lasts = session.expires - Date.now() / 1000;
    assert.ok(lasts > 7.9 * HOUR_S && lasts <= 8 * HOUR_S, `SAML never tells of changes: ${lasts} s`);
    await page.goto(`${facts.console}/account`);
    await page.getByText(idp.email).first().waitFor();
  }));

test("a group that changes there changes the role with the next sign-in", () =>
  withBrowser(async (context) => {
    const page = await context.newPage();
    await openAirflow(page);
    assert.equal(await status(page, "variables"), 403, "a cluster user");
    putGroups(["platform"]);
    await context.clearCookies();
    await openAirflow(page);
    await becomes(page, "variables", (now) => now === 200);
    putGroups(["data"]);
  }));

test("log out everywhere ends it here, in Airflow and there", () =>
  withBrowser(async (context) => {
    const page = await context.newPage();
    await openAirflow(page);
    assert.ok((await sessionsThere())[idp.login]?.length, "control: signed in there");
    await page.goto(`${facts.console}/sign-out`);
    await page.getByRole("button", { name: "Sign out everywhere" }).click();
    await page.waitForURL((now) => now.href.startsWith(`${facts.console}/sign-in`));
    assert.deepEqual((await sessionsThere())[idp.login], []);
    await page.goto(demo.url);
    assert.ok(page.url().startsWith(facts.console), `still inside: ${page.url()}`);
  }));

test("a logout there ends it here and in Airflow", () =>
  withBrowser(async (context) => {
    const page = await context.newPage();
    await openAirflow(page);
    const there = await context.newPage();
    await there.goto(`${idp.address}/logout?user=${idp.login}`);
    await there.getByRole("heading", { name: "Signed out" }).waitFor();
    await becomes(page, "dags", (now) => now !== 200);
    // Airflow's own page may be on its way to sign-in by itself.
    const anew = await context.newPage();
    await anew.goto(`${facts.console}/clusters`);
    assert.ok(anew.url().includes("/sign-in"), anew.url());
  }));

test("a wrong clock and a certificate that is not on file are told in words, with a way on", () =>
  withBrowser(async (context) => {
    const page = await context.newPage();
    for (const [mood, words] of [
      [{ skew_seconds: -900 }, "its clock is behind Updraft's"],
      [{ skew_seconds: 900 }, "its clock is ahead of Updraft's"],
      [{ key: "second" }, "another certificate than those on file"],
    ]) {
      change(mood);
      try {
        await page.goto(THROUGH);
        await signInThere(page);
        await assertTold(page, TROUBLE, words);
        await look(page, `saml-${Object.values(mood)[0]}`);
      } finally {
        change({ skew_seconds: 0, key: "first" });
      }
      await tryAgain(page);
    }
  }));

test("during a roll-over both certificates are good, and then the new one alone", () =>
  withBrowser(async (context) => {
    const { first, second } = idp.certificates;
    const page = await context.newPage();
    await trust(first, second);
    for (const key of ["first", "second"]) {
      change({ key });
      await signIn(page);
      await context.clearCookies();
    }
    await trust(second);
    change({ key: "first" });
    await page.goto(THROUGH);
    await signInThere(page);
    await assertTold(page, TROUBLE, "another certificate than those on file");
    change({ key: "second" });
    await tryAgain(page);
    await trust(first);
    change({ key: "first" });
  }));

test("a provider that does not answer leaves the other ways in, and whoever comes too late is told so", () =>
  withBrowser(async (context) => {
    const page = await context.newPage();
    process.kill(idp.pid, "SIGSTOP");
    try {
      await assert.rejects(page.goto(THROUGH, { timeout: 1500 }), /Timeout/);
      await page.goto(`${facts.console}/sign-in`);
      await page.locator("input[type=email]").fill(facts.admin.email);
      await page.getByRole("button", { name: "Continue" }).click();
      await page.locator("input[type=password]").waitFor();
    } finally {
      process.kill(idp.pid, "SIGCONT");
    }
    await page.goto(THROUGH);
    await page.locator("input[name=user]").waitFor();
    const [psql, database] = facts.database;
    execFileSync(psql, [database, "-q", "-c", "update sign_in_attempts set expires_at = now()"]);
    await signInThere(page);
    await assertTold(page, TROUBLE, "longer than 10 minutes");
    await look(page, "saml-late");
    await tryAgain(page);
  }));

test("an answer that was used, or comes in another browser, leads nowhere", () =>
  withBrowser(async (context, browser) => {
    const page = await context.newPage();
    const other = await (await browser.newContext()).newPage();
    await post(other, await intercepted(page));
    await assertTold(other, TROUBLE, "begun in another browser");
    await look(other, "saml-other-browser");
    const own = await intercepted(page);
    await post(page, own);
    await page.waitForURL((now) => now.href.startsWith(`${facts.console}/clusters`));
    await post(page, own);
    await assertTold(page, TROUBLE, "used already");
    await other.goto(`${facts.console}/clusters`);
    assert.ok(other.url().includes("/sign-in"), "the other browser is nobody");
  }));

test("whoever begins at the provider comes in where that is allowed, whatever it sends along", () =>
  withBrowser(async (context) => {
    const page = await context.newPage();
    const begin = async (state) => {
      const query = new URLSearchParams({ sp: idp.sp, RelayState: state });
      await page.goto(`${idp.address}/start?${query}`);
      await signInThere(page);
    };
    await begin("https://portal.example.com/home");
    await assertTold(page, TROUBLE, "not begun here");
    await look(page, "saml-not-begun-here");
    await configure({ allow_idp_initiated: true });
    await begin("https://portal.example.com/home");
    await page.waitForURL(`${facts.console}/clusters`);
    await configure({ allow_idp_initiated: false });
  }));
