// The Logs tab: a running task's line appears by itself, the place is kept on the way up, and what is asked for is found.
import assert from "node:assert/strict";
import { test } from "node:test";
import { facts, look, signIn, withBrowser } from "./journey.mjs";

const address = (query) => `${facts.console}/clusters/${facts.cluster.id}/logs?${new URLSearchParams(query)}`;
const task = { dag: "talks", run: facts.run, task: "talk" };
const lines = (page) => page.locator(".log li .log-text");

test("a running task's line appears live", () =>
  withBrowser(async (context) => {
    const page = await context.newPage();
    const wrong = [];
    page.on("pageerror", (error) => wrong.push(String(error)));
    page.on("console", (message) => message.type() === "error" && wrong.push(message.text()));
    await page.goto(address(task));
    await signIn(page);
    await page.getByText("Live. Times are UTC.").waitFor();
    await lines(page).filter({ hasText: /^line \d+ of/ }).first().waitFor();
    const there = await lines(page).filter({ hasText: /^line \d+ of/ }).count();
    // Written after the page was made: nothing but the stream brings it.
    await lines(page).filter({ hasText: new RegExp(`^line ${there + 5} of`) }).waitFor();
    const said = await lines(page).filter({ hasText: /^line \d+ of/ }).allTextContents();
    const numbers = said.map((text) => Number(text.split(" ")[1]));
    assert.deepEqual(numbers, numbers.map((_, place) => numbers[0] + place), "each once, in order");
    await look(page, "logs");

    await page.locator("[data-log]").press("f");
    await page.getByText("Paused. Times are UTC.").waitFor();
    await page.getByRole("searchbox", { name: "Text" }).fill("LINE 1 OF");
    await page.getByRole("searchbox", { name: "Text" }).press("Enter");
    await page.locator(".log mark").first().waitFor();
    assert.equal(await lines(page).count(), 1);
    assert.ok(!page.url().includes("node="), "addresses have no empty fields");

    await page.goto(`${facts.console}/clusters/${facts.cluster.id}/configuration#log-keeping`);
    await page.getByLabel("Days kept").fill("30");
    await page.getByRole("button", { name: "Change logs" }).click();
    await page.waitForURL((now) => now.pathname.endsWith("/configuration"));
    assert.equal(await page.getByLabel("Days kept").inputValue(), "30");
    await look(page, "log-keeping");
    assert.deepEqual(wrong, []);
  }));

test("without JavaScript the newest lines are at hand", () =>
  withBrowser(async (_, browser) => {
    const context = await browser.newContext({ javaScriptEnabled: false, viewport: { width: 360, height: 740 } });
    const page = await context.newPage();
    await page.goto(address(task));
    await signIn(page);
    await lines(page).last().waitFor();
    assert.ok(await lines(page).last().isVisible());
  }));
