// From a volume or loose images to what the network sees: uint8 pixels equal to core's. Mirrors core/data/voxels.py and
// core/data/prepare; export web refuses a checkpoint whose preparation is not here.
import { refusal, roundEven, rules } from "./rules.js";

const single = Math.fround;

/** The different values of a volume in ascending order, and how often each occurs: {values, counts}. */
function distribute(voxels) {
  let [low, high, whole] = [Infinity, -Infinity, true];
  for (let at = 0; at < voxels.length; at++) {
    const value = voxels[at];
    if (value < low) low = value;
    if (value > high) high = value;
    if (whole && value !== Math.trunc(value)) whole = false;
  }
  if (whole && high - low < 2 ** 20) {
    const counts = new Uint32Array(high - low + 1);
    for (let at = 0; at < voxels.length; at++) counts[voxels[at] - low]++;
    return { values: Float32Array.from(counts, (_, index) => index + low), counts };
  }
  const values = Float32Array.from(voxels).sort();
  return { values, counts: new Uint8Array(values.length).fill(1) };
}

/** Percentiles to the last bit those of NumPy; null where no value is meant. */
function percentiles({ values, counts }, meant, ranks) {
  let total = 0;
  const upTo = Uint32Array.from(counts, (count, index) => (total += meant(values[index]) ? count : 0));
  if (!total) return null;
  const at = (place) => {
    let [low, high] = [0, upTo.length - 1];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (upTo[middle] > place) high = middle;
      else low = middle + 1;
    }
    return values[low];
  };
  return ranks.map((rank) => {
    const place = (total - 1) * (rank / 100);
    const before = Math.floor(place);
    const share = place - before;
    const [low, high] = [at(before), at(Math.min(before + 1, total - 1))];
    const gap = single(high - low);
    return share < 0.5 ? low + gap * share : high - gap * (1 - share);
  });
}

function countAbove({ voxels, shape: [slices, rows, columns] }, level) {
  const limit = single(level);
  return Array.from({ length: slices }, (_, slice) => {
    let count = 0;
    for (let index = slice * rows * columns; index < (slice + 1) * rows * columns; index++) count += voxels[index] > limit;
    return count;
  });
}

function findBlank(volume, distribution) {
  const { BRIGHTNESS_PERCENTILE, BLANK_LEVEL, SPARE_VOXELS } = rules.constants;
  const [slices, rows, columns] = volume.shape;
  const background = distribution.values[0];
  const brightness = percentiles(distribution, (value) => value > background, [BRIGHTNESS_PERCENTILE]);
  if (!brightness) return Array(slices).fill(true);
  const level = single(background + single(single(BLANK_LEVEL) * single(single(brightness[0]) - background)));
  return countAbove(volume, level).map((count) => count <= Math.min(SPARE_VOXELS, rows * columns - 1));
}

function findWindow(distribution, prep) {
  let low, high;
  if (prep.normalise === "zscore") {
    const { values, counts } = distribution;
    const sum = (of) => values.reduce((total, value, index) => total + (value === 0 ? 0 : counts[index] * of(value)), 0);
    const total = sum(() => 1);
    const mean = sum((value) => value) / total;
    const spread = Math.sqrt(sum((value) => (value - mean) ** 2) / total);
    [low, high] = [mean - rules.constants.SPREADS * spread, mean + rules.constants.SPREADS * spread];
  } else {
    [low, high] = percentiles(distribution, (value) => value !== 0, [prep.percentile_low, prep.percentile_high]);
  }
  return high > low ? [low, high] : [high - Math.abs(high), high];
}

function findHead({ voxels, shape: [, rows, columns] }, filled, level) {
  const limit = single(level);
  let [top, bottom, left, right] = [rows, -1, columns, -1];
  for (const slice of filled) {
    let index = slice * rows * columns;
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++, index++) {
        if (!(voxels[index] > limit) || voxels[index] === 0) continue;
        if (row < top) top = row;
        if (row > bottom) bottom = row;
        if (column < left) left = column;
        if (column > right) right = column;
      }
    }
  }
  if (bottom < 0) return [0, rows, 0, columns];
  const margin = roundEven(rules.constants.MARGIN * Math.max(bottom - top, right - left) + 0.5);
  return [Math.max(top - margin, 0), Math.min(bottom + 1 + margin, rows), Math.max(left - margin, 0), Math.min(right + 1 + margin, columns)];
}

