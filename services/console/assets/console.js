// What the pages gain where scripts run: keys, copying, times in the viewer's zone, calm streams. Nothing needs it.
"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("js");

  // --- times: relative to now, exact in the viewer's zone on hover ---

  const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });
  const ago = (seconds) => {
    if (seconds < 5) return "just now";
    if (seconds < 60) return `${seconds} s ago`;
    if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
    if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
    if (seconds < 2592000) return `${Math.floor(seconds / 86400)} d ago`;
    return null;
  };
  const tell = () => {
    for (const time of document.querySelectorAll("time[datetime]")) {
      const at = new Date(time.dateTime);
      const said = ago(Math.floor((Date.now() - at) / 1000));
      if (said && said !== time.textContent) time.textContent = said;
      if (!time.dataset.told) {
        time.dataset.told = "1";
        time.title = exact.format(at);
      }
    }
  };

  // --- keys ---

  const go = (path) => { location.href = path; };
  const places = { c: "/clusters", p: "/people", t: "/tokens", l: "/audit", a: "/account" };
  let leader = 0;
  const typing = (target) => target.closest("input, select, textarea, [contenteditable]");
  const showKeys = () => {
    const dialog = document.querySelector("dialog.keys");
    if (dialog && !dialog.open) dialog.showModal();
  };
  const onKey = (event) => {
    if (event.key === "Escape") {
      document.querySelectorAll("details:is(.menu, .rail-more)[open]").forEach((menu) => {
        menu.open = false;
        menu.querySelector("summary").focus();
      });
      if (event.target.matches("[data-search]")) event.target.blur();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    if (Date.now() - leader < 1200 && places[event.key]) {
      leader = 0;
      event.preventDefault();
      return go(places[event.key]);
    }
    if (event.key === "g") { leader = Date.now(); return; }
    if (event.key === "?") { event.preventDefault(); return showKeys(); }
    if (event.key === "/") {
      const search = document.querySelector("[data-search]");
      if (search) { event.preventDefault(); search.focus(); search.select(); }
      return;
    }
    if (event.key === "n") {
      const link = document.querySelector("[data-new]");
      if (link) go(link.href);
      return;
    }
    const tab = document.querySelectorAll(".tabs a")[Number(event.key) - 1];
    if (tab) go(tab.href);
  };

  // --- clicks ---

  const copy = async (button) => {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.classList.add("done");
    button.setAttribute("aria-label", "Copied");
    setTimeout(() => { button.classList.remove("done"); button.setAttribute("aria-label", "Copy the URL"); }, 1600);
  };
  const onClick = (event) => {
    const button = event.target.closest("[data-copy]");
    if (button) copy(button);
    if (event.target.closest("[data-keys]")) showKeys();
    document.querySelectorAll("details:is(.menu, .rail-more)[open]").forEach((menu) => {
      if (!menu.contains(event.target)) menu.open = false;
    });
  };

  // A form is sent once: a second press while the first is under way does nothing.
  const onSubmit = (event) => {
    const form = event.target;
    if (form.method !== "post") return;
    if (form.dataset.sent) { event.preventDefault(); return; }
    form.dataset.sent = "1";
    form.querySelectorAll("button").forEach((button) => button.setAttribute("aria-disabled", "true"));
  };
  const onShow = (event) => {
    if (!event.persisted) return;
    document.querySelectorAll("form[data-sent]").forEach((form) => {
      delete form.dataset.sent;
      form.querySelectorAll("button").forEach((button) => button.removeAttribute("aria-disabled"));
    });
  };

  // --- streams: say when they break, and let go of them in tabs nobody looks at (browsers allow six per host) ---

  const sources = new Set();
  const offline = (hidden) => {
    const line = document.querySelector("[data-offline]");
    if (line) line.hidden = hidden;
  };
  let broken = 0;
  const open = (url) => {
    const source = new EventSource(url);
    sources.add(source);
    return source;
  };
  const pause = () => sources.forEach((source) => source.close());
  const resume = () => {
    for (const source of [...sources]) {
      if (source.readyState !== EventSource.CLOSED) continue;
      sources.delete(source);
      source.onerror?.(new Event("error"));
    }
  };
  let hiddenTimer = 0;
  const onVisibility = () => {
    clearTimeout(hiddenTimer);
    if (document.hidden) hiddenTimer = setTimeout(pause, 30000);
    else resume();
  };

  if (window.htmx) htmx.createEventSource = open;
  addEventListener("htmx:sseError", () => { broken ||= setTimeout(() => offline(false), 3000); });
  addEventListener("htmx:sseOpen", () => { clearTimeout(broken); broken = 0; offline(true); });
  addEventListener("htmx:sseMessage", tell);
  addEventListener("keydown", onKey);
  addEventListener("click", onClick);
  addEventListener("submit", onSubmit);
  addEventListener("pageshow", onShow);
  addEventListener("visibilitychange", onVisibility);
  addEventListener("pagehide", pause);
  tell();
  setInterval(tell, 10000);
})();
