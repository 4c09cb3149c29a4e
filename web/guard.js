// Checks of a prepared series against what the checkpoint was trained on, and whether it may answer at all. Mirrors
// core/inference/ood.py and guard.py, with the limits of rules.json.
import { rules } from "./rules.js";

/** Checks that fail for what was prepared: [{sentence, remedy}]; on a common grid the grey values and gaps alone. */
export function runChecks(source, prepared, card) {
  const { FIELD_MM, FEW_SLICES, ENLARGEMENT } = rules.constants;
  const checks = [...byName(prepared.examples)].flatMap(([name, examples]) => checkGrey(name, examples, card));
  if (card.config.prep.grid_mm) return [...checks, ...source.flatMap(checkGap)];
  const [series] = source;
  const { sequence, spacing } = series;
  const seen = card.planes.filter((plane) => plane !== "unknown");
  if (seen.length && series.plane !== "unknown" && !seen.includes(series.plane)) {
    checks.push({ sentence: `${sequence}: it is ${series.plane}, and the checkpoint saw only ${seen.join(" and ")} slices.` });
  }
  const { frame } = prepared;
  const [rows, columns] = frame.shape;
  if (spacing) {
    const field = Math.max(rows * spacing[1], columns * spacing[2]);
    if (field < FIELD_MM[0] || field > FIELD_MM[1]) {
      checks.push({
        sentence: `${sequence}: its field of view is ${field.toFixed(0)} mm; a head is expected in ${FIELD_MM[0]} to ${FIELD_MM[1]} mm.`,
        remedy: "Hand in a scan of a whole head; if it is one, its header states a wrong pixel spacing.",
      });
    }
    checks.push(...checkGap(series));
  }
  const shown = prepared.total - prepared.blank;
  if (series.kind !== "picture" && shown < FEW_SLICES) checks.push({ sentence: `${sequence}: only ${shown} of its slices show tissue; the answer rests on them alone.` });
  const enlargement = Math.max((frame.bottom - frame.top) / Math.max(frame.rowStop - frame.rowStart, 1), (frame.right - frame.left) / Math.max(frame.columnStop - frame.columnStart, 1));
  if (enlargement > ENLARGEMENT) {
    checks.push({ sentence: `${sequence}: its slices of ${rows} x ${columns} pixels are enlarged ${enlargement.toFixed(1)} times; what the model sees is interpolated.` });
  }
  return checks;
}

/** The examples of each sequence, as it was seen. */
const byName = (examples) => examples.reduce((groups, one) => groups.set(one.sequence, [...(groups.get(one.sequence) ?? []), one]), new Map());

function checkGap({ sequence, spacing, files }) {
  const { SLICE_GAP_MM } = rules.constants;
  if (!spacing || files < 2 || spacing[0] <= SLICE_GAP_MM) return [];
  return [{ sentence: `${sequence}: its slices lie ${spacing[0].toFixed(1)} mm apart (up to ${SLICE_GAP_MM} mm is usual), so a tumour can lie between two of them.` }];
}

function checkGrey(sequence, examples, card) {
  const { BINS, GREY_LIMIT, GREY_FAR } = rules.constants;
  const known = Object.entries(card.intensity).filter(([, shares]) => shares.length === BINS && shares.some(Boolean));
  let expected = known.find(([name]) => name === sequence)?.[1];
  if (!expected && sequence === "unknown" && known.length) expected = known[0][1].map((_, bin) => known.reduce((sum, [, shares]) => sum + shares[bin], 0) / known.length);
  if (!expected) return [];
  const counts = Array(BINS).fill(0);
  for (const { pixels } of examples) for (const value of pixels) counts[Math.floor(value / (256 / BINS))]++;
  const distance = greyDistance(counts, expected);
  if (distance <= GREY_LIMIT) return [];
  return [{
    sentence: `${sequence}: its grey values are unlike those of the training images (Jensen-Shannon distance ${distance.toFixed(2)}; up to ${GREY_LIMIT.toFixed(2)} is usual), so the checkpoint's figures do not hold for it.`,
    remedy: distance > GREY_FAR ? "Hand in the MR images as the scanner wrote them, neither inverted nor windowed." : "",
  }];
}

/** Jensen-Shannon distance (base 2) of two histograms: 0 equal, 1 nothing in common. */
function greyDistance(first, second) {
  const shares = (counts) => counts.map((count) => count / counts.reduce((one, other) => one + other, 0));
  const [one, other] = [shares(first), shares(second)];
  const divergence = (from) => from.reduce((sum, share, bin) => sum + (share ? share * Math.log2((2 * share) / (one[bin] + other[bin])) : 0), 0);
  return Math.sqrt(Math.max(divergence(one) + divergence(other), 0) / 2);
}

/** What prepared images look like, in a few numbers (core/dataset/picture_features.py); of several planes the mean. */
function measureExample({ pixels }, size) {
  const area = size * size;
  const planes = Array.from({ length: pixels.length / area }, (_, place) => measurePlane(pixels.subarray(place * area, (place + 1) * area), size));
  return planes[0].map((_, feature) => planes.reduce((sum, plane) => sum + plane[feature], 0) / planes.length);
}

