// Records answers of the real model into recorded/, for where it can't be had: node tests/model/record.mjs

import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

import { questions } from "./questions.mjs";

const folder = fileURLToPath(new URL("./", import.meta.url));
const server = spawn("node", [`${folder}server.mjs`], { stdio: ["ignore", "pipe", "inherit"] });
const [url] = await once(createInterface({ input: server.stdout }), "line");
const { model } = await (await fetch(`${url}/calls`)).json();
if (model.endsWith("recorded")) throw new Error("what was recorded is not recorded again");

for (const [name, question] of Object.entries(questions)) {
  const body = { model, stream: true, messages: [{ role: "user", content: question }] };
  const response = await fetch(`${url}/v1/chat/completions`, { method: "POST", body: JSON.stringify(body) });
  let recording = `: question: ${question}\n`;
  let last = performance.now();
  let rest = "";
  for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
    const blocks = (rest + text).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const now = performance.now();
      recording += `: +${Math.round(now - last)} ms\n${block}\n\n`;
      last = now;
    }
  }
  if (!recording.includes("[DONE]")) throw new Error(`the answer to "${question}" has no end`);
  await writeFile(`${folder}recorded/${name}.sse`, recording);
}
server.kill();
