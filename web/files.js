// What is dropped: files, folders and zips, inflated within bounds. Nothing is read further than it is needed.
import { ScanError } from "./rules.js";

export const LIMITS = { files: 5000, bytes: 2 ** 30, voxels: 2 ** 26, header: 2 ** 26 };
/** One study of a few hundred megabytes fits; a browser's memory is what bounds it. */

/** Inflate a blob as "gzip", "deflate" or "deflate-raw"; more than `limit` bytes are refused, or cut off where `cut`. */
export async function inflate(blob, format, limit, name, { cut = false } = {}) {
  const reader = blob.stream().pipeThrough(new DecompressionStream(format)).getReader();
  const pieces = [];
  let size = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      size += value.length;
      if (size > limit && !cut) throw new ScanError(`${name} inflates to more than ${(limit / 1e6).toFixed(0)} MB; it is refused.`);
      pieces.push(value);
      if (size >= limit && cut) break;
    }
  } catch (error) {
    if (error instanceof ScanError) throw error;
    throw new ScanError(`${name} is damaged: what is packed in it cannot be inflated.`);
  } finally {
    reader.cancel().catch(() => {});
  }
  return new Blob(pieces);
}

export async function bytesOf(blob, start = 0, end = blob.size) {
  return new Uint8Array(await blob.slice(start, end).arrayBuffer());
}

/** Every file that is handed in, zips unpacked: [{path, blob}] -> {files, faults}. */
export async function gather(handed) {
  const [files, faults] = [[], []];
  let room = LIMITS.bytes;
  for (const { path, blob } of handed) {
    const start = await bytesOf(blob, 0, 4);
    if (start[0] !== 0x50 || start[1] !== 0x4b || !/\.zip$/i.test(path)) files.push({ path, blob });
    else {
      const folder = path.replace(/\.zip$/i, "");
      for (const entry of await unzip(blob, path, room)) {
        room -= entry.blob.size;
        files.push({ path: `${folder}/${entry.path}`, blob: entry.blob });
      }
    }
    if (files.length > LIMITS.files) throw new ScanError(`More than ${LIMITS.files} files were handed in; hand in one study.`);
  }
  const size = files.reduce((sum, { blob }) => sum + blob.size, 0);
  if (size > LIMITS.bytes) throw new ScanError(`${(size / 1e6).toFixed(0)} MB were handed in; at most ${(LIMITS.bytes / 1e6).toFixed(0)} MB are read. Hand in one study.`);
  files.sort((one, other) => (one.path < other.path ? -1 : 1));
  return { files, faults };
}

async function unzip(blob, name, room) {
  const damaged = () => new ScanError(`${name} is a damaged zip; pack it again.`);
  const tailStart = Math.max(0, blob.size - 65557);
  const tail = new DataView((await bytesOf(blob, tailStart)).buffer);
  let at = tail.byteLength - 22;
  while (at >= 0 && tail.getUint32(at, true) !== 0x06054b50) at--;
  if (at < 0) throw damaged();
  const [count, length, start] = [tail.getUint16(at + 10, true), tail.getUint32(at + 12, true), tail.getUint32(at + 16, true)];
  if (count > LIMITS.files) throw new ScanError(`${name} lists ${count} files; at most ${LIMITS.files} are read.`);
  if (start + length > blob.size) throw damaged();
  const directory = await bytesOf(blob, start, start + length);
  const view = new DataView(directory.buffer);
  const entries = [];
  for (let place = 0, number = 0; number < count; number++) {
    if (place + 46 > directory.length || view.getUint32(place, true) !== 0x02014b50) throw damaged();
    const [flags, method] = [view.getUint16(place + 8, true), view.getUint16(place + 10, true)];
    const [packed, size, names, extra, comment] = [view.getUint32(place + 20, true), view.getUint32(place + 24, true), ...[28, 30, 32].map((one) => view.getUint16(place + one, true))];
    const path = new TextDecoder().decode(directory.subarray(place + 46, place + 46 + names));
    const local = view.getUint32(place + 42, true);
    place += 46 + names + extra + comment;
    if (path.endsWith("/") || path.startsWith("__MACOSX/")) continue;
    if (flags & 1) throw new ScanError(`${name} is encrypted; unpack it first.`);
    if (path.startsWith("/") || path.split("/").includes("..")) throw new ScanError(`${name} names a file outside of itself (${path}); it is refused.`);
    if (size > room) throw new ScanError(`${name} inflates to more than ${(LIMITS.bytes / 1e6).toFixed(0)} MB; it is refused.`);
    room -= size;
    entries.push({ path, method, packed, size, local });
  }
  const found = [];
  for (const { path, method, packed, size, local } of entries) { // nothing is inflated before all of it is known to fit
    const head = new DataView((await bytesOf(blob, local, local + 30)).buffer);
    if (head.byteLength < 30 || head.getUint32(0, true) !== 0x04034b50 || ![0, 8].includes(method)) throw damaged();
    const begin = local + 30 + head.getUint16(26, true) + head.getUint16(28, true);
    const stored = blob.slice(begin, begin + packed);
    const content = method ? await inflate(stored, "deflate-raw", size, `${path} in ${name}`) : stored;
    if (content.size !== size) throw damaged();
    found.push({ path, blob: content });
  }
  return found;
}