function measurePlane(values, size) {
  const { TONES, BLACK, HEAD, LAGS } = rules.constants;
  const area = size * size;
  const tones = Array(TONES).fill(0);
  const [rowsOfHead, columnsOfHead, first, last] = [0, 0, size, -1].map((start) => Array(size).fill(start));
  let [black, head, sum, sumOfHead, frame, framed, middle, inMiddle, noise, noisy] = Array(10).fill(0);
  const edge = Math.floor(size / 16);
  const [low, high] = [Math.floor((size * 3) / 8), Math.floor((size * 5) / 8)];
  for (let row = 0, at = 0; row < size; row++) {
    for (let column = 0; column < size; column++, at++) {
      const value = values[at];
      tones[Math.floor(value / (256 / TONES))]++;
      black += value < BLACK;
      sum += value;
      if (row < edge || column < edge || row >= size - edge || column >= size - edge) { frame += value; framed++; }
      if (row >= low && row < high && column >= low && column < high) { middle += value; inMiddle++; }
      if (value < HEAD) continue;
      head++;
      sumOfHead += value;
      rowsOfHead[row]++;
      columnsOfHead[column]++;
      first[row] = Math.min(first[row], column);
      last[row] = column;
      if (row && column && row < size - 1 && column < size - 1) { noise += Math.abs(2 * value - values[at + 1] - values[at - 1]); noisy++; }
    }
  }
  const change = (lag) => {
    let [across, down] = [0, 0];
    for (let row = 0; row < size; row++) for (let column = 0; column + lag < size; column++) across += Math.abs(values[row * size + column + lag] - values[row * size + column]);
    for (let at = 0; at + lag * size < area; at++) down += Math.abs(values[at + lag * size] - values[at]);
    return Math.log1p((across + down) / (size * (size - lag)) / 2);
  };
  const mean = sum / area;
  const correlation = (mirrored) => {
    let [spread, shared] = [0, 0];
    for (let row = 0, at = 0; row < size; row++) {
      for (let column = 0; column < size; column++, at++) {
        const value = values[at] - mean;
        spread += value * value;
        shared += value * (values[mirrored(row, column)] - mean);
      }
    }
    return spread > 0 ? shared / spread : 0;
  };
  const spans = first.reduce((total, start, row) => total + (last[row] < 0 ? 0 : last[row] - start + 1), 0);
  const share = (counts) => counts.filter((count) => count / size > 0.02).length / size;
  return [
    ...tones.slice(1).map((count) => Math.sqrt(count / area)), black / area, ...LAGS.map(change), Math.log1p(noisy ? noise / noisy : 0),
    correlation((row, column) => row * size + size - 1 - column), correlation((row, column) => (size - 1 - row) * size + column),
    frame / framed / 255, (middle / inMiddle - (head ? sumOfHead / head : 0)) / 255, share(rowsOfHead), share(columnsOfHead), head / area,
    head / Math.max(spans, 1),
  ];
}

/** How far a study lies from the training images: {value, limit, unlike}; null where the card has no limits. */
export function measureDistance(scored, card) {
  const { references, limits } = card.guard ?? {};
  if (!references) return null;
  const total = (rows) => rows.map((row) => row.reduce((one, other) => one + other, 0));
  const mean = (values) => values.reduce((one, other) => one + other, 0) / values.length;
  const against = (features, reference) => features.map((example) => {
    const offset = example.map((value, index) => value - reference.mean[index]);
    return offset.map((value, index) => value * offset.reduce((sum, other, row) => sum + other * reference.precision[row][index], 0));
  });
  const parts = scored.flatMap(({ prepared }) => [...byName(prepared.examples)]).map(([name, examples]) => {
    const features = examples.map((example) => measureExample(example, card.config.prep.size_px));
    const candidates = references[name] ? [references[name]] : Object.values(references);
    const found = candidates.map((reference) => against(features, reference));
    return found.reduce((one, other) => (mean(total(other)) < mean(total(one)) ? other : one));
  });
  const worst = parts.reduce((one, other) => (mean(total(other)) > mean(total(one)) ? other : one));
  const adds = rules.constants.FEATURES.map((name, index) => [name, mean(worst.map((row) => row[index]))]).sort((one, other) => other[1] - one[1]);
  return {
    value: mean(parts.flatMap(total)), limit: limits[Math.min(parts.length, limits.length) - 1],
    unlike: adds.slice(0, rules.constants.SAID_AT_ONCE).map(([name]) => name),
  };
}

/** What the guard says of a scan, and why it abstains with what to do. What is not known to be synthetic, a checkpoint of synthetic brains refuses. */
export function judge(checks, distance, card, synthetic) {
  const against = checks.filter(({ remedy }) => remedy).map(({ sentence, remedy }) => [sentence, remedy]);
  if (distance && !(distance.value <= distance.limit)) {
    against.push([
      `The scan is unlike those that the checkpoint learnt from: its distance from them is ${distance.value.toFixed(0)}, and up to ${distance.limit.toFixed(0)} is usual; most unlike are ${distance.unlike.join(" and ")}.`,
      card.synthetic ? rules.constants.SYNTHETIC_REMEDY : rules.constants.REMEDY,
    ]);
  } else if (distance && card.synthetic && !synthetic) against.push([rules.constants.UNMARKED, rules.constants.SYNTHETIC_REMEDY]);
  if (!against.length) return { guard: distance ? "passed" : "not checked", reason: "" };
  const named = against.slice(0, rules.constants.SAID_AT_ONCE);
  return { guard: "abstained", reason: [...named.map(([sentence]) => sentence), ...new Set(named.map(([, remedy]) => remedy))].join(" ") };
}