/** Where the source box [rowStart, rowStop) x [columnStart, columnStop) lies in the square image. */
function placeBox(shape, [rowStart, rowStop, columnStart, columnStop], rowMm, columnMm, prep) {
  let [height, width] = [prep.size_px, prep.size_px];
  if (prep.fit === "pad") {
    const [heightMm, widthMm] = [(rowStop - rowStart) * rowMm, (columnStop - columnStart) * columnMm];
    const factor = prep.size_px / Math.max(heightMm, widthMm);
    [height, width] = [Math.max(roundEven(heightMm * factor), 1), Math.max(roundEven(widthMm * factor), 1)];
  }
  const [top, left] = [Math.floor((prep.size_px - height) / 2), Math.floor((prep.size_px - width) / 2)];
  return { shape, rowStart, rowStop, columnStart, columnStop, top, left, bottom: top + height, right: left + width };
}

function chooseSlices(filled, prep, brain) {
  if (prep.slice_choice === "all") return filled;
  if (prep.slice_choice === "window") {
    const most = brain.indexOf(Math.max(...brain));
    const start = Math.min(Math.max(most - Math.floor(prep.slice_count / 2), 0), Math.max(filled.length - prep.slice_count, 0));
    return filled.slice(start, start + prep.slice_count);
  }
  const [first, last] = [filled[0], filled.at(-1)];
  const distance = (index) => Math.abs(index - (first + last) / 2);
  const count = Math.min(prep.slice_count, filled.length);
  let inside = filled.filter((index) => distance(index) <= (prep.slice_span * (last - first + 1)) / 2);
  if (inside.length < count) {
    inside = [...filled].sort((one, other) => distance(one) - distance(other)).slice(0, count).sort((one, other) => one - other);
  }
  return Array.from({ length: count }, (_, index) => inside[Math.floor(((index + 0.5) * inside.length) / count)]);
}

/** Pillow's BILINEAR along one axis: for each output place its first source place and weights. */
function taps(from, to) {
  const step = from / to;
  const width = Math.max(step, 1);
  return Array.from({ length: to }, (_, index) => {
    const centre = (index + 0.5) * step;
    const start = Math.max(Math.trunc(centre - width + 0.5), 0);
    const stop = Math.min(Math.trunc(centre + width + 0.5), from);
    const weights = Array.from({ length: stop - start }, (_, tap) => Math.max(1 - Math.abs((tap + start - centre + 0.5) * (1 / width)), 0));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    return { start, weights: weights.map((weight) => weight / total) };
  });
}

/** Resize a float image (rows x columns) as Pillow does: columns first, kept as float32, then rows. */
export function resize(image, [rows, columns], [toRows, toColumns]) {
  let across = image;
  if (columns !== toColumns) {
    const plan = taps(columns, toColumns);
    across = new Float32Array(rows * toColumns);
    for (let row = 0; row < rows; row++) {
      plan.forEach(({ start, weights }, column) => {
        let sum = 0;
        for (let tap = 0; tap < weights.length; tap++) sum += image[row * columns + start + tap] * weights[tap];
        across[row * toColumns + column] = sum;
      });
    }
  }
  if (rows === toRows) return across;
  const down = new Float32Array(toRows * toColumns);
  taps(rows, toRows).forEach(({ start, weights }, row) => {
    for (let column = 0; column < toColumns; column++) {
      let sum = 0;
      for (let tap = 0; tap < weights.length; tap++) sum += across[(start + tap) * toColumns + column] * weights[tap];
      down[row * toColumns + column] = sum;
    }
  });
  return down;
}

function draw(grey, frame, size) {
  const [height, width] = [frame.bottom - frame.top, frame.right - frame.left];
  const drawn = resize(grey, [frame.rowStop - frame.rowStart, frame.columnStop - frame.columnStart], [height, width]);
  const image = new Uint8Array(size * size);
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      image[(row + frame.top) * size + column + frame.left] = Math.min(Math.max(roundEven(drawn[row * width + column]), 0), 255);
    }
  }
  return image;
}

function cutOut({ voxels, shape: [, rows, columns] }, slice, frame, [low, high]) {
  const [height, width] = [frame.rowStop - frame.rowStart, frame.columnStop - frame.columnStart];
  const grey = new Float32Array(height * width);
  for (let row = 0; row < height; row++) {
    let from = slice * rows * columns + (row + frame.rowStart) * columns + frame.columnStart;
    for (let column = 0; column < width; column++, from++) {
      const value = voxels[from];
      grey[row * width + column] = value === 0 ? 0 : Math.min(Math.max((value - low) / (high - low), 0), 1) * 255;
    }
  }
  return grey;
}

