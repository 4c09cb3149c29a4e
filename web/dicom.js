// MR images: an allow-list of header attributes, frame by frame, and their pixels. Mirrors core/data/formats/header.py,
// frames.py and dicom.py; what is compressed is decoded by dcm2niix (convert.js).
import { ScanError, refusal, rules, shown } from "./rules.js";
import { LIMITS, bytesOf, inflate } from "./files.js";
import { agentOf, secondsOf, splitValues } from "./sequences.js";

const LONG = new Set(["OB", "OW", "OF", "OD", "OL", "OV", "UN", "SQ", "UT", "UC", "UR", "SV", "UV"]);
const UNDEFINED = 0xffffffff;
const tagOf = (keyword) => parseInt(rules.tags[keyword], 16);
const HEAD_BYTES = 2 ** 16;

class EndOfBytes extends Error {}

/** Whether the first 132 bytes, or a group that comes first without a preamble, are DICOM's. */
export async function looksLikeDicom(blob) {
  const head = await bytesOf(blob, 0, 132);
  if (new TextDecoder("latin1").decode(head.subarray(128, 132)) === "DICM") return true;
  return head.length >= 16 && head[0] === 8 && head[1] === 0 && head[3] === 0 && /^(UI|CS|[\x00-\x40])/.test(String.fromCharCode(head[4], head[5]));
}

class Reader {
  constructor(bytes, at, explicit, little) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    Object.assign(this, { at, explicit, little });
  }

  need(count) {
    if (this.at + count > this.bytes.length) throw new EndOfBytes();
  }

  /** The next element's tag, representation and length; `at` then stands at its value. */
  element() {
    this.need(8);
    const group = this.view.getUint16(this.at, this.little);
    const tag = (group * 65536 + this.view.getUint16(this.at + 2, this.little)) >>> 0;
    this.at += 4;
    if (!this.explicit || group === 0xfffe) {
      const length = this.view.getUint32(this.at, this.little);
      this.at += 4;
      return { tag, vr: "", length };
    }
    const vr = String.fromCharCode(this.bytes[this.at], this.bytes[this.at + 1]);
    if (!LONG.has(vr)) {
      const length = this.view.getUint16(this.at + 2, this.little);
      this.at += 4;
      return { tag, vr, length };
    }
    this.need(8);
    const length = this.view.getUint32(this.at + 4, this.little);
    this.at += 8;
    return { tag, vr, length };
  }

  /** Pass over a value. */
  skip(length) {
    if (length === UNDEFINED) this.items(length, new Set());
    else this.at += length;
  }

  /** The items of a sequence: [Map of tag to {bytes, vr}], with what is in the sequences named by `nested` among an item's own. */
  items(length, nested) {
    const [found, stop] = [[], length === UNDEFINED ? Infinity : this.at + length];
    while (this.at < stop) {
      const item = this.element();
      if (item.tag === 0xfffee0dd) break;
      if (item.tag !== 0xfffee000) throw new ScanError("a sequence in it is damaged");
      found.push(this.item(item.length, nested));
    }
    return found;
  }

  item(size, nested) {
    const [found, stop] = [new Map(), size === UNDEFINED ? Infinity : this.at + size];
    while (this.at < stop) {
      const { tag, vr, length } = this.element();
      if (tag === 0xfffee00d) break;
      if (nested.has(tag)) this.items(length, nested).forEach((inner) => inner.forEach((value, key) => found.set(key, value)));
      else if (vr === "SQ" || length === UNDEFINED) this.skip(length);
      else found.set(tag, this.value(vr, length));
    }
    return found;
  }

  value(vr, length) {
    this.need(length);
    this.at += length;
    return { vr, bytes: this.bytes.subarray(this.at - length, this.at) };
  }
}

/**
 * Elements up to the pixels: {elements: Map of tag to {bytes, vr}, groups: {shared, frames}, pixels: {offset, length} or null,
 * syntax, little, blob}. Groups are the functional groups' items (core/data/formats/frames.py).
 */
