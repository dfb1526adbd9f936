"use strict";
// The chest from any side. `live.views(yaw, pitch, names)`, where there is a server, renders poses that the page does
// not hold; without one the page turns among the views of the arc.

const SCREEN = 640; // real pixels of a drawn view
const MOST_KEPT = 600; // rendered views that the page remembers

async function startTurn(root, data, live) {
  const { yaw: arc, names, sheets, samples, per_angle: perAngle, input_index: inputIndex } = data.views;
  const byName = (name) => root.querySelector(`[data-part="${name}"]`);
  const stored = {};
  await Promise.all(Object.entries(sheets).map(async ([name, { uri, side, count }]) => {
    stored[name] = { pixels: await tiles(uri, count, side, side), side, count };
  }));
  const canvas = byName("predicted"), truthCanvas = byName("truth"), slider = byName("yaw"), play = byName("play");
  const spread = byName("spread"), input = byName("input");
  const hot = data.error_colours.map(([r, g, b]) => (b << 16) | (g << 8) | r);
  const pose = { yaw: arc[Math.min(arc.length - 1, Math.max(0, inputIndex) + 6)], pitch: 0 };
  const rendered = new Map();
  const most = live ? 180 : arc[arc.length - 1], step = live ? 1 : arc[1] - arc[0];
  slider.min = -most;
  slider.max = most;
  slider.step = step;
  root.classList.toggle("live", Boolean(live));

  const shownName = () => root.querySelector("[name=shown]:checked").value;
  const besideName = () => (root.querySelector("[name=beside]:checked") || {}).value;
  const key = (name, at = pose) => `${name} ${at.yaw} ${at.pitch}`;

  function ofArc(name, index) {
    const { pixels, side, count } = stored[name];
    const size = side * side, from = (count === 1 ? 0 : index) * size;
    return { pixels: pixels.subarray(from, from + size), side };
  }
  const onArc = () => pose.pitch === 0 && arc.includes(pose.yaw);
  function viewAt(name) {
    if (onArc() && stored[name]) return ofArc(name, arc.indexOf(pose.yaw));
    return rendered.get(key(name));
  }
  // What stands there until the exact view has come.
  function nearest(name) {
    const turns = live && live.names.includes(name);
    if (!stored[name] || (turns && (pose.pitch !== 0 || Math.abs(pose.yaw) > 92))) return undefined;
    return ofArc(name, clamped(Math.round((pose.yaw - arc[0]) / (arc[1] - arc[0])), 0, arc.length - 1));
  }

  function wanted() {
    const found = [shownName()];
    if (truthCanvas) found.push("truth");
    if (spread && spread.checked) found.push(...samples);
    return [...new Set(found)].filter((name) => !live || live.names.includes(name) || onArc());
  }

  let asking = false;
  async function ask() {
    if (!live || asking) return;
    const missing = wanted().filter((name) => !viewAt(name));
    if (!missing.length) return;
    asking = true;
    const at = { ...pose };
    try {
      const views = await live.views(at.yaw, at.pitch, missing);
      views.forEach((view, i) => rendered.set(key(missing[i], at), view));
      while (rendered.size > MOST_KEPT) rendered.delete(rendered.keys().next().value);
    } catch (error) {
      live.failed(error);
      return;
    } finally {
      asking = false;
    }
    show();
  }

  // Three moving averages along rows or columns (`by`: from one pixel to the next, `next`: to the next line).
  function averaged(values, side, radius, by, next) {
    const line = new Float32Array(side), found = new Float32Array(values);
    for (let n = 0; n < side; n++)
      for (let pass = 0; pass < 3; pass++) {
        for (let i = 0; i < side; i++) line[i] = found[n * next + i * by];
        let sum = 0;
        for (let i = -radius; i <= radius; i++) sum += line[clamped(i, 0, side - 1)];
        for (let i = 0; i < side; i++) {
          found[n * next + i * by] = sum / (2 * radius + 1);
          sum += line[Math.min(side - 1, i + radius + 1)] - line[Math.max(0, i - radius)];
        }
      }
    return found;
  }

  // Local contrast as digital systems raise it: p + (p - blurred p) / 2, then one fixed window for every picture.
  function radiograph({ pixels, side }) {
    const sigma = 0.03 * side, radius = Math.max(1, Math.round((Math.sqrt(4 * sigma * sigma + 1) - 1) / 2));
    const blurred = averaged(averaged(pixels, side, radius, 1, side), side, radius, side, 1);
    const [low, high] = data.window.map((p) => p * GREY_PER_P);
    const shown = new Uint8Array(side * side);
    for (let i = 0; i < shown.length; i++)
      shown[i] = clamped(255 * (1.5 * pixels[i] - 0.5 * blurred[i] - low) / (high - low), 0, 255);
    return shown;
  }

  // Standard deviation of the samples, in p, over a picture of `side` pixels.
  function deviation(side) {
    const views = samples.map((name) => viewAt(name) || nearest(name));
    if (views.some((view) => !view)) return null;
    const found = new Float32Array(side * side);
    for (let r = 0; r < side; r++)
      for (let c = 0; c < side; c++) {
        const values = views.map((view) => view.pixels[Math.floor(r * view.side / side) * view.side + Math.floor(c * view.side / side)]);
        const mean = values.reduce((a, b) => a + b) / values.length;
        const square = values.reduce((a, b) => a + (b - mean) ** 2, 0) / Math.max(1, values.length - 1);
        found[r * side + c] = Math.sqrt(square) / GREY_PER_P;
      }
    return found;
  }

  function draw(target, view) {
    const colours = Array.from(radiograph(view), grey);
    const unsure = target === canvas && spread && spread.checked ? deviation(view.side) : null;
    if (unsure)
      unsure.forEach((p, i) => {
        const share = clamped(p / data.spread_p, 0, 1) * 0.85, v = colours[i] & 255;
        const mix = (full) => Math.round(v * (1 - share) + full * share);
        colours[i] = (mix(40) << 16) | (mix(166) << 8) | mix(255);
      });
    paint(target, colours, view.side, view.side, SCREEN, SCREEN);
  }

  function drawError(predicted, truth) {
    const side = truth.side, colours = new Uint32Array(side * side);
    for (let r = 0; r < side; r++)
      for (let c = 0; c < side; c++) {
        const other = predicted.pixels[Math.floor(r * predicted.side / side) * predicted.side + Math.floor(c * predicted.side / side)];
        const apart = Math.abs(other - truth.pixels[r * side + c]) / GREY_PER_P;
        colours[r * side + c] = hot[Math.min(255, Math.round(255 * apart / data.error_p))];
      }
    paint(truthCanvas, colours, side, side, SCREEN, SCREEN);
  }

  // Which side of the body lies at the left and at the right edge: columns run along (-cos, -sin) of right and front.
  function edges() {
    const t = pose.yaw * Math.PI / 180, x = Math.cos(t), y = Math.sin(t);
    const letters = (a, b) => (Math.abs(a) > 0.38 ? (a > 0 ? "R" : "L") : "") + (Math.abs(b) > 0.38 ? (b > 0 ? "A" : "P") : "");
    for (const side of root.querySelectorAll("[data-edge]"))
      side.textContent = side.dataset.edge === "left" ? letters(x, y) : letters(-x, -y);
  }

  function viewName() {
    if (onArc() && arc.indexOf(pose.yaw) === inputIndex) return "the angle of the input";
    if (onArc()) return names[arc.indexOf(pose.yaw)];
    const tilt = pose.pitch ? `, seen from ${pose.pitch < 0 ? "above" : "below"}` : "";
    const side = pose.yaw > 0 ? "left" : "right", a = Math.abs(pose.yaw);
    const plain = a === 0 ? "frontal" : a === 180 ? "from behind" : a === 90 ? `${side} lateral`
      : a < 90 ? `between frontal and ${side} lateral` : `between ${side} lateral and the back`;
    return plain + tilt;
  }

  function show() {
    const name = shownName();
    const predicted = viewAt(name) || nearest(name), truth = truthCanvas && (viewAt("truth") || nearest("truth"));
    if (predicted) draw(canvas, predicted);
    if (truth) {
      if (besideName() === "error" && predicted) drawError(predicted, truth);
      else draw(truthCanvas, truth);
    }
    const text = `${signed(pose.yaw)}°`;
    byName("angle").textContent = text;
    byName("tilt").textContent = pose.pitch ? `tilt ${signed(pose.pitch)}°` : "";
    byName("viewname").textContent = viewName();
    byName("words").textContent = root.querySelector("[name=shown]:checked").dataset.words;
    byName("spread-key")?.toggleAttribute("hidden", !spread.checked);
    byName("error-key")?.toggleAttribute("hidden", besideName() !== "error");
    slider.value = pose.yaw;
    slider.setAttribute("aria-valuetext", `${text} ${viewName()}`);
    canvas.setAttribute("aria-label", `Predicted view at ${text}, ${viewName()}. Drag or use the arrow keys to turn.`);
    byName("source").setAttribute("transform", `rotate(${-pose.yaw})`);
    const psnr = onArc() && (perAngle[name] || {})[String(pose.yaw.toFixed(1))];
    byName("here").textContent = psnr ? `${psnr.toFixed(1)} dB at this angle` : "";
    const cursor = root.querySelector("#cursor");
    if (cursor) {
      const share = clamped((pose.yaw - arc[0]) / (arc[arc.length - 1] - arc[0]), 0, 1);
      cursor.setAttribute("transform", `translate(${data.chart.left + share * data.chart.width} 0)`);
    }
    edges();
    ask();
  }

  let frame = 0;
  function turnTo(yaw, pitch = pose.pitch) {
    const snapped = Math.round(yaw / step) * step;
    pose.yaw = live ? ((snapped + 180) % 360 + 360) % 360 - 180 || 0 : clamped(snapped, -most, most) || 0;
    pose.pitch = live ? clamped(Math.round(pitch), -45, 45) : 0;
    slider.value = pose.yaw; // at once: the next key moves it from there
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(show);
  }

  let timer = 0, direction = 1;
  function playing(on) {
    clearInterval(timer);
    timer = on ? setInterval(() => {
      const next = Math.round(pose.yaw / 5) * 5 + 5 * direction;
      if (next <= arc[0] || next >= arc[arc.length - 1]) direction = next <= arc[0] ? 1 : -1;
      turnTo(clamped(next, arc[0], arc[arc.length - 1]), 0);
    }, 90) : 0;
    play.setAttribute("aria-pressed", String(on));
    play.setAttribute("aria-label", on ? "Pause" : "Play");
  }

  // A drag is not rounded before it ends: slow ones would never leave the angle.
  const exact = { yaw: 0, pitch: 0 };
  for (const target of [canvas, truthCanvas].filter(Boolean))
    onDrag(target, (dx, dy) => {
      const perPixel = 180 / target.getBoundingClientRect().width;
      exact.yaw -= dx * perPixel;
      exact.pitch = clamped(exact.pitch - 0.5 * dy * perPixel, -45, 45);
      root.classList.add("turned");
      turnTo(exact.yaw, exact.pitch);
    }, () => { playing(false); Object.assign(exact, pose); });
  slider.addEventListener("input", () => { playing(false); turnTo(Number(slider.value)); });
  play.addEventListener("click", () => playing(!timer));
  byName("reset")?.addEventListener("click", () => { playing(false); turnTo(0, 0); });
  for (const choice of root.querySelectorAll("[name=shown], [name=beside], [data-part=spread]"))
    choice.addEventListener("change", show);
  const keys = (event) => {
    if (!root.isConnected) return document.removeEventListener("keydown", keys);
    if (event.altKey || event.ctrlKey || event.metaKey || /^(INPUT|SELECT|BUTTON|TEXTAREA|SUMMARY|A)$/.test(event.target.tagName)) return;
    const { yaw, pitch } = pose, fine = live && event.shiftKey ? 1 : 5;
    const moves = {
      ArrowLeft: [yaw - fine, pitch], ArrowRight: [yaw + fine, pitch], Home: [-90, pitch], End: [90, pitch],
      ...(live && event.target === canvas ? { ArrowUp: [yaw, pitch + fine], ArrowDown: [yaw, pitch - fine] } : {}),
    };
    if (event.key === " ") playing(!timer);
    else if (event.key in moves) { playing(false); turnTo(...moves[event.key]); }
    else return;
    event.preventDefault();
  };
  document.addEventListener("keydown", keys);
  if (input) draw(input, ofArc("input", 0));
  if (byName("errorbar"))
    byName("errorbar").style.background = `linear-gradient(90deg, ${data.error_colours.filter((_, i) => i % 51 === 0).map((c) => `rgb(${c})`)})`;
  show();
  return { pose, turnTo };
}
