// Before the first paint, so that a page which is to be dark is never white for a moment.
{
  let chosen = null;
  try {
    chosen = localStorage.getItem("gork.theme");
  } catch {
    // storage is switched off: the system's choice it is
  }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
}

// A script that does not arrive (a network that changes meanwhile is enough) leaves a page that does nothing: try once more, then say so.
addEventListener(
  "error",
  ({ target }) => {
    if (!(target instanceof HTMLScriptElement || target instanceof HTMLLinkElement)) return;
    try {
      const tried = Number(sessionStorage.getItem("gork.tried"));
      sessionStorage.setItem("gork.tried", String(Date.now()));
      if (Date.now() - tried > 10_000) return location.reload();
    } catch {
      // whether it has been tried is not known
    }
    addEventListener("load", () => document.getElementById("broken")?.removeAttribute("hidden"));
  },
  true,
);
