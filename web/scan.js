// From files to studies and series, by headers alone. Mirrors core/data/upload.py and core/data/index: whose a file is, which
// series it belongs to, and which sequence that is.
import { bytesOf } from "./files.js";
import { looksLikeDicom, readHeaders } from "./dicom.js";
import { arrange, findStatedSlices, isLabelMap, readNifti, readNiftiHeader, readStack } from "./volume.js";
import { kindOfImage } from "./pictures.js";
import { acquisitionOfSidecar, isLocaliser, readName, recogniseName, recogniseStudy, stripSequence } from "./sequences.js";
import { ScanError, refusal, rules } from "./rules.js";

const NO_SPACING = "it states no Pixel Spacing (0028,0030), so its pixels count as square and nothing is measured in millimetres";
const folderOf = (path) => path.split("/").slice(0, -1).join("/");
const nameOf = (path) => path.split("/").pop();
const stemOf = (path) => nameOf(path).replace(/\.gz$/, "").replace(/\.nii$/, "").replace(/\.[A-Za-z]{2,5}$/, "");
const natural = new Intl.Collator("en", { numeric: true }).compare;
const groupBy = (values, key) => values.reduce((groups, value) => groups.set(key(value), [...(groups.get(key(value)) ?? []), value]), new Map());

/** Sort files into studies: {studies: [{id, series}], faults, notes, synthetic}. `statedSequence` is for what does not say it. */
export async function indexFiles(files, { statedSequence = null, assigned = {} } = {}) {
  const [found, faults, notes] = [{ dicom: [], nifti: [], picture: [] }, [], []];
  const sidecars = new Map(files.filter(({ path }) => path.endsWith(".json")).map((file) => [file.path, file.blob]));
  for (const { path, blob } of files) {
    try {
      const kind = await detect(path, blob);
      if (kind === "dicom") found.dicom.push(...await readHeaders(blob, path));
      else if (kind) found[kind].push({ path, blob });
    } catch (error) {
      if (!(error instanceof ScanError)) throw error;
      faults.push({ path, reason: error.message });
    }
  }
  const groups = new Map();
  const groupOf = (key, name) => groups.get(key) ?? groups.set(key, { name, dicom: [], nifti: [], picture: [] }).get(key);
  const competition = (path) => folderOf(path).split("/").slice(-3).reverse().find((folder) => /^\d{5}$/.test(folder));
  const named = (path) => {
    const [handed, ...below] = folderOf(path).split("/");
    return [...below, handed].find((folder) => folder && recogniseName(folder) === null) ?? "scan";
  };
  for (const header of found.dicom) {
    const number = competition(header.path);
    groupOf(`${number ?? (header.study || header.folder)} ${header.patient}`, number ?? named(header.path)).dicom.push(header);
  }
  for (const file of found.nifti) {
    const stem = stemOf(file.path);
    let own = stripSequence(stem);
    if (own === stem && recogniseName(stem)) own = named(file.path);
    groupOf(`nifti ${folderOf(file.path)} ${own}`, own).nifti.push(file);
  }
  for (const file of found.picture) {
    const number = /^\d+(?=[_-])/.exec(nameOf(file.path))?.[0] ?? competition(file.path);
    const alone = found.picture.length === 1;
    groupOf(number ?? `pictures ${folderOf(file.path)}`, number ? number.padStart(5, "0") : alone ? stemOf(file.path) : named(file.path)).picture.push(file);
  }
  const studies = [];
  for (const group of groups.values()) {
    const parts = [...dicomSeries(group, faults, notes), ...await niftiSeries(group, sidecars, faults)];
    const recognised = recogniseStudy(parts.map(({ evidence }) => evidence));
    const series = parts.map((part, place) => ({ ...part, ...orStated(recognised[place], statedSequence) }));
    series.push(...pictureSeries(group, statedSequence));
    for (const one of series) {
      one.uid ||= `${group.name}.${one.sequence}`;
      if (assigned[one.uid]) Object.assign(one, { sequence: assigned[one.uid], reason: "as assigned by you", confidence: assigned[one.uid] === "unknown" ? "" : "certain" });
    }
    series.sort(bySeriesOrder);
    const taken = studies.filter(({ name }) => name === group.name).length;
    if (series.length) studies.push({ name: group.name, id: taken ? `${group.name}-${taken + 1}` : group.name, series });
  }
  studies.sort((one, other) => (one.id < other.id ? -1 : 1));
  const marked = files.some(({ path }) => path.split("/").length === 2 && nameOf(path) === rules.synthetic_file);
  const synthetic = marked || found.dicom.some((one) => one.synthetic) || studies.some(({ series }) => series.some((one) => one.synthetic));
  return { studies, faults, notes, synthetic };
}

