// A live picture of the hub: figures, each with a line of the last minutes.

import { create } from "./element.js";

const SECONDS = 120;
const [WIDTH, HEIGHT] = [120, 32];

/** One figure. `format` makes its number readable. */
export class Figure {
  #values = [];
  #value;
  #line;
  #area;
  #format;

  constructor(parent, label, format, title = "") {
    this.#format = format;
    this.#value = create("strong", {}, "–");
    const svg = draw("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" });
    this.#area = draw("path", { class: "area" });
    this.#line = draw("path", { class: "line" });
    svg.append(this.#area, this.#line);
    parent.append(create("div", { className: "figure", title }, create("span", {}, label), this.#value, svg));
  }

  /** Takes the value of this second, or `undefined` if there is none. */
  push(value) {
    this.#values.push(value);
    if (this.#values.length > SECONDS) this.#values.shift();
    this.#value.textContent = value === undefined ? "–" : this.#format(value);
    const highest = Math.max(1, ...this.#values.filter((value) => value !== undefined)) * 1.1;
    let [line, area] = ["", ""];
    this.#values.forEach((value, at) => {
      if (value === undefined) return;
      const x = WIDTH - this.#values.length + at + 1;
      const y = (HEIGHT - 1 - (value / highest) * (HEIGHT - 3)).toFixed(1);
      const [isFirst, isLast] = [-1, 1].map((step) => this.#values[at + step] === undefined);
      line += `${isFirst ? "M" : "L"}${x} ${y}`;
      area += `${isFirst ? `M${x} ${HEIGHT}L` : "L"}${x} ${y}${isLast ? `L${x} ${HEIGHT}Z` : ""}`;
    });
    this.#line.setAttribute("d", line);
    this.#area.setAttribute("d", area);
  }
}

function draw(name, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}
