// Which MR sequence each series of a study is, and why. Mirrors core/data/sequences and core/data/index/recognise.py;
// the words and times are those of rules.json.
import { rules } from "./rules.js";

const SEQUENCES = { T1: "T1w", T2: "T2w", FLAIR: "FLAIR" };
const DESCRIBED = { T1: "T1w", T2: "T2w" };
const quote = (text) => (text.includes("'") && !text.includes('"') ? `"${text}"` : `'${text.replaceAll("'", "\\'")}'`);
const overlap = (one, other) => one.some((value) => other.includes(value));
const sureness = () => rules.constants.SURENESS;
const leastSure = (...all) => all.reduce((one, other) => (sureness().indexOf(other) < sureness().indexOf(one) ? other : one));
const mostSure = (all) => all.reduce((one, other) => (sureness().indexOf(other) > sureness().indexOf(one) ? other : one));

let known;
/** Sets of words that are asked often. */
function words() {
  if (!known) {
    const tables = rules.tables;
    const aboutContrast = [tables.agents, tables.after, tables.perhaps_after, tables.before, tables.negations, tables.with, ["+"]].flat();
    const vocabulary = new Set([
      ...Object.keys(tables.synonyms), ...Object.values(tables.weightings).flat(), ...Object.values(tables.other_kinds).flat(),
      ...tables.reformats, ...aboutContrast, ...tables.modifiers,
    ]);
    const rewrites = tables.rewrites.map(([pattern, by]) => [new RegExp(pattern, "g"), by.replace(/\\(\d)/g, "$$$1")]);
    known = { aboutContrast: new Set(aboutContrast), vocabulary, leading: new Set(tables.leading), rewrites };
  }
  return known;
}

/** The words of a name: "AXT1POST" and "Ax T1 post" give the same; a star and a plus are words. */
export function splitWords(text) {
  const { letters, synonyms } = rules.tables;
  let plain = [...text.toLowerCase()].map((letter) => letters[letter] ?? letter).join("").normalize("NFKD").replace(/\p{M}/gu, "");
  for (const [pattern, by] of words().rewrites) plain = plain.replace(pattern, by);
  const tokens = plain.split(/\s+/).filter(Boolean);
  return tokens.flatMap(takeApart).map((word) => (Object.hasOwn(synonyms, word) ? synonyms[word] : word));
}

function takeApart(token) {
  const place = Math.max(token.indexOf("t1"), token.indexOf("t2"));
  if (place < 0 || words().vocabulary.has(token)) return [token];
  const before = knownParts(token.slice(0, place), words().leading);
  const rest = knownParts(token.slice(place), words().vocabulary);
  return rest.length && (before.length || !place) ? [...before, ...rest] : [token];
}

function knownParts(text, vocabulary) {
  if (vocabulary.has(text)) return [text];
  for (let end = text.length - 1; end > 0; end--) {
    const rest = vocabulary.has(text.slice(0, end)) ? knownParts(text.slice(end), vocabulary) : [];
    if (rest.length) return [text.slice(0, end), ...rest];
  }
  return [];
}

/** What a folder's, a file's or a series' name says: weighting, another kind, contrast. */
export function readName(text, file = false) {
  const tables = rules.tables;
  const all = splitWords(text);
  const line = ` ${all.join(" ")} `;
  const has = (table) => table.some((word) => line.includes(` ${word} `));
  const [t1, t2, flair] = ["T1", "T2", "FLAIR"].map((kind) => has(tables.weightings[kind]));
  let others = Object.keys(tables.other_kinds).filter((kind) => has(tables.other_kinds[kind]));
  const dual = t2 && !t1 && others.length === 1 && others[0] === "a proton-density image";
  if (dual) others = [];
  else if (t1 && t2) others.push("several weightings");
  else if (t2 && !flair && has(tables.gradient_echoes)) others.push("a susceptibility or T2* image");
  else if (file && has(tables.label_files)) others.push("a label map");
  return {
    weighting: t1 ? "T1" : flair ? "FLAIR" : t2 ? "T2" : null,
    other: others[0] ?? "",
    mark: readMark(line),
    reformat: has(tables.reformats),
    dual,
    base: all.filter((word) => !words().aboutContrast.has(word)),
  };
}

const saysNothing = (name) => name.weighting === null && !name.other;

