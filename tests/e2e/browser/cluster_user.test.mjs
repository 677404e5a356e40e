// A cluster user: no Admin menu, and 403 on every Admin page's data; the admin of the same cluster gets all.
import assert from "node:assert/strict";
import { test } from "node:test";
import { facts, openAirflow, withBrowser } from "./journey.mjs";

const ADMIN_API = ["variables", "connections", "pools", "providers", "plugins"];

async function look(person) {
  return withBrowser(async (context) => {
    const page = await context.newPage();
    await openAirflow(page, facts.demo.url, person);
    await page.getByText("Dags", { exact: false }).first().waitFor();
    const menu = await page.getByRole("button", { name: "Admin" }).or(page.getByRole("link", { name: "Admin" })).count();
    const answers = {};
    for (const path of ADMIN_API) {
      answers[path] = await page.evaluate((url) => fetch(url).then((r) => r.status), `${facts.demo.url}api/v2/${path}`);
    }
    return { menu: menu > 0, answers };
  });
}

test("a user sees no Admin menu and is refused its pages", async () => {
  const { menu, answers } = await look(facts.user);
  assert.equal(menu, false);
  assert.deepEqual(answers, Object.fromEntries(ADMIN_API.map((path) => [path, 403])));
});

test("an admin sees it and gets them", async () => {
  const { menu, answers } = await look(facts.admin);
  assert.equal(menu, true);
  assert.deepEqual(answers, Object.fromEntries(ADMIN_API.map((path) => [path, 200])));
});
