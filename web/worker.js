// All the work, off the page's thread: the page sends {files, options}, and gets progress and then {document, views}.
import { loadNetwork } from "./network.js";
import { predict } from "./predict.js";
import { ScanError, loadRules } from "./rules.js";

const base = self.location.href;
let ready;

async function prepare() {
  await loadRules(base);
  const response = await fetch(new URL("card.json", base));
  const card = await response.json();
  card.page.runtime = await loadNetwork(base, card);
  return card;
}

self.onmessage = async ({ data }) => {
  const progress = (done, total, what) => self.postMessage({ kind: "progress", done, total, what });
  try {
    progress(0, 0, "loading the network");
    ready ??= prepare();
    const card = await ready;
    if (!data.files) return self.postMessage({ kind: "ready" });
    const { document, views } = await predict(data.files, card, progress, data.options);
    const large = views.flatMap(({ volumes }) => volumes.flatMap(({ grey, heat }) => [grey.buffer, heat.buffer]));
    return self.postMessage({ kind: "answer", document, views }, large);
  } catch (error) {
    if (!(error instanceof ScanError)) console.error(error);
    const reason = error instanceof ScanError ? error.message
      : error instanceof RangeError ? "The scan does not fit into this browser's memory; hand in one study, or fewer series."
        : `Something unforeseen went wrong (${String(error.message ?? error).slice(0, 200)}). The page is still alive; try another file.`;
    return self.postMessage({ kind: "error", reason });
  }
};
