// From the files of a person to the JSON of `predict --json`, and what the page shows beside it. Mirrors
// core/inference/sources.py and predict.py.
import { gather } from "./files.js";
import { judge, measureDistance, runChecks } from "./guard.js";
import { layOnCommonGrid } from "./grid.js";
import { drawMap, run } from "./network.js";
import { readImage } from "./pictures.js";
import { prepareImages, prepareVolumes, resize } from "./prepare.js";
import { bySeriesOrder, indexFiles } from "./scan.js";
import { ScanError, fill, refusal, rules } from "./rules.js";

const softmax = (logits, temperature) => {
  const scaled = logits.map((value) => value / temperature);
  const most = Math.max(...scaled);
  const powers = scaled.map((value) => Math.exp(value - most));
  return powers.map((value) => value / powers.reduce((one, other) => one + other, 0));
};
const describe = ({ sequence, description }) => (description ? `${sequence} (${description})` : sequence);

/** Predict every study among files [{path, blob}]: {document, views}. `progress(done, total, what)` is told the steps. */
export async function predict(handed, card, progress, options = {}) {
  progress(0, 0, "reading");
  const { files, faults } = await gather(handed);
  const cohort = await indexFiles(files, options);
  faults.push(...cohort.faults);
  if (!cohort.studies.length) throw nothingFound(handed, faults);
  const [studies, views, failed] = [[], [], []];
  for (const study of cohort.studies) {
    try {
      const { prediction, view } = await predictStudy(study, card, cohort.synthetic, (done, total, what) => progress(done, total, `${study.id}: ${what}`), options);
      if (cohort.studies.length === 1) {
        const said = [...cohort.notes, ...faults.map(({ path, reason }) => `${path}: ${reason}`)];
        prediction.warnings.push(...said.filter((sentence) => !prediction.warnings.includes(sentence)));
      }
      studies.push(prediction);
      views.push(view);
    } catch (error) {
      if (!(error instanceof ScanError)) throw error;
      failed.push({ study_id: study.id, reason: error.message });
    }
  }
  if (!studies.length) throw new ScanError(failed[0].reason);
  return { document: { studies, failed, unreadable: faults, notes: cohort.notes, ...describeSource(cohort, card) }, views };
}

function nothingFound(handed, faults) {
  const things = [...new Set(handed.map(({ path }) => path.split("/")[0]))]; // a folder is one
  const names = things.slice(0, 3).join(", ") + (things.length > 3 ? ", ..." : "") || "nothing";
  if (!faults.length) return refusal("nothing_found", { names });
  return refusal("nothing_readable", { names, reason: faults[0].reason, more: faults.length > 1 ? ` ${faults.length - 1} more have faults.` : "" });
}

function describeSource({ studies }, card) {
  return {
    series: studies.flatMap(({ id, series }) => series.map((one) => ({
      study_id: id, series_uid: one.uid, sequence: one.sequence, confidence: one.confidence, reason: one.reason, plane: one.plane, slices: one.slices,
    }))),
    checkpoint: {
      name: card.name, architecture: card.config.architecture, class_names: card.class_names, positive_class: card.class_names[card.positive_class],
      sequences: card.sequences, synthetic: card.synthetic, split_unit: card.split_unit, reproduction: card.reproduction,
      weights_origin: card.weights_origin, epoch: card.epoch, runtime: `browser, ${card.page.runtime}`, members: [], threshold: card.threshold,
      temperature: card.temperature, metrics: card.metrics,
    },
  };
}

