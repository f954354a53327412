// Draws strokes, makes 28x28 pixels of them as those of MNIST were made, and asks the network.

import * as ort from "./ort.wasm.min.mjs";

const SIZE = 28; // pixels of the network's images
const DIGIT = 20; // pixels that the longer side of a digit takes of them
const STROKE = 22; // the width of the pen, about two of the network's pixels

const drawing = document.getElementById("drawing");
const pen = drawing.getContext("2d", { willReadFrequently: true });
const status = document.getElementById("status");
const answer = document.getElementById("answer");
const bars = document.getElementById("bars");
const reading = document.getElementById("reading");

for (let digit = 0; digit < 10; digit++) {
  const row = document.createElement("li");
  row.innerHTML = `${digit}<div><span></span></div><output></output>`;
  row.querySelector("span").style.display = "block";
  bars.append(row);
}

// The smallest rectangle that holds all strokes, or null where there are none.
function extent(ink, width, height) {
  let [left, top, right, bottom] = [width, height, -1, -1];
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      if (ink[y * width + x] > 0) {
        left = Math.min(left, x);
        right = Math.max(right, x);
        top = Math.min(top, y);
        bottom = Math.max(bottom, y);
      }
  return right < 0 ? null : { left, top, width: right - left + 1, height: bottom - top + 1 };
}

// Each pixel of the result is the mean of the square of the drawing that it covers. The digit is
// 20 pixels long, and its center of mass lies in the middle, as in the images of MNIST.
function pixels() {
  const { data, width, height } = pen.getImageData(0, 0, drawing.width, drawing.height);
  const ink = Float32Array.from({ length: width * height }, (_, i) => data[4 * i]);
  const box = extent(ink, width, height);
  if (!box) return null;
  let [mass, x0, y0] = [0, 0, 0];
  ink.forEach((value, i) => {
    mass += value;
    x0 += value * ((i % width) + 0.5);
    y0 += value * (Math.floor(i / width) + 0.5);
  });
  const scale = Math.max(box.width, box.height) / DIGIT; // of the drawing's pixels for one
  const start = [y0 / mass - (scale * SIZE) / 2, x0 / mass - (scale * SIZE) / 2];
  const image = new Float32Array(SIZE * SIZE);
  for (let row = 0; row < SIZE; row++)
    for (let column = 0; column < SIZE; column++) {
      const [top, left] = [start[0] + row * scale, start[1] + column * scale].map(Math.round);
      const [bottom, right] = [top, left].map((edge) => edge + Math.max(1, Math.round(scale)));
      let sum = 0;
      for (let y = Math.max(top, 0); y < Math.min(bottom, height); y++)
        for (let x = Math.max(left, 0); x < Math.min(right, width); x++) sum += ink[y * width + x];
      image[row * SIZE + column] = sum / ((bottom - top) * (right - left));
    }
  return image;
}

function show(image) {
  const seen = document.getElementById("seen").getContext("2d");
  const shown = seen.createImageData(SIZE, SIZE);
  shown.data.fill(255);
  (image ?? new Float32Array(SIZE * SIZE)).forEach((value, i) => shown.data.fill(value, 4 * i, 4 * i + 3));
  seen.putImageData(shown, 0, 0);
}

async function read(network) {
  const image = pixels();
  show(image);
  let probabilities = [];
  if (image) {
    const X = new ort.Tensor("float32", image, [1, SIZE, SIZE]);
    const outputs = await network.run({ X });
    answer.textContent = outputs.label.data[0];
    probabilities = outputs.probabilities.data;
  } else answer.textContent = "";
  [...bars.children].forEach((row, digit) => {
    const probability = probabilities[digit] ?? 0;
    row.querySelector("span").style.width = `${100 * probability}%`;
    row.querySelector("output").textContent = image ? `${(100 * probability).toFixed(1)} %` : "";
  });
}

function listen(network) {
  pen.lineWidth = STROKE;
  pen.lineCap = pen.lineJoin = "round";
  pen.strokeStyle = "#fff";
  const drop = () => pen.clearRect(0, 0, drawing.width, drawing.height);
  const at = (event) => [event.offsetX, event.offsetY];
  let last = null;
  let asked = 0;
  let queue = Promise.resolve(); // a network reads one image at a time
  const ask = () => {
    reading.ariaBusy = "true";
    const number = ++asked;
    queue = queue.then(() => read(network)).then(() => (reading.ariaBusy = String(number < asked)));
  };
  const line = (event) => {
    pen.beginPath();
    pen.moveTo(...last);
    pen.lineTo(...(last = at(event)));
    pen.stroke();
  };
  drawing.addEventListener("pointerdown", (event) => {
    drawing.setPointerCapture(event.pointerId);
    last = at(event);
    line(event);
  });
  drawing.addEventListener("pointermove", (event) => last && line(event));
  for (const end of ["pointerup", "pointercancel"])
    drawing.addEventListener(end, () => {
      last = null;
      ask();
    });
  document.getElementById("clear").addEventListener("click", () => {
    drop();
    ask();
  });
}

try {
  ort.env.wasm.numThreads = 1; // more need headers that a plain server does not send
  listen(await ort.InferenceSession.create("digits.onnx"));
  status.textContent = "Draw with the mouse, a pen or a finger.";
} catch (error) {
  status.textContent = `The network could not be loaded: ${error.message}`;
}
