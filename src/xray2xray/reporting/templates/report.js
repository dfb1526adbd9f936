"use strict";
// The page carries sprite sheets of 8-bit grey: views as p x 25.5, voxels as (HU + 1024) / 10. They are decoded once
// and every picture is computed from the numbers, so error maps and windows are exact to one grey level.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);

  // Loading starts here, while the page is parsed, so that the window's load event waits for every sheet: from then on
  // drawing is synchronous and nobody, printer or screenshot included, sees an empty panel.
  const images = new Map();
  for (const part of [data.views, data.volume])
    for (const uri of Object.values(part ? part.sheets : {})) {
      const image = new Image();
      image.src = uri;
      images.set(uri, image);
    }

  function decode(uri) {
    const image = images.get(uri);
    const canvas = document.createElement("canvas");
    canvas.width = image.width;
    canvas.height = image.height;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(image, 0, 0);
    const rgba = context.getImageData(0, 0, image.width, image.height).data;
    const gray = new Uint8Array(image.width * image.height);
    for (let i = 0; i < gray.length; i++) gray[i] = rgba[4 * i];
    return { gray, width: image.width };
  }

  // Tiles of a sprite sheet, row by row -> one array of `count` pictures.
  function tiles(uri, count, width, height) {
    const sheet = decode(uri);
    const columns = sheet.width / width;
    const pictures = new Uint8Array(count * width * height);
    for (let n = 0; n < count; n++) {
      const x = (n % columns) * width, y = Math.floor(n / columns) * height;
      for (let row = 0; row < height; row++) {
        const from = (y + row) * sheet.width + x;
        pictures.set(sheet.gray.subarray(from, from + width), (n * height + row) * width);
      }
    }
    return pictures;
  }

  // Fill a canvas by asking `colour(column, row)` for packed 0xBBGGRR.
  function paint(canvas, width, height, colour) {
    if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
    const context = canvas.getContext("2d");
    const image = context.createImageData(width, height);
    const pixels = new Uint32Array(image.data.buffer);
    for (let row = 0, i = 0; row < height; row++)
      for (let column = 0; column < width; column++, i++) pixels[i] = 0xff000000 | colour(column, row);
    context.putImageData(image, 0, 0);
  }

  const grey = (v) => (v << 16) | (v << 8) | v;
  const ramp = (low, high) => Array.from({ length: 256 }, (_, v) =>
    grey(Math.round(255 * Math.min(1, Math.max(0, (v - low) / (high - low))))));

  function startViews() {
    const { yaw, width, height, sheets, names, per_angle: perAngle } = data.views;
    const views = {};
    for (const [name, uri] of Object.entries(sheets)) views[name] = tiles(uri, yaw.length, width, height);
    const display = ramp(25.5 * data.window[0], 25.5 * data.window[1]);
    const hot = data.error_colours.map(([r, g, b]) => (b << 16) | (g << 8) | r);
    const toHot = 255 / (25.5 * data.error_p);
    const slider = byId("yaw"), model = byId("model"), play = byId("play"), cursor = byId("cursor");
    if (byId("colourbar")) {
      const stops = data.error_colours.filter((_, i) => i % 51 === 0).map((c) => `rgb(${c})`);
      byId("colourbar").style.background = `linear-gradient(90deg, ${stops})`;
    }

    function show() {
      const index = Number(slider.value), offset = index * width * height, angle = yaw[index];
      const predicted = views[model.value], truth = views.truth;
      paint(byId("predicted"), width, height, (c, r) => display[predicted[offset + r * width + c]]);
      if (truth) {
        paint(byId("truth"), width, height, (c, r) => display[truth[offset + r * width + c]]);
        paint(byId("error"), width, height, (c, r) => {
          const i = offset + r * width + c;
          return hot[Math.min(255, Math.round(Math.abs(predicted[i] - truth[i]) * toHot))];
        });
      }
      const text = `${angle > 0 ? "+" : angle < 0 ? "\u2212" : ""}${Math.abs(angle)}°`;
      byId("angle").textContent = text;
      byId("viewname").textContent = index === data.views.input_index ? "the input angle" : names[index];
      slider.setAttribute("aria-valuetext", `${text} ${names[index]}`);
      byId("source").setAttribute("transform", `rotate(${-angle})`);
      const psnr = (perAngle[model.value] || {})[String(angle)];
      byId("here").textContent = psnr === undefined ? "" : `${psnr.toFixed(1)} dB at this angle`;
      if (cursor) {
        const x = data.chart.left + (angle - yaw[0]) / (yaw[yaw.length - 1] - yaw[0]) * data.chart.width;
        cursor.setAttribute("transform", `translate(${x} 0)`);
      }
    }

    let timer = 0, direction = 1;
    function playing(on) {
      clearInterval(timer);
      timer = on ? setInterval(() => {
        const next = Number(slider.value) + direction;
        if (next <= 0 || next >= yaw.length - 1) direction = next <= 0 ? 1 : -1;
        slider.value = next;
        show();
      }, 90) : 0;
      play.textContent = on ? "Pause" : "Play";
      play.setAttribute("aria-pressed", String(on));
    }

    slider.addEventListener("input", () => { playing(false); show(); });
    model.addEventListener("change", show);
    play.addEventListener("click", () => playing(!timer));
    document.addEventListener("keydown", (event) => {
      if (event.altKey || event.ctrlKey || event.metaKey || /^(INPUT|SELECT|BUTTON|TEXTAREA)$/.test(event.target.tagName)) return;
      const value = Number(slider.value);
      const moves = { ArrowLeft: value - 1, ArrowRight: value + 1, Home: 0, End: yaw.length - 1 };
      if (event.key === " ") playing(!timer);
      else if (event.key in moves) { playing(false); slider.value = moves[event.key]; show(); }
      else return;
      event.preventDefault();
    });
    show();
  }

  function startVolume() {
    const { shape, spacing, sheets } = data.volume;
    const [nx, ny, nz] = shape;
    const volumes = {};
    for (const [name, uri] of Object.entries(sheets)) volumes[name] = tiles(uri, nz, nx, ny); // [z][y][x]
    const at = shape.map((n) => Math.floor(n / 2));
    // Columns and rows run against the axes: right, anterior and superior are on the left or at the top.
    const planes = {
      axial: { across: 0, down: 1, through: 2, ends: "RLAP" },
      coronal: { across: 0, down: 2, through: 1, ends: "RLSI" },
      sagittal: { across: 1, down: 2, through: 0, ends: "APSI" },
    };
    const figures = [...document.querySelectorAll("#volume figure")];
    const slice = document.createElement("canvas"), WIDE = 512;
    let display = [];

    function draw(figure) {
      const { across, down, through, ends } = planes[figure.dataset.plane];
      const width = shape[across], height = shape[down], strides = [1, nx, nx * ny];
      const offset = at[through] * strides[through];
      for (const canvas of figure.querySelectorAll("canvas")) {
        const voxels = volumes[canvas.dataset.which];
        paint(slice, width, height, (c, r) =>
          display[voxels[offset + (width - 1 - c) * strides[across] + (height - 1 - r) * strides[down]]]);
        // Drawn at screen size with the voxels' true proportions, so that lines and letters stay sharp.
        const high = Math.round(WIDE * height * spacing[down] / (width * spacing[across]));
        if (canvas.width !== WIDE || canvas.height !== high) { canvas.width = WIDE; canvas.height = high; }
        canvas.style.aspectRatio = `${WIDE} / ${high}`;
        const context = canvas.getContext("2d");
        context.imageSmoothingQuality = "high";
        context.drawImage(slice, 0, 0, WIDE, high);
        const x = (width - at[across] - 0.5) / width * WIDE, y = (height - at[down] - 0.5) / height * high;
        context.strokeStyle = "rgba(88, 166, 255, 0.5)";
        context.lineWidth = 1.5;
        context.beginPath();
        context.moveTo(x, 0); context.lineTo(x, high);
        context.moveTo(0, y); context.lineTo(WIDE, y);
        context.stroke();
        context.fillStyle = "#adb5bd";
        context.font = "24px system-ui, sans-serif";
        context.textAlign = "center";
        context.textBaseline = "middle";
        context.fillText(ends[0], 20, high / 2);
        context.fillText(ends[1], WIDE - 20, high / 2);
        context.fillText(ends[2], WIDE / 2, 20);
        context.fillText(ends[3], WIDE / 2, high - 20);
      }
      const slider = figure.querySelector("input");
      slider.value = at[through];
      const mm = Math.round((at[through] - (shape[through] - 1) / 2) * spacing[through]);
      figure.querySelector(".at").textContent = `${mm > 0 ? "+" : ""}${mm} mm`.replace("-", "\u2212");
    }
    const drawAll = () => figures.forEach(draw);

    function applyWindow() {
      const [low, high] = byId("window").value.split(" ").map(Number);
      display = ramp((low + 1024) / 10, (high + 1024) / 10);
      drawAll();
    }

    for (const figure of figures) {
      const { across, down, through } = planes[figure.dataset.plane];
      const slider = figure.querySelector("input");
      slider.max = shape[through] - 1;
      slider.addEventListener("input", () => { at[through] = Number(slider.value); drawAll(); });
      for (const canvas of figure.querySelectorAll("canvas")) {
        const point = (event) => {
          const box = canvas.getBoundingClientRect();
          const index = (share, n) => Math.min(n - 1, Math.max(0, n - 1 - Math.floor(share * n)));
          at[across] = index((event.clientX - box.left) / box.width, shape[across]);
          at[down] = index((event.clientY - box.top) / box.height, shape[down]);
          drawAll();
        };
        canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); point(event); });
        canvas.addEventListener("pointermove", (event) => { if (event.buttons) point(event); });
      }
    }
    byId("window").addEventListener("change", applyWindow);
    applyWindow();
  }

  window.addEventListener("load", () => {
    startViews();
    if (data.volume) startVolume();
  });
})();
