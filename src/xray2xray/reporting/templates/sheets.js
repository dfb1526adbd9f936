"use strict";
// Pictures travel as sprite sheets of 8-bit grey: views as p x 25.5, voxels as (HU + 1024) / 10. They are decoded once,
// and every picture on the page is computed from the numbers: windows and error maps are exact to one grey level.

const GREY_PER_P = 25.5;
const grey = (v) => (v << 16) | (v << 8) | v;
const clamped = (v, low, high) => Math.min(high, Math.max(low, v));
const signed = (v) => `${v > 0 ? "+" : v < 0 ? "\u2212" : ""}${Math.abs(v)}`;

async function decoded(uri) {
  const image = new Image();
  image.src = uri;
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = image.width;
  canvas.height = image.height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  const rgba = context.getImageData(0, 0, image.width, image.height).data;
  const pixels = new Uint8Array(image.width * image.height);
  for (let i = 0; i < pixels.length; i++) pixels[i] = rgba[4 * i];
  return { pixels, width: image.width };
}

// Tiles of a sheet, row by row -> one array of `count` pictures.
async function tiles(uri, count, width, height) {
  const sheet = await decoded(uri);
  const columns = sheet.width / width;
  const pictures = new Uint8Array(count * width * height);
  for (let n = 0; n < count; n++) {
    const x = (n % columns) * width, y = Math.floor(n / columns) * height;
    for (let row = 0; row < height; row++) {
      const from = (y + row) * sheet.width + x;
      pictures.set(sheet.pixels.subarray(from, from + width), (n * height + row) * width);
    }
  }
  return pictures;
}

// `colours`: packed 0xBBGGRR of each pixel, drawn onto a canvas of `wide` x `high` real pixels.
const scratch = document.createElement("canvas");
function paint(canvas, colours, width, height, wide = width, high = height) {
  scratch.width = width;
  scratch.height = height;
  const context = scratch.getContext("2d");
  const image = context.createImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  for (let i = 0; i < pixels.length; i++) pixels[i] = 0xff000000 | colours[i];
  context.putImageData(image, 0, 0);
  if (canvas.width !== wide || canvas.height !== high) { canvas.width = wide; canvas.height = high; }
  const target = canvas.getContext("2d");
  target.imageSmoothingQuality = "high";
  target.drawImage(scratch, 0, 0, wide, high);
  return target;
}

// A drag that moves by (dx, dy) pixels; touch scrolls the page only where the element does not want it.
function onDrag(element, move, start = () => {}) {
  let last = null;
  element.addEventListener("pointerdown", (event) => {
    if (event.button > 0) return;
    element.setPointerCapture(event.pointerId);
    last = [event.clientX, event.clientY];
    start(event);
  });
  element.addEventListener("pointermove", (event) => {
    if (!last) return;
    move(event.clientX - last[0], event.clientY - last[1], event);
    last = [event.clientX, event.clientY];
  });
  for (const end of ["pointerup", "pointercancel", "lostpointercapture"])
    element.addEventListener(end, () => { last = null; });
}
