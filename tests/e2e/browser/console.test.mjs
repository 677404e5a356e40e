// The console's first rooms, with and without JavaScript, in the dark and on a phone.
import assert from "node:assert/strict";
import { test } from "node:test";
import { facts, signIn, withBrowser } from "./journey.mjs";

const open = async (page) => {
  await page.goto(`${facts.console}/`);
  await signIn(page);
  await page.getByText(facts.demo.name, { exact: true }).first().waitFor();
};

test("clusters are listed with their phase, without a single failing request", () =>
  withBrowser(async (context) => {
    const page = await context.newPage();
    const wrong = [];
    page.on("response", (response) => response.status() >= 400 && wrong.push(`${response.status()} ${response.url()}`));
    page.on("pageerror", (error) => wrong.push(String(error)));
    page.on("console", (message) => message.type() === "error" && wrong.push(message.text()));
    await open(page);
    await page.getByText(/running/i).first().waitFor();
    await page.getByText(facts.demo.name, { exact: true }).first().click();
    await page.getByText(facts.demo.url.slice(0, -1)).first().waitFor();
    assert.deepEqual(wrong, []);
  }));

test("it works without JavaScript", () =>
  withBrowser(async (_, browser) => {
    const context = await browser.newContext({ javaScriptEnabled: false });
    await open(await context.newPage());
  }));

test("it fits a phone", () =>
  withBrowser(async (_, browser) => {
    const context = await browser.newContext({ viewport: { width: 360, height: 740 }, colorScheme: "dark" });
    const page = await context.newPage();
    await open(page);
    const wider = await page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth);
    assert.ok(!wider, "the page scrolls sideways");
  }));

test("pages may not be framed and scripts need a nonce", () =>
  withBrowser(async (context) => {
    const response = await (await context.newPage()).goto(`${facts.console}/`);
    const policy = response.headers()["content-security-policy"] ?? "";
    assert.match(policy, /frame-ancestors 'none'/);
    assert.ok(!policy.includes("unsafe-inline"), policy);
  }));
