// What run.mjs measures: for each scenario the arguments of `tidings bench` and the figures that count.

/** How many of `full`: for a slow server a share of them, in a smoke run `few`. */
const count = (full, few) => ({ share = 1, smoke }) => String(smoke ? few : Math.round(full * share));
/** The same for every server, where fewer would be another question. */
const fixed = (full, few) => ({ smoke }) => String(smoke ? few : full);

const CPU = { cpu_us_per_delivery: "CPU µs per delivery" };
const LATENCY = { latency_p50_us: "p50, µs", latency_p99_us: "p99, µs" };
/** How servers are published to that take more than one update a request. */
const STREAMED = ["--publish-as", "ndjson"];

/**
 * By title. In `args` a function gives the number for one server; `streams` is added for servers that `streams`, as in
 * `servers.mjs`; `asStream` leaves out those that don't, `resumes` those without a history, `http2` those without HTTP/2.
 */
export const SCENARIOS = {
  "single events, 1,000 subscribers": {
    args: ["fanout", "-n", fixed(1000, 200), "--events", count(1000, 50)],
    figures: CPU,
  },
  "single events, 15,000 subscribers": {
    args: ["fanout", "-n", fixed(15000, 1000), "--events", count(100, 20)],
    figures: CPU,
  },
  "bursts of 100, 1,000 subscribers": {
    args: ["fanout", "-n", fixed(1000, 200), "--events", count(10000, 1000), "--burst", "100"],
    streams: STREAMED,
    figures: CPU,
  },
  "bursts of 100, 15,000 subscribers": {
    args: ["fanout", "-n", fixed(15000, 1000), "--events", count(1000, 100), "--burst", "100"],
    streams: STREAMED,
    figures: CPU,
  },
  "5,000 topics with 1 subscriber": {
    args: ["fanout", "-n", fixed(5000, 200), "--topics", fixed(5000, 200), "--events", count(100, 10)],
    figures: CPU,
  },
  "HTTP/2, 100 streams a connection, single events, 15,000 subscribers": {
    args: ["fanout", "-n", fixed(15000, 1000), "--events", count(100, 20)],
    http2: ["--http2", "100"],
    figures: CPU,
  },
  "15,000 idle subscribers": {
    args: ["idle", "-n", fixed(15000, 1000), "--hold", fixed("2s", "200ms")],
    figures: { user_bytes_per_connection: "user memory of one, bytes" },
  },
  "HTTP/2, 100 streams a connection, 15,000 idle subscribers": {
    args: ["idle", "-n", fixed(15000, 1000), "--hold", fixed("2s", "200ms")],
    http2: ["--http2", "100"],
    figures: { user_bytes_per_connection: "user memory of one, bytes" },
  },
  "100 events/s, 1,000 subscribers": {
    args: ["fanout", "-n", fixed(1000, 200), "--events", fixed(500, 50), "--rate", "100"],
    figures: LATENCY,
  },
  "4 million deliveries/s offered to 1,000 subscribers": {
    args: ["fanout", "-n", fixed(1000, 200), "--events", count(8000, 400), "--rate", fixed(4000, 2000), "--patience", "20s"],
    streams: STREAMED,
    figures: { ...LATENCY, deliveries_per_second: "deliveries/s" },
  },
  "10,000 clients reconnect at once, 100 events each": {
    args: ["replay", "-n", fixed(10000, 500), "--events", fixed(100, 20)],
    resumes: true,
    figures: {
      connects_per_second: "connects/s", cpu_us_per_client: "CPU µs per client", dropped_syns: "dropped SYNs of the machine",
    },
  },
  "500 clients resume, 1,000 events each": {
    args: ["replay", "-n", fixed(500, 50), "--events", fixed(1000, 100)],
    resumes: true,
    figures: { events_per_second: "events/s", ...CPU },
  },
  "publishing 200 bytes": {
    args: ["publish", "--events", count(20000, 1000), "--ways", "single,concurrent"],
    figures: {
      single_cpu_us: "POST after POST over a connection, CPU µs",
      concurrent_cpu_us: "the same over 32 connections at once, CPU µs",
    },
  },
  // So many that the history of Tidings is full, and each event evicts one.
  "publishing 200 bytes as NDJSON": {
    args: ["publish", "--events", fixed(1000000, 1000), "--ways", "ndjson"],
    asStream: true,
    figures: { ndjson_cpu_us: "CPU µs per event" },
  },
  // Of 4,000 bytes, so that who does not read fills any server's socket.
  "20 stalled readers among 5,000, 10 events/s of 4,000 bytes": {
    args: ["stall", "-n", fixed(5000, 200), "--stalled", "20", "--events", fixed(60, 30), "--rate", fixed(10, 100), "--bytes", "4000"],
    figures: {
      alone_p99_us: "p99 of the others without them, µs", beside_p99_us: "p99 of the others with them, µs",
      user_bytes_per_stalled: "memory that one takes, bytes",
    },
  },
};

/** The arguments of `scenario` for `server` at its `urls`; none if it can't do that. */
export function benchArguments(scenario, server, urls, smoke) {
  const wants = { streams: scenario.asStream, resumes: scenario.resumes, http2: scenario.http2 };
  if (Object.keys(wants).some((ability) => wants[ability] && !server[ability])) return undefined;
  const args = scenario.args.map((part) => (typeof part === "function" ? part({ ...server, smoke }) : part));
  if (scenario.streams && server.streams) args.push(...scenario.streams);
  // The bound has HTTP/1.1 alone, and is measured with as many connections.
  if (scenario.http2 && !server.isBound) args.push(...scenario.http2);
  if (server.connecting) args.push("--connecting", String(server.connecting));
  if (!args.includes("--patience")) args.push("--patience", "60s");
  return [...args, "--subscribe-url", scenario.http2 ? urls.http2 : urls.subscribe, "--publish-url", urls.publish,
    "--server-pid", urls.ids.join(","), "--rounds", "1", "--json"];
}
