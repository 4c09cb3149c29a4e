// The page: hands files to the worker, and draws what comes back. It decides nothing about a scan.
import { TEXTS } from "./texts.js";
import { drawPlanes, drawSlice } from "./viewer.js";

const at = (id) => document.getElementById(id);
const percent = (value) => `${(100 * value).toFixed(1)}%`;
let [worker, pending, card, last] = [null, null, null, null];

/** Ask the worker: an answer {document, views}. Only one question is open at a time; `stop` ends it with its memory. */
function ask(files, options = {}) {
  stop();
  worker ??= new Worker(new URL("worker.js", import.meta.url), { type: "module" });
  return new Promise((resolve, reject) => {
    pending = reject;
    worker.onmessage = ({ data }) => {
      if (data.kind === "progress") return showProgress(data);
      pending = null;
      return data.kind === "error" ? reject(new Error(data.reason)) : resolve(data);
    };
    worker.onerror = (event) => {
      stop(event.message || "The worker ended; hand in fewer files.");
    };
    worker.postMessage({ files, options });
  });
}

function stop(why = TEXTS.cancelled) {
  if (!pending) return;
  worker.terminate();
  worker = null;
  pending(new Error(why));
  pending = null;
}

function showProgress({ done, total, what }) {
  at("doing").textContent = `${TEXTS.working}: ${what}`;
  if (!/ of \d+$/.test(what)) at("said").textContent = at("doing").textContent; // a screen reader hears each series, not each slice
  if (total) at("progress").value = done / total;
  else at("progress").removeAttribute("value");
}

function element(name, { text, ...attributes } = {}, ...children) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value);
  }
  made.append(...children.filter(Boolean));
  return made;
}

/** Predict what was handed in, and show it. */
async function show(files, options = {}) {
  at("error").textContent = "";
  at("work").hidden = false;
  at("answers").replaceChildren();
  try {
    const { document: found, views } = await ask(files, options);
    last = { found, views };
    const sections = found.studies.map((study, index) => answerOf(study, views[index], { files, options, index, total: found.studies.length }));
    at("answers").replaceChildren(...sections, ...found.failed.map((one) => element("section", {}, element("p", { text: TEXTS.failed(one) }))));
    at("said").textContent = found.studies.map(TEXTS.told).join(" ");
    at("answers").querySelector("h2").focus();
  } catch (error) {
    at("said").textContent = "";
    at("error").textContent = error.message;
  } finally {
    at("work").hidden = true;
  }
}

function answerOf(study, view, { files, options, index, total }) {
  const shown = study.probability !== null;
  const positive = card.class_names[card.positive_class];
  const section = element("section", { class: study.abstained && shown ? "anyway" : "" });
  section.append(element("h2", { tabindex: -1, text: TEXTS.study(index + 1, total, study.study_id) }));
  if (study.abstained) {
    section.append(element("p", { class: shown ? "small" : "verdict", text: shown ? TEXTS.shownAnyway : TEXTS.noAnswer }), element("p", { text: study.reason }));
  }
  if (shown) {
    const agreeing = view.slices.filter(({ probability }) => (probability >= card.threshold) === (study.prediction === positive)).length;
    section.append(
      element("p", { class: "verdict", text: TEXTS.answer(study.prediction) }),
      element("p", { text: TEXTS.chance(positive, percent(study.probability), view.slices.length) }),
      element("p", { text: TEXTS.agree(agreeing, view.slices.length, study.prediction) }),
      element("p", { class: "small", text: TEXTS.threshold(study.threshold.toFixed(3), card.synthetic) }),
    );
    if (study.possible) section.append(element("p", { text: TEXTS.possible(percent(study.possible.level), study.possible.classes) }));
  }
  section.append(element("p", { class: "research", text: TEXTS.research }));
  section.append(element("div", { class: "row" },
    element("button", { type: "button", text: TEXTS.report, onclick: () => window.print() }),
    element("button", { type: "button", text: TEXTS.json, onclick: () => save(last.found) }),
    study.abstained && !shown && element("button", { type: "button", text: TEXTS.anyway, onclick: () => show(files, { ...options, anyway: true }) }),
  ));
  section.append(...slicesOf(study, view, positive, shown), ...planesOf(view, shown));
  section.append(element("h3", { text: TEXTS.warnings }), listOf([TEXTS.guard[study.guard], ...study.warnings.filter((sentence) => !study.reason.includes(sentence))]));
  section.append(element("h3", { text: TEXTS.series }), listOf(study.series.map(TEXTS.seriesLine)));
  return section;
}

const listOf = (sentences) => element("ul", {}, ...sentences.map((text) => element("li", { text })));

