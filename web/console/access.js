// The part of the page that asks for a token, and shows what the token says of itself.

import { create } from "./element.js";
import { claimsOf, drop, keep, token } from "./token.js";

export class Access {
  /** Called when the tab has another token, or none any more. */
  onchange = () => {};

  #section;
  #why;
  #form;
  #held;
  #claims;
  #toggle;
  /** Why the hub refused, until there is another token. */
  #refusal = "";

  constructor(section, toggle) {
    this.#section = section;
    this.#toggle = toggle;
    this.#why = section.querySelector("[role=alert]");
    this.#form = section.querySelector("form");
    this.#held = section.querySelector(".held");
    this.#claims = section.querySelector("dl");
    toggle.addEventListener("click", () => this.#show(section.hidden));
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      try {
        keep(this.#form.elements.token.value);
      } catch (error) {
        return (this.#why.textContent = error.message);
      }
      this.#change();
    });
    section.querySelector("button.drop").addEventListener("click", () => {
      drop();
      this.#change();
    });
    this.#show(token() !== "");
  }

  /** Asks for a token, because the hub refused: `detail` says why. */
  ask(detail) {
    this.#refusal = detail;
    this.#show(true);
  }

  /** Call it about once a second: a token expires. */
  tick() {
    if (!this.#section.hidden) this.#draw();
  }

  #change() {
    this.#form.reset();
    this.#refusal = "";
    this.#show(token() !== "");
    this.onchange();
  }

  #show(isShown) {
    this.#section.hidden = !isShown;
    this.#toggle.ariaExpanded = String(isShown);
    this.#draw();
  }

  #draw() {
    const claims = claimsOf(token());
    const end = typeof claims?.exp === "number" ? new Date(claims.exp * 1000) : undefined;
    const isOver = end !== undefined && end <= Date.now();
    const expired = isOver ? `The token expired at ${time(end)}.` : "";
    set(this.#why, this.#refusal || expired || (token() ? "" : "Without a token you see what the hub shows to everyone."));
    this.#why.dataset.bad = String(this.#refusal !== "" || isOver);
    this.#held.hidden = token() === "";
    this.#form.hidden = token() !== "" && !this.#refusal && !isOver;
    const rows = claims === undefined ? [["Token", "not a JSON Web Token: only the hub knows what it allows"]] : describe(claims, end);
    const shown = JSON.stringify(rows);
    // A selection stays while nothing changes.
    if (this.#claims.dataset.shown === shown) return;
    this.#claims.dataset.shown = shown;
    this.#claims.replaceChildren(...rows.map(([name, text]) => create("div", {}, create("dt", {}, name), create("dd", {}, text))));
  }
}

/** What a token claims, as pairs of name and text. */
function describe({ sub, iss, tidings }, end) {
  const { publish, read, rights } = Object(tidings);
  const list = (topics) => (Array.isArray(topics) && topics.length ? topics.join(", ") : "nothing by name");
  return [
    ["Whose", [sub ?? "nobody in particular", iss && `issued by ${iss}`].filter(Boolean).join(", ")],
    ["Publishes to", list(publish)],
    ["Reads", list(read)],
    ...(rights?.length ? [["Rights", list(rights)]] : []),
    ["Holds", end ? `until ${time(end)}` : "without an end"],
  ];
}

/** With the date, if it is not today's. */
function time(at) {
  const isToday = at.toDateString() === new Date().toDateString();
  return at.toLocaleString("en-GB", { timeStyle: "medium", ...(isToday ? {} : { dateStyle: "medium" }) });
}

/** An alert is read aloud whenever it is set. */
function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