function readMark(line) {
  const tables = rules.tables;
  if (tables.both.some((phrase) => line.includes(` ${phrase} `))) return "";
  for (const phrase of tables.not_of_contrast) line = line.replaceAll(` ${phrase} `, " ");
  const all = line.split(/\s+/).filter(Boolean);
  let [given, absent, perhaps] = [false, false, false];
  all.forEach((word, place) => {
    const beside = [...all.slice(Math.max(0, place - 1), place), ...all.slice(place + 1, place + 2)];
    const ahead = all.slice(Math.max(0, place - 2), place);
    const negated = overlap(tables.negations, ahead);
    const sure = tables.perhaps_after.includes(word) && overlap(tables.with, ahead);
    const agent = tables.agents.includes(word) || sure || (word === "c" && beside.includes("+"));
    absent ||= tables.before.includes(word) || (negated && (agent || tables.perhaps_after.includes(word)));
    given ||= tables.after.includes(word) || (agent && !negated);
    perhaps ||= tables.perhaps_after.includes(word) || (word === "+" && place === all.length - 1);
  });
  if (given && absent) return "";
  return absent ? "pre" : given ? "post" : perhaps ? "post?" : "";
}

/** A sequence in a name such as T1wCE or "Sag 3D FLAIR"; "unknown" where it is something else, null where it says nothing. */
export function recogniseName(text) {
  const name = readName(text, true);
  if (name.other) return "unknown";
  if (name.weighting === "T1" && ["post", "post?"].includes(name.mark)) return "T1wCE";
  return name.weighting ? SEQUENCES[name.weighting] : null;
}

export const isLocaliser = (text) => readName(text).other === "a localiser";

/** Take the sequence off the end of a file's stem: BraTS-GLI-00001-000-t2f -> BraTS-GLI-00001-000. */
export function stripSequence(stem) {
  const bids = /^(sub-[A-Za-z0-9]+(?:_ses-[A-Za-z0-9]+)?)_/.exec(stem);
  if (bids && recogniseName(stem) !== null) return bids[1];
  const at = stem.replaceAll("_", "-").lastIndexOf("-");
  return at > 0 && recogniseName(stem.slice(at + 1)) !== null ? stem.slice(0, at) : stem;
}

/** What Image Type or Complex Image Component call the image instead of a plain magnitude one; else nothing. */
function tellByImageType(acquisition) {
  const tables = rules.tables;
  const values = acquisition.imageType.slice(2).map((value) => value.replaceAll("_", " "));
  const magnitude = overlap(values, ["M", "OTHER", "PROPELLER"]);
  for (const [kind, listed] of Object.entries(tables.image_types)) {
    if (overlap(values, listed) && !(magnitude && kind === "a real or imaginary image")) return kind;
  }
  return Object.hasOwn(tables.components, acquisition.complexComponent) ? tables.components[acquisition.complexComponent] : "";
}

/** What the header says the image is instead of a plain magnitude image; empty where nothing says so. */
export function tellByImage(acquisition) {
  const tables = rules.tables;
  const byType = tellByImageType(acquisition);
  if (byType) return byType;
  for (const [pattern, kind] of tables.sequence_names) {
    if (new RegExp(pattern).test(acquisition.sequenceName.toLowerCase())) return kind;
  }
  if (acquisition.echoPlanar || acquisition.scanningSequence.includes("EP")) return "an echo-planar or functional image";
  if (acquisition.angiography) return "an angiogram";
  return tables.other_contrasts[acquisition.acquisitionContrast] ?? "";
}

function isReformatted(acquisition, named) {
  const kind = acquisition.imageType;
  if (kind[0] === "DERIVED" && kind.includes("PROJECTION IMAGE")) return true;
  return overlap(rules.tables.reformatted_types, kind) || (named && kind[0] !== "ORIGINAL");
}

function tellByTiming({ tr, te, ti, scanningSequence, acquisitionType }) {
  if (!tr || te === null) return "";
  const pulse = scanningSequence.includes("GR") ? "gradient" : "echo";
  const within = (value, [low, high]) => low <= value && value <= high;
  const rule = rules.tables.timings.find((one) =>
    one.pulse === pulse && within(tr, one.tr_ms) && within(te, one.te_ms) && within(ti || 0, one.ti_ms ?? [0, 0])
    && (!one.dimensions || ["", one.dimensions].includes(acquisitionType))
    && (!one.inversion || scanningSequence.includes("IR")));
  return rule?.kind ?? "";
}

function describeTiming({ tr, te, ti }) {
  const shown = (value) => Number(value.toPrecision(6));
  return [["TR", tr], ["TE", te], ["TI", ti]].filter(([, value]) => value).map(([name, value]) => `${name} ${shown(value)} ms`).join(", ");
}

