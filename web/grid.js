// A study's series on one axial grid in millimetres, so that a voxel is the same place in all. Mirrors
// core/data/prepare/common_grid.py, and SciPy's linear affine_transform.
import { LIMITS } from "./files.js";
import { ScanError, rules } from "./rules.js";

const AXIAL = [[0, 0, 1], [0, 1, 0], [1, 0, 0]];
const norm = (vector) => Math.hypot(...vector);

/** Resample the volumes of a study ([{sequence, volume}]) to a common grid: {laid: [{sequence, volume}], faults}. */
export function layOnCommonGrid(parts, prep, study) {
  const channel = ({ sequence }) => prep.sequences.indexOf(sequence);
  const placed = parts.filter(({ volume }) => volume.inMm).sort((one, other) => channel(one) - channel(other));
  const lost = parts.filter(({ volume }) => !volume.inMm).map(({ sequence }) => sequence);
  if (!placed.length) throw new ScanError(`Study ${study}: the ${lost.join(" and ")} series' ${rules.refusals.unplaced}.`);
  const inPlane = Math.min(prep.grid_mm, 1);
  const grid = commonGrid(placed.map(({ volume }) => volume), [prep.grid_mm, inPlane, inPlane]);
  return {
    laid: placed.filter((part) => channel(part) >= 0).map(({ sequence, volume }) => ({ sequence, volume: resampleTo(volume, grid) })),
    faults: lost.map((sequence) => ({ path: `${study}/${sequence}`, reason: `left out: its ${rules.refusals.unplaced}` })),
  };
}

function commonGrid(volumes, steps) {
  const [low, high] = [Array(3).fill(Infinity), Array(3).fill(-Infinity)];
  for (const { shape: [slices, rows, columns], affine, offsets } of volumes) {
    const last = offsets ? Math.abs(offsets.at(-1) - offsets[0]) / norm(affine[0]) : slices - 1;
    for (const index of [0, last].flatMap((slice) => [0, rows - 1].flatMap((row) => [0, columns - 1].map((column) => [slice, row, column])))) {
      AXIAL.forEach((direction, axis) => {
        const along = direction.indexOf(1);
        const place = index.reduce((sum, value, part) => sum + affine[part][along] * value, 0) + affine[3][along];
        low[axis] = Math.min(low[axis], place);
        high[axis] = Math.max(high[axis], place);
      });
    }
  }
  const shape = steps.map((step, axis) => Math.max(Math.ceil((high[axis] - low[axis]) / step - 1e-6), 0) + 1);
  const voxels = shape[0] * shape[1] * shape[2];
  if (voxels > LIMITS.voxels) throw new ScanError(`A grid of ${shape.join(" x ")} voxels is more than the ${LIMITS.voxels} accepted here.`);
  return { shape, affine: [...AXIAL.map((direction, axis) => direction.map((value) => value * steps[axis])), [low[2], low[1], low[0]]] };
}

/** The inverse of three axes (columns), as rows. */
function invert([a, b, c]) {
  const cross = ([x, y, z], [u, v, w]) => [y * w - z * v, z * u - x * w, x * v - y * u];
  const rows = [cross(b, c), cross(c, a), cross(a, b)];
  const determinant = a.reduce((sum, value, axis) => sum + value * rows[0][axis], 0);
  return rows.map((row) => row.map((value) => value / determinant));
}

function resampleTo(volume, grid) {
  const { voxels, shape: [slices, rows, columns], affine, plane } = volume;
  const inverse = invert(affine);
  const times = (vector) => inverse.map((row) => row.reduce((sum, value, axis) => sum + value * vector[axis], 0));
  const rounded = (value) => Math.round(value * 1e9) / 1e9; // a grid that meets the voxels exactly must not miss the outermost by the last bit
  const [sz, sy, sx] = grid.affine.slice(0, 3).map((axis) => times(axis).map(rounded));
  const start = times(grid.affine[3].map((value, axis) => value - affine[3][axis])).map(rounded);
  const background = voxels.reduce((one, other) => Math.min(one, other), Infinity);
  const places = unevenPlaces(volume);
  const [depth, height, width] = grid.shape;
  const laid = new Float32Array(depth * height * width);
  for (let slice = 0, to = 0; slice < depth; slice++) {
    for (let row = 0; row < height; row++) {
      for (let column = 0; column < width; column++, to++) {
        const along = start[0] + sz[0] * slice + sy[0] * row + sx[0] * column;
        const y = start[1] + sz[1] * slice + sy[1] * row + sx[1] * column;
        const x = start[2] + sz[2] * slice + sy[2] * row + sx[2] * column;
        const z = places ? places(along) : along;
        if (!(z >= 0 && z <= slices - 1 && y >= 0 && y <= rows - 1 && x >= 0 && x <= columns - 1)) {
          laid[to] = background;
          continue;
        }
        const [iz, iy, ix] = [Math.floor(z), Math.floor(y), Math.floor(x)];
        const [dz, dy, dx] = [z - iz, y - iy, x - ix];
        const [nextY, nextX] = [iy + 1 < rows ? columns : 0, ix + 1 < columns ? 1 : 0];
        const here = (iz * rows + iy) * columns + ix;
        const there = here + (iz + 1 < slices ? rows * columns : 0);
        const flat = (from) => (1 - dy) * ((1 - dx) * voxels[from] + dx * voxels[from + nextX]) + dy * ((1 - dx) * voxels[from + nextY] + dx * voxels[from + nextY + nextX]);
        laid[to] = (1 - dz) * flat(here) + dz * flat(there);
      }
    }
  }
  const spacing = grid.affine.slice(0, 3).map(norm);
  return {
    voxels: laid, shape: grid.shape, affine: grid.affine, spacing, plane, inMm: true, faults: [],
    positions: Array.from({ length: depth }, (_, index) => grid.affine[3][2] + index * spacing[0]), files: Array(depth).fill(""),
  };
}

/** Where slices are missing: from a place by the affine's even steps to the index of the slice that lies there; -1 is outside. */
function unevenPlaces({ offsets, affine, shape: [slices] }) {
  const step = norm(affine[0]);
  const from = offsets?.map((offset) => offset - offsets[0]);
  if (!from || from.every((offset, index) => Math.abs(offset - index * step) <= 0.05 * step + 1e-5 * Math.abs(index * step))) return null;
  return (place) => {
    const distance = place * step;
    if (distance < 0 || distance > from[slices - 1]) return -1;
    const after = Math.max(from.findIndex((offset) => offset >= distance), 1);
    return after - 1 + (distance - from[after - 1]) / (from[after] - from[after - 1]);
  };
}
