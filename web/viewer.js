// Slices on a canvas, and the volume in three planes with its map (NiiVue, loaded when it is asked for).

/** Viridis in nine steps: equally far apart for every kind of colour vision, and rising in brightness. */
const COLOURS = [[68, 1, 84], [72, 40, 120], [62, 74, 137], [49, 104, 142], [38, 130, 142], [31, 158, 137], [53, 183, 121], [109, 205, 89], [253, 231, 37]];

function colourOf(share) {
  const place = Math.min(share, 1) * (COLOURS.length - 1);
  const below = Math.min(Math.floor(place), COLOURS.length - 2);
  return COLOURS[below].map((value, index) => value + (COLOURS[below + 1][index] - value) * (place - below));
}

/** Draw a prepared slice with its map over it: the stronger the map, the less of the slice shows. */
export function drawSlice(canvas, { pixels, heat }, { size, strongest }, opacity) {
  const context = canvas.getContext("2d");
  const image = context.createImageData(size, size);
  for (let at = 0; at < pixels.length; at++) {
    const share = strongest ? heat[at] / strongest : 0;
    const weight = opacity * Math.min(2 * share, 1);
    const colour = colourOf(share);
    for (let part = 0; part < 3; part++) image.data[4 * at + part] = pixels[at] * (1 - weight) + colour[part] * weight;
    image.data[4 * at + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

/** Draw a volume in three planes, with its map where that is `mapped`; false where there is no WebGL 2. */
export async function drawPlanes(holder, volume, mapped) {
  if (!document.createElement("canvas").getContext("webgl2")) return false;
  const { Niivue, NVImage } = await import("./vendor/index.js");
  const canvas = document.createElement("canvas");
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `${volume.sequence} in three planes${mapped ? " with its map" : ""}`);
  canvas.tabIndex = 0;
  const frame = document.createElement("div");
  frame.className = "planes";
  frame.append(canvas);
  holder.replaceChildren(frame);
  const view = new Niivue({ backColor: [0, 0, 0, 1], show3Dcrosshair: true, isResizeCanvas: true, isRadiologicalConvention: true, loadingText: "" });
  await view.attachToCanvas(canvas);
  view.addVolume(await NVImage.loadFromUrl({ url: asNifti(volume, volume.grey), name: "scan.nii", colormap: "gray", cal_min: 0, cal_max: 255 }));
  if (mapped) view.addVolume(await NVImage.loadFromUrl({ url: asNifti(volume, volume.heat), name: "map.nii", colormap: "viridis", opacity: 0.5, cal_min: 40, cal_max: 255 }));
  view.setSliceType(view.sliceTypeMultiplanar);
  return true;
}

/** A volume as the bytes of a NIfTI-1 file of unsigned bytes, in RAS. */
function asNifti({ shape: [slices, rows, columns], affine }, values) {
  const header = new DataView(new ArrayBuffer(352));
  header.setInt32(0, 348, true);
  [3, columns, rows, slices, 1, 1, 1, 1].forEach((value, index) => header.setInt16(40 + 2 * index, value, true));
  header.setInt16(70, 2, true);
  header.setInt16(72, 8, true);
  const axes = [affine[2], affine[1], affine[0], affine[3]];
  [1, ...axes.slice(0, 3).map((axis) => Math.hypot(...axis))].forEach((value, index) => header.setFloat32(76 + 4 * index, value, true));
  header.setFloat32(108, 352, true);
  header.setFloat32(112, 1, true);
  header.setUint8(123, 2);
  header.setInt16(254, 1, true);
  axes.forEach((axis, column) => axis.forEach((value, row) => header.setFloat32(280 + 16 * row + 4 * column, row < 2 ? -value : value, true)));
  [0x6e, 0x2b, 0x31, 0].forEach((value, index) => header.setUint8(344 + index, value));
  const bytes = new Uint8Array(352 + values.length);
  bytes.set(new Uint8Array(header.buffer));
  bytes.set(values, 352);
  return bytes.buffer;
}
