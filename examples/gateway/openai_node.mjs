// Asks a model through a gateway with OpenAI's SDK, loses the connection in the middle, and reads the answer at its own URL.
//
//     OPENAI_BASE_URL=http://127.0.0.1:4400/v1 OPENAI_API_KEY=any node openai_node.mjs "Why is the sky blue?"
//
// The gateway keeps the answer, so the model is asked once, and paid once. MODEL says which.

import OpenAI from "openai";
import { Stream } from "openai/streaming";

const client = new OpenAI();
const messages = [{ role: "user", content: process.argv[2] }];

const { data: chunks, response } = await client.chat.completions
  .create({ model: process.env.MODEL ?? "any", messages, stream: true })
  .withResponse();

// Where the answer can be read, from the start, by whoever has the address: for a day, and also when it is complete.
const url = new URL(response.headers.get("Location"), response.url);

// A train enters a tunnel after ten chunks. The gateway goes on listening to the model.
let seen = 0;
for await (const chunk of chunks) {
  show(chunk);
  if (++seen === 10) break;
}
console.error("\n--- the connection is lost, and the answer is read at its own URL ---");

// The SDK reads that as well. The chunks are the same ones, so those that were seen are skipped.
let number = 0;
for await (const chunk of Stream.fromSSEResponse(await fetch(url), new AbortController())) {
  if (number++ >= seen) show(chunk);
}
console.log();

function show(chunk) {
  process.stdout.write(chunk.choices[0]?.delta.content ?? "");
}
