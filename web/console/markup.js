// The little of Markdown that makes answers of models readable: code, and what is bold.

import { create } from "./element.js";

const FENCE = /^```.*\n([^]*?)(?:^```[^\S\n]*(?:\n|$)|$(?![^]))/gm;
const SPAN = /`([^`\n]+)`|\*\*([^*\n]+)\*\*/g;

/** Puts `text` into `element`. It becomes text, never HTML. */
export function render(element, text) {
  const parts = pieces(text, FENCE, ([, code]) => create("pre", {}, create("code", { textContent: code })));
  element.replaceChildren(
    ...parts.flatMap((part) =>
      typeof part !== "string"
        ? [part]
        : pieces(part, SPAN, ([, code, bold]) => create(code ? "code" : "strong", { textContent: code ?? bold })),
    ),
  );
}

/** What matches, as `make` has it, and the text in between. */
function pieces(text, pattern, make) {
  const found = [];
  let at = 0;
  for (const match of text.matchAll(pattern)) {
    found.push(text.slice(at, match.index), make(match));
    at = match.index + match[0].length;
  }
  return [...found, text.slice(at)];
}
