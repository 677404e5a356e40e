// The Logs tab where scripts run: lines as they are shipped, older ones on the way up. Nothing needs it.
"use strict";
(() => {
  const room = document.querySelector("[data-logs]");
  if (!room) return;
  const box = room.querySelector("[data-log]");
  const list = box.querySelector("ol");
  const state = room.querySelector("[data-log-state]");
  const jump = room.querySelector("[data-jump]");
  const toggle = room.querySelector("[data-follow]");
  const empty = room.querySelector("[data-empty]");
  const MOST = 5000;

  // The box is laid out from its end: its place is 0 there, and negative above.
  const atEnd = () => box.scrollTop > -24;
  const parsed = (html) => {
    const template = document.createElement("template");
    template.innerHTML = html;
    return [...template.content.children];
  };
  const isNew = (line) => !line.id || !document.getElementById(line.id);
  const at = (line) => Number(line?.dataset.at ?? 0);

  // --- new lines, in order of time: nodes ship at their own times ---

  let unseen = 0;
  const tellUnseen = () => {
    jump.hidden = unseen === 0;
    jump.textContent = unseen === 1 ? "1 new line ↓" : `${unseen} new lines ↓`;
  };
  const put = (line) => {
    let before = null;
    let last = list.lastElementChild;
    while (at(last) > at(line)) {
      before = last;
      last = last.previousElementSibling;
    }
    list.insertBefore(line, before);
  };
  const add = (html) => {
    const lines = parsed(html).filter(isNew);
    if (!lines.length) return;
    const end = atEnd();
    const fromTop = box.scrollHeight + box.scrollTop;
    lines.forEach(put);
    empty.hidden = true;
    if (end) return trim();
    box.scrollTop = fromTop - box.scrollHeight;
    unseen += lines.length;
    tellUnseen();
    if (list.childElementCount > 4 * MOST) pause(`Paused at ${4 * MOST} lines. Go to the end, or press Follow.`);
  };
  // What falls off at the top can be had again: up to the first line that stays.
  const trim = () => {
    let over = list.childElementCount - MOST;
    if (over < MOST / 10) return;
    while (over-- > 0) list.firstElementChild.remove();
    const until = new Date(Math.floor(at(list.firstElementChild) / 1000) + 1).toISOString();
    const asked = new URLSearchParams(new URL(room.dataset.live, location).search);
    asked.delete("from");
    asked.set("until", until);
    const item = document.createElement("li");
    const link = document.createElement("a");
    item.className = "log-older";
    link.href = `${location.pathname}?${asked}`;
    link.dataset.older = `${location.pathname}/older?${asked}`;
    link.textContent = "Older lines";
    item.append(link);
    list.prepend(item);
  };

  // --- older lines: asked for on the way up, or by their link ---

  let fetching = false;
  const older = async (link) => {
    if (fetching) return;
    fetching = true;
    const item = link.closest("li");
    const said = item.querySelector("span") ?? item.appendChild(document.createElement("span"));
    said.className = "dim";
    said.textContent = " Looking …";
    try {
      const answer = await fetch(link.dataset.older);
      if (answer.redirected || !answer.ok) throw new Error(answer.redirected ? "signed out" : String(answer.status));
      const lines = parsed(await answer.text()).filter(isNew);
      item.replaceWith(...lines);
      if (lines.some((line) => line.id)) empty.hidden = true;
    } catch (error) {
      said.textContent = ` They did not come (${error.message}). Try again, or reload the page.`;
      link.dataset.stopped = "";
    }
    fetching = false;
  };
  const onScroll = () => {
    if (atEnd()) { unseen = 0; tellUnseen(); }
    const link = list.querySelector("[data-older]:not([data-stopped])");
    const above = box.scrollHeight - box.clientHeight + box.scrollTop;
    if (link && above < 400) older(link);
  };

  // --- following ---

  let source = null;
  let wanted = false;
  const say = (text) => { if (state.textContent !== text) state.textContent = text; };
  const show = () => {
    toggle.setAttribute("aria-pressed", String(wanted));
    toggle.querySelector("span").textContent = wanted ? "Pause" : "Follow";
    toggle.querySelector("use").setAttribute("href", wanted ? "#i-pause" : "#i-play");
  };
  const close = () => { source?.close(); source = null; };
  const connect = () => {
    if (source) return;
    const url = new URL(room.dataset.live, location);
    const last = at(list.lastElementChild);
    if (last) url.searchParams.set("from", last);
    source = new EventSource(url);
    source.addEventListener("open", () => say("Live. Times are UTC."));
    source.addEventListener("lines", (event) => add(event.data));
    source.addEventListener("ended", (event) => pause(event.data));
    source.addEventListener("error", () => {
      if (source?.readyState === EventSource.CLOSED) pause("New lines do not come any more. Reload the page.");
      else say("Interrupted; trying again.");
    });
  };
  const follow = () => {
    wanted = true;
    show();
    say("Connecting …");
    connect();
  };
  const pause = (why) => {
    wanted = false;
    close();
    show();
    say(why);
  };
  const onToggle = () => {
    if (wanted) return pause("Paused. Times are UTC.");
    box.scrollTop = 0;
    follow();
  };

  // A tab that nobody looks at lets go of its stream: browsers allow six per host.
  let hiddenTimer = 0;
  const onVisibility = () => {
    clearTimeout(hiddenTimer);
    if (document.hidden) hiddenTimer = setTimeout(close, 30000);
    else if (wanted) connect();
  };

  // --- the form ---

  const form = room.querySelector("form");
  const ofTasks = form.querySelector("[data-of-tasks]");
  form.elements.service.addEventListener("change", (event) => { ofTasks.hidden = event.target.value !== "tasks"; });
  // Addresses without empty fields are there to be sent around.
  const fields = [...form.querySelectorAll("input")];
  form.addEventListener("submit", () => fields.forEach((field) => { field.disabled = !field.value || !!field.closest("[hidden]"); }));
  addEventListener("pageshow", () => fields.forEach((field) => { field.disabled = false; }));

  box.addEventListener("scroll", onScroll, { passive: true });
  list.addEventListener("click", (event) => {
    const link = event.target.closest("[data-older]");
    if (!link || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    older(link);
  });
  jump.addEventListener("click", () => { box.scrollTop = 0; box.focus(); });
  if (!toggle) return;
  toggle.addEventListener("click", onToggle);
  addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, select, textarea");
    if (event.key === "f" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) onToggle();
  });
  addEventListener("visibilitychange", onVisibility);
  addEventListener("pagehide", close);
  addEventListener("pageshow", () => { if (wanted) connect(); });
  follow();
})();