/** In the name of a small copy of another picture; as in core/data/formats/discovery.py. */
const THUMBNAIL = /(?:^|[ _.-])(?:thumb|thumbnail|preview)s?(?:[ _.-]|$)/i;

async function detect(path, blob) {
  if (/(^|\/)(DICOMDIR|\.DS_Store|Thumbs\.db)$/i.test(path) || path.endsWith(".json")) return "";
  const start = await bytesOf(blob, 0, 4);
  if (/\.nii(\.gz)?$/i.test(path)) return "nifti";
  if (kindOfImage(start)) return THUMBNAIL.test(nameOf(path)) ? "" : "picture";
  return (await looksLikeDicom(blob)) ? "dicom" : "";
}

const orStated = (found, stated) =>
  stated && found.sequence === "unknown" && !found.noneOfTheFour ? { ...found, sequence: stated, reason: "as stated by you", confidence: "certain" } : found;

/** Of one sequence, the series to be used first comes first. */
export function bySeriesOrder(one, other) {
  const key = ({ sequence, reason, confidence, slices, uid }) => [rules.sequences.indexOf(sequence), reason !== "as assigned by you", confidence === "guess", -slices, uid];
  const [first, second] = [key(one), key(other)];
  const place = first.findIndex((value, index) => value !== second[index]);
  return place < 0 ? 0 : first[place] < second[place] ? -1 : 1;
}

function dicomSeries(group, faults, notes) {
  const found = [];
  for (const headers of groupHeaders(group.dicom)) {
    const [first] = headers;
    const folder = nameOf(first.folder);
    const localiser = headers.some((header) => header.acquisition.imageType.includes("LOCALIZER"));
    const byName = [folder, first.acquisition.seriesDescription].find(isLocaliser);
    if (localiser || byName) {
      faults.push({ path: first.folder, reason: localiser ? "set aside: a localiser (a planning scan), by its Image Type" : `set aside: a localiser (a planning scan), by its name '${byName.slice(0, 60)}'` });
      continue;
    }
    const parts = separate(headers);
    if (parts.by) notes.push(`The ${headers.length} files of ${first.folder} are ${parts.groups.length} series by their ${parts.by}, and were split.`);
    for (const [number, part] of parts.groups.entries()) {
      const suffix = parts.by ? `/${number + 1}` : "";
      try {
        found.push(stackSeries(part, suffix, faults));
      } catch (error) {
        if (!(error instanceof ScanError)) throw error;
        faults.push({ path: first.folder, reason: error.message });
      }
    }
  }
  return found;
}

function stackSeries(headers, suffix, faults) {
  const stack = arrange(headers);
  faults.push(...stack.faults);
  const [first] = stack.headers;
  return {
    kind: "dicom", uid: first.series + suffix, plane: stack.plane, slices: stack.headers.length, files: new Set(stack.headers.map(({ path }) => path)).size,
    spacing: stack.spacingKnown ? stack.spacing : null, doubts: stack.spacingKnown ? [] : [NO_SPACING],
    space: new Set(stack.headers.map(({ space }) => space)).size === 1 ? first.space : "",
    description: first.acquisition.seriesDescription, synthetic: headers.some((header) => header.synthetic),
    evidence: { folder: nameOf(first.folder), file: stemOf(first.path), acquisition: first.acquisition },
    read: () => readStack(stack),
  };
}

/** Put the files of each series together; a series in several folders, or whose files have a UID each, is joined. */
function groupHeaders(headers) {
  const groups = [...groupBy(headers, (header) => `${header.folder} ${header.series}`).values()];
  const folders = groupBy(groups, ([header]) => header.series);
  const keyed = groupBy(groups, (group) => {
    const [header] = group;
    const piece = group.length === 1 && header.series && folders.get(header.series).length === 1;
    const described = header.frames === 1 && header.position && header.acquisition.seriesDescription;
    return piece && described
      ? `piece ${JSON.stringify([header.folder, header.study, header.acquisition.seriesDescription, header.row, header.column, header.rows, header.columns, header.spacing])}`
      : `series ${header.series}`;
  });
  return [...keyed].flatMap(([key, pieces]) => {
    const fewest = key.startsWith("piece") ? rules.constants.FEWEST_PIECES : 2;
    return pieces.length >= fewest && areDisjoint(pieces) ? [pieces.flat()] : pieces;
  });
}

