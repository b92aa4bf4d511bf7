// Finds faults in a stream of known timing by the times of arrival. The rules are those of `tidings doctor`.

import { isRefusal } from "./hub.js";
import { HEAD_MS, KNOBS } from "./probe.js";

/** Events that arrive within this many milliseconds count as one piece. */
const PIECE_MS = 20;

/** The allowed delay of an event. Some proxies gather small writes for a moment. */
const LATE_MS = 400;

/** How many events may arrive together with others before that is reported. */
const TOGETHER = 0.4;

const SENTENCES = {
  unreachable: "This browser cannot reach the hub.",
  "no-first-byte": "The connection opens, but nothing arrives, not even a header.",
  "bad-status": "The server answers with an error instead of a stream.",
  "wrong-content-type": "The answer does not say that it is an event stream.",
  "not-the-hub": "Something else answers in place of the hub.",
  cached: "A cache answers: you get a recording of an earlier stream, not yours.",
  "shared-stream": "Two connections got one and the same stream.",
  buffered: "Messages are held back and arrive late, many at once.",
  "buffered-compressed": "The answer is compressed, and messages are held back.",
  "one-behind": "Each message arrives only when the next one is sent.",
  delayed: "Messages wait a fraction of a second for the next ones.",
  "heartbeats-held": "Heartbeats are held back.",
  "comments-dropped": "Heartbeats do not arrive: something on the way removes them.",
  "broken-off": "The connection broke in the middle of the answer.",
};
const SEVERITIES = { "one-behind": "S2", delayed: "S3", "heartbeats-held": "S2" };

/** The findings, the worst first: `{rule, severity, sentence, measured}`. */
export function diagnose(arrivals) {
  const findings = new Map();
  for (const arrival of arrivals) {
    for (const [rule, measured] of examine(arrival, arrivals)) {
      findings.set(rule, [...(findings.get(rule) ?? []), `${arrival.way}: ${measured}`]);
    }
  }
  const found = [...findings].map(([rule, measured]) => ({
    rule,
    severity: SEVERITIES[rule] ?? "S1",
    sentence: SENTENCES[rule],
    measured,
  }));
  return found.sort((a, b) => a.severity.localeCompare(b.severity));
}

function* examine(arrival, arrivals) {
  const { head, response, events, cut, silent, error } = arrival;
  const refused = arrivals.find(({ response }) => response && isRefusal(response));
  // An EventSource does not see why it is refused.
  if (refused && refused !== arrival) return;
  if (refused) return yield ["bad-status", `the answer is ${response.status}: give this tab a token, on the console's page`];
  if (response && !response.ok) return yield ["bad-status", `the answer is ${response.status}`];
  const type = response?.headers.get("Content-Type") ?? "text/event-stream";
  if (!type.startsWith("text/event-stream")) return yield ["wrong-content-type", `Content-Type is ${type}`];
  if (response && !response.headers.has("Tidings-Probe")) return yield ["not-the-hub", "no header Tidings-Probe"];
  if (head === undefined && silent) return yield ["no-first-byte", `nothing in ${seconds(HEAD_MS)}`];
  if (head === undefined) return yield ["unreachable", error ?? "an error without a reason"];

  if (arrivals.some((other) => other !== arrival && other.stream && other.stream === arrival.stream)) {
    // Other faults of a recording follow from this one.
    return yield [arrivals.some(isFromCache) ? "cached" : "shared-stream", `it is named ${arrival.stream}`];
  }
  const timing = time(arrival);
  const last = timing.late.at(-1);
  const others = timing.late.slice(0, -1);
  const coding = response?.headers.get("Content-Encoding");
  if (events.length > 1 && last > LATE_MS && Math.max(...others) < LATE_MS / 2) {
    yield ["one-behind", `the last event waited for ${seconds(last)}`];
  } else if (timing.latest > LATE_MS) {
    const measured = `${events.length} events in ${timing.pieces} piece${timing.pieces > 1 ? "s" : ""}, held for up to ${seconds(timing.latest)}`;
    yield coding ? ["buffered-compressed", `${measured} (${coding})`] : ["buffered", measured];
  } else if (timing.pieces < (1 - TOGETHER) * events.length) {
    yield ["delayed", `${events.length} events in ${timing.pieces} pieces`];
  } else if (response && cut === undefined && !arrival.heartbeats.length) {
    if (arrival.joinedHeartbeats) yield ["heartbeats-held", "they came together with the end"];
    else yield ["comments-dropped", `none in a silence of ${seconds(KNOBS.idle)}`];
  }
  if (cut !== undefined) {
    const how = silent ? "nothing more arrived, and the measurement was stopped" : "it was cut";
    yield ["broken-off", `${events.length} of ${KNOBS.events} events arrived, and after ${seconds(cut)} ${how}`];
  }
}

const isFromCache = ({ response }) =>
  response?.headers.has("Age") || /hit/i.test(response?.headers.get("X-Cache") ?? "");

/** The delay of each event, compared with the fastest one, and the number of pieces. */
export function time({ events, offset }) {
  const late = events.map(({ sent, arrived }) => arrived - sent - offset);
  const pieces = events.filter(({ arrived }, at) => at === 0 || arrived - events[at - 1].arrived > PIECE_MS).length;
  return { late, pieces, latest: Math.max(0, ...late) };
}

/** Such as `23 ms`, `1.3 s`. */
export const seconds = (millis) => (millis < 1000 ? `${Math.round(millis)} ms` : `${(millis / 1000).toFixed(1)} s`);