const describeAcquisition = (one) => `timing (${describeTiming(one)}${one.contrastAgent ? ", contrast agent" : ""})`;

/** What one series says by itself: {folder, file, acquisition or null}. */
function readEvidence(series, sharedProtocols) {
  const acquisition = series.acquisition ?? NOTHING_STATED;
  const sources = [
    ["folder name", series.folder, false],
    ["file name", series.file, true],
    ["SeriesDescription", acquisition.seriesDescription, false],
    ["ProtocolName", sharedProtocols.has(acquisition.protocolName) ? "" : acquisition.protocolName, false],
  ];
  const names = sources.filter(([, text]) => text).map(([kind, text, file]) => [kind, text, readName(text, file)]);
  const [kind, text, name] = names.find(([, , one]) => !saysNothing(one)) ?? ["", "", readName("")];
  const said = `${kind} ${quote(text)}`;
  const byPerson = ["folder name", "file name"].includes(kind);
  const stated = byPerson && (!series.acquisition || rules.stated.includes(splitWords(text).join(" ")));
  const timing = tellByTiming(acquisition);
  const image = stated ? tellByImageType(acquisition) : tellByImage(acquisition);
  const other = (reason) => ({ weighting: null, reason, confidence: "", acquisition, base: [], mark: "", reformat: false, noneOfTheFour: true, stated: false });
  if (image) return other(`${image}, by its header${stated ? `, whatever its ${said} says` : ""}`);
  const anatomical = acquisition.scanningSequence.length && name.weighting !== null
    && rules.tables.echo_planar_kinds.includes(name.other) && timing === name.weighting;
  if (name.other && !anatomical) return other(`${name.other}, by its ${said}`);
  let judged = [name.weighting, "certain", said];
  if (!stated) judged = name.weighting ? weigh(name, said, timing, acquisition) : judgeUnnamed(timing, acquisition);
  const heard = names.filter(([source, , one]) => one.weighting || source === "SeriesDescription").map(([, , one]) => one);
  const description = names.find(([source]) => source === "SeriesDescription");
  return {
    weighting: judged[0], confidence: judged[1], reason: judged[2], acquisition,
    base: description ? description[2].base : name.base,
    mark: heard.find((one) => one.mark)?.mark ?? "",
    reformat: !stated && isReformatted(acquisition, name.reformat),
    noneOfTheFour: judged[0] === null && name.weighting !== null,
    stated,
  };
}

function weigh(name, said, timing, acquisition) {
  const named = name.weighting;
  const how = describeAcquisition(acquisition);
  if (timing === named) return [named, name.other ? "likely" : "certain", `${said}, borne out by ${how}`];
  if (!timing) return [named, "likely", said];
  const overruled = rules.tables.overruled.some(([one, other]) => one === named && other === timing);
  if (overruled || (name.dual && timing === "a proton-density image")) {
    return [SEQUENCES[timing] ? timing : null, "likely", `${said}, and ${how} makes it ${DESCRIBED[timing] ?? timing}`];
  }
  return [named, "guess", `${said}, though ${how} speaks for ${DESCRIBED[timing] ?? timing}`];
}

function judgeUnnamed(timing, acquisition) {
  const weighting = SEQUENCES[timing] ? timing : null;
  const contrast = rules.tables.contrasts[acquisition.acquisitionContrast];
  if (weighting === null && contrast) return [contrast, "likely", `AcquisitionContrast ${quote(acquisition.acquisitionContrast)}`];
  if (!describeTiming(acquisition)) return [null, "", "neither name nor timing say which sequence it is"];
  const how = describeAcquisition(acquisition);
  return [weighting, weighting ? "guess" : "", timing && !weighting ? `${timing}, by its ${how}` : how];
}

/** Recognise all series of one study together: [{sequence, reason, confidence, noneOfTheFour}], in their order. */
export function recogniseStudy(series) {
  const protocols = new Map();
  for (const { acquisition } of series) {
    if (acquisition) protocols.set(acquisition.protocolName, (protocols.get(acquisition.protocolName) ?? new Set()).add(acquisition.seriesDescription));
  }
  const shared = new Set([...protocols].filter(([, names]) => names.size > 1).map(([protocol]) => protocol));
  const findings = series.map((one) => readEvidence(one, shared));
  const originals = findings.filter((one) => !one.reformat);
  const contrasts = decideContrast(originals);
  const answers = new Map(originals.map((one, place) => [one, answer(one, contrasts[place])]));
  return findings.map((one, place) => doubtWeighting(series[place], answers.get(one) ?? answerReformat(one, answers)));
}

