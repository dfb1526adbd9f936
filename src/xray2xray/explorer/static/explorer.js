"use strict";
// The explorer: a file goes to this machine's server, its case is looked at as the report is, and further poses are
// asked for while the chest is dragged.

(() => {
  const byId = (id) => document.getElementById(id);
  const STAGES = ["reading the file", "finding the chest behind the view", "looking from 37 angles", "drawing other possible chests", "making the page"];
  const FILES = { "report.html": "Report", "views.zip": "Views", "volume.nii.gz": "NIfTI", "volume-dicom.zip": "DICOM" };
  const POLL_MS = 200, STILL_HERE_MS = 60000;
  let current = null; // the number of the case that is looked at or waited for
  let request = null;

  async function ask(path, options = {}) {
    let answer;
    try {
      answer = await fetch(path, { ...options, headers: { "X-Xray2Xray": "page" } });
    } catch {
      throw new Error("The server does not answer; is it still running?");
    }
    if (answer.ok) return answer;
    throw new Error((await answer.json().catch(() => ({}))).message || `The server answered ${answer.status}.`);
  }

  function at(place) {
    document.body.dataset.at = place;
    scrollTo(0, 0);
  }

  function home(problem = "") {
    if (request) request.abort();
    request = null;
    if (current) ask(`/api/cases/${current}`, { method: "DELETE" }).catch(() => {});
    current = null;
    history.replaceState(null, "", "/");
    byId("result").replaceChildren();
    byId("problem").textContent = problem;
    byId("problem").hidden = !problem;
    byId("file").value = "";
    at("start");
  }

  function progress(doing, share, waiting = "") {
    byId("doing").textContent = doing;
    byId("waiting").textContent = waiting;
    byId("progress").style.width = `${100 * share}%`;
    const now = STAGES.indexOf(doing);
    byId("stages").replaceChildren(...STAGES.map((name, i) => {
      const item = document.createElement("li");
      item.textContent = name;
      item.className = i === now ? "now" : "";
      return item;
    }));
  }

  // Sent with XMLHttpRequest, which says how much has gone out.
  function sent(file) {
    const query = new URLSearchParams({
      name: file.name, view: document.querySelector("[name=view]:checked").value, couch: byId("couch").checked ? "1" : "0",
    });
    return new Promise((resolve, reject) => {
      request = new XMLHttpRequest();
      request.open("POST", `/api/cases?${query}`);
      request.setRequestHeader("X-Xray2Xray", "page");
      request.upload.onprogress = (event) => progress("sending the file", 0.2 * event.loaded / (event.total || 1));
      request.onerror = () => reject(new Error("The file could not be sent: it is too large, or the server has ended."));
      request.onload = () => {
        let told = {};
        try { told = JSON.parse(request.responseText); } catch { /* no JSON: said below */ }
        if (request.status === 202) resolve(told.number);
        else reject(new Error(told.message || `The server answered ${request.status}.`));
      };
      request.send(file);
    });
  }

  async function begin(give) {
    byId("problem").hidden = true;
    progress("sending the file", 0);
    at("working");
    try {
      current = await give();
      await wait(current);
    } catch (error) {
      if (document.body.dataset.at === "working") home(error.message);
    }
  }

  async function wait(number) {
    for (;;) {
      const told = await (await ask(`/api/cases/${number}`)).json();
      if (current !== number) return;
      if (told.state === "failed") throw new Error(told.message);
      if (told.state === "done") return show(number);
      const stage = Math.max(0, STAGES.indexOf(told.stage));
      if (told.state === "waiting") progress("waiting", 0.2, told.ahead === 1 ? "One case is before yours." : told.ahead ? `${told.ahead} cases are before yours.` : "");
      else progress(told.stage || STAGES[0], 0.2 + 0.8 * stage / STAGES.length);
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  async function show(number) {
    const { html, data, live, files } = await (await ask(`/api/cases/${number}/result`)).json();
    if (current !== number) return;
    history.replaceState(null, "", `#${number}`);
    const root = byId("result");
    root.innerHTML = html; // made by the server's template, which escapes what it is given
    byId("downloads").replaceChildren("Download", ...files.map((name) => {
      const link = document.createElement("a");
      link.className = "quiet";
      link.href = `/api/cases/${number}/files/${name}`;
      link.download = `xray2xray-${name}`;
      link.textContent = FILES[name] || name;
      return link;
    }));
    at("case");
    await startResult(root.firstElementChild, data, live && {
      names: live.names,
      views: async (yaw, pitch, names) => {
        const query = new URLSearchParams({ yaw, pitch, names: names.join(",") });
        const bytes = new Uint8Array(await (await ask(`/api/cases/${number}/views?${query}`)).arrayBuffer());
        const size = live.side * live.side;
        return names.map((_, i) => ({ pixels: bytes.subarray(i * size, (i + 1) * size), side: live.side }));
      },
      failed: (error) => { if (current === number) home(error.message); },
    });
  }

  const give = (file) => file && begin(() => sent(file));
  byId("file").addEventListener("change", (event) => give(event.target.files[0]));
  for (const button of document.querySelectorAll("[data-example]"))
    button.addEventListener("click", () => begin(async () =>
      (await (await ask(`/api/examples/${button.dataset.example}`, { method: "POST" })).json()).number));
  byId("cancel").addEventListener("click", () => home());
  byId("another").addEventListener("click", () => home());

  let inside = 0;
  addEventListener("dragenter", (event) => { event.preventDefault(); inside += 1; document.body.classList.add("over"); });
  addEventListener("dragleave", () => { inside -= 1; if (inside <= 0) document.body.classList.remove("over"); });
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    inside = 0;
    document.body.classList.remove("over");
    const files = [...event.dataTransfer.files];
    if (files.length > 1) home("Give one file; pack the images of a CT series into a zip.");
    else give(files[0]);
  });
  addEventListener("paste", (event) => give([...event.clipboardData.files][0]));
  setInterval(() => { if (current) ask(`/api/cases/${current}`).catch(() => {}); }, STILL_HERE_MS);

  // A page that is loaded anew finds its case by its address.
  const kept = location.hash.slice(1);
  if (kept) begin(async () => kept);
})();
