// The console: follow a topic, publish to one, watch the connection.

const MAX_ROWS = 500;

// The hub may be mounted under a prefix: everything is found from where this page is.
const base = new URL("./", document.baseURI);

const element = (id) => document.getElementById(id);
const follow = element("follow");
const publish = element("publish");
const events = element("events");

let source = null;
let seen = 0;

/** The address of a topic or of a pattern; of a type to publish with, if one is given. */
function topicUrl(topic, type) {
  const segments = topic.split("/");
  // Empty and dotted segments would be normalised away, so a topic that has some goes as one segment.
  const plain = !segments.some((segment) => ["", ".", ".."].includes(segment));
  const url = new URL("topics/" + (plain ? segments.map(encodeURIComponent).join("/") : encodeURIComponent(topic)), base);
  if (type) url.searchParams.set("type", type);
  return url;
}

// --- following ---

function start(filter, withHistory) {
  stop();
  clear();
  const url = topicUrl(filter);
  // An EventSource only hears the types that it names; in this envelope every event is of type `message`.
  url.searchParams.set("envelope", "message");
  if (withHistory) url.searchParams.set("from", "start");

  show("connecting", "connecting …");
  const opened = new EventSource(url);
  source = opened;
  source.onopen = () => show("open", `following ${filter}`);
  source.onerror = async () => {
    if (opened.readyState === EventSource.CONNECTING) return show("connecting", "connection lost, reconnecting …");
    element("stop").disabled = true;
    show("closed", "ended");
    const refusal = await whyRefused(url);
    if (source !== opened) return;
    if (refusal) show("failed", `ended: ${refusal}`);
    else show("closed", "ended: the topic is closed");
  };
  source.onmessage = ({ data }) => {
    const { time, topic, type, data: text } = JSON.parse(data);
    add({ time: new Date(time), topic, type, text, note: type === "close" });
  };
  source.addEventListener("gap", ({ data }) => {
    const { reason } = JSON.parse(data);
    add({ time: new Date(), topic: filter, type: "gap", text: `Some updates are missing (${reason}).`, note: true });
  });
  element("stop").disabled = false;
}

function stop() {
  source?.close();
  source = null;
  element("stop").disabled = true;
  show("closed", "not connected");
}

/** An EventSource does not say why it ended. The same address does as JSON, if the topic can be read at all. */
async function whyRefused(url) {
  try {
    const response = await fetch(url, { headers: { Accept: "application/json" } });
    return response.ok ? "" : await detail(response);
  } catch {
    return "the hub can't be reached";
  }
}

function show(state, text) {
  element("state").dataset.state = state;
  element("state").textContent = text;
}

// --- the list ---

// A burst becomes one change of the page, not one for each event.
let waiting = [];

function add(row) {
  if (waiting.push(row) === 1) requestAnimationFrame(render);
  // A hidden tab draws nothing: keep what will be shown, not all that came.
  if (waiting.length > MAX_ROWS) waiting.shift();
  seen += 1;
}

function render() {
  const rows = waiting.map(toRow).reverse();
  waiting = [];
  events.prepend(...rows);
  while (events.childElementCount > MAX_ROWS) events.lastElementChild.remove();
  summarise();
}

function clear() {
  waiting = [];
  events.replaceChildren();
  seen = 0;
  summarise();
}

const clock = new Intl.DateTimeFormat([], {
  hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3, hourCycle: "h23",
});

function toRow({ time, topic, type, text, note }) {
  const row = document.createElement("li");
  row.classList.toggle("note", Boolean(note));
  const when = Object.assign(document.createElement("time"), {
    dateTime: time.toISOString(),
    title: time.toLocaleString(),
    textContent: clock.format(time),
  });
  const what = Object.assign(document.createElement("span"), { className: "topic", textContent: topic });
  if (type !== "message") what.append(" ", Object.assign(document.createElement("span"), { className: "type", textContent: type }));
  row.append(when, what, Object.assign(document.createElement("pre"), { textContent: text }));
  return row;
}

function summarise() {
  element("count").textContent = seen > MAX_ROWS ? `${seen} (the newest ${MAX_ROWS} are shown)` : String(seen);
  element("empty").hidden = seen > 0;
}

// --- publishing ---

async function send({ topic, type, data }) {
  const options = { method: "POST", body: data, headers: { "Content-Type": "text/plain" } };
  const response = await fetch(topicUrl(topic, type), options).catch(() => {
    throw new Error("the hub can't be reached");
  });
  if (!response.ok) throw new Error(await detail(response));
  return response.json();
}

/** Why a request was refused: a hub says it in a problem document, and what stands before a hub may not. */
async function detail(response) {
  const problem = await response.json().catch(() => ({}));
  return problem.detail ?? `the answer is ${response.status}, and not a hub's`;
}

// --- the same from a terminal ---

const quote = (text) => "'" + String(text).replaceAll("'", "'\\''") + "'";

function showCommands() {
  const filter = new FormData(follow);
  const query = filter.has("history") ? "?from=start" : "";
  element("follow-command").textContent = `curl -N ${quote(topicUrl(filter.get("topic")) + query)}`;

  const { topic, type, data } = Object.fromEntries(new FormData(publish));
  element("publish-command").textContent = `curl --data-raw ${quote(data)} ${quote(topicUrl(topic, type))}`;
}

// --- the page ---

follow.addEventListener("submit", (event) => {
  event.preventDefault();
  const form = new FormData(follow);
  start(form.get("topic"), form.has("history"));
});
element("stop").addEventListener("click", stop);
element("clear").addEventListener("click", clear);

publish.addEventListener("submit", async (event) => {
  event.preventDefault();
  const receipt = element("receipt");
  try {
    const { sequence } = await send(Object.fromEntries(new FormData(publish)));
    receipt.textContent = `published as number ${sequence}`;
    receipt.className = "";
  } catch (error) {
    receipt.textContent = error.message;
    receipt.className = "bad";
  }
});
publish.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) publish.requestSubmit();
});

for (const form of [follow, publish]) form.addEventListener("input", showCommands);
showCommands();
start(new FormData(follow).get("topic"), false);
