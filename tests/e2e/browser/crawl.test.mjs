// Every page of two Airflows in one browser: no request leaves its cluster's prefix, none fails.
import assert from "node:assert/strict";
import { test } from "node:test";
import { facts, openAirflow, watchRequests, withBrowser } from "./journey.mjs";

const MOST_PAGES = 60;
// Airflow 3.3.2's own: without any proxy it answers the same. The options' page is closed (`expose_config`), and a
// script for highlighting SQL is missing from the package.
const UPSTREAM = [/^403: GET .*\/api\/v2\/config$/, /^404: GET .*\/static\/wasm\/sqlparser_rs_wasm\.js$/];
// Pages that no link of a fresh Airflow leads to.
const KNOWN = ["dags", "dag_runs", "task_instances", "assets", "events", "variables", "pools", "connections", "providers", "plugins",
  "xcoms", "configs", "jobs", "required_actions", "dags/hello_updraft", "dags/hello_updraft/runs", "dags/hello_updraft/code", "dags/hello_updraft/details"];

/** Pages of one kind differ only by ids: one of each is enough. */
const kind = (url) => url.split(/[?#]/)[0].replace(/\/(dags|runs|tasks|assets|backfills|mapped)\/[^/]+/g, "/$1/*");

async function crawl(context, cluster) {
  const page = await context.newPage();
  // Drawing takes its time where nothing helps with it.
  page.setDefaultNavigationTimeout(120_000);
  const queue = ["", ...KNOWN].map((path) => new URL(path, cluster.url).href);
  const seen = new Set();
  while (queue.length && seen.size < MOST_PAGES) {
    const url = queue.shift();
    const place = kind(url);
    if (seen.has(place)) continue;
    seen.add(place);
    await page.goto(url, { waitUntil: "networkidle" });
    const links = await page.locator("a[href]").evaluateAll((all) => all.map((a) => a.href));
    const outside = links.filter((link) => link.startsWith(new URL(cluster.url).origin) && !link.startsWith(cluster.url) && !new URL(link).pathname.startsWith("/_updraft/"));
    assert.deepEqual(outside, [], `links on ${url} that leave the prefix`);
    queue.push(...links.filter((link) => link.startsWith(cluster.url) && !/\/(logout|openapi\.json|docs|redoc)\b/.test(link)));
  }
  await page.close();
  return seen.size;
}

test("two Airflows side by side stay inside their prefixes and nothing fails", () =>
  withBrowser(async (context) => {
    for (const cluster of facts.clusters) {
      const page = await context.newPage();
      await openAirflow(page, cluster.url);
      await page.close();
    }
    const wrong = watchRequests(context, facts.clusters.map((cluster) => cluster.url));
    const sizes = await Promise.all(facts.clusters.map((cluster) => crawl(context, cluster)));
    console.log(`pages: ${sizes.join(" and ")}`);
    const ours = [...new Set(wrong)].filter((one) => !UPSTREAM.some((known) => known.test(one)));
    assert.deepEqual(ours, []);
    assert.ok(sizes.every((size) => size >= 10), `too few pages: ${sizes}`);
  }));
