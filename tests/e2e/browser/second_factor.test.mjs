// An authenticator app set up on the account page; signing in then takes its code, or a recovery code, each once.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";
import { facts, look, signIn, withBrowser } from "./journey.mjs";

/** RFC 6238, of the step after this many more. */
function totp(secret, ahead = 0) {
  const bits = [...secret].map((letter) => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(letter).toString(2).padStart(5, "0")).join("");
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30000) + ahead));
  const mac = createHmac("sha1", key).update(counter).digest();
  const at = mac[19] & 15;
  return String((mac.readUInt32BE(at) & 0x7fffffff) % 1e6).padStart(6, "0");
}

async function toCode(page) {
  await page.goto(`${facts.console}/sign-in`);
  await signIn(page, facts.person);
  await page.getByRole("heading", { name: "Your code" }).waitFor();
}

async function answer(page, code) {
  await page.getByLabel("Code").fill(code);
  await page.getByRole("button", { name: "Sign in" }).click();
}

async function assertIn(page) {
  await page.waitForURL(`${facts.console}/clusters`);
}

async function assertRefused(page) {
  await page.getByRole("alert").waitFor();
  assert.equal(page.url(), `${facts.console}/sign-in/code`);
}

test("an authenticator app is set up, asked for, and replaced by a recovery code", () =>
  withBrowser(async (context, browser) => {
    const page = await context.newPage();
    await page.goto(`${facts.console}/sign-in`);
    await signIn(page, facts.person);
    await page.goto(`${facts.console}/account/second-factor`);
    await look(page, "second-factor-off");
    await page.getByRole("button", { name: /set up/i }).click();
    await page.locator("main svg, [role=main] svg").last().waitFor();
    const secret = (await page.locator("dd code").first().innerText()).trim();
    await look(page, "second-factor-begun");
    await page.getByLabel(/code/i).fill(totp(secret));
    await page.getByRole("button", { name: /confirm|switch on|set up/i }).click();
    const recovery = await page.locator("li code").allInnerTexts();
    assert.equal(recovery.length, 10);
    await look(page, "second-factor-recovery-codes");

    const elsewhere = await (await browser.newContext()).newPage();
    await toCode(elsewhere);
    await look(elsewhere, "sign-in-code");
    await answer(elsewhere, "000000");
    await assertRefused(elsewhere);
    await look(elsewhere, "sign-in-code-refused");
    await toCode(elsewhere);
    await answer(elsewhere, totp(secret, 1));
    await assertIn(elsewhere);

    const third = await (await browser.newContext()).newPage();
    await toCode(third);
    await answer(third, recovery[0]);
    await assertIn(third);
    const fourth = await (await browser.newContext()).newPage();
    await toCode(fourth);
    await answer(fourth, recovery[0]); // A recovery code is good once.
    await assertRefused(fourth);
  }));
