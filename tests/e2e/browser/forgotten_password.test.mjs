// Somebody forgot their password, with and without JavaScript: the answer is the same for every address.
import assert from "node:assert/strict";
import { test } from "node:test";
import { facts, look, toPassword, withBrowser } from "./journey.mjs";

async function ask(page, email) {
  await page.goto(`${facts.console}/sign-in`);
  await page.getByLabel("Work e-mail").fill(email);
  await toPassword(page);
  await look(page, "sign-in-password");
  await page.getByRole("link", { name: "Forgot your password?" }).click();
  await look(page, "forgot-password");
  await page.getByLabel("Work e-mail").fill(email);
  await page.getByRole("button", { name: "Send the link" }).click();
  const answer = await page.getByRole("status").innerText();
  assert.ok(answer.includes(email), answer);
  await look(page, "forgot-password-asked");
  return answer.replace(email, "…");
}

test("the answer is the same for somebody and for nobody", () =>
  withBrowser(async (context) => {
    const page = await context.newPage();
    const known = await ask(page, facts.person.email);
    assert.equal(await ask(page, "nobody-at-all@example.com"), known);
  }));

test("it works without JavaScript", () =>
  withBrowser(async (_, browser) => {
    const context = await browser.newContext({ javaScriptEnabled: false });
    const page = await context.newPage();
    await ask(page, "nobody-without-scripts@example.com");
  }));
