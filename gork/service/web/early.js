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
