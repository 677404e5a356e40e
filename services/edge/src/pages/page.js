(function follow() {
  setTimeout(async function () {
    try {
      const answer = await fetch(location.href, { headers: { accept: "application/problem+json" }, redirect: "manual", cache: "no-store" });
      const kind = document.querySelector("main").dataset.kind;
      const type = answer.headers.get("content-type") || "";
      const problem = type.startsWith("application/problem+json") ? await answer.json() : null;
      if (!problem || problem.type !== "urn:updraft:problem:" + kind) return location.reload();
      const message = document.getElementById("message");
      const remedy = document.querySelector(".remedy").textContent;
      const text = problem.detail.endsWith(remedy) ? problem.detail.slice(0, -remedy.length).trim() : problem.detail;
      if (message.textContent !== text) message.textContent = text;
    } catch (_) { /* the edge itself is restarting: try again */ }
    follow();
  }, 1000);
})();