/** An answer as a guess where T1 in the file's name may be a time point and no timing tells. */
function doubtWeighting({ file, acquisition }, found) {
  const timed = typeof acquisition?.te === "number";
  const named = new RegExp(rules.time_or_weighting, "i").test(file ?? "") && ["T1w", "T1wCE"].includes(found.sequence);
  if (timed || !named) return found;
  return { ...found, confidence: "guess", reason: `${found.reason}: a T1-weighted FLAIR, or else FLAIR at a time point T1` };
}

function answer(finding, contrast) {
  if (finding.weighting === null) {
    return { sequence: "unknown", reason: finding.reason, confidence: "", noneOfTheFour: finding.noneOfTheFour && !finding.reason.startsWith("several weightings") };
  }
  if (!contrast) return { sequence: SEQUENCES[finding.weighting], reason: finding.reason, confidence: finding.confidence };
  return {
    sequence: contrast.enhanced ? "T1wCE" : "T1w",
    reason: contrast.reason ? `${finding.reason}; ${contrast.reason}` : finding.reason,
    confidence: leastSure(finding.confidence, contrast.confidence),
  };
}

function answerReformat(finding, originals) {
  const found = answer(finding, decideContrast([finding])[0]);
  const anyT1 = finding.weighting === "T1" && !finding.mark;
  const replaced = [...originals].some(([one, other]) => (anyT1 ? one.weighting === "T1" : other.sequence === found.sequence));
  if (finding.weighting === null || !replaced) {
    return { sequence: found.sequence, reason: `${finding.reason}; a reformat, whose original is not there`, confidence: leastSure(found.confidence, "likely") };
  }
  return { sequence: "unknown", reason: `${finding.reason}, a reformat of another series of the study`, confidence: "", noneOfTheFour: true };
}

// --- Contrast: which of a study's T1-weighted series were acquired after it (core/data/sequences/contrast.py) ---

const contrastOf = (enhanced, confidence, reason = "") => ({ enhanced, confidence, reason });
const isTwin = (one, other) => one !== other && one.base.length > 0 && one.base.join(" ") === other.base.join(" ");
const modulo = (value, by) => ((value % by) + by) % by;

/** For every finding whether it was acquired after contrast; null for what is not T1-weighted. */
function decideContrast(findings) {
  const t1 = findings.filter((one) => one.weighting === "T1");
  const unmarkedTwin = (one) => t1.some((other) => isTwin(one, other) && !other.mark);
  const marked = t1.filter((one) => one.mark === "post" || (one.mark === "post?" && unmarkedTwin(one)));
  const decided = new Map(t1.map((one) => [one, byOwnWord(one, marked, t1) ?? byAgent(one, t1)]));
  const unmarked = t1.filter((one) => decided.get(one) === null);
  const enhanced = t1.filter((one) => decided.get(one)?.enhanced).map((one) => [one, decided.get(one)]);
  const plain = t1.filter((one) => one.mark === "pre");
  if (enhanced.length) unmarked.forEach((one) => decided.set(one, besideEnhanced(one, enhanced, plain)));
  else if (plain.length || unmarked.length > 1) byOrder(unmarked, plain).forEach((found, one) => decided.set(one, found));
  else unmarked.forEach((one) => decided.set(one, alone(one, findings)));
  return findings.map((one) => decided.get(one) ?? null);
}

/** 1 where `other` was acquired after `one`, -1 where before, 0 where that is not known. */
function compareOrder(one, other) {
  const { ONE_SESSION_SECONDS: session, DAY_SECONDS: day, LARGEST_SERIES_NUMBER: largest } = rules.constants;
  let byTime = 0;
  if (one.acquiredSeconds !== null && other.acquiredSeconds !== null) {
    const later = modulo(other.acquiredSeconds - one.acquiredSeconds, day);
    if (session < later && later < day - session) return 0;
    byTime = later === 0 ? 0 : later <= session ? 1 : -1;
  }
  let byNumber = 0;
  const numbers = [one.seriesNumber, other.seriesNumber];
  if (numbers[0] !== null && numbers[1] !== null && Math.max(...numbers) < largest) byNumber = Math.sign(numbers[1] - numbers[0]);
  return byTime && byNumber && byTime !== byNumber ? 0 : byTime || byNumber;
}

const order = (one, other) => compareOrder(one.acquisition, other.acquisition);

