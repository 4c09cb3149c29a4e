// Core's words, limits and sentences: rules.json is written from core's own tables, so that both go by the same.
export const rules = {};

/** Load rules.json once, before anything else is used. */
export async function loadRules(base) {
  const response = await fetch(new URL("rules.json", base));
  Object.assign(rules, await response.json());
}

/** What a person can do something about: a file that is damaged, foreign or too large. */
export class ScanError extends Error {}

/** A text of core's with its {places} filled in. */
export const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, key) => values[key]);

/** What core says where it refuses the same (REFUSALS of core/errors.py), filled in. */
export const refusal = (key, values = {}) => new ScanError(fill(rules.refusals[key], values));

/** A number as Python's :g writes it, for what stands in a sentence. */
export const shown = (value) => Number(value.toPrecision(6));

/** Python's round: a half goes to the even neighbour. */
export function roundEven(value) {
  const below = Math.floor(value);
  const part = value - below;
  return part < 0.5 || (part === 0.5 && below % 2 === 0) ? below : below + 1;
}
