// The colours' button and, on narrow screens, the list of pages.
"use strict";
(() => {
  const root = document.documentElement;
  const theme = document.querySelector("button.theme");
  const show = () => theme.setAttribute("aria-pressed", String(root.dataset.theme === "dark"));
  theme.addEventListener("click", () => {
    root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
    try {
      localStorage.setItem("patchlens-theme", root.dataset.theme);
    } catch {
      // Forbidden storage: the choice lasts until the next page.
    }
    show();
    document.dispatchEvent(new Event("themechange"));
  });
  show();
  addEventListener("beforeprint", () => {
    for (const part of document.querySelectorAll("details")) part.open = true;
  });
  const menu = document.querySelector("button.menu");
  menu.addEventListener("click", () => {
    const open = menu.getAttribute("aria-expanded") !== "true";
    menu.setAttribute("aria-expanded", String(open));
  });
})();
