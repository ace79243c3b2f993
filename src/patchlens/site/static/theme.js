// Before anything is painted: the colours that were chosen last, else those of the system.
"use strict";
(() => {
  let stored = null;
  try {
    stored = localStorage.getItem("patchlens-theme");
  } catch {
    // A browser may forbid storage to pages that open from disk; the choice then lasts a page.
  }
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = stored ?? (dark ? "dark" : "light");
})();
