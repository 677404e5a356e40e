// A link opened: a new password is chosen, once, and signs in; whoever is signed in with the old one is out.
import assert from "node:assert/strict";
import { test } from "node:test";
import { facts, look, signIn, withBrowser } from "./journey.mjs";

test("a link sets a password once and ends what was begun before", () =>
  withBrowser(async (context, browser) => {
    const former = await (await browser.newContext()).newPage();
    await former.goto(`${facts.console}/sign-in`);
    await signIn(former, { email: facts.person.email, password: facts.person.former });
    await former.waitForURL(`${facts.console}/clusters`);

    const page = await context.newPage();
    await page.goto(facts.link);
    assert.ok((await page.locator("form").innerText()).includes(facts.person.email));
    await look(page, "set-password");
    const choose = async (password) => {
      await page.getByLabel("New password").fill(password);
      await page.getByRole("button", { name: "Set password" }).click();
    };
    await choose("password1234");
    assert.ok((await page.getByRole("alert").innerText()).length > 0, "a guessable one is refused");
    await look(page, "set-password-refused");
    await choose(facts.person.password);
    await page.getByRole("status").waitFor();
    await look(page, "set-password-done");

    await former.goto(`${facts.console}/account`);
    assert.ok(former.url().includes("/sign-in"), `still inside: ${former.url()}`);

    const again = await page.goto(facts.link);
    assert.equal(again.status(), 403, "good once");
    await look(page, "set-password-used");

    await page.goto(`${facts.console}/sign-in`);
    await signIn(page, { email: facts.person.email, password: facts.person.former });
    assert.ok(page.url().includes("/sign-in"), "the old one is worth nothing");
    await signIn(page, facts.person);
    await page.waitForURL(`${facts.console}/clusters`);
  }));
