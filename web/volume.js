// From files to a volume in the radiological view: slices ascend along left, posterior or superior. Mirrors
// core/data/index/stack.py, core/data/formats/nifti.py and core/data/volume.py.
import { LIMITS, bytesOf, inflate } from "./files.js";
import { decode } from "./convert.js";
import { readPixels } from "./dicom.js";
import { tellByImage } from "./sequences.js";
import { ScanError, refusal, roundEven, rules, shown } from "./rules.js";

const AXES = { sagittal: 0, coronal: 1, axial: 2 };
const VIEWS = {
  axial: [[0, 0, 1], [0, 1, 0], [1, 0, 0]],
  coronal: [[0, 1, 0], [0, 0, -1], [1, 0, 0]],
  sagittal: [[1, 0, 0], [0, 0, -1], [0, 1, 0]],
};
const dot = (one, other) => one.reduce((sum, value, axis) => sum + value * other[axis], 0);
const norm = (vector) => Math.hypot(...vector);
const scale = (vector, by) => vector.map((value) => value * by);
const cross = ([a, b, c], [x, y, z]) => [b * z - c * y, c * x - a * z, a * y - b * x];

/** The anatomical plane whose axis is nearest to a slice normal. */
export function planeOf(normal) {
  const sizes = normal.map(Math.abs);
  return Object.keys(AXES)[sizes.indexOf(Math.max(...sizes))];
}

function normalOf(header) {
  const normal = cross(header.row, header.column);
  return scale(normal, Math.sign(normal[AXES[planeOf(normal)]]) / norm(normal));
}

const hasGeometry = (header) => Boolean(header.position && header.row && header.column);

/**
 * Put the files of one series in spatial order: {headers, plane, spacing, affine, offsets, faults, spacingKnown}.
 * The affine has four columns (slice, row, column, origin) in LPS millimetres.
 */
export function arrange(headers) {
  const { MAJORITY } = rules.constants;
  const ordered = [...headers].sort((one, other) => (one.path === other.path ? one.frame - other.frame : one.path < other.path ? -1 : 1));
  const place = ordered[0].folder.split("/").pop() || "the series";
  const mosaic = ordered.find((header) => header.acquisition.imageType.includes("MOSAIC"));
  if (mosaic) throw refusal("mosaic", mosaic);
  if (ordered.length === 1 && !hasGeometry(ordered[0])) {
    const [rows, columns] = ordered[0].spacing ?? [1, 1];
    const affine = [[0, 0, ordered[0].thickness || 1], [0, rows, 0], [columns, 0, 0], [0, 0, 0]];
    return { headers: ordered, plane: "unknown", affine, offsets: [0], faults: [], spacing: affine.slice(0, 3).map(norm), spacingKnown: ordered[0].spacing !== null };
  }
  const [plain, odd] = keepPlainFrames(ordered);
  const groups = new Map();
  const references = [];
  for (const header of plain) {
    const key = shapeKey(header, references);
    groups.set(key, [...(groups.get(key) ?? []), header]);
  }
  let kept = [...groups.values()].reduce((one, other) => (other.length > one.length ? other : one));
  if (kept.length < MAJORITY * plain.length || !hasGeometry(kept[0])) {
    const counts = [...groups.values()].sort((one, other) => one.length - other.length).reverse().slice(0, 4).map((group) => `${group.length} of ${describe(group[0])}`);
    throw refusal("no_volume", { count: plain.length, place, found: counts.join("; ") });
  }
  const usual = describe(kept[0]);
  const faults = [...groups.values()].filter((group) => group !== kept).flat()
    .map((header) => ({ path: header.path, reason: `left out: ${describe(header)}, while most of its series are ${usual}` })).concat(odd);
  kept = dropRepeats(kept, faults, place);
  return stackOf(kept, faults, place);
}

/** The magnitude frames of enhanced objects that hold phase or other frames beside them, and a fault for those. */
function keepPlainFrames(headers) {
  const others = new Map(headers.filter(({ frames }) => frames > 1).map((header) => [header, tellByImage(header.acquisition)]));
  const leftOut = headers.filter((header) => others.get(header));
  if (!leftOut.length || leftOut.length === headers.length) return [headers, []];
  const reason = `left out: ${leftOut.length} of its frames, each ${others.get(leftOut[0])} beside plain ones`;
  return [headers.filter((header) => !others.get(header)), [{ path: leftOut[0].path, reason }]];
}

