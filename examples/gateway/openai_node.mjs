// Asks a model through a gateway with OpenAI's SDK, loses the connection, and reads the answer at its own URL.
//
//     OPENAI_BASE_URL=http://127.0.0.1:4400/v1 OPENAI_API_KEY=any node openai_node.mjs "Why is the sky blue?"
//
// The gateway stores the answer, so you ask and pay the model once. MODEL names the model.

import OpenAI from "openai";
import { Stream } from "openai/streaming";

const client = new OpenAI();
const messages = [{ role: "user", content: process.argv[2] }];

const { data: chunks, response } = await client.chat.completions
  .create({ model: process.env.MODEL ?? "any", messages, stream: true })
  .withResponse();

// The URL of the answer. With it anyone can read the answer from the start, for a day, even after it is complete.
const url = new URL(response.headers.get("Location"), response.url);

// A train enters a tunnel after ten chunks. The gateway goes on listening to the model.
let seen = 0;
for await (const chunk of chunks) {
  show(chunk);
  if (++seen === 10) break;
}
console.error("\n--- the connection is lost; reading the answer at its own URL ---");

// The SDK reads that URL as well. The chunks are the same, so those already seen are skipped.
let number = 0;
for await (const chunk of Stream.fromSSEResponse(await fetch(url), new AbortController())) {
  if (number++ >= seen) show(chunk);
}
console.log();

function show(chunk) {
  process.stdout.write(chunk.choices[0]?.delta.content ?? "");
}
