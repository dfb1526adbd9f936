"use strict";
// An orbiting rendering of the volume: one ray for each pixel, front to back through a 3D texture (WebGL 2).

const VERTEX = `#version 300 es
out vec2 at;
void main() {
  at = vec2(gl_VertexID & 1, gl_VertexID >> 1) * 4.0 - 1.0;
  gl_Position = vec4(at, 0.0, 1.0);
}`;
const FRAGMENT = `#version 300 es
precision highp float;
precision highp sampler3D;
uniform sampler3D volume;
uniform mat3 turn;   // of the camera, RAS
uniform vec3 extent; // half of the box, the longest side 1
uniform int look;    // 0 bones and lungs, 1 skin, 2 brightest along the ray
in vec2 at;
out vec4 colour;

float hu(vec3 p) { return texture(volume, 0.5 + 0.5 * p / extent).r * 2550.0 - 1024.0; }

void main() {
  vec3 eye = turn * vec3(1.25 * at, 3.0), ray = turn * vec3(0.0, 0.0, -1.0);
  vec3 a = (-extent - eye) / ray, b = (extent - eye) / ray, near = min(a, b), far = max(a, b);
  float start = max(max(near.x, near.y), near.z), end = min(min(far.x, far.y), far.z);
  vec3 sum = vec3(0.0);
  float left = 1.0, most = -1000.0;
  const float stride = 0.014;
  for (float t = start; t < end && left > 0.02; t += stride) {
    vec3 p = eye + t * ray;
    float v = hu(p);
    most = max(most, v);
    if (look == 2 || v < -960.0) continue;
    float e = 0.022;
    vec3 slope = 2.0 * (vec3(hu(p + vec3(e, 0, 0)), hu(p + vec3(0, e, 0)), hu(p + vec3(0, 0, e))) - v);
    float steep = length(slope);
    float facing = abs(dot(slope, ray)) / max(steep, 1.0);
    float light = 0.25 + 0.75 * facing;
    vec3 tint;
    float opacity;
    if (look == 1) {
      opacity = smoothstep(-450.0, -150.0, v) * 0.5;
      tint = vec3(0.86, 0.68, 0.58);
    } else {
      float bone = smoothstep(130.0, 330.0, v);
      float lung = (1.0 - smoothstep(-700.0, -500.0, v)) * smoothstep(-960.0, -900.0, v);
      float rim = smoothstep(150.0, 700.0, steep) * (1.0 - facing * facing);
      opacity = bone * 0.5 + lung * 0.012 + rim * 0.035;
      tint = (bone * 0.5 * vec3(0.96, 0.91, 0.80) + lung * 0.012 * vec3(0.45, 0.68, 0.92) + rim * 0.035 * vec3(0.62, 0.70, 0.80))
             / max(opacity, 1e-4);
    }
    sum += left * opacity * tint * light;
    left *= 1.0 - opacity;
  }
  if (look == 2) sum = vec3(clamp((most + 100.0) / 900.0, 0.0, 1.0));
  colour = vec4(sum, 1.0);
}`;

const FINE = 420, COARSE = 210; // pixels along a side, at rest and while it moves

function startOrbit(root, { shape, spacing }, volumes) {
  const canvases = [...root.querySelectorAll("[data-orbit]")], looks = root.querySelector("[data-part=look]");
  const angle = { yaw: 0.5, tilt: 0.12 };
  const size = shape.map((n, i) => n * spacing[i]), longest = Math.max(...size);

  // Camera axes as columns: right, up, towards the eye. At yaw 0 the eye stands in front of the patient.
  function turned() {
    const [s, c, st, ct] = [Math.sin(angle.yaw), Math.cos(angle.yaw), Math.sin(angle.tilt), Math.cos(angle.tilt)];
    return [-c, -s, 0, -st * -s, -st * c, ct, ct * -s, ct * c, st];
  }

  const drawers = canvases.map((canvas) => {
    const gl = canvas.getContext("webgl2", { antialias: false, preserveDrawingBuffer: true });
    if (!gl) { canvas.closest("figure").classList.add("no-webgl"); return () => {}; }
    const program = gl.createProgram();
    for (const [kind, text] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    gl.useProgram(program);
    gl.bindTexture(gl.TEXTURE_3D, gl.createTexture());
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    gl.texImage3D(gl.TEXTURE_3D, 0, gl.R8, ...shape, 0, gl.RED, gl.UNSIGNED_BYTE, volumes[canvas.dataset.orbit]);
    for (const side of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T, gl.TEXTURE_WRAP_R])
      gl.texParameteri(gl.TEXTURE_3D, side, gl.CLAMP_TO_EDGE);
    for (const filter of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_3D, filter, gl.LINEAR);
    const place = (name) => gl.getUniformLocation(program, name);
    gl.uniform3fv(place("extent"), size.map((mm) => mm / longest));
    return (side) => {
      canvas.width = canvas.height = side;
      gl.viewport(0, 0, canvas.width, canvas.height);
      gl.uniformMatrix3fv(place("turn"), false, turned());
      gl.uniform1i(place("look"), Number(looks.value));
      gl.drawArrays(gl.TRIANGLES, 0, 3);
    };
  });

  let frame = 0, rest = 0;
  const drawAll = (side) => drawers.forEach((one) => one(side));
  function draw() {
    cancelAnimationFrame(frame);
    clearTimeout(rest);
    frame = requestAnimationFrame(() => drawAll(COARSE));
    rest = setTimeout(() => drawAll(FINE), 200);
  }
  const by = (dx, dy) => { angle.yaw += dx; angle.tilt = clamped(angle.tilt + dy, -1.4, 1.4); draw(); };
  for (const canvas of canvases) {
    onDrag(canvas, (dx, dy) => by(-dx * 0.01, dy * 0.01));
    canvas.addEventListener("keydown", (event) => {
      const moves = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1] };
      if (!(event.key in moves)) return;
      by(...moves[event.key]);
      event.preventDefault();
      event.stopPropagation();
    });
  }
  looks.addEventListener("change", draw);
  drawAll(FINE);
}