function shapeKey(header, references) {
  if (!hasGeometry(header)) return `${header.rows} ${header.columns} -`;
  const directions = [...header.row, ...header.column];
  let reference = references.find((known) => Math.max(...known.map((value, axis) => Math.abs(value - directions[axis]))) < rules.constants.SAME_DIRECTION);
  if (!reference) references.push((reference = directions));
  return `${header.rows} ${header.columns} ${(header.spacing ?? []).map((value) => value.toFixed(3))} ${references.indexOf(reference)}`;
}

function describe(header) {
  const size = `${header.rows} x ${header.columns} pixels`;
  if (!hasGeometry(header)) return `${size} without a position in the patient`;
  const normal = normalOf(header);
  const spacing = (header.spacing ?? []).map(shown).join(" x ");
  return `${size}, ${planeOf(normal)} (normal ${normal.map((value) => (roundEven(value * 100) / 100 + 0).toFixed(2)).join(", ")})${spacing ? `, ${spacing} mm` : ""}`;
}

function dropRepeats(headers, faults, place) {
  const normal = normalOf(headers[0]);
  const along = new Map(headers.map((header) => [header, dot(normal, header.position)]));
  const ranked = [...headers].sort((one, other) => along.get(one) - along.get(other) || (one.number ?? 0) - (other.number ?? 0) || (one.path === other.path ? one.frame - other.frame : one.path < other.path ? -1 : 1));
  const [kept, seen, perPosition] = [[], new Map(), []];
  let last = -Infinity;
  for (const header of ranked) {
    const identity = `${header.instance} ${along.get(header).toFixed(2)}`; // some programs give all slices one UID
    if (header.instance && seen.has(identity)) {
      faults.push({ path: header.path, reason: `left out: a copy of ${seen.get(identity).name} (same SOP Instance UID)` });
      continue;
    }
    seen.set(identity, header);
    if (along.get(header) - last < rules.constants.SAME_POSITION_MM) {
      faults.push({ path: header.path, reason: `left out: at the same position as ${kept.at(-1).name}` });
    } else {
      kept.push(header);
      last = along.get(header);
    }
    perPosition[kept.length] = (perPosition[kept.length] ?? 0) + 1;
  }
  const total = perPosition.reduce((sum, count) => sum + count, 0);
  if (kept.length < rules.constants.MAJORITY * total) {
    const times = headers[0].times ?? 0;
    const what = times > 1 ? `a time series of ${times} points` : "a time series, several echoes or several series in one";
    throw refusal("repeated", { count: total, place, positions: kept.length, most: Math.max(...perPosition.filter(Boolean)), what });
  }
  return kept;
}

function stackOf(headers, faults, place) {
  const [first, normal] = [headers[0], normalOf(headers[0])];
  const offsets = headers.map((header) => dot(normal, header.position) - dot(normal, first.position));
  const gaps = offsets.slice(1).map((offset, index) => offset - offsets[index]);
  const step = gaps.length ? findStep(gaps, place) : first.thickness || 1;
  const [rows, columns] = first.spacing ?? [1, 1];
  const affine = [scale(normal, step), scale(first.column, rows), scale(first.row, columns), first.position];
  if (gaps.length && Math.max(...gaps) - Math.min(...gaps) > rules.constants.UNEVEN_GAP * step) {
    faults.push({ path: first.folder, reason: `gaps between slices vary from ${shown(Math.min(...gaps))} to ${shown(Math.max(...gaps))} mm (usually ${shown(step)}): slices may be missing` });
  }
  return { headers, plane: planeOf(normal), affine, offsets, faults, spacing: affine.slice(0, 3).map(norm), spacingKnown: first.spacing !== null };
}

