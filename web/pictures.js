// Loose images (PNG, JPEG, WebP, GIF, BMP), decoded by the browser within bounds, as grey of 0..255.
import { LIMITS, bytesOf } from "./files.js";
import { ScanError } from "./rules.js";

const STARTS = { "\x89PNG": "png", "\xff\xd8\xff": "jpeg", RIFF: "webp", GIF8: "gif", BM: "bmp" };

/** What kind of image the first bytes are; empty for anything else. */
export function kindOfImage(start) {
  const text = String.fromCharCode(...start.subarray(0, 4));
  return Object.entries(STARTS).find(([magic]) => text.startsWith(magic))?.[1] ?? "";
}

/** Rows and columns by the header of PNG and JPEG, before anything is decoded; null for other kinds. */
function claimedSize(bytes, kind, name) {
  const view = new DataView(bytes.buffer);
  if (kind === "png") {
    if (bytes.length < 26) throw new ScanError(`${name} is a damaged image.`);
    if (bytes[24] === 16) throw new ScanError(`${name} has 16 bits a pixel, which a browser shortens to 8; hand in DICOM or NIfTI.`);
    return [view.getUint32(20), view.getUint32(16)];
  }
  if (kind !== "jpeg") return null;
  for (let at = 2; at + 9 < bytes.length && bytes[at] === 0xff; at += 2 + view.getUint16(at + 2)) {
    const marker = bytes[at + 1];
    if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) return [view.getUint16(at + 5), view.getUint16(at + 7)];
  }
  return null;
}

/** Decode one image: {name, grey: Float32Array, rows, columns}; luma after ITU-R 601 as Pillow rounds it, over black. */
export async function readImage(blob, name) {
  const start = await bytesOf(blob, 0, Math.min(blob.size, 2 ** 18));
  const size = claimedSize(start, kindOfImage(start), name);
  const limit = (rows, columns) => {
    if (rows * columns > LIMITS.voxels) throw new ScanError(`${name} claims ${rows} x ${columns} pixels; at most ${LIMITS.voxels} are read here.`);
  };
  if (size) limit(...size);
  let image;
  try {
    image = await createImageBitmap(blob, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  } catch {
    throw new ScanError(`${name} is a damaged image, or of a kind that this browser does not read.`);
  }
  const { width, height } = image;
  limit(height, width);
  const canvas = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  canvas.fillRect(0, 0, width, height);
  canvas.drawImage(image, 0, 0);
  image.close();
  const { data } = canvas.getImageData(0, 0, width, height);
  const grey = new Float32Array(width * height);
  for (let at = 0; at < grey.length; at++) grey[at] = (data[4 * at] * 19595 + data[4 * at + 1] * 38470 + data[4 * at + 2] * 7471 + 0x8000) >> 16;
  return { name, grey, rows: height, columns: width };
}
