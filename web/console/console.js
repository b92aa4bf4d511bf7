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

// --- following ---

function start(filter, withHistory) {
  stop();
  const url = new URL("topics", base);
  url.searchParams.set("topic", filter);
  // An EventSource only hears the types that it names; in this envelope every event is of type `message`.
  url.searchParams.set("envelope", "message");
  if (withHistory) url.searchParams.set("from", "start");

  show("connecting", "connecting …");
  source = new EventSource(url);
  source.onopen = () => show("open", `following ${filter}`);
  source.onerror = () => {
    if (source.readyState === EventSource.CONNECTING) return show("connecting", "connection lost, reconnecting …");
    show("failed", "ended: the topic is closed, or the hub refused");
    element("stop").disabled = true;
  };
  source.onmessage = ({ data }) => {
    const { time, topic, type, data: text } = JSON.parse(data);
    add({ time: new Date(time), topic, type, text });
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
  if (waiting.length > MAX_ROWS) waiting.splice(1, 1);
  seen += 1;
}

function render() {
  const rows = waiting.map(toRow).reverse();
  waiting = [];
  events.prepend(...rows);
  while (events.childElementCount > MAX_ROWS) events.lastElementChild.remove();
  summarise();
}

function toRow({ time, topic, type, text, note }) {
  const row = document.createElement("li");
  row.classList.toggle("note", Boolean(note));
  const when = Object.assign(document.createElement("time"), {
    dateTime: time.toISOString(),
    textContent: time.toLocaleTimeString([], { hour12: false }) + "." + String(time.getMilliseconds()).padStart(3, "0"),
  });
  const what = Object.assign(document.createElement("span"), { className: "topic", textContent: topic });
  if (type !== "message") what.append(Object.assign(document.createElement("span"), { className: "type", textContent: type }));
  row.append(when, what, Object.assign(document.createElement("pre"), { textContent: text }));
  return row;
}

function summarise() {
  element("count").textContent = seen > MAX_ROWS ? `${seen} (the newest ${MAX_ROWS} are shown)` : String(seen);
  element("empty").hidden = seen > 0;
}

// --- publishing ---

const topicUrl = (topic) => new URL("topics/" + encodeURIComponent(topic).replaceAll("%2F", "/"), base);

async function send(topic, type, data) {
  const url = topicUrl(topic);
  if (type) url.searchParams.set("type", type);
  const response = await fetch(url, { method: "POST", body: data, headers: { "Content-Type": "text/plain" } });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.detail);
  return answer;
}

function showCurl() {
  const { topic, data } = Object.fromEntries(new FormData(publish));
  const quote = (text) => "'" + text.replaceAll("'", "'\\''") + "'";
  element("curl").textContent = `curl --data-raw ${quote(data)} ${quote(String(topicUrl(topic)))}`;
}

// --- the page ---

follow.addEventListener("submit", (event) => {
  event.preventDefault();
  const form = new FormData(follow);
  start(form.get("topic"), form.has("history"));
});
element("stop").addEventListener("click", stop);
element("clear").addEventListener("click", () => {
  events.replaceChildren();
  seen = 0;
  summarise();
});
publish.addEventListener("input", showCurl);
publish.addEventListener("submit", async (event) => {
  event.preventDefault();
  const receipt = element("receipt");
  try {
    const { topic, type, data } = Object.fromEntries(new FormData(publish));
    const { sequence } = await send(topic, type, data);
    receipt.textContent = `published as number ${sequence}`;
    receipt.className = "";
  } catch (error) {
    receipt.textContent = error.message;
    receipt.className = "bad";
  }
});
showCurl();
start(element("filter").value, false);
