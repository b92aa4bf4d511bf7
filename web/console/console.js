// The console: passes updates from the stream, and figures from the counters, to the parts of the page.

import { Access } from "./access.js";
import { publishCommand, watchCommand } from "./commands.js";
import { Counters } from "./counters.js";
import { EventList } from "./event_list.js";
import { isRefusal, matches, publish, readHistory } from "./hub.js";
import { Subscriptions } from "./subscriptions.js";
import { TopicList } from "./topic_list.js";
import { Watch } from "./watch.js";

const PAGE_SIZE = 100;

const element = (id) => document.getElementById(id);
const watch = new Watch();
const live = new EventList(element("live"), { newestFirst: true });
const history = new EventList(element("history"), { newestFirst: false });
const topics = new TopicList(element("topics"));
const counters = new Counters(element("picture"), element("tallies"), element("incidents"));
const subscriptions = new Subscriptions(element("behind"), element("ended"));
const access = new Access(element("access"), element("show-access"));

// --- what the hub shows ---

/** Why the hub shows no events. */
let refusal = "";

function refuse(reason) {
  refusal = reason;
  access.ask(reason);
  summarise();
}
watch.onrefused = refuse;
access.onchange = () => {
  showCommands();
  start();
};

const hidden = { counters: "", subscriptions: "" };

/** Shows why a part of the page is empty. */
function hide(change) {
  const text = [...new Set(Object.values(Object.assign(hidden, change)))].join(" ").trim();
  element("why-hidden").textContent = text;
  element("why-hidden").hidden = !text;
}
counters.onhidden = (reason) => hide({ counters: reason });
subscriptions.onhidden = (reason) => hide({ subscriptions: reason });

// --- the stream ---

/** When the events on the stream became live, after a replay. */
let openedAt = Infinity;

watch.onupdate = (update) => {
  live.add(update);
  topics.count(update.topic);
  const published = Date.parse(update.time);
  if (published >= openedAt) counters.lag(Date.now() - published);
};
watch.ongap = (reason) => {
  live.add({ time: new Date().toISOString(), topic: "", type: "gap", data: `Some updates are missing (${reason}).`, note: true });
};
watch.onstate = (state, text, advice = "") => {
  if (state === "open") openedAt = Math.min(openedAt, Date.now());
  element("state").dataset.state = state;
  element("state").textContent = text;
  notice({ advice });
};

const notices = { advice: "", problem: "" };

/** Shows the next step for a broken stream, or why the history cannot be read. */
function notice(change) {
  const text = Object.values(Object.assign(notices, change)).join(" ").trim();
  element("notice").textContent = text;
  element("notice").hidden = !text;
}

/** The topics and patterns in the field. */
const watched = () => element("watch").elements.topics.value.split(/,\s+/).map((topic) => topic.trim()).filter(Boolean);

function start() {
  openedAt = Infinity;
  refusal = "";
  live.clear();
  topics.clear();
  watch.start(watched());
  if (isHistory) showHistory();
}

// --- live, and the history ---

let isHistory = false;
let nextPage;

function choose(wantsHistory) {
  isHistory = wantsHistory;
  for (const [id, shown] of [["live", !isHistory], ["history", isHistory]]) {
    element(id).hidden = !shown;
    element(`show-${id}`).ariaPressed = String(shown);
  }
  element("pause").disabled = isHistory;
  element("next").hidden = true;
  notice({ problem: "" });
  summarise();
}

async function showHistory() {
  choose(true);
  history.clear();
  nextPage = undefined;
  await showMore();
}

async function showMore() {
  notice({ problem: "" });
  try {
    const { updates, next, more } = await readHistory(watched(), nextPage, PAGE_SIZE);
    nextPage = next;
    for (const update of updates) history.add(update);
    element("next").hidden = !isHistory || !more;
  } catch (error) {
    notice({ problem: error.message });
  }
}

/** Replays: watches from this update on, which is the first one shown. */
function replay(update) {
  choose(false);
  pause(false);
  openedAt = Infinity;
  live.clear();
  live.add(update);
  watch.start(watched(), update.id);
}
live.onreplay = history.onreplay = replay;

function summarise() {
  const list = isHistory ? history : live;
  element("count").textContent = list.count.toLocaleString("en");
  element("nothing").hidden = !list.isEmpty;
  element("invitation").hidden = isHistory || list.count > 0 || refusal !== "";
  element("why-nothing").textContent =
    refusal ? refusal : list.count > 0 ? (list.waiting ? "Paused." : "No event matches the filter.") : isHistory ? "The history is empty." : "";
  const pause = element("pause");
  pause.ariaPressed = String(live.isPaused);
  pause.textContent = !live.isPaused ? "Pause" : live.waiting ? `Resume (${live.waiting} new)` : "Resume";
}
live.onchange = history.onchange = summarise;

// --- filter and display ---

function pause(isPaused) {
  live.isPaused = isPaused;
}

function view(change) {
  live.view = change;
  history.view = change;
}

topics.onselect = (topic) => {
  view({ topic });
  element("only").hidden = topic === null;
  element("only").textContent = `only ${topic} ✕`;
};

// --- publishing ---

async function send() {
  const update = Object.fromEntries(new FormData(element("publish")));
  const receipt = element("receipt");
  await watch.begun;
  try {
    const { sequence } = await publish(update);
    const isWatched = watch.topics.some((pattern) => matches(pattern, update.topic));
    receipt.textContent = `published as update ${sequence}${isWatched ? "" : "; this topic is not watched"}`;
    receipt.className = "";
  } catch (error) {
    receipt.textContent = error.message;
    receipt.className = "bad";
    if (isRefusal(error)) access.ask(error.message);
  }
}

function showCommands() {
  element("publish-command").textContent = publishCommand(Object.fromEntries(new FormData(element("publish"))));
  element("watch-command").textContent = watchCommand(watched());
}

// --- the page ---

const on = (id, type, action) => element(id).addEventListener(type, action);
const onSubmit = (id, action) => on(id, "submit", (event) => (event.preventDefault(), action()));

onSubmit("watch", start);
onSubmit("publish", send);
for (const form of ["watch", "publish"]) on(form, "input", showCommands);
on("publish", "keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) element("publish").requestSubmit();
});
on("show-live", "click", () => choose(false));
on("show-history", "click", showHistory);
on("next", "click", showMore);
on("pause", "click", () => pause(!live.isPaused));
on("clear", "click", () => (isHistory ? history : live).clear());
on("filter", "input", () => view({ text: element("filter").value.trim().toLowerCase() }));
on("pretty", "change", () => view({ pretty: element("pretty").checked }));
on("raw", "change", () => view({ raw: element("raw").checked }));
on("only", "click", () => (topics.selected = null));

document.addEventListener("keydown", (event) => {
  const isTyped = event.target.matches("input, textarea") || event.ctrlKey || event.metaKey || event.altKey;
  const action = { "/": () => element("filter").focus(), p: () => !isHistory && pause(!live.isPaused) }[event.key];
  if (isTyped || !action) return;
  event.preventDefault();
  action();
});

async function tick() {
  topics.tick();
  access.tick();
  element("topic-count").textContent = topics.size || "";
  element("no-topics").hidden = topics.size > 0;
  // Values measured while the page is hidden would be drawn as if no time had passed.
  await (document.hidden ? counters.pause() : Promise.all([counters.tick(), topics.askForSubscribers(), subscriptions.tick()]));
  setTimeout(tick, 1000);
}

showCommands();
start();
tick();
