// Runs before the first paint, so that nobody sees the wrong colours flash by.
"use strict";
try {
  const theme = localStorage.getItem("llm_al.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Storage may be switched off; the system's choice of colours then holds.
}
