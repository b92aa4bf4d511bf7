// One question and its answer, which is shown while it arrives.

import { create } from "./element.js";
import { ask, read, stop, watch } from "./gateway.js";
import { detail } from "./hub.js";
import { render } from "./markup.js";

/** The remark for each end of an answer. */
const ENDS = {
  stopped: "Stopped.",
  truncated: "The upstream broke off. This is the answer up to then.",
  gateway_restart: "The gateway was restarted in the middle of the answer. This is the answer up to then.",
  expired: "The upstream took too long. This is the answer up to then.",
};

export class Turn {
  /** Called when the stored or shown state changes. */
  onchange = () => {};

  /** The idempotency key: it makes the question and its repetition one request. */
  key;
  /** The URL of the answer and the token that stops it, once known: `{url, stopToken}`. */
  stream;
  text = "";
  /** A remark about the answer, besides its text. */
  remark = "";
  isOver = false;
  /** Whether the answer is over and complete. */
  isComplete = false;
  /** Whether the connection is lost. It reconnects by itself. */
  isLost = false;

  #source;
  /** The pending animation frame, if there is something to show. */
  #frame;
  #answer = create("div", { className: "answer" });
  #remark = create("p", { className: "remark" });

  constructor({ question, key = newKey(), stream, text = "", remark = "", isOver = false, isComplete = false }) {
    Object.assign(this, { question, key, stream, text, remark, isOver, isComplete });
    this.element = create("li", {}, this.#answer, this.#remark);
    if (question) this.element.prepend(create("p", { className: "question", textContent: question }));
    this.#show();
  }

  /** The state to store while the page is closed. The text of an unfinished answer is in its stream. */
  toJSON() {
    const { question, key, stream, text, remark, isOver, isComplete } = this;
    return { question, key, stream, ...(isOver && { text, remark, isOver, isComplete }) };
  }

  /** Follows the answer from its beginning, as every other window does. Asks the question if there is no answer yet. */
  async follow(request) {
    this.#set({ text: "", remark: "", isOver: false, isComplete: false });
    let hangUp = () => {};
    if (!this.stream) {
      try {
        const asked = await ask(request, this.key);
        hangUp = asked.hangUp;
        this.#set({ stream: asked.stream });
      } catch (error) {
        return this.#end(error.message);
      }
    }
    const source = (this.#source = watch(this.stream.url));
    source.onopen = () => {
      // Not earlier: an answer without readers may be stopped.
      hangUp();
      this.#set({ isLost: false });
    };
    source.onmessage = ({ data }) => this.#take(read(data));
    source.addEventListener("gap", () => this.#set({ remark: "The beginning of the answer is no longer kept." }));
    source.addEventListener("close", ({ data }) => {
      const isComplete = data === "complete";
      // If an upstream fails, its reason is in the stream.
      this.#end(ENDS[data] ?? (this.remark || (isComplete ? "" : "The upstream failed.")), isComplete);
    });
    source.onerror = async ({ error, response }) => {
      if (source.readyState === source.CONNECTING) this.#set({ isLost: true });
      else this.#end(response ? await detail(response) : (error?.message ?? this.remark));
    };
  }

  /** Stops the model. The stream then ends with an event. */
  stop() {
    return stop(this.stream);
  }

  /** Asks the question again. */
  retry(request) {
    this.key = newKey();
    this.stream = undefined;
    this.follow(request);
  }

  #take({ text, finishReason, error }) {
    if (text) {
      this.text += text;
      this.#showSoon();
    }
    if (finishReason === "length") this.#set({ remark: "The answer has reached its maximum length." });
    if (error) this.#set({ remark: error });
  }

  #end(remark, isComplete = false) {
    this.#source?.close();
    this.#set({ remark, isComplete, isOver: true, isLost: false });
  }

  #set(change) {
    Object.assign(this, change);
    this.#show();
    this.onchange();
  }

  /** Draws once a frame: after a reload the whole answer arrives at once, and each piece would redraw everything. */
  #showSoon() {
    this.#frame ??= requestAnimationFrame(() => this.#set({}));
  }

  #show() {
    cancelAnimationFrame(this.#frame);
    this.#frame = undefined;
    render(this.#answer, this.text.trim());
    this.#remark.textContent = this.remark;
    this.element.ariaBusy = String(!this.isOver);
  }
}

/** 128 random bits. (`crypto.randomUUID` exists only under https://.) */
function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
