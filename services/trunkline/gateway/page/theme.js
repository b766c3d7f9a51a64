// Light or dark: as the system has it until the user chooses. Loaded before anything is drawn.
{
  const NAME = "trunkline.theme";
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const shown = () => root.dataset.theme ?? (system.matches ? "dark" : "light");
  const chosen = localStorage.getItem(NAME);
  if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;

  addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const tell = () => button.setAttribute("aria-pressed", String(shown() === "dark"));
    button.addEventListener("click", () => {
      root.dataset.theme = shown() === "dark" ? "light" : "dark";
      localStorage.setItem(NAME, root.dataset.theme);
      tell();
    });
    system.addEventListener("change", tell);
    tell();
  });
}
