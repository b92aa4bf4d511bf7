// The doctor's page: examines how streams arrive on the way from the hub to this browser.

import { draw } from "./arrival_picture.js";
import { diagnose, seconds, time } from "./diagnose.js";
import { create } from "./element.js";
import { base } from "./hub.js";
import { KNOBS, OVER_MS, probeWithEventSource, probeWithFetch } from "./probe.js";
import { token } from "./token.js";

/** The delay between the requests for the first and the second stream. */
const APART_MS = 300;

const element = (id) => document.getElementById(id);

async function examine() {
  const again = element("again");
  again.disabled = true;
  element("results").hidden = true;
  element("findings").replaceChildren();
  show("connecting", "measuring …", `This takes ${Math.ceil(OVER_MS / 1000)} seconds.`);
  const drawing = (arrival) => draw(element(`picture-${arrival.way}`), arrival);
  element("measured").hidden = false;
  element("picture-EventSource").closest("figure").hidden = token() !== "";
  // An EventSource cannot send the token of this tab.
  const first = token() ? [] : [probeWithEventSource(drawing)];
  // A cache now has a response that it could repeat.
  if (first.length) await new Promise((resolve) => setTimeout(resolve, APART_MS));
  const arrivals = await Promise.all([...first, probeWithFetch(drawing)]);
  const findings = diagnose(arrivals);
  report(findings);
  for (const arrival of arrivals) tell(arrival);
  element("results").hidden = false;
  again.disabled = false;
}

function report(findings) {
  const [worst] = findings;
  if (worst) show("failed", `${findings.length} finding${findings.length > 1 ? "s" : ""}`, worst.sentence);
  else show("open", "streams", "It streams: the measurements show no fault.");
  element("findings").replaceChildren(
    ...findings.map(({ rule, severity, sentence, measured }, at) =>
      create(
        "li",
        {},
        create("p", { className: "rule" }, create("strong", {}, severity), " ", create("code", {}, rule), " ", at ? sentence : ""),
        ...measured.map((text) => create("p", { className: "hint" }, text)),
      ),
    ),
  );
  element("advice").hidden = !worst;
}

/** The numbers of one stream. */
function tell(arrival) {
  const { way, head, response, events, heartbeats, joinedHeartbeats } = arrival;
  const { pieces, latest } = time(arrival);
  const sent = Math.ceil(KNOBS.idle / KNOBS.heartbeat) - 1;
  const beats = heartbeats.length ? `${heartbeats.length} of ${sent}` : joinedHeartbeats ? "late" : "none";
  const coding = response?.headers.get("Content-Encoding") ?? "no";
  const cells = [
    head === undefined ? "never" : seconds(head),
    `${events.length} of ${KNOBS.events}`,
    events.length ? String(pieces) : "–",
    events.length ? seconds(latest) : "–",
    // The browser's EventSource does not show them.
    response ? beats : "not visible",
    response ? coding : "not visible",
    protocol() || "unknown",
  ];
  element(`numbers-${way}`).replaceChildren(create("th", { scope: "row" }, way), ...cells.map((text) => create("td", {}, text)));
}

/** The protocol of the connection that loaded this page. */
const protocol = () => performance.getEntriesByType("navigation")[0]?.nextHopProtocol;

function show(state, word, verdict) {
  element("state").dataset.state = state;
  element("state").textContent = word;
  element("verdict").dataset.state = state;
  element("verdict").textContent = verdict;
}

element("command").textContent = `tidings doctor ${new URL("probe", base)}`;
element("again").onclick = examine;
examine();
