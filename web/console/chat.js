// The chat page: questions go to the gateway, and the answers are streams of the hub.
//
// The window's session storage holds the conversation, and the page's URL holds the address of the answer. After a
// reload the page continues, and the URL opens the answer anywhere. The URL only lets others read: the token that stops
// the answer stays in this window.

import { hasUpstream, isStream } from "./gateway.js";
import { Turn } from "./turn.js";

const CONVERSATION = "tidings-chat";
const MODEL = "tidings-chat-model";

/** How many characters of a question are in a link. */
const LINKED_QUESTION = 500;

const element = (id) => document.getElementById(id);
const form = element("ask");
const { question: questionField, model: modelField } = form.elements;
const turns = [];

/** The newest turn, to which the buttons belong. */
const current = () => turns.at(-1);

// --- asking ---

function ask(question) {
  element("copied").textContent = "";
  add(new Turn({ question })).follow(request());
}

/** The conversation so far, with the question that has no answer yet. */
function request() {
  const messages = turns.flatMap(({ question, text }, index) => [
    { role: "user", content: question },
    ...(index < turns.length - 1 ? [{ role: "assistant", content: text }] : []),
  ]);
  return { ...(modelField.value && { model: modelField.value }), messages };
}

function add(turn) {
  turns.push(turn);
  element("turns").append(turn.element);
  turn.onchange = show;
  show();
  scrollTo(0, document.documentElement.scrollHeight);
  return turn;
}

async function stop() {
  await current().stop().catch(({ message }) => notice(message));
}

// --- display and storage ---

let isAtEnd = true;
addEventListener("scroll", () => {
  isAtEnd = innerHeight + scrollY > document.documentElement.scrollHeight - 60;
});

function show() {
  const turn = current();
  const isBusy = turn && !turn.isOver;
  element("nothing").hidden = turns.length > 0;
  element("actions").hidden = !turn;
  element("stop").hidden = !isBusy || !turn.stream?.stopToken;
  element("again").hidden = isWatching || isBusy || !turn || turn.isComplete;
  element("copy").hidden = element("window").hidden = !turn?.stream;
  form.querySelector("[type=submit]").disabled = isBusy;
  element("state").dataset.state = isBusy ? (turn.isLost ? "connecting" : "open") : "closed";
  element("state").textContent = isBusy ? (turn.isLost ? "connection lost, reconnecting …" : "answering …") : "ready";
  if (turn) keep(turn);
  if (isAtEnd) scrollTo(0, document.documentElement.scrollHeight);
}

let kept;

function keep(turn) {
  // A token changes nothing in the stored conversation.
  const now = JSON.stringify(turns);
  if (now === kept) return;
  kept = now;
  // The link contains the question, cut to a length that stays a link.
  const link = turn.stream && { stream: turn.stream.url, question: (turn.question ?? "").slice(0, LINKED_QUESTION) };
  history.replaceState(null, "", `${location.pathname}${link ? `#${new URLSearchParams(link)}` : ""}`);
  element("window").href = location.href;
  if (!isWatching) sessionStorage.setItem(CONVERSATION, now);
}

function notice(text) {
  element("notice").textContent = text;
  element("notice").hidden = !text;
}

async function copy() {
  // Without https:// there is no clipboard, except on localhost.
  const copied = await navigator.clipboard?.writeText(location.href).then(() => "Copied.", () => undefined);
  element("copied").textContent = copied ?? location.href;
}

/** Shows that there is no model to ask. */
function refuse() {
  document.querySelector("footer").hidden = element("nothing").hidden = true;
  element("no-upstream").hidden = false;
  element("state").textContent = "no upstream";
}

function startAnew() {
  sessionStorage.removeItem(CONVERSATION);
  history.replaceState(null, "", location.pathname);
  location.reload();
}

// --- the page ---

const linked = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
const saved = JSON.parse(sessionStorage.getItem(CONVERSATION) ?? "[]");
/** Whether the link belongs to a conversation of another window. */
const isWatching = "stream" in linked && saved.at(-1)?.stream?.url !== linked.stream;

modelField.value = localStorage.getItem(MODEL) ?? "";
modelField.addEventListener("change", () => localStorage.setItem(MODEL, modelField.value));
form.hidden = isWatching;
element("watching").hidden = !isWatching;
/** Updates from a publisher must not be shown as a model's answer. */
const isForeign = isWatching && !isStream(linked.stream);
if (isForeign) notice("This link does not lead to an answer of this hub.");
for (const turn of isForeign ? [] : isWatching ? [{ question: linked.question, stream: { url: linked.stream } }] : saved) add(new Turn(turn));
if (current() && !current().isOver) current().follow(request());
show();

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const question = questionField.value.trim();
  if (!question || (current() && !current().isOver)) return;
  questionField.value = "";
  ask(question);
});
questionField.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  form.requestSubmit();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !element("stop").hidden) stop();
});
addEventListener("hashchange", () => location.reload());
for (const [id, action] of Object.entries({ stop, copy, new: startAnew, again: () => current().retry(request()) })) {
  element(id).addEventListener("click", action);
}

if (!isWatching) {
  questionField.focus();
  hasUpstream().then((has) => has || refuse(), () => notice("Cannot reach the hub."));
}