/** The chosen slice beside its map's strength, and a bar for each slice; of a refused scan the slices alone. */
function slicesOf(study, view, positive, shown) {
  const canvas = element("canvas", { class: "slice", role: "img", width: view.size, height: view.size });
  const caption = element("p", { class: "small", role: "status" });
  const opacity = element("input", { type: "range", min: 0, max: 1, step: 0.05, value: 0.5, "aria-label": TEXTS.opacity });
  const supports = ({ probability }) => (study.prediction === positive ? probability : 1 - probability);
  let chosen = shown ? view.slices.reduce((best, slice) => (supports(slice) > supports(best) ? slice : best)) : view.slices[view.slices.length >> 1];
  const bars = view.slices.map((slice) => {
    const label = TEXTS.slice(slice, shown ? percent(slice.probability) : null);
    const bar = element("button", { type: "button", title: label, "aria-label": label, onclick: () => choose(slice) });
    bar.style.height = shown ? `${Math.max(100 * slice.probability, 3)}%` : "100%";
    return bar;
  });
  function choose(slice) {
    chosen = slice;
    bars.forEach((bar, index) => {
      bar.setAttribute("aria-pressed", String(view.slices[index] === slice));
      bar.tabIndex = view.slices[index] === slice ? 0 : -1; // one stop for the keyboard, and arrows within
    });
    drawSlice(canvas, slice, view, shown ? Number(opacity.value) : 0);
    caption.textContent = TEXTS.slice(slice, shown ? percent(slice.probability) : null);
    canvas.setAttribute("aria-label", caption.textContent);
  }
  opacity.addEventListener("input", () => choose(chosen));
  const chart = element("div", { class: shown ? "bars" : "bars refused", role: "group", "aria-label": TEXTS.chart }, ...bars);
  chart.addEventListener("keydown", ({ key }) => {
    const next = bars[bars.indexOf(document.activeElement) + { ArrowRight: 1, ArrowLeft: -1 }[key]];
    if (next) { next.focus(); next.click(); }
  });
  if (shown) {
    const limit = element("div", { class: "limit" });
    limit.style.bottom = percent(study.threshold);
    chart.append(limit);
  }
  choose(chosen);
  return [
    element("h3", { text: TEXTS.chart }),
    element("div", { class: "view" },
      element("div", {}, canvas, caption, shown && element("label", { text: TEXTS.opacity }, opacity)),
      element("div", {}, chart, element("p", { class: "small", text: shown ? TEXTS.chartNote(positive) : TEXTS.chartRefused }),
        shown && element("p", { class: "small", text: TEXTS.map(card.page.map_title, study.prediction) }),
        shown && card.map_test.hits && element("p", { class: "small", text: TEXTS.mapWorth(card.map_test) }))),
  ];
}

function planesOf(view, shown) {
  if (!view.volumes.length) return [];
  const holder = element("div", { class: "no-print" });
  const buttons = view.volumes.map((volume, index) => element("button", { type: "button", text: volume.sequence, onclick: () => draw(index) }));
  async function draw(index) {
    buttons.forEach((button, place) => button.setAttribute("aria-pressed", String(place === index)));
    if (!(await drawPlanes(holder, view.volumes[index], shown))) holder.replaceChildren(element("p", { class: "small", text: TEXTS.noWebgl }));
  }
  const details = element("details", { class: "no-print" }, element("summary", { text: TEXTS.planes }), element("div", { class: "row" }, ...buttons), holder,
    element("p", { class: "small", text: TEXTS.planesNote(shown) }));
  details.addEventListener("toggle", () => details.open && !holder.childElementCount && draw(0));
  return [details];
}

function save(found) {
  const link = element("a", { download: "prediction.json", href: URL.createObjectURL(new Blob([JSON.stringify(found, null, 1)], { type: "application/json" })) });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

/** Files of a list as {path, blob}. */
const named = (files) => Array.from(files, (file) => ({ path: file.webkitRelativePath || file.path || file.name, blob: file.blob ?? file }));

/** Everything that was dropped, folders walked to their ends. */
async function dropped(items) {
  const found = [];
  async function walk(entry, folder) {
    const path = folder ? `${folder}/${entry.name}` : entry.name;
    if (entry.isFile) found.push({ path, blob: await new Promise((resolve, reject) => { entry.file(resolve, reject); }) });
    else {
      const reader = entry.createReader();
      for (let some = [null]; some.length;) {
        some = await new Promise((resolve, reject) => { reader.readEntries(resolve, reject); });
        for (const one of some) await walk(one, path);
      }
    }
  }
  for (const entry of Array.from(items, (item) => item.webkitGetAsEntry()).filter(Boolean)) await walk(entry, "");
  return found;
}

function listen() {
  at("sample").onclick = async () => show([{ path: "sample.zip", blob: await (await fetch("sample.zip")).blob() }]);
  for (const kind of ["folder", "files"]) {
    at(`choose-${kind}`).onclick = () => at(kind).click();
    at(kind).onchange = ({ target }) => target.files.length && show(named(target.files));
  }
  at("cancel").onclick = () => stop();
  const drop = at("drop");
  document.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
  document.addEventListener("dragleave", () => drop.classList.remove("over"));
  document.addEventListener("drop", async (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    show(await dropped(event.dataTransfer.items));
  });
}

for (const one of document.querySelectorAll("[data-text]")) one.textContent = TEXTS[one.dataset.text];
card = await (await fetch("card.json")).json();
const [where, figure] = card.page.reported_auroc ?? [];
at("about").textContent = [TEXTS.aboutLine(card), figure && TEXTS.figure(where, figure)].filter(Boolean).join(" ");
listen();

window.mgmtLab = {
  /** For scripts: files [{path, blob}] or a FileList -> the JSON of `predict --json`. Options: anyway, statedSequence, assigned. */
  async predict(files, options = {}) {
    const { document: found, views } = await ask(named(files), options);
    last = { found, views };
    window.mgmtLab.views = views;
    return found;
  },
};