function findStep(gaps, place) {
  const { UNEVEN_GAP, MAJORITY } = rules.constants;
  const step = [...gaps].sort((one, other) => one - other)[Math.floor((gaps.length - 1) / 2)];
  const odd = gaps.map((gap) => gap / step).filter((steps) => Math.abs(steps - Math.max(roundEven(steps), 1)) > UNEVEN_GAP * Math.max(steps, 1));
  if (odd.length / gaps.length > 1 - MAJORITY) {
    throw refusal("uneven", { place, least: shown(Math.min(...gaps)), most: shown(Math.max(...gaps)) });
  }
  return step;
}

/** How voxels (slices, rows, columns) are flipped and transposed to the view of their plane. */
function findTurn(affine, shape) {
  const plane = planeOf(affine[0]);
  const targets = VIEWS[plane];
  const directions = affine.slice(0, 3).map((axis) => scale(axis, 1 / norm(axis)));
  const straight = Math.abs(dot(directions[1], targets[1])) + Math.abs(dot(directions[2], targets[2]));
  const across = Math.abs(dot(directions[1], targets[2])) + Math.abs(dot(directions[2], targets[1]));
  const axes = across > straight ? [0, 2, 1] : [0, 1, 2];
  const turned = [...axes.map((axis) => affine[axis]), affine[3]];
  const flips = axes.map((axis, place) => {
    if (dot(turned[place], targets[place]) >= 0) return false;
    turned[3] = turned[3].map((value, index) => value + turned[place][index] * (shape[axis] - 1));
    turned[place] = scale(turned[place], -1);
    return true;
  });
  return { plane, axes, flips, affine: turned, shape: axes.map((axis) => shape[axis]) };
}

/** Take voxels out of memory by strides: `strides` are those of (slice, row, column) of the stored block. */
function applyTurn(turn, stored, strides, start = 0) {
  const [slices, rows, columns] = turn.shape;
  const steps = turn.axes.map((axis, place) => (turn.flips[place] ? -strides[axis] : strides[axis]));
  const origin = turn.axes.reduce((sum, axis, place) => sum + (turn.flips[place] ? (turn.shape[place] - 1) * strides[axis] : 0), start);
  const voxels = new Float32Array(slices * rows * columns);
  let to = 0;
  for (let slice = 0; slice < slices; slice++) {
    for (let row = 0; row < rows; row++) {
      let from = origin + slice * steps[0] + row * steps[1];
      for (let column = 0; column < columns; column++, from += steps[2]) voxels[to++] = stored[from];
    }
  }
  return voxels;
}

function finish(turn, voxels, { files, inMm, offsets = null, plane = turn.plane, faults = [] }) {
  const spacing = turn.affine.slice(0, 3).map(norm);
  const [slices, rows, columns] = turn.shape;
  const positions = Array.from({ length: slices }, (_, index) => {
    const step = offsets ? offsets[index] / spacing[0] : index;
    const axis = AXES[plane] ?? 2;
    return turn.affine[0][axis] * step + turn.affine[1][axis] * ((rows - 1) / 2) + turn.affine[2][axis] * ((columns - 1) / 2) + turn.affine[3][axis];
  });
  return { voxels, shape: turn.shape, affine: turn.affine, spacing, plane, positions, offsets, inMm, files, faults };
}

/** Read a DICOM series. */
export async function readStack(stack) {
  const { headers, plane, affine, offsets } = stack;
  const [rows, columns] = [headers[0].rows, headers[0].columns];
  if (headers.length * rows * columns > LIMITS.voxels) throw new ScanError(`The series has ${headers.length * rows * columns} voxels; at most ${LIMITS.voxels} are read here.`);
  const block = new Float32Array(headers.length * rows * columns);
  const packed = headers.filter((header) => !header.native);
  const decoded = packed.length ? await decodeFrames(packed) : null;
  for (const [index, header] of headers.entries()) block.set(await readPixels(header, decoded?.get(header)), index * rows * columns);
  if (headers.some((header) => header.inverted)) {
    const least = block.reduce((one, other) => Math.min(one, other), Infinity);
    for (let at = 0; at < block.length; at++) block[at] -= least;
  }
  const shape = [headers.length, rows, columns];
  const turn = plane === "unknown" ? { plane, axes: [0, 1, 2], flips: [false, false, false], affine, shape } : findTurn(affine, shape);
  const files = headers.map((header) => header.name);
  return finish(turn, applyTurn(turn, block, [rows * columns, columns, 1]), { files, offsets: plane === "unknown" ? null : offsets, plane, inMm: plane !== "unknown" && stack.spacingKnown });
}