async function parse(blob, path) {
  let bytes = await bytesOf(blob, 0, Math.min(blob.size, HEAD_BYTES));
  const plain = new TextDecoder("latin1").decode(bytes.subarray(128, 132)) !== "DICM";
  const elements = new Map();
  const groups = {};
  const [shared, perFrame] = ["SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"].map(tagOf);
  const macros = new Set(rules.macros.map((tag) => parseInt(tag, 16)));
  const read = (reader, stopGroup) => {
    while (reader.at < reader.bytes.length) {
      const start = reader.at;
      const { tag, vr, length } = reader.element();
      if (stopGroup && tag >>> 16 !== stopGroup) {
        reader.at = start;
        return null;
      }
      if (tag === 0x7fe00010) return { offset: reader.at, length };
      if (tag === shared) [groups.shared] = reader.items(length, macros);
      else if (tag === perFrame) groups.frames = reader.items(length, macros);
      else if (vr === "SQ" || length === UNDEFINED) reader.skip(length);
      else elements.set(tag, reader.value(vr, length));
    }
    if (!stopGroup && reader.bytes.length < blob.size) throw new EndOfBytes();
    return null;
  };
  try {
    for (;;) {
      try {
        elements.clear();
        const meta = new Reader(bytes, plain ? 0 : 132, true, true);
        if (!plain) read(meta, 2);
        const uid = elements.get(0x00020010);
        const syntax = uid ? new TextDecoder().decode(uid.bytes).replace(/[\0 ]+$/, "") : "";
        if (syntax === rules.syntaxes.deflated) {
          const packed = (end) => inflate(blob.slice(meta.at, end), "deflate-raw", LIMITS.header, path);
          const ends = [0, 1, 8, 9].map((spare) => blob.size - spare); // padding, or the checksum that GDCM adds
          blob = await ends.slice(1).reduce((tried, end) => tried.catch(() => packed(end)), packed(ends[0]));
          bytes = await bytesOf(blob);
          meta.at = 0;
        }
        const explicit = plain ? /[A-Z]{2}/.test(String.fromCharCode(bytes[4], bytes[5])) : syntax !== rules.syntaxes.implicit;
        const little = syntax !== rules.syntaxes.big_endian;
        const pixels = read(new Reader(bytes, meta.at, explicit, little), 0);
        return { elements, groups, pixels, syntax, little, blob };
      } catch (error) {
        if (!(error instanceof EndOfBytes) || bytes.length >= blob.size) throw error;
        bytes = await bytesOf(blob, 0, Math.min(blob.size, bytes.length * 16));
      }
    }
  } catch (error) {
    if (error instanceof EndOfBytes) throw new ScanError(`${path} is cut short: its header ends in the middle.`);
    throw error;
  }
}

/** Read the headers of a file's frames, usually one; throws a ScanError for anything but grey MR images. */
export async function readHeaders(blob, path) {
  const name = path.split("/").pop();
  try {
    return await readFrames(blob, path, name);
  } catch (error) {
    throw error instanceof ScanError && !error.message.startsWith(name) ? new ScanError(`${name}: ${error.message}`) : error;
  }
}

async function readFrames(blob, path, name) {
  const parsed = await parse(blob, name);
  const { elements, groups } = parsed;
  const first = describe(elements, parsed, path, 0);
  if (!groups.shared && !groups.frames) {
    if (first.frames === 1) return [first];
    throw refusal("frames_unplaced", first);
  }
  const own = groups.frames?.length ? groups.frames : [new Map()];
  if (own.length !== first.frames) throw refusal("frames_miscounted", { ...first, described: groups.frames?.length ?? 0 });
  return own.map((frame, number) => describe(new Map([...elements, ...(groups.shared ?? []), ...frame]), parsed, path, number));
}