/** The series that the checkpoint answers for, and a sentence for each that is left out. */
function chooseSeries(study, card) {
  const { prep } = card.config;
  const setAside = (one) => one.sequence === "unknown" && one.reason === "as assigned by you";
  const usable = study.series.filter((one) => !setAside(one) && (card.sequences.includes(one.sequence) || (one.sequence === "unknown" && one.kind === "picture")));
  const best = (sequence) => usable.filter((one) => one.sequence === sequence).sort(bySeriesOrder)[0];
  const selected = prep.series_selection === "one" || prep.grid_mm ? [...new Set(usable.map(({ sequence }) => sequence))].map(best) : usable;
  const key = (one) => `${one.sequence} ${one.uid}`;
  const place = ({ sequence }) => card.sequences.indexOf(sequence);
  selected.sort(prep.grid_mm ? (one, other) => place(one) - place(other) : (one, other) => (key(one) < key(other) ? -1 : 1));
  const known = selected.filter((one) => card.sequences.includes(one.sequence));
  const used = known.length ? known : selected;
  const warnings = known.length || !selected.length ? [] : [fill(rules.sentences.unnamed, { known: card.sequences.join(", ") })];
  for (const sequence of card.sequences) {
    const candidates = study.series.filter((one) => one.sequence === sequence);
    const taken = candidates.filter((one) => used.includes(one));
    for (const one of taken.filter(({ confidence }) => confidence === "guess")) {
      warnings.push(fill(rules.sentences.guess, { series: one.description ? `'${one.description}' (${one.uid})` : `'${one.uid}'`, sequence, reason: one.reason }));
    }
    if (candidates.length < 2) continue;
    const others = candidates.filter((one) => !used.includes(one)).map((one) => `${describe(one)} (${one.files} files)`);
    warnings.push(others.length
      ? `${sequence}: ${candidates.length} series; ${describe(taken[0])} (${taken[0].files} files; ${taken[0].reason || "the first"}) is used, and left out: ${others.join(", ")}.`
      : `${sequence}: all ${taken.length} series are used, as in the training of this checkpoint.`);
  }
  for (const one of study.series.filter((series) => !used.includes(series) && (setAside(series) || !card.sequences.includes(series.sequence)))) {
    const why = one.sequence === "unknown" ? `it is not known to be ${card.sequences.join(", ")}${one.reason ? ` (${one.reason})` : ""}` : `the checkpoint was trained on ${card.sequences.join(", ")} and never saw ${one.sequence}`;
    warnings.push(`${describe(one)} is left out: ${setAside(one) ? "it was set aside by you" : why}.`);
  }
  if (!used.length) {
    const found = [...new Set(study.series.map(({ sequence }) => sequence))].sort().join(", ") || "no series";
    const remedy = rules.refusals[study.series.every(({ sequence }) => sequence === "unknown") ? "unknown_sequence" : "hand_in_others"];
    throw refusal("other_sequences", { study: study.id, checkpoint: card.name, known: card.sequences.join(", "), found, remedy });
  }
  const sources = prep.grid_mm ? [used] : used.map((one) => [one]);
  warnings.push(...sources.flatMap((source) => tellSpaces(source, prep, study)));
  for (const doubt of new Set(used.flatMap(({ doubts }) => doubts))) {
    warnings.push(`${[...new Set(used.filter(({ doubts }) => doubts.includes(doubt)).map(({ sequence }) => sequence))].join(", ")}: ${doubt}.`);
  }
  return { sources, warnings };
}

/** What is assumed of where the series of a common grid lie, at most one sentence; throws where they may not be laid over each other. */
function tellSpaces(source, prep, study) {
  const spaces = new Set(source.map(({ space }) => space));
  if (!prep.grid_mm || spaces.size < 2 && !(source.length > 1 && spaces.has(""))) return [];
  const silent = source.filter(({ space }) => !space).map(({ sequence }) => sequence).join(", ");
  spaces.delete("");
  if (spaces.size < 2) return [`${silent} state no frame of reference: the series are assumed to be registered to one another.`];
  const groups = [...new Set(source.map(({ space }) => space))].map((space) => source.filter((one) => one.space === space).map(({ sequence }) => sequence).join(", ") + (space ? "" : " (none stated)")).join(" | ");
  if (prep.frames !== "refuse") return [`The series lie in different frames of reference (${groups}) and are assumed to be registered to one another, as the checkpoint's preparation says (frames=assume_registered).`];
  throw refusal("frames_of_reference", { study: study.id, found: groups });
}