function byOwnWord(finding, marked, t1) {
  if (marked.includes(finding)) return contrastOf(true, "certain");
  if (finding.mark === "pre") return contrastOf(false, finding.acquisition.contrastAgent ? "likely" : "certain");
  if (finding.mark === "post?") return contrastOf(true, "likely");
  if (!finding.stated) return null;
  return contrastOf(false, t1.filter((one) => one.stated && !one.mark).length === 1 ? "certain" : "likely");
}

function byAgent(finding, t1) {
  const { injectedSeconds: injected, acquiredSeconds: acquired, contrastAgent: agent } = finding.acquisition;
  if (injected !== null && acquired !== null && agent) {
    const later = modulo(acquired - injected, rules.constants.DAY_SECONDS) <= rules.constants.ONE_SESSION_SECONDS;
    return contrastOf(later, "likely", `acquired ${later ? "after" : "before"} the injection`);
  }
  const telling = t1.length === 1 || t1.some((one) => !one.acquisition.contrastAgent);
  return agent && telling ? contrastOf(true, "likely", "with a contrast agent") : null;
}

function besideEnhanced(finding, enhanced, plain) {
  const twins = enhanced.filter(([one]) => isTwin(finding, one));
  if (twins.length) {
    const later = twins.some(([one]) => order(one, finding) === 1);
    return contrastOf(false, later ? "likely" : mostSure(twins.map(([, found]) => found.confidence)), "its twin is the one after contrast");
  }
  const orders = enhanced.map(([one]) => order(one, finding));
  if (orders.includes(1)) return contrastOf(true, "likely", "acquired after a series with contrast");
  if (orders.every((one) => one === -1)) {
    const first = plain.every((one) => order(one, finding) === -1);
    const sure = first ? mostSure(enhanced.map(([, found]) => found.confidence)) : "likely";
    return contrastOf(false, sure, "acquired before the series with contrast");
  }
  return contrastOf(false, "likely", "another series is the one after contrast");
}

function byOrder(unmarked, before) {
  const all = (make) => new Map(unmarked.map((one) => [one, make(one)]));
  const given = speakOfContrast([...unmarked, ...before]);
  if (given === "without") return all(() => contrastOf(false, "likely", "the examination was without contrast"));
  const sure = given === "with" || before.length ? "likely" : "guess";
  if (before.length) return all((one) => afterPlain(one, before, sure));
  const split = splitByTime(unmarked);
  if (split.length) {
    return new Map(split.map(([one, later]) => [one, contrastOf(later, sure, later ? "acquired after the other T1w" : "the first acquired of several T1w")]));
  }
  for (const [trait, told] of TRAITS) {
    const having = unmarked.map((one) => trait(one, unmarked));
    if (having.includes(true) && having.includes(false)) {
      return new Map(unmarked.map((one, place) => [one, contrastOf(having[place], "guess", `of several T1w ${having[place] ? "" : "not "}one ${told}`)]));
    }
  }
  return all(() => given === "with" ? contrastOf(false, "guess", "nothing tells which of several T1w is after contrast") : contrastOf(false, "likely"));
}

function afterPlain(finding, before, sure) {
  const orders = before.map((one) => order(one, finding));
  if (orders.every((one) => one === 1)) return contrastOf(true, sure, "acquired after the T1w without contrast");
  if (orders.includes(-1)) return contrastOf(false, "likely", "acquired before a T1w without contrast");
  const twin = before.some((one) => isTwin(finding, one));
  return contrastOf(twin, "guess", twin ? "its twin is without contrast" : "another T1w is without contrast");
}

function splitByTime(unmarked) {
  const places = unmarked.map((one) => [unmarked.filter((other) => order(other, one) === 1).length, one]).sort((one, other) => one[0] - other[0]);
  if (places.some(([place], index) => place !== index)) return [];
  const ordered = places.map(([, one]) => one);
  const seconds = (one) => one.acquisition.acquiredSeconds ?? 0;
  const gaps = ordered.slice(1).map((after, index) => modulo(seconds(after) - seconds(ordered[index]), rules.constants.DAY_SECONDS));
  const firstAfter = 1 + gaps.indexOf(Math.max(...gaps));
  return ordered.map((one, place) => [one, place >= firstAfter]);
}

function alone(finding, findings) {
  const others = findings.filter((one) => one !== finding && one.weighting);
  const last = others.length > 0 && others.every((one) => order(one, finding) === 1);
  if (last && isVolume(finding) && speakOfContrast([finding]) === "with") {
    return contrastOf(true, "guess", "the only T1w, acquired last in an examination with contrast");
  }
  return contrastOf(false, "likely");
}

