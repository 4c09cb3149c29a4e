// The network in onnxruntime (WebAssembly, or WebGPU where it gives the same): logits, and what maps are made of.
import { CAN_WAIT } from "./jspi.js";
import * as ort from "./vendor/ort.jspi.min.mjs";
import { ScanError } from "./rules.js";

const LARGEST_DIFFERENCE = 1e-3; // of a logit, on the test example

let session;

/** Load the network once, and return what computes it: "wasm" or "webgpu". `card.page` says what it gives. */
export async function loadNetwork(base, card) {
  ort.env.wasm.wasmPaths = new URL("vendor/", base).href;
  ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency || 1) : 1;
  ort.env.logLevel = "error";
  const response = await fetch(new URL("network.onnx", base));
  if (!response.ok) throw new ScanError("The network cannot be loaded; reload the page.");
  const network = new Uint8Array(await response.arrayBuffer());
  if ((await hasGpu()) && (await computesOnGpu(network, card))) return "webgpu";
  session = await ort.InferenceSession.create(network, { executionProviders: ["wasm"] });
  return "wasm";
}

/** Whether there is a graphics processor, in a browser that lets WebAssembly wait for it. */
async function hasGpu() {
  if (!navigator.gpu || !CAN_WAIT) return false;
  return Boolean(await navigator.gpu.requestAdapter().catch(() => null));
}

/** Put the network onto the graphics processor; kept where a test example gets the logits that the export got. */
async function computesOnGpu(network, card) {
  try {
    session = await ort.InferenceSession.create(network, { executionProviders: ["webgpu"] });
    const count = card.page.example.reduce((one, other) => one * other, 1);
    const { logits } = await run(Uint8Array.from({ length: count }, (_, at) => at % 256), card);
    return logits.every((value, at) => Math.abs(value - card.page.test_logits[at]) <= LARGEST_DIFFERENCE);
  } catch (error) {
    console.warn("WebGPU is not used:", error);
    return false;
  }
}

/** Run one example (pixels of 0..255): {logits, layers}, of each explained layer {value, gradient}, each {data, dims}. */
export async function run(pixels, card) {
  const shape = [1, ...card.page.example];
  const target = new Float32Array(card.class_names.length);
  target[card.positive_class] = 1;
  const results = await session.run({
    pixels: new ort.Tensor("float32", Float32Array.from(pixels), shape),
    target: new ort.Tensor("float32", target, [1, target.length]),
  });
  const [logits, ...rest] = card.page.outputs.map((name) => results[name]);
  return { logits: [...logits.data], layers: rest.flatMap((value, index) => (index % 2 ? [] : [{ value, gradient: rest[index + 1] }])) };
}

/**
 * The map of an example at one layer, cut at zero and enlarged: Float32Array (depth x size x size, depth 1 for a slice). The
 * gradient is the positive class's; of two classes the other's has the opposite sign. Mirrors core/explain/activations.py.
 */
export function drawMap({ value, gradient }, card, forPositive) {
  const { method, smooth, example, volume } = card.page;
  const [batch, channels, ...sides] = value.dims;
  const places = sides.reduce((one, other) => one * other, 1);
  const sign = forPositive ? 1 : -1;
  const coarse = new Float32Array(batch * places);
  for (let item = 0; item < batch; item++) {
    for (let channel = 0; channel < channels; channel++) {
      const from = (item * channels + channel) * places;
      let mean = 0;
      if (method === "gradcam") {
        for (let at = 0; at < places; at++) mean += sign * gradient.data[from + at];
        mean /= places;
      }
      for (let at = 0; at < places; at++) {
        const weight = method === "gradcam" ? mean : Math.max(sign * gradient.data[from + at], 0);
        coarse[item * places + at] += weight * value.data[from + at];
      }
    }
  }
  for (let at = 0; at < coarse.length; at++) coarse[at] = Math.max(coarse[at], 0);
  const shape = sides.length === 3 ? sides : [batch, ...sides]; // a slicewise network gives a map for each slice
  const size = example.at(-1);
  const wanted = [volume ? example.at(-3) : 1, size, size];
  let [map, now] = [coarse, shape];
  wanted.forEach((side, axis) => {
    map = alongAxis(map, now, axis, side, linearTaps(now[axis], side));
    now = now.with(axis, side);
  });
  if (!smooth) return map;
  for (const axis of [1, 2]) map = alongAxis(map, now, axis, size, gaussianTaps(size, smooth * size));
  return map;
}

/** Weigh places along one axis of a block by taps: for each output place [[source place, weight]]. */
function alongAxis(values, shape, axis, side, plan) {
  if (!plan) return values;
  const inner = shape.slice(axis + 1).reduce((one, other) => one * other, 1);
  const outer = shape.slice(0, axis).reduce((one, other) => one * other, 1);
  const result = new Float32Array(outer * side * inner);
  const line = new Float64Array(inner);
  for (let block = 0; block < outer; block++) {
    for (let place = 0; place < side; place++) {
      const taps = plan[place];
      line.fill(0);
      for (let tap = 0; tap < taps.length; tap++) {
        const [from, weight] = [(block * shape[axis] + taps[tap][0]) * inner, taps[tap][1]];
        for (let at = 0; at < inner; at++) line[at] += values[from + at] * weight;
      }
      result.set(line, (block * side + place) * inner);
    }
  }
  return result;
}

function linearTaps(from, to) {
  if (from === to) return null;
  return Array.from({ length: to }, (_, place) => {
    const at = Math.min(Math.max(((place + 0.5) * from) / to - 0.5, 0), from - 1);
    const below = Math.floor(at);
    return [[below, 1 - (at - below)], [Math.min(below + 1, from - 1), at - below]];
  });
}

/** SciPy's gaussian_filter: cut off at four standard deviations, mirrored at the border. */
function gaussianTaps(side, deviation) {
  const radius = Math.trunc(4 * deviation + 0.5);
  const weights = Array.from({ length: 2 * radius + 1 }, (_, tap) => Math.exp(-0.5 * ((tap - radius) / deviation) ** 2));
  const total = weights.reduce((one, other) => one + other, 0);
  const mirror = (place) => {
    const folded = ((place % (2 * side)) + 2 * side) % (2 * side);
    return folded < side ? folded : 2 * side - 1 - folded;
  };
  return Array.from({ length: side }, (_, place) => weights.map((weight, tap) => [mirror(place + tap - radius), weight / total]));
}
