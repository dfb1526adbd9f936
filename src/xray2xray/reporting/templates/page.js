"use strict";
// Starts a result: `root` holds its HTML, `data` its numbers. The report does so on load, the explorer for every case.

async function startResult(root, data, live) {
  await startTurn(root, data, live);
  if (!data.volume) return;
  const { shape, sheets } = data.volume, volumes = {};
  for (const [name, uri] of Object.entries(sheets)) volumes[name] = await tiles(uri, shape[2], shape[0], shape[1]); // [z][y][x]
  startPlanes(root, data.volume, volumes);
  startOrbit(root, data.volume, volumes);
  root.classList.add("whole");
}

function startTheme() {
  const button = document.querySelector("[data-part=theme]"), page = document.documentElement;
  const kept = (write) => { try { return write ? localStorage.setItem("theme", write) : localStorage.getItem("theme"); } catch { return null; } };
  const dark = () => page.dataset.theme ? page.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const set = (theme) => {
    if (theme) page.dataset.theme = theme;
    button.setAttribute("aria-label", dark() ? "Light page" : "Dark page");
  };
  set(kept());
  button.addEventListener("click", () => { set(dark() ? "light" : "dark"); kept(page.dataset.theme); });
}

startTheme();
const embedded = document.getElementById("data");
if (embedded) startResult(document.querySelector(".result"), JSON.parse(embedded.textContent), null);
