"use strict";
// Three planes through the volume, and through the scan beside it where there is one, seen as radiologists do.

const WIDE = 512;
// Columns and rows run against the axes: right, anterior and superior are on the left or at the top.
const PLANES = {
  axial: { across: 0, down: 1, through: 2, ends: "RLAP" },
  coronal: { across: 0, down: 2, through: 1, ends: "RLSI" },
  sagittal: { across: 1, down: 2, through: 0, ends: "APSI" },
};

function startPlanes(root, { shape, spacing }, volumes) {
  const at = shape.map((n) => Math.floor(n / 2)), strides = [1, shape[0], shape[0] * shape[1]];
  const figures = [...root.querySelectorAll("[data-plane]")], windows = root.querySelector("[data-part=window]");
  let display = [];

  function draw(figure) {
    const { across, down, through, ends } = PLANES[figure.dataset.plane];
    const width = shape[across], height = shape[down], offset = at[through] * strides[through];
    // Drawn at screen size with the voxels' true proportions, so that lines and letters stay sharp.
    const high = Math.round(WIDE * height * spacing[down] / (width * spacing[across]));
    for (const canvas of figure.querySelectorAll("canvas")) {
      const voxels = volumes[canvas.dataset.which], colours = new Uint32Array(width * height);
      for (let r = 0, i = 0; r < height; r++)
        for (let c = 0; c < width; c++, i++)
          colours[i] = display[voxels[offset + (width - 1 - c) * strides[across] + (height - 1 - r) * strides[down]]];
      const context = paint(canvas, colours, width, height, WIDE, high);
      canvas.style.aspectRatio = `${WIDE} / ${high}`;
      const x = (width - at[across] - 0.5) / width * WIDE, y = (height - at[down] - 0.5) / height * high;
      context.strokeStyle = "rgba(110, 180, 255, 0.55)";
      context.lineWidth = 1.5;
      context.beginPath();
      context.moveTo(x, 0); context.lineTo(x, high);
      context.moveTo(0, y); context.lineTo(WIDE, y);
      context.stroke();
      context.fillStyle = "#aab4bf";
      context.font = "600 22px system-ui, sans-serif";
      context.textAlign = "center";
      context.textBaseline = "middle";
      [[20, high / 2], [WIDE - 20, high / 2], [WIDE / 2, 22], [WIDE / 2, high - 22]].forEach((place, i) =>
        context.fillText(ends[i], ...place));
    }
    const slider = figure.querySelector("input");
    slider.value = at[through];
    const mm = Math.round((at[through] - (shape[through] - 1) / 2) * spacing[through]);
    figure.querySelector(".at").textContent = `${signed(mm)} mm`;
  }
  const drawAll = () => figures.forEach(draw);

  function applyWindow() {
    const [low, high] = windows.value.split(" ").map((hu) => (Number(hu) + 1024) / 10);
    display = Array.from({ length: 256 }, (_, v) => grey(Math.round(255 * clamped((v - low) / (high - low), 0, 1))));
    drawAll();
  }

  for (const figure of figures) {
    const { across, down, through } = PLANES[figure.dataset.plane];
    const slider = figure.querySelector("input");
    slider.max = shape[through] - 1;
    slider.addEventListener("input", () => { at[through] = Number(slider.value); drawAll(); });
    for (const canvas of figure.querySelectorAll("canvas")) {
      const point = (event) => {
        const box = canvas.getBoundingClientRect();
        const index = (share, n) => clamped(n - 1 - Math.floor(share * n), 0, n - 1);
        at[across] = index((event.clientX - box.left) / box.width, shape[across]);
        at[down] = index((event.clientY - box.top) / box.height, shape[down]);
        drawAll();
      };
      onDrag(canvas, (dx, dy, event) => point(event), point);
      canvas.addEventListener("wheel", (event) => {
        if (!event.shiftKey) return; // a plain wheel scrolls the page
        at[through] = clamped(at[through] + Math.sign(event.deltaY || event.deltaX), 0, shape[through] - 1);
        event.preventDefault();
        drawAll();
      }, { passive: false });
    }
  }
  windows.addEventListener("change", applyWindow);
  applyWindow();
}
