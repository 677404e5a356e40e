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

/** Waits until a page has had nothing to fetch for half a second, as "networkidle" does for a page that is opened. */
function settling(page) {
  const underWay = new Set();
  let since = Date.now();
  page.on("request", (request) => underWay.add(request));
  const over = (request) => underWay.delete(request) && (since = Date.now());
  page.on("requestfinished", over);
  page.on("requestfailed", over);
  return async () => {
    since = Date.now();
    while (underWay.size || Date.now() - since < 500) await new Promise((resolve) => setTimeout(resolve, 50));
  };
}

/** What a click on a link of Airflow's does: its own router shows the page. */
const follow = (page, url) =>
  page.evaluate((to) => {
    history.pushState(null, "", to);
    dispatchEvent(new PopStateEvent("popstate"));
  }, url);

/** Airflow's page of a task asks for an attempt of no run when it gives way to another page. */
const isFollowed = (url) => url.startsWith("http") && !/\/tasks\//.test(url);

/** A page that is opened by its address in one Airflow is come to by a link in the other. */
async function crawl(context, cluster, turn) {
  const page = await context.newPage();
  const settled = settling(page);
  // Drawing takes its time where nothing helps with it.
  page.setDefaultNavigationTimeout(120_000);
  const queue = ["", ...KNOWN].map((path) => new URL(path, cluster.url).href);
  const seen = new Set();
  while (queue.length && seen.size < MOST_PAGES) {
    const url = queue.shift();
    const place = kind(url);
    if (seen.has(place)) continue;
    seen.add(place);
    if ((seen.size + turn) % 2 || !isFollowed(page.url()) || !isFollowed(url)) await page.goto(url, { waitUntil: "networkidle" });
    else await follow(page, url).then(settled);
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
    const sizes = await Promise.all(facts.clusters.map((cluster, turn) => crawl(context, cluster, turn)));
    console.log(`pages: ${sizes.join(" and ")}`);
    const ours = [...new Set(wrong)].filter((one) => !UPSTREAM.some((known) => known.test(one)));
    assert.deepEqual(ours, []);
    assert.ok(sizes.every((size) => size >= 10), `too few pages: ${sizes}`);
  }));
