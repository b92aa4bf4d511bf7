// Asks a model through a gateway, and reads the answer with @microsoft/fetch-event-source. This client reconnects with
// the ID of the last event, so a broken connection loses nothing.
//
//     node fetch_event_source.mjs http://127.0.0.1:4400 "Why is the sky blue?"
//
// The gateway stores the answer, so you ask and pay the model once. MODEL names the model.

import fetch_event_source from "@microsoft/fetch-event-source";

const [gateway, question] = process.argv.slice(2);

// The client is made for pages. In Node.js it needs these two objects of a page.
globalThis.window = globalThis;
globalThis.document = { hidden: false, addEventListener() {}, removeEventListener() {} };

// The answer has its own URL. This client repeats requests by itself. It may repeat a GET; a repeated POST would
// request the answer from its start each time.
const asked = await fetch(new URL("/v1/chat/completions", gateway), {
  method: "POST",
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify({ model: process.env.MODEL ?? "any", messages: [{ role: "user", content: question }], stream: true }),
});
if (!asked.ok) throw new Error(`${asked.status}: ${await asked.text()}`);
const answer = new URL(asked.headers.get("Location"), gateway).href;
await asked.body.cancel();

let seen = 0;
await fetch_event_source.fetchEventSource(answer, {
  fetch: cutOnce,
  onmessage({ event, data }) {
    seen++;
    if (event === "close") console.error(`\n--- the answer has ended: ${data} ---`);
    else if (!event && data && data !== "[DONE]") process.stdout.write(JSON.parse(data).choices[0]?.delta.content ?? "");
  },
  onerror: () => console.error(`\n--- the connection is lost after ${seen} events; reconnecting ---`),
});

/** A train enters a tunnel: the first response breaks off after some of its bytes. */
async function cutOnce(url, init) {
  console.error(`--- GET with Last-Event-ID: ${init.headers["last-event-id"] ?? "none"} ---`);
  const response = await fetch(url, init);
  if (seen > 0) return response;
  let rest = 3000;
  const tunnel = new TransformStream({
    transform(bytes, controller) {
      rest -= bytes.length;
      if (rest > 0) controller.enqueue(bytes);
      else controller.error(new Error("a tunnel"));
    },
  });
  return new Response(response.body.pipeThrough(tunnel), response);
}
