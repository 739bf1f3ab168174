// The bar on top of every page: light, dark, or as the system has it.
import { byId, makeSvg } from "./dom.js";

const KEY = "llm_al.theme";
const NEXT = { system: "light", light: "dark", dark: "system" };
const WORDS = { system: "as the system has them", light: "light", dark: "dark" };
const SHAPES = {
  system: "M3 5h18v12H3zM8 21h8M12 17v4",
  light: "M12 7.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9zM12 2v2M12 20v2M2 12h2M20 12h2M4.9 4.9l1.4 1.4M17.7 17.7l1.4 1.4M4.9 19.1l1.4-1.4M17.7 6.3l1.4-1.4",
  dark: "M20.5 14.5A8.5 8.5 0 0 1 9.5 3.5a8.5 8.5 0 1 0 11 11z",
};

function stored() {
  try {
    return localStorage.getItem(KEY) in WORDS ? localStorage.getItem(KEY) : "system";
  } catch {
    return "system";
  }
}

function show(button, theme) {
  const path = { d: SHAPES[theme], fill: "none", stroke: "currentColor", "stroke-width": "1.8" };
  const shape = makeSvg("path", { ...path, "stroke-linecap": "round", "stroke-linejoin": "round" });
  button.replaceChildren(makeSvg("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" }, shape));
  button.setAttribute("aria-label", `Colours: ${WORDS[theme]}`);
  button.dataset.theme = theme;
}

function choose(button, theme) {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  try {
    if (theme === "system") localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, theme);
  } catch {
    // Without storage the choice holds for this page.
  }
  show(button, theme);
}

const button = byId("theme");
show(button, stored());
button.hidden = false;
document.querySelector(".places [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
button.addEventListener("click", () => choose(button, NEXT[button.dataset.theme]));