const isVolume = (finding) => finding.acquisition.acquisitionType === "3D";
const hasFurtherWords = ({ base }, fellows) => fellows.some((one) =>
  one.base.length > 0 && new Set(one.base).size < new Set(base).size && one.base.every((word) => base.includes(word)));
const TRAITS = [
  [hasFurtherWords, "with a further word in its name"],
  [isVolume, "acquired as a volume"],
  [(finding) => finding.acquisition.scanOptions.includes("FS"), "with fat saturation"],
];

function speakOfContrast(findings) {
  const said = [...new Set(findings.map((one) => one.acquisition.examination))];
  if (!overlap(said.flatMap(splitWords), rules.tables.agents)) return "";
  return said.every((text) => readName(text).mark === "pre") ? "without" : "with";
}

// --- How a series was acquired, from a header or a BIDS sidecar (core/data/formats/acquisition.py) ---

const NO_AGENT = new RegExp("^(no?|none.*|n/?a|not? .*|nil|unknown|false|plain|nativ.*|w/?o|s/c|0+([.,]0+)?( ?ml)?|-*|yok|brak"
  + "|without.*|ohne.*|kein.*|nein|sans.*|aucun.*|non|sin( .*)?|ningun.*|senza.*|nessun.*|sem( .*)?|nenhum.*"
  + "|zonder.*|geen.*|bez.*|net|utan.*|uten.*|uden.*|ingen.*)$", "i");
export const agentOf = (text) => (NO_AGENT.test(text.trim()) ? "" : text.trim());
export const splitValues = (text) => text.split("\\").map((part) => part.trim().toUpperCase()).filter(Boolean);

/** A time of day in seconds since midnight; null for anything else. */
export function secondsOf(text) {
  const found = /^(\d{1,2}):?(\d{1,2}):?(\d{1,2}(?:\.\d*)?)/.exec(text);
  return found ? 3600 * found[1] + 60 * found[2] + Number(found[3]) : null;
}

const NOTHING_STATED = {
  seriesDescription: "", protocolName: "", examination: "", sequenceName: "", scanningSequence: [], scanOptions: [], acquisitionType: "",
  imageType: [], complexComponent: "", echoPlanar: false, angiography: false, acquisitionContrast: "", contrastAgent: "",
  injectedSeconds: null, tr: null, te: null, ti: null, seriesNumber: null, acquiredSeconds: null, synthetic: false,
};

/** What the fields of a BIDS sidecar say. */
export function acquisitionOfSidecar(content) {
  const text = (...keywords) => keywords.map((keyword) => content[keyword]).find((value) => typeof value === "string" && value.trim())?.trim().slice(0, 256) ?? "";
  const parts = (keyword, between = "\\") =>
    splitValues((Array.isArray(content[keyword]) ? content[keyword].join("\\") : String(content[keyword] ?? "")).replaceAll(between, "\\"));
  const number = (keyword) => (Number.isFinite(content[keyword]) ? content[keyword] : null);
  const milliseconds = (keyword) => (number(keyword) === null ? null : 1000 * number(keyword));
  return {
    ...NOTHING_STATED,
    seriesDescription: text("SeriesDescription"), protocolName: text("ProtocolName"),
    examination: text("ProcedureStepDescription", "StudyDescription"), sequenceName: text("SequenceName", "PulseSequenceName", "PulseSequenceDetails"),
    scanningSequence: parts("ScanningSequence", "_"), scanOptions: parts("ScanOptions"), acquisitionType: text("MRAcquisitionType"),
    imageType: parts("ImageType"), complexComponent: text("ComplexImageComponent").toUpperCase(),
    echoPlanar: text("EchoPlanarPulseSequence").toUpperCase() === "YES", angiography: text("AngioFlag").toUpperCase() === "Y",
    acquisitionContrast: text("AcquisitionContrast").toUpperCase(),
    contrastAgent: agentOf(text("ContrastBolusAgent", "ContrastBolusIngredient")), injectedSeconds: secondsOf(text("ContrastBolusStartTime")),
    tr: milliseconds("RepetitionTime"), te: milliseconds("EchoTime"), ti: milliseconds("InversionTime"),
    seriesNumber: number("SeriesNumber") === null ? null : Math.trunc(number("SeriesNumber")),
    acquiredSeconds: secondsOf(text("AcquisitionTime")), synthetic: content.Synthetic === true,
  };
}
