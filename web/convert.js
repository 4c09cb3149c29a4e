// dcm2niix (WebAssembly) as a decoder of compressed frames. Each goes in as a bare image at an invented place and comes out as
// stored values: order, places, signs and rescaling are the page's own, the same for every transfer syntax.
import { bytesOf } from "./files.js";
import { ScanError } from "./rules.js";

const MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4";
const BARE = ["-o", "/out", "-f", "frames", "-b", "n", "-z", "n", "-l", "n", "-x", "n", "-m", "y", "/in"];

/** Decode the frames of one stack, all of one size: {blob} of a NIfTI file whose slices are the frames, rows from the bottom up. */
export async function decode(headers) {
  const { default: start } = await import("./vendor/dcm2niix.jpeg.js");
  const said = [];
  const module = await start({ print: (line) => said.push(line), printErr: (line) => said.push(line) });
  module.FS.mkdir("/in");
  module.FS.mkdir("/out");
  const contents = new Map();
  for (const [place, header] of headers.entries()) {
    if (!contents.has(header.blob)) contents.set(header.blob, piecesOf(await bytesOf(header.blob, header.pixels.offset), header));
    module.FS.writeFile(`/in/${String(place).padStart(5, "0")}.dcm`, bareImage(header, place, contents.get(header.blob)[header.frame]));
  }
  const failed = (why) => new ScanError(`${headers[0].name} and the files of its series cannot be decoded: ${why}.`);
  let code;
  try {
    code = module.callMain(BARE);
  } catch (error) {
    throw failed(`the decoder stopped (${String(error.message ?? error).slice(0, 80)})`);
  }
  const found = module.FS.readdir("/out").filter((name) => name.endsWith(".nii"));
  if (found.length !== 1) {
    throw failed(found.length ? `they are ${found.length} kinds of image` : said.find((line) => /error|unsupported/i.test(line))?.slice(0, 160) ?? `exit ${code}`);
  }
  return new Blob([module.FS.readFile(`/out/${found[0]}`)]);
}

/** The compressed pieces of an object's frames: all of them of a single frame, one each of several. */
function piecesOf(bytes, { name, frames }) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const pieces = [];
  for (let at = 0; at + 8 <= bytes.length && view.getUint32(at, true) === 0xe000fffe;) {
    const length = view.getUint32(at + 4, true);
    if (at + 8 + length > bytes.length) throw new ScanError(`${name} is cut short: its compressed pixels end in the middle.`);
    pieces.push(bytes.subarray(at, at + 8 + length));
    at += 8 + length;
  }
  pieces.shift(); // where the frames begin, which their order tells
  if (frames === 1 && pieces.length) return [pieces];
  if (pieces.length !== frames) throw new ScanError(`${name} holds ${frames} frames in ${pieces.length} compressed pieces; save it uncompressed.`);
  return pieces.map((piece) => [piece]);
}

function bareImage({ syntax, rows, columns, allocated, stored, highBit, signed }, place, pieces) {
  const text = new TextEncoder();
  const parts = [new Uint8Array(128), text.encode("DICM")];
  const add = (tag, vr, value) => {
    const short = vr === "US";
    const content = short ? new Uint8Array(Uint16Array.of(value).buffer) : text.encode(value.length % 2 ? `${value}${vr === "UI" ? "\0" : " "}` : value);
    const head = new DataView(new ArrayBuffer(8));
    head.setUint16(0, tag >>> 16, true);
    head.setUint16(2, tag & 0xffff, true);
    text.encodeInto(vr, new Uint8Array(head.buffer, 4, 2));
    head.setUint16(6, content.length, true);
    parts.push(new Uint8Array(head.buffer), content);
  };
  add(0x00020010, "UI", syntax);
  add(0x00080016, "UI", MR_IMAGE);
  add(0x00080018, "UI", `1.2.3.${place + 1}`);
  add(0x00080060, "CS", "MR");
  add(0x00180050, "DS", "1");
  add(0x0020000d, "UI", "1.2.3");
  add(0x0020000e, "UI", "1.2.3");
  add(0x00200013, "IS", String(place + 1));
  add(0x00200032, "DS", `0\\0\\${place}`);
  add(0x00200037, "DS", "1\\0\\0\\0\\1\\0");
  add(0x00280002, "US", 1);
  add(0x00280004, "CS", "MONOCHROME2");
  add(0x00280010, "US", rows);
  add(0x00280011, "US", columns);
  add(0x00280030, "DS", "1\\1");
  add(0x00280100, "US", allocated);
  add(0x00280101, "US", stored);
  add(0x00280102, "US", highBit);
  add(0x00280103, "US", Number(signed));
  const item = [0xfe, 0xff, 0x00, 0xe0, 0, 0, 0, 0];
  parts.push(Uint8Array.of(0xe0, 0x7f, 0x10, 0, 0x4f, 0x42, 0, 0, 0xff, 0xff, 0xff, 0xff, ...item), ...pieces, Uint8Array.of(0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0));
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  parts.reduce((at, part) => (whole.set(part, at), at + part.length), 0);
  return whole;
}
