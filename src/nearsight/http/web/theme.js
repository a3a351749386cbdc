// Before the first paint: the theme that was chosen here, if one was. CSS follows the system's where none was.
(() => {
  try {
    const chosen = localStorage.getItem("nearsight.theme");
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  } catch {
    // No storage (private mode): the system's theme.
  }
})();