function describe(elements, { pixels, syntax, little, blob }, path, frame) {
  const name = path.split("/").pop();
  const element = (...keywords) => keywords.map((keyword) => elements.get(tagOf(keyword))).find(Boolean);
  const latin = new TextDecoder("latin1");
  const unicode = new TextDecoder("utf-8");
  const charset = latin.decode(element("SpecificCharacterSet")?.bytes ?? new Uint8Array());
  const text = (...keywords) => {
    const raw = element(...keywords)?.bytes ?? new Uint8Array();
    return (charset.includes("192") ? unicode : latin).decode(raw).replace(/[\x00-\x1f]/g, "").trim();
  };
  const floats = (keyword, count) => {
    const raw = text(keyword);
    if (!raw) return [];
    const values = raw.split("\\").filter((part) => part.trim()).map(Number);
    if (!values.length || !values.every(Number.isFinite) || (count && values.length !== count)) {
      throw refusal("number", { keyword, found: raw.slice(0, 60), expected: count ? `${count} numbers` : "a number" });
    }
    return values;
  };
  const integer = (keyword) => {
    const found = element(keyword);
    if (!found?.bytes.length) return null;
    if (["US", "SS", ""].includes(found.vr) && found.bytes.length === 2) {
      return new DataView(found.bytes.buffer, found.bytes.byteOffset).getUint16(0, little);
    }
    const [value] = floats(keyword);
    return value === undefined ? null : Math.trunc(value);
  };
  const described = (...keywords) => {
    const [told] = keywords.filter((keyword) => element(keyword));
    const { vr, bytes } = element(...keywords) ?? {};
    if (bytes?.length === 8 && (vr === "FD" || (vr === "" && told !== keywords.at(-1)))) return new DataView(bytes.buffer, bytes.byteOffset).getFloat64(0, little);
    try {
      return floats(told ?? keywords[0])[0] ?? null;
    } catch {
      return null;
    }
  };
  checkKind(name, { modality: text("Modality").toUpperCase(), sopClass: text("SOPClassUID"), pixels, rows: integer("Rows"), columns: integer("Columns"), samples: integer("SamplesPerPixel"), photometric: text("PhotometricInterpretation").toUpperCase() });
  const [position, spacing] = [floats("ImagePositionPatient", 3), floats("PixelSpacing", 2)];
  const [row, column] = directionsOf(floats("ImageOrientationPatient", 6));
  const allocated = integer("BitsAllocated") || 16;
  const stored = integer("BitsStored") || allocated;
  const slope = floats("RescaleSlope")[0] ?? 1;
  const frames = Math.trunc(floats("NumberOfFrames")[0] ?? 1) || 1;
  if (frames < 1) throw refusal("frame_count", { frames });
  if (![8, 16, 32].includes(allocated)) throw refusal("bits", { allocated });
  const highBit = integer("HighBit") ?? stored - 1;
  if (slope === 0 || stored - 1 > highBit || highBit >= allocated) {
    throw refusal("bits_misfit", { slope: shown(slope), allocated, stored, high_bit: highBit });
  }
  const [rows, columns] = [integer("Rows"), integer("Columns")];
  if (rows * columns * frames > LIMITS.voxels) throw new ScanError(`${name} claims ${rows * columns * frames} pixels; at most ${LIMITS.voxels} are read here.`);
  const native = rules.syntaxes.native.includes(syntax) && pixels.length !== UNDEFINED;
  const [expected, available] = [(rows * columns * frames * allocated) / 8, blob.size - pixels.offset];
  if (native && available < expected) {
    const claimed = `${rows} x ${columns}${frames > 1 ? ` x ${frames} frames` : ""}`;
    throw refusal("cut_off", { name, claimed, expected: Math.floor(expected).toLocaleString("en"), available: Math.max(0, available).toLocaleString("en") });
  }
  return {
    path, name, blob, pixels, frame, syntax, little, rows, columns, allocated, stored, highBit, slope, frames,
    native, folder: path.split("/").slice(0, -1).join("/"),
    instance: text("SOPInstanceUID") && `${text("SOPInstanceUID")} ${frame}`, space: text("FrameOfReferenceUID"), study: text("StudyInstanceUID"), series: text("SeriesInstanceUID"), patient: text("PatientID"),
    number: described("InstanceNumber"), signed: integer("PixelRepresentation") === 1,
    inverted: text("PhotometricInterpretation").toUpperCase() === "MONOCHROME1", intercept: floats("RescaleIntercept")[0] ?? 0,
    position: position.length ? position : null, row, column,
    spacing: spacing.length && Math.min(...spacing) > 0 ? spacing : null,
    thickness: described("SliceThickness"), times: described("NumberOfTemporalPositions"),
    synthetic: text("ImageComments") === rules.synthetic_mark,
    acquisition: {
      seriesDescription: text("SeriesDescription"), protocolName: text("ProtocolName"),
      examination: text("PerformedProcedureStepDescription") || text("StudyDescription"),
      sequenceName: text("SequenceName") || text("PulseSequenceName"),
      scanningSequence: splitValues(text("ScanningSequence")).length ? splitValues(text("ScanningSequence")) : (rules.pulses[text("EchoPulseSequence").toUpperCase()] ?? []),
      scanOptions: splitValues(text("ScanOptions")), acquisitionType: text("MRAcquisitionType").toUpperCase(),
      imageType: splitValues(text("FrameType", "ImageType")), complexComponent: text("ComplexImageComponent").toUpperCase(),
      echoPlanar: text("EchoPlanarPulseSequence").toUpperCase() === "YES", angiography: text("AngioFlag").toUpperCase() === "Y",
      acquisitionContrast: text("AcquisitionContrast").toUpperCase(), contrastAgent: agentOf(text("ContrastBolusAgent")),
      injectedSeconds: secondsOf(text("ContrastBolusStartTime")), tr: described("RepetitionTime"), te: described("EffectiveEchoTime", "EchoTime"),
      ti: described("InversionTimes", "InversionTime"), seriesNumber: described("SeriesNumber"), acquiredSeconds: secondsOf(text("AcquisitionTime")),
    },
  };
}