/** The stored values of compressed frames: Map of header to Float32Array. */
async function decodeFrames(headers) {
  const [{ name, rows, columns }] = headers;
  const blob = await decode(headers);
  const nifti = await readNiftiHeader(blob, name);
  if (nifti.stored.join() !== [columns, rows, headers.length].join()) throw new ScanError(`${name}: ${headers.length} frames of ${rows} x ${columns} were expected, and ${nifti.stored.join(" x ")} decoded.`);
  const values = await readNiftiValues(blob, name, nifti);
  return new Map(headers.map((header, place) => {
    const frame = new Float32Array(rows * columns);
    for (let row = 0; row < rows; row++) frame.set(values.subarray((place * rows + rows - 1 - row) * columns).subarray(0, columns), row * columns);
    return [header, frame];
  }));
}

// --- NIfTI ---

const KINDS = { 2: Uint8Array, 4: Int16Array, 8: Int32Array, 16: Float32Array, 64: Float64Array, 256: Int8Array, 512: Uint16Array, 768: Uint32Array };
const UNITS_MM = { 1: 1000, 2: 1, 3: 0.001 };

/** Read a NIfTI-1 header: shape, affine (LPS, millimetres), axes, plane, doubts; `statedAxis` is what a sidecar says. */
export async function readNiftiHeader(blob, name, { statedAxis = null, widest = false } = {}) {
  const start = await bytesOf(blob, 0, 2);
  const packed = start[0] === 0x1f && start[1] === 0x8b;
  const bytes = await bytesOf(packed ? await inflate(blob, "gzip", 352, name, { cut: true }) : blob, 0, 352);
  if (bytes.length < 348) throw new ScanError(`${name} is not NIfTI, or damaged: it is cut short.`);
  const view = new DataView(bytes.buffer);
  const little = view.getInt32(0, true) === 348;
  if (!little && view.getInt32(0, false) !== 348) throw refusal("not_nifti", { name });
  if (String.fromCharCode(...bytes.subarray(344, 347)) === "ni1") throw new ScanError(`${name} is a header whose voxels lie in another file; hand in one .nii file.`);
  const short = (at) => view.getInt16(at, little);
  const float = (at) => view.getFloat32(at, little);
  let shape = Array.from({ length: Math.min(Math.max(short(40), 0), 7) }, (_, axis) => short(42 + 2 * axis));
  while (shape.length > 3 && shape.at(-1) === 1) shape = shape.slice(0, -1);
  if (shape.length > 3) throw refusal("dimensions", { name, count: shape.length, shape: shape.join(", ") });
  if (shape.length !== 3 || Math.min(...shape) < 1) throw refusal("shape", { name, shape: shape.join(", ") });
  const kind = KINDS[short(70)];
  if (!kind) throw new ScanError(`${name} holds voxels of kind ${short(70)}; expected plain numbers.`);
  const count = shape[0] * shape[1] * shape[2];
  if (count > LIMITS.voxels) throw new ScanError(`${name} claims ${count} voxels; at most ${LIMITS.voxels} are read here.`);
  const given = [1, 2, 3].map((axis) => float(76 + 4 * axis));
  const missing = given.some((value) => !(Number.isFinite(value) && value > 0));
  const pixdim = given.map((value) => (Number.isFinite(value) && value !== 0 ? Math.abs(value) : 1));
  const [qform, sform] = [short(252) > 0, short(254) > 0];
  const ras = sform ? [0, 1, 2].map((axis) => [0, 1, 2, 3].map((column) => float(280 + 16 * axis + 4 * column)))
    : qform ? fromQuaternion(float, pixdim) : [0, 1, 2].map((axis) => [0, 1, 2].map((other) => (axis === other ? pixdim[axis] * (axis ? 1 : -1) : 0)).concat((-(shape[axis] - 1) / 2) * pixdim[axis] * (axis ? 1 : -1)));
  const stored = [0, 1, 2, 3].map((column) => [-ras[0][column], -ras[1][column], ras[2][column]]);
  const lengths = stored.slice(0, 3).map(norm);
  if (!stored.flat().every(Number.isFinite) || Math.min(...lengths) <= 0) throw refusal("affine", { name });
  const unit = UNITS_MM[bytes[123] & 7] ?? 1;
  const [low, high] = rules.constants.PLAUSIBLE_MM;
  const spacingKnown = (sform || !missing) && lengths.every((length) => length * unit >= low && length * unit <= high);
  const placed = sform || qform;
  const axesMm = stored.slice(0, 3).map((axis) => scale(axis, spacingKnown ? unit : 1));
  const own = ((bytes[39] >> 4) & 3) - 1;
  const found = widest ? findWidest(axesMm) : findSliceAxis(axesMm, statedAxis ?? (own >= 0 ? own : null));
  const axes = [found.index, ...[0, 1, 2].filter((axis) => axis !== found.index)];
  const affine = [...axes.map((axis) => axesMm[axis]), scale(stored[3], spacingKnown ? unit : 1)];
  const doubts = [];
  if (!spacingKnown) doubts.push("it does not state how large its voxels are (pixdim or its unit), so its pixels count as square and nothing is measured in millimetres");
  if (!placed) doubts.push("it does not state how it lies in the patient (no sform and no qform code), so it is read as it is stored: left and right may be exchanged");
  else if (found.source === "convention") doubts.push("it does not state in which plane it was acquired, and its voxels, about equally wide in all directions, do not tell, so it is read as axial");
  return {
    stored: shape, shape: axes.map((axis) => shape[axis]), axes, affine, axesMm, kind, little, packed, doubts, spacingKnown, placed,
    offset: Math.trunc(float(108)), slope: float(112), intercept: float(116), intent: short(68),
    spacing: affine.slice(0, 3).map(norm), plane: placed ? planeOf(affine[0]) : "unknown",
  };
}