/** What the network sees of a source: {parts: [{sequence, volume}], prepared, faults}. */
async function prepare(source, prep, study) {
  const [first] = source;
  if (prep.grid_mm) {
    const [read, failures] = [[], []];
    for (const { sequence, kind, read: readSeries } of source) {
      try {
        if (kind === "picture") throw refusal("loose_images", { study: study.id });
        read.push({ sequence, volume: await readSeries(prep) });
      } catch (error) {
        if (!(error instanceof ScanError)) throw error;
        failures.push({ path: `${study.id}/${sequence}`, reason: error.message });
      }
    }
    if (!read.length) throw new ScanError(failures[0].reason);
    const { laid, faults } = layOnCommonGrid(read, prep, study.id);
    const own = read.flatMap(({ volume }) => volume.faults);
    return { parts: laid, prepared: prepareVolumes(laid, prep), faults: [...failures, ...own, ...faults] };
  }
  if (first.kind !== "picture") {
    const parts = [{ sequence: first.sequence, volume: await first.read(prep) }];
    return { parts, prepared: prepareVolumes(parts, prep), faults: parts[0].volume.faults };
  }
  if (prep.form !== "slice" || prep.channels !== "grey") throw refusal("loose_images", { study: study.id });
  const [images, faults] = [[], []];
  for (const { path, blob } of first.pictures) {
    try {
      images.push(await readImage(blob, path.split("/").pop()));
    } catch (error) {
      if (!(error instanceof ScanError)) throw error;
      faults.push({ path, reason: error.message });
    }
  }
  if (!images.length) throw new ScanError(`No image can be used: ${faults[0].reason}`);
  return { parts: [{ sequence: first.sequence, volume: null }], prepared: prepareImages(images, prep, first.sequence), faults };
}

async function predictStudy(study, card, synthetic, progress, options) {
  const { prep } = card.config;
  const { sources, warnings } = chooseSeries(study, card);
  const [scored, failures] = [[], []];
  for (const [index, source] of sources.entries()) {
    const name = source.map(({ sequence }) => sequence).join(" and ");
    try {
      progress(index, sources.length, `${name} is read`);
      const one = { source, ...await prepare(source, prep, study), runs: [] };
      warnings.push(...one.faults.map(({ path, reason }) => `${name}: ${path.split("/").pop()}: ${reason}`));
      for (const [number, { pixels }] of one.prepared.examples.entries()) {
        progress(index + number / one.prepared.examples.length, sources.length, `${name}, ${number + 1} of ${one.prepared.examples.length}`);
        one.runs.push(await run(pixels, card));
      }
      scored.push(one);
    } catch (error) {
      if (!(error instanceof ScanError)) throw error;
      failures.push(error);
      warnings.push(`${name} is left out: ${error.message}`);
    }
  }
  if (!scored.length) throw failures[0];
  const answered = [...new Set(scored.flatMap(({ parts }) => parts.map(({ sequence }) => sequence)))].sort();
  const missing = card.sequences.filter((sequence) => !study.series.some((one) => one.sequence === sequence));
  if (missing.length && !answered.includes("unknown")) warnings.push(`The study has no ${missing.join(", ")}; the answer rests on ${answered.join(", ")} alone.`);
  const checks = scored.flatMap(({ source, prepared }) => runChecks(source, prepared, card));
  warnings.push(...checks.map(({ sentence }) => sentence));
  const { guard, reason } = judge(checks, measureDistance(scored, card), card, synthetic);
  const classes = softmax(combine(scored.flatMap(({ runs }) => runs.map(({ logits }) => logits)), card), card.temperature);
  const positive = card.positive_class;
  const called = classes.length === 2 ? (classes[positive] >= card.threshold ? positive : 1 - positive) : classes.indexOf(Math.max(...classes));
  const shown = Boolean(options.anyway) || guard !== "abstained";
  const slices = scored.flatMap((one) => one.prepared.examples.map((example, index) => ({
    sequence: example.sequence, index: example.middle, file: example.name ?? one.parts[0].volume?.files[example.middle] ?? "",
    position_mm: one.parts[0].volume ? Math.round(one.parts[0].volume.positions[example.middle] * 1000) / 1000 : null,
    probability: shown ? softmax(one.runs[index].logits, card.temperature)[positive] : null,
  })));
  const { level, limits } = card.conformal;
  const possible = limits ? { level, classes: card.class_names.filter((_, index) => classes[index] >= (limits[index] ?? -Infinity)) } : null;
  const about = [
    ...(card.synthetic && !synthetic ? [rules.sentences.synthetic] : []),
    ...(card.labels_shuffled ? [rules.sentences.shuffled] : []),
    ...(synthetic && !card.synthetic ? ["This scan is synthetic, and the checkpoint was trained on real ones."] : []),
  ];
  const prediction = {
    study_id: study.id, abstained: guard === "abstained", reason, guard,
    probability: shown ? classes[positive] : null, prediction: shown ? card.class_names[called] : null, threshold: card.threshold,
    class_probabilities: shown ? classes : null, possible: shown ? possible : null, members: shown ? [] : null,
    series: scored.map(({ source, prepared }) => ({
      sequence: source.map(({ sequence }) => sequence).join("+"), recognised_by: source[0].reason, plane: source[0].plane, spacing_mm: source[0].spacing, slices: prepared.total,
      blank_slices: prepared.blank, used_slices: prepared.examples.reduce((sum, { layers }) => sum + layers.length, 0),
    })),
    slices, warnings: [...about, ...warnings],
  };
  return { prediction, view: makeView(scored, card, called === positive || classes.length > 2) };
}