/**
 * Window, choose, crop, square and resize the slices of volumes [{sequence, volume}], one or a study's on one grid:
 * {examples, frame, windows, total, blank}. An example is {sequence, pixels: Uint8Array, layers: [{slice, at, sequence,
 * channel}], middle}: where in it each slice stands.
 */
export function prepareVolumes(parts, prep) {
  const [{ sequence, volume: first }] = parts;
  const [total, rows, columns] = first.shape;
  const distributions = parts.map(({ volume }) => distribute(volume.voxels));
  const blanks = parts.map(({ volume }, place) => findBlank(volume, distributions[place]));
  const showing = Array.from({ length: total }, (_, index) => blanks.filter((blank) => !blank[index]).length);
  const choose = (enough) => showing.flatMap((count, index) => (count >= enough ? [index] : []));
  const filled = choose(parts.length).length ? choose(parts.length) : choose(1);
  if (!filled.length) {
    throw refusal("blank", { count: total, sequence, file: first.files[0] || "no file" });
  }
  const windows = distributions.map((distribution) => findWindow(distribution, prep));
  const levels = windows.map(([low, high]) => low + rules.constants.FOREGROUND * (high - low));
  const boxes = prep.crop ? parts.map(({ volume }, place) => findHead(volume, filled, levels[place])) : [[0, rows, 0, columns]];
  const box = boxes.reduce((one, other) => one.map((edge, side) => (side % 2 ? Math.max : Math.min)(edge, other[side])));
  const frame = placeBox([rows, columns], box, first.spacing[1], first.spacing[2], prep);
  let brain = [];
  if (prep.slice_choice === "window") {
    const above = parts.map(({ volume }, place) => countAbove(volume, levels[place]));
    brain = filled.map((index) => above.reduce((sum, counts) => sum + counts[index], 0));
  }
  const chosen = chooseSlices(filled, prep, brain);
  const images = parts.map(({ volume }, place) => (index) => draw(cutOut(volume, index, frame, windows[place]), frame, prep.size_px));
  const examples = buildExamples(parts.map((part) => part.sequence), images, chosen, total, prep);
  return { examples, frame, windows, total, blank: total - choose(1).length };
}

/** What the network sees at once; `images` draw a slice of each of the sequences that are there (core's _build_examples). */
function buildExamples(names, images, chosen, total, prep) {
  const area = prep.size_px ** 2;
  const combines = prep.form === "streams" || prep.channels === "sequences";
  const middle = chosen[Math.floor(chosen.length / 2)];
  const before = Math.floor((prep.slice_count - chosen.length) / 2);
  const build = (members, sequence, slices, depth, start) => {
    const pixels = new Uint8Array((combines ? prep.sequences.length : 1) * depth * area);
    const layers = members.flatMap((place) => {
      const channel = combines ? prep.sequences.indexOf(names[place]) : 0;
      return slices.map((slice, layer) => {
        const at = channel * depth + start + layer;
        pixels.set(images[place](slice), at * area);
        return { slice, at, sequence: names[place], channel, layer: start + layer };
      });
    });
    return { sequence, pixels, layers, middle: slices[0] };
  };
  const every = names.map((_, place) => place);
  const groups = combines ? [[every, names.join("+")]] : every.map((place) => [[place], names[place]]);
  return groups.flatMap(([members, sequence]) => {
    if (prep.form === "volume") return [{ ...build(members, sequence, chosen, prep.slice_count, before), middle }];
    if (prep.channels !== "neighbours") return chosen.map((slice) => build(members, sequence, [slice], 1, 0));
    return chosen.map((slice) => {
      const around = [-1, 0, 1].map((step) => Math.min(Math.max(slice + step, 0), total - 1));
      const { pixels } = build(members, sequence, around, 3, 0);
      return { sequence, pixels, layers: [{ slice, at: 1, sequence, channel: 0, layer: 0 }], middle: slice };
    });
  });
}

/** Square and resize loose images [{name, grey, rows, columns}]; their pixels count as square. */
export function prepareImages(images, prep, sequence) {
  const examples = images.map(({ name, grey, rows, columns }, slice) => {
    const frame = placeBox([rows, columns], [0, rows, 0, columns], 1, 1, prep);
    return { sequence, pixels: draw(grey, frame, prep.size_px), layers: [{ slice, at: 0, sequence, channel: 0, layer: 0 }], middle: slice, name, frame };
  });
  return { examples, frame: examples[0].frame, total: images.length, blank: images.filter(({ grey }) => !grey.some(Boolean)).length };
}