function fromQuaternion(float, pixdim) {
  const [b, c, d] = [256, 260, 264].map(float);
  const a = Math.sqrt(Math.max(0, 1 - b * b - c * c - d * d));
  const handed = float(76) < 0 ? -1 : 1;
  const turn = [
    [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
    [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
    [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - c * c - b * b],
  ];
  return turn.map((row, axis) => [row[0] * pixdim[0], row[1] * pixdim[1], row[2] * pixdim[2] * handed, float(268 + 4 * axis)]);
}

function findSliceAxis(axesMm, stated) {
  const { WIDER, SAME_SPACING, OTHER_SPACING } = rules.constants;
  if (stated !== null) return { index: stated, source: "stated" };
  const spacing = axesMm.map(norm);
  const order = [0, 1, 2].sort((one, other) => spacing[one] - spacing[other]);
  const [low, middle, high] = order.map((axis) => spacing[axis]);
  if (high >= WIDER * middle) return { index: order[2], source: "spacing" };
  const [odd, one, other] = middle - low <= high - middle ? [2, low, middle] : [0, middle, high];
  const alike = other - one < SAME_SPACING * other;
  if (alike && Math.abs((spacing[order[odd]] / (one + other)) * 2 - 1) >= OTHER_SPACING) return { index: order[odd], source: "spacing" };
  const along = axesMm.map((axis, index) => Math.abs(axis[2]) / spacing[index]);
  return { index: along.indexOf(Math.max(...along)), source: "convention" };
}

/** As the first version of core's reader did (reader_version 1): along the widest spacing. */
function findWidest(axesMm) {
  const spacing = axesMm.map(norm);
  const alike = Math.max(...spacing) - Math.min(...spacing) < rules.constants.SAME_SPACING * Math.max(...spacing);
  return { index: alike ? 2 : spacing.indexOf(Math.max(...spacing)), source: "spacing" };
}

/** Which stored axis a sidecar says that slices are stacked along; null where it does not. */
export function findStatedSlices(sidecar, axesMm) {
  const named = { i: 0, j: 1, k: 2 }[String(sidecar.SliceEncodingDirection ?? "")[0]];
  if (named !== undefined) return named;
  const given = sidecar.ImageOrientationPatientDICOM;
  if (!Array.isArray(given) || given.length !== 6 || !given.every(Number.isFinite)) return null;
  const normal = cross(given.slice(0, 3), given.slice(3));
  const along = axesMm.map((axis) => Math.abs(dot(normal, axis)) / norm(axis));
  return Math.max(...along) > rules.constants.NEARLY_ALONG ? along.indexOf(Math.max(...along)) : null;
}

async function readNiftiValues(blob, name, header) {
  const count = header.stored[0] * header.stored[1] * header.stored[2];
  const width = header.kind.BYTES_PER_ELEMENT;
  const end = header.offset + count * width;
  const content = header.packed ? await inflate(blob, "gzip", end, name, { cut: true }) : blob;
  const bytes = await bytesOf(content, header.offset, end);
  if (bytes.length < count * width) throw new ScanError(`${name} is damaged: it ends before its last voxel.`);
  if (!header.little && width > 1) for (let at = 0; at < bytes.length; at += width) bytes.subarray(at, at + width).reverse();
  const stored = new header.kind(bytes.buffer, 0, count);
  const scaled = Number.isFinite(header.slope) && header.slope !== 0 && !(header.slope === 1 && header.intercept === 0);
  const values = new Float32Array(count);
  for (let index = 0; index < count; index++) {
    const value = stored[index];
    values[index] = scaled ? value * header.slope + header.intercept : value;
    if (!Number.isFinite(values[index])) values[index] = 0;
  }
  return values;
}

/** Read a NIfTI volume. */
export async function readNifti(blob, name, options) {
  const header = await readNiftiHeader(blob, name, options);
  const values = await readNiftiValues(blob, name, header);
  const strides = [1, header.stored[0], header.stored[0] * header.stored[1]];
  const turn = findTurn(header.affine, header.shape);
  return finish(turn, applyTurn(turn, values, header.axes.map((axis) => strides[axis])), { files: Array(turn.shape[0]).fill(name), plane: header.plane, inMm: header.spacingKnown && header.placed });
}

/** Whether a NIfTI volume is a map of labels: by its intent code, or by its voxels, as core/data/formats/label_values.py. */
export async function isLabelMap(blob, name, header) {
  const { LABEL_INTENT, FEW_LABELS, LABEL_CHANGES, LABEL_SMALL_CHANGES, ENOUGH_LABEL_CHANGES } = rules.constants;
  const { SCAN_CHANGES, ENOUGH_NEIGHBOURS } = rules.constants;
  if (header.intent === LABEL_INTENT) return true;
  const voxels = await readNiftiValues(blob, name, header);
  const values = new Set([voxels[0]]);
  const changes = [];
  let neighbours = 0;
  const isInside = (value) => value !== 0 && value !== voxels[0];
  for (let at = 0; at < voxels.length; at++) {
    const value = voxels[at];
    if (value < 0 || !Number.isInteger(value)) return false;
    values.add(value);
    if (!at || !isInside(value) || !isInside(voxels[at - 1])) continue;
    neighbours += 1;
    if (value !== voxels[at - 1]) changes.push([voxels[at - 1], value]);
    if (values.size <= FEW_LABELS) continue;
    if (neighbours >= ENOUGH_NEIGHBOURS && changes.length > SCAN_CHANGES * neighbours) return false;
    if (changes.length >= ENOUGH_LABEL_CHANGES) break;
  }
  if (values.size < 2 || !values.has(0)) return false;
  if (values.size <= FEW_LABELS) return true;
  if (!changes.length || changes.length > LABEL_CHANGES * neighbours) return false;
  const ranks = new Map([...values].sort((one, other) => one - other).map((value, rank) => [value, rank]));
  const small = changes.filter(([one, other]) => Math.abs(ranks.get(one) - ranks.get(other)) === 1).length;
  return small <= LABEL_SMALL_CHANGES * changes.length;
}