/** From the examples' logits to the study's, as core/evaluation/aggregate.py does. */
function combine(all, card) {
  const { aggregation, top_k: count } = card.config;
  const mean = (rows) => rows[0].map((_, index) => rows.reduce((sum, row) => sum + row[index], 0) / rows.length);
  if (aggregation === "mean_logit") return mean(all);
  if (aggregation === "vote") {
    const votes = all[0].map((_, index) => all.filter((row) => row.indexOf(Math.max(...row)) === index).length + 0.5);
    return votes.map((value) => Math.log(value / votes.reduce((one, other) => one + other, 0)));
  }
  const odds = (row) => row[card.positive_class] - Math.log(row.reduce((sum, value, index) => (index === card.positive_class ? sum : sum + Math.exp(value)), 0));
  return mean([...all].sort((one, other) => odds(other) - odds(one)).slice(0, aggregation === "max" ? 1 : count));
}

/** What the page draws: each slice that the network saw with its map, and each volume with the maps laid back over it. */
function makeView(scored, card, forPositive) {
  const size = card.config.prep.size_px;
  const area = size * size;
  const slices = scored.flatMap(({ parts, prepared, runs }, source) => prepared.examples.flatMap((example, number) => {
    const maps = runs[number].layers.map((layer) => drawMap(layer, card, forPositive));
    return example.layers.map(({ slice, at, sequence, channel, layer }) => {
      const map = maps[maps.length > 1 ? channel : 0]; // streams have a layer each
      return {
        sequence, index: slice, source, example: number, frame: example.frame ?? prepared.frame,
        position: parts[0].volume ? parts[0].volume.positions[slice] : null, pixels: example.pixels.slice(at * area, (at + 1) * area),
        heat: map.slice(card.page.volume ? layer * area : 0, card.page.volume ? (layer + 1) * area : area),
        probability: softmax(runs[number].logits, card.temperature)[card.positive_class],
      };
    });
  }));
  for (const slice of slices) slice.strongest = slice.heat.reduce((one, other) => Math.max(one, other), 0);
  const strongest = slices.reduce((most, slice) => Math.max(most, slice.strongest), 0);
  const volumes = scored.flatMap(({ parts, prepared }, source) => parts.flatMap(({ sequence, volume }, place) => (volume ? [{
    sequence, shape: volume.shape, affine: volume.affine,
    grey: toGrey(volume.voxels, prepared.windows[place]),
    heat: layBack(volume, slices.filter((slice) => slice.source === source && slice.sequence === sequence), size, strongest),
  }] : [])));
  return { size, slices, strongest, volumes };
}

function toGrey(voxels, [low, high]) {
  const grey = new Uint8Array(voxels.length);
  for (let at = 0; at < grey.length; at++) {
    const value = voxels[at];
    if (value !== 0) grey[at] = Math.min(Math.max((value - low) / (high - low), 0), 1) * 255;
  }
  return grey;
}

function layBack({ shape: [count, rows, columns] }, slices, size, strongest) {
  const heat = new Uint8Array(count * rows * columns);
  for (const { index, frame, heat: map } of slices) {
    const [height, width] = [frame.bottom - frame.top, frame.right - frame.left];
    const inner = new Float32Array(height * width);
    for (let row = 0; row < height; row++) inner.set(map.subarray((row + frame.top) * size + frame.left, (row + frame.top) * size + frame.right), row * width);
    const [boxRows, boxColumns] = [frame.rowStop - frame.rowStart, frame.columnStop - frame.columnStart];
    const laid = resize(inner, [height, width], [boxRows, boxColumns]);
    for (let row = 0; row < boxRows; row++) {
      const to = (index * rows + row + frame.rowStart) * columns + frame.columnStart;
      for (let column = 0; column < boxColumns; column++) heat[to + column] = strongest ? (laid[row * boxColumns + column] / strongest) * 255 : 0;
    }
  }
  return heat;
}