function checkKind(name, { modality, sopClass, pixels, rows, columns, samples, photometric }) {
  if (!modality && !sopClass && !pixels) throw refusal("no_image", { name });
  if (modality !== "MR" && (modality || !rules.mr_classes.includes(sopClass))) {
    throw refusal("other_modality", { name, modality: modality || "not stated" });
  }
  if (!pixels || !rows || !columns) throw refusal("no_pixels", { name });
  if ((samples ?? 1) !== 1 || (photometric && !photometric.startsWith("MONOCHROME"))) {
    throw refusal("colour", { name, found: photometric || `${samples} samples a pixel` });
  }
}

function directionsOf(values) {
  if (!values.length) return [null, null];
  const pair = [values.slice(0, 3), values.slice(3)];
  const lengths = pair.map((one) => Math.hypot(...one));
  const across = pair[0].reduce((sum, value, axis) => sum + value * pair[1][axis], 0);
  if (Math.max(...lengths.map((length) => Math.abs(length - 1))) > 0.01 || Math.abs(across) > 0.01) {
    throw refusal("directions", { values: values.map(shown).join(", ") });
  }
  return pair.map((one, index) => one.map((value) => value / lengths[index]));
}

/** The rescaled values of a frame: Float32Array (rows x columns). `stored` are its values where it had to be decoded. */
export async function readPixels(header, stored = null) {
  const { rows, columns, allocated, signed, highBit, slope, intercept, inverted, pixels } = header;
  const size = rows * columns;
  const start = pixels.offset + (header.frame * size * allocated) / 8;
  const bytes = stored ? new Uint8Array() : await bytesOf(header.blob, start, start + (size * allocated) / 8);
  const view = new DataView(bytes.buffer);
  const get = { 8: ["getUint8", "getInt8"], 16: ["getUint16", "getInt16"], 32: ["getUint32", "getInt32"] }[allocated][Number(signed)];
  const values = new Float32Array(size);
  const stop = 2 ** (header.stored - Number(signed));
  const [up, down] = [allocated - 1 - highBit, allocated - header.stored];
  const top = signed ? -1 : 2 ** header.stored - 1;
  const shift = 32 - allocated;
  for (let index = 0; index < size; index++) {
    let value = stored ? (signed ? (stored[index] << shift) >> shift : (stored[index] << shift) >>> shift) : view[get]((index * allocated) / 8, header.little);
    if (allocated < 32 && (value >= stop || value < (signed ? -stop : 0))) {
      // an overlay: shifting up and down drops it and extends the sign
      value = signed ? (value << (up + shift)) >> (down + shift) : ((value << (up + shift)) >>> 0) >>> (down + shift);
    }
    if (inverted) value = top - value;
    values[index] = value * slope + intercept;
  }
  return values;
}
