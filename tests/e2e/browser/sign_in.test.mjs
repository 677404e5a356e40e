// From Airflow's URL to the console's sign-in and back to the very page that was asked for.
import assert from "node:assert/strict";
import { test } from "node:test";
import { facts, signIn, withBrowser } from "./journey.mjs";

test("a stranger signs in and lands on the page that was asked for", () =>
  withBrowser(async (context) => {
    const page = await context.newPage();
    const wanted = `${facts.demo.url}dags?search=hello`;
    await page.goto(wanted);
    assert.ok(page.url().startsWith(facts.console), `sent to ${page.url()}`);
    await signIn(page);
    await page.waitForURL((now) => now.href.startsWith(facts.demo.url));
    assert.equal(new URL(page.url()).pathname, new URL(wanted).pathname);
    await page.getByText("hello_updraft").first().waitFor();

    const cookies = await context.cookies();
    const edge = cookies.find((cookie) => cookie.name.endsWith("updraft_edge"));
    const session = cookies.find((cookie) => cookie.name === "updraft_session");
    assert.ok(edge?.httpOnly && edge.sameSite === "Lax", JSON.stringify(edge));
    assert.ok(session?.httpOnly && session.sameSite === "Lax", JSON.stringify(session));
    assert.notEqual(edge.domain, session.domain);
    assert.ok(!page.url().includes("code="), "no code stays in the address");
  }));

test("signing out ends both", () =>
  withBrowser(async (context) => {
    const page = await context.newPage();
    await page.goto(facts.demo.url);
    await signIn(page);
    await page.waitForURL((now) => now.href.startsWith(facts.demo.url));
    await page.goto(new URL("/_updraft/logout", facts.demo.url).href);
    assert.equal(page.url(), `${facts.console}/sign-out`);
    await page.getByRole("button", { name: "Sign out", exact: true }).click();
    await page.waitForURL(`${facts.console}/sign-in`);
    await page.goto(facts.demo.url);
    assert.ok(page.url().startsWith(facts.console), `still inside: ${page.url()}`);
    assert.ok(await page.locator("input[type=email]").count(), "the sign-in page is shown");
  }));

test("a return address elsewhere is not followed", () =>
  withBrowser(async (context) => {
    const page = await context.newPage();
    const host = new URL(facts.demo.url).host;
    for (const [key, value] of [["host", "evil.example"], ["return_to", "https://evil.example/"], ["return_to", "//evil.example"]]) {
      const query = new URLSearchParams({ host, binding: "0".repeat(64), return_to: new URL(facts.demo.url).pathname, [key]: value });
      await page.goto(`${facts.console}/handover?${query}`).catch(() => {});
      if (await page.locator("input[type=email]").count()) await signIn(page);
      await page.waitForLoadState("load").catch(() => {});
      assert.ok(!page.url().includes("//evil.example"), page.url());
    }
  }));
