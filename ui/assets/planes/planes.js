// Three planes and a volume by NiiVue. Data: length of the JSON head (4 bytes), head, NIfTI of the scan, NIfTI of its map.
const CROSSHAIR = 8, WINDOWING = 9;
const MOVES = { ArrowLeft: [1, 0, 0], ArrowRight: [-1, 0, 0], ArrowUp: [0, 1, 0], ArrowDown: [0, -1, 0], PageUp: [0, 0, 1], PageDown: [0, 0, -1] };
const opened = new WeakMap();

export default function (component) {
  const { data, parentElement: root, setStateValue } = component;
  const canvas = root.querySelector("canvas");
  let viewer = opened.get(canvas);
  if (!viewer) opened.set(canvas, (viewer = { ready: open(canvas) }));
  viewer.ready = viewer.ready
    .then((view) => show(root, viewer, view, data))
    .catch((error) => setStateValue("failed", String(error.message || error).slice(0, 200)));
  // Also called when only the data change: a browser's few contexts are given back once the canvas has left the page.
  return () => setTimeout(async () => {
    if (!canvas.isConnected) (await viewer.ready)?.gl.getExtension("WEBGL_lose_context")?.loseContext();
  }, 1000);
}

async function open(canvas) {
  if (!document.createElement("canvas").getContext("webgl2")) throw new Error("this browser offers no WebGL 2");
  const { Niivue } = await import(new URL("niivue-0.69.0.js", document.baseURI).href);
  const view = new Niivue({
    backColor: [0, 0, 0, 1], crosshairColor: [0.35, 0.74, 0.79, 1], crosshairWidth: 1, show3Dcrosshair: true,
    isRadiologicalConvention: true, multiplanarShowRender: 1, multiplanarForceRender: true, dragMode: WINDOWING, dragModePrimary: CROSSHAIR,
    dragAndDropEnabled: false, loadingText: "", fontMinPx: 12, isOrientCube: false, logLevel: "error",
  });
  await view.attachToCanvas(canvas);
  canvas.addEventListener("keydown", (event) => {
    if (event.key === "Tab") return;
    event.stopImmediatePropagation();  // NiiVue's own keys follow the stored axes, and one of them opens a dialogue
    const move = MOVES[event.key];
    if (!move) return;
    event.preventDefault();
    view.moveCrosshairInVox(...move);
  }, true);
  return view;
}

async function show(root, viewer, view, data) {
  const bytes = new Uint8Array(data);
  const end = 4 + new DataView(bytes.buffer).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(bytes.subarray(4, end)));
  if (viewer.digest === head.digest) return view;
  viewer.digest = head.digest;
  const { NVImage } = await import(new URL("niivue-0.69.0.js", document.baseURI).href);
  const field = (name) => root.querySelector(`[name=${name}]`);
  const scan = await NVImage.loadFromUrl({ url: bytes.slice(end, end + head.size).buffer, name: "scan.nii", colormap: "gray", cal_min: head.window[0], cal_max: head.window[1] });
  const map = head.size < bytes.length - end && (await NVImage.loadFromUrl({
    url: bytes.slice(end + head.size).buffer, name: "map.nii", colormap: "map", opacity: Number(field("opacity").value), cal_min: 1, cal_max: 255 }));
  while (view.volumes.length) view.removeVolumeByIndex(view.volumes.length - 1);
  const table = head.colours.map((colour, index) => [...colour, Math.round((255 * index) / (head.colours.length - 1))]);
  view.addColormap("map", { R: table.map((row) => row[0]), G: table.map((row) => row[1]), B: table.map((row) => row[2]), A: table.map(() => 255), I: table.map((row) => row[3]) });
  view.addVolume(scan);
  if (map) {
    view.addVolume(map);
    view.setModulationImage(map.id, map.id, 1);  // where the map is weak the anatomy stays visible
  }
  const canvas = root.querySelector("canvas");
  canvas.setAttribute("aria-label", head.label);
  root.querySelector(".map").hidden = !map;

  const place = () => {
    view.scene.crosshairPos = view.mm2frac(head.start);
    view.drawScene();
    view.createOnLocationChange();
  };
  const window = () => {
    field("level").value = -(scan.cal_min + scan.cal_max) / 2;
    field("width").value = -(scan.cal_max - scan.cal_min);
  };
  const apply = () => {
    const [level, width] = [-field("level").value, -field("width").value];
    [scan.cal_min, scan.cal_max] = [level - width / 2, level + width / 2];
    view.updateGLVolume();
  };
  const span = head.window[1] - head.window[0];
  // A bright picture has a low level, and one of much contrast a narrow window: the sliders run the other way round.
  Object.assign(field("level"), { min: -head.window[1], max: -head.window[0], oninput: apply });
  Object.assign(field("width"), { min: -2 * span, max: -span / 50, oninput: apply });
  field("view").onchange = (event) => view.setSliceType(Number(event.target.value));
  field("drag").onchange = (event) => { view.opts.dragModePrimary = Number(event.target.value); };
  field("opacity").oninput = (event) => map && view.setOpacity(1, Number(event.target.value));
  view.opts.windowingGainFactor = span / 400;
  view.onIntensityChange = canvas.onmousemove = canvas.ontouchmove = window;  // dragging calls nothing of its own
  view.onLocationChange = ({ mm, values }) => {
    const [x, y, z] = Array.from(mm, (value) => Math.round(value));
    const parts = [`${Math.abs(x)} mm ${x < 0 ? "left" : "right"}`, `${Math.abs(y)} mm ${y < 0 ? "back" : "front"}`, `${Math.abs(z)} mm ${z < 0 ? "down" : "up"}`, `grey ${values[0].value.toPrecision(4)}`];
    if (map) parts.push(`map ${Math.round((100 * values[1].value) / 255)}%`);
    root.querySelector("output").value = parts.join(" · ");
  };
  root.querySelector("button").onclick = () => {
    [scan.cal_min, scan.cal_max] = head.window;
    view.updateGLVolume();
    view.setPan2Dxyzmm([0, 0, 0, 1]);
    view.setScale(1.4);
    window();
    place();
  };
  view.setScale(1.4);
  view.setSliceType(Number(field("view").value));
  window();
  place();
  return view;
}
