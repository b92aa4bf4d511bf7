// The part of Markdown that makes answers of models readable: code and bold text.

import { create } from "./element.js";

const FENCE = /^```.*\n([^]*?)(?:^```[^\S\n]*(?:\n|$)|$(?![^]))/gm;
const SPAN = /`([^`\n]+)`|\*\*([^*\n]+)\*\*/g;

/** Puts `text` into `element` as text, never as HTML. */
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

/** The matches, each turned into a node by `make`, and the text in between. */
function pieces(text, pattern, make) {
  const found = [];
  let at = 0;
  for (const match of text.matchAll(pattern)) {
    found.push(text.slice(at, match.index), make(match));
    at = match.index + match[0].length;
  }
  return [...found, text.slice(at)];
}