function areDisjoint(pieces) {
  const named = new Set(pieces.map(([header]) => recogniseName(nameOf(header.folder))).filter((name) => name !== null));
  const places = pieces.flat().map((header) => header.position && header.position.join(" "));
  return named.size < 2 && !places.includes(null) && new Set(places).size === places.length;
}

/** Split files that share one UID and are several volumes: by echo time, image type or orientation. */
function separate(headers) {
  const { MAJORITY, FEWEST_SLICES } = rules.constants;
  if (headers.length < 2 || headers.some((header) => header.frames > 1)) return { groups: [headers], by: "" };
  const repeats = (group) => new Set(group.map((header) => (header.position ?? []).map((value) => value.toFixed(2)).join(" "))).size < MAJORITY * group.length;
  const orientation = (header) => [header.rows, header.columns, ...[...(header.row ?? []), ...(header.column ?? [])].map((value) => Math.round(value * 10) / 10 + 0)].join(" ");
  const keys = [
    ["echo time", (header) => header.acquisition.te],
    ["image type", (header) => `${header.acquisition.imageType} ${header.acquisition.complexComponent}`],
    ["orientation", orientation],
  ];
  for (const [by, key] of keys) {
    const largest = Math.max(...[...groupBy(headers, orientation).values()].map((group) => group.length));
    if (by === "orientation" ? largest >= MAJORITY * headers.length : !repeats(headers)) continue;
    const groups = [...groupBy(headers, key).values()];
    if (groups.length > 1 && groups.every((group) => group.length >= FEWEST_SLICES && !repeats(group))) return { groups, by };
  }
  return { groups: [headers], by: "" };
}

async function niftiSeries(group, sidecars, faults) {
  const found = [];
  for (const { path, blob } of group.nifti) {
    try {
      const beside = path.replace(/\.nii(\.gz)?$/i, ".json");
      const sidecar = sidecars.has(beside) ? parseSidecar(await sidecars.get(beside).text(), nameOf(beside)) : null;
      const plain = await readNiftiHeader(blob, nameOf(path));
      const statedAxis = sidecar ? findStatedSlices(sidecar, plain.axesMm) : null;
      const header = await readNiftiHeader(blob, nameOf(path), { statedAxis });
      const stem = stemOf(path);
      const name = readName(stem, true);
      if (name.other === "a label map") throw refusal("named_labels", { name: nameOf(path) });
      if (await isLabelMap(blob, nameOf(path), header)) throw refusal("label_map", { name: nameOf(path) });
      const acquisition = sidecar ? acquisitionOfSidecar(sidecar) : null;
      found.push({
        kind: "nifti", uid: `${group.name}.${stem}`, plane: header.plane, slices: header.shape[0], files: 1, doubts: header.doubts,
        spacing: header.spacingKnown ? header.spacing : null, description: "", synthetic: acquisition?.synthetic ?? false,
        space: String(sidecar?.FrameOfReferenceUID ?? "").slice(0, 64),
        evidence: { folder: name.weighting === null && !name.other ? nameOf(folderOf(path)) : "", file: stem, acquisition },
        read: (prep) => readNifti(blob, nameOf(path), { statedAxis, widest: prep.reader_version === 1 }),
      });
    } catch (error) {
      if (!(error instanceof ScanError)) throw error;
      faults.push({ path, reason: error.message });
    }
  }
  return found;
}

function parseSidecar(text, name) {
  try {
    const content = JSON.parse(text);
    if (content && typeof content === "object" && !Array.isArray(content)) return content;
  } catch {
    // said below
  }
  throw new ScanError(`${name} cannot be read as JSON; convert the scan again.`);
}

function pictureSeries(group, statedSequence) {
  const recognise = (folder, file) => orStated(recogniseStudy([{ folder, file, acquisition: null }])[0], statedSequence);
  const byFile = (file) => {
    const found = recognise("", stemOf(file.path));
    return found.sequence === "unknown" ? recognise(nameOf(folderOf(file.path)), "") : found;
  };
  const told = group.picture.map((file) => ({ ...file, found: byFile(file) }));
  return [...groupBy(told, ({ found }) => found.sequence).values()].map((files) => ({
    kind: "picture", uid: "", plane: "unknown", slices: files.length, files: files.length, spacing: null, doubts: [], description: "", synthetic: false, space: "",
    ...files[0].found, pictures: files.sort((one, other) => natural(nameOf(one.path), nameOf(other.path))),
  }));
}
