// A picture of a stream of known timing: the upper row shows when each event was sent, the lower when it arrived.

import { KNOBS, OVER_MS } from "./probe.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 1000;
const HEIGHT = 64;

/** Draws `arrival` into an `svg` element. */
export function draw(svg, { events, offset, heartbeats, end }) {
  const x = (millis) => (WIDTH * Math.min(millis, 1.1 * OVER_MS)) / (1.1 * OVER_MS);
  const marks = events.map(({ sent, arrived }) => {
    const [from, to] = [x(sent + offset), x(arrived)];
    return [element("line", { x1: from, y1: 10, x2: to, y2: HEIGHT - 10 }), dot(from, 10, "sent"), dot(to, HEIGHT - 10, "arrived")];
  });
  const beats = heartbeats.map((arrived) => dot(x(arrived), HEIGHT - 10, "heartbeat"));
  const over = end === undefined ? [] : [element("line", { class: "end", x1: x(end), y1: 2, x2: x(end), y2: HEIGHT - 2 })];
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("aria-label", `${events.length} of ${KNOBS.events} events: when they were sent and when they arrived`);
  svg.replaceChildren(...marks.flat(), ...beats, ...over);
}

const dot = (cx, cy, className) => element("circle", { class: className, cx, cy, r: 4 });

function element(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  return made;
}
