// One question and its answer, which is told as it comes.

import { create } from "./element.js";
import { ask, read, stop, watch } from "./gateway.js";
import { detail } from "./hub.js";
import { render } from "./markup.js";

/** What to remark about an answer that ends like this. */
const ENDS = {
  stopped: "Stopped.",
  truncated: "The upstream broke off. This is what had come.",
  gateway_restart: "The gateway was restarted in the middle of the answer. This is what had come.",
  expired: "The upstream took too long. This is what had come.",
};

export class Turn {
  /** Hears that something that is kept or shown has changed. */
  onchange = () => {};

  /** What makes the question, and its repetition, one request. */
  key;
  /** Where the answer is, and what stops it, once that is known: `{url, stopToken}`. */
  stream;
  text = "";
  /** What is to say about the answer besides its text. */
  remark = "";
  isOver = false;
  /** It is over, and the model has said all of it. */
  isComplete = false;
  /** The connection is lost, and comes back by itself. */
  isLost = false;

  #source;
  /** When it is shown next, if there is something to show. */
  #frame;
  #answer = create("div", { className: "answer" });
  #remark = create("p", { className: "remark" });

  constructor({ question, key = newKey(), stream, text = "", remark = "", isOver = false, isComplete = false }) {
    Object.assign(this, { question, key, stream, text, remark, isOver, isComplete });
    this.element = create("li", {}, this.#answer, this.#remark);
    if (question) this.element.prepend(create("p", { className: "question", textContent: question }));
    this.#show();
  }

  /** What is kept while the page is away. The text of an answer that still comes is in its stream. */
  toJSON() {
    const { question, key, stream, text, remark, isOver, isComplete } = this;
    return { question, key, stream, ...(isOver && { text, remark, isOver, isComplete }) };
  }

  /** Follows the answer from its beginning, as every other window does; asks for it if it has none. */
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
      // Not before: an answer that nobody reads may be stopped.
      hangUp();
      this.#set({ isLost: false });
    };
    source.onmessage = ({ data }) => this.#take(read(data));
    source.addEventListener("gap", () => this.#set({ remark: "The beginning of the answer is no longer kept." }));
    source.addEventListener("close", ({ data }) => {
      const isComplete = data === "complete";
      // An upstream that fails says why, in the stream.
      this.#end(ENDS[data] ?? (this.remark || (isComplete ? "" : "The upstream failed.")), isComplete);
    });
    source.onerror = async ({ error, response }) => {
      if (source.readyState === source.CONNECTING) this.#set({ isLost: true });
      else this.#end(response ? await detail(response) : (error?.message ?? this.remark));
    };
  }

  /** Stops the model. The stream then tells its end. */
  stop() {
    return stop(this.stream);
  }

  /** Asks again, from anew. */
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
    if (finishReason === "length") this.#set({ remark: "The answer has reached its greatest length." });
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

  /** Once a frame: a reload brings all of an answer at once, and each piece would be drawn with all before it. */
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

/** 128 random bits. (`crypto.randomUUID` is there under https:// only.) */
function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
