// The language model of the tests: a real one, or, where that is not installed, what it said when it was recorded.

import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const folder = fileURLToPath(new URL("./", import.meta.url));
const weights = `${folder}.cache/model.gguf`;

/** How many answers are generated at a time. */
const SEQUENCES = 8;

/**
 * Loads the real model, or says loudly on stderr why it can't, and takes the recordings. `TIDINGS_MODEL=recorded` asks
 * for them.
 *
 * A model has a `name` and `answer(question, {maxTokens, signal, onText})`, which hands each piece of text to `onText`
 * as it comes, and resolves to `{finishReason, promptTokens, completionTokens}`. An aborted `signal` ends it.
 */
export async function loadModel() {
  if (process.env.TIDINGS_MODEL === "recorded") return recordings();
  try {
    if (!existsSync(weights)) throw new Error(`${weights} is not there`);
    return await realModel();
  } catch (error) {
    console.error(`
********************************************************************************
  The real language model is not here: ${error.message}
  A recorded session of it is replayed in its place.
  tests/model/install.sh installs it.
********************************************************************************`);
    return recordings();
  }
}

/** Gemma 3 with 270 million parameters on one core, some 30 tokens a second. The same question has the same answer. */
async function realModel() {
  const { getLlama, LlamaCompletion } = await import("node-llama-cpp");
  // With as many threads as cores it spins when anything else runs.
  const options = { gpu: false, build: "never", skipDownload: true, maxThreads: 1, progressLogs: false, logLevel: "error" };
  const llama = await getLlama(options);
  const model = await llama.loadModel({ modelPath: weights });
  const context = await model.createContext({ contextSize: 1024, sequences: SEQUENCES });
  return {
    name: "gemma-3-270m",
    async answer(question, { maxTokens, signal, onText }) {
      // The model is not trained to chat, but it knows how a list of questions and answers goes on.
      const prompt = `Question: ${question}\nAnswer:`;
      const contextSequence = context.getSequence();
      const completion = new LlamaCompletion({ contextSequence });
      let completionTokens = 0;
      try {
        const { metadata } = await completion.generateCompletionWithMeta(prompt, {
          maxTokens,
          signal,
          stopOnAbortSignal: true,
          repeatPenalty: { penalty: 1.15, lastTokens: 64 },
          customStopTriggers: ["\nQuestion:", "\nAnswer:"],
          onTextChunk: onText,
          onToken: (tokens) => (completionTokens += tokens.length),
        });
        const finishReason = metadata.stopReason === "maxTokens" ? "length" : "stop";
        return { finishReason, promptTokens: model.tokenize(prompt).length, completionTokens };
      } finally {
        completion.dispose();
        contextSequence.dispose();
      }
    },
  };
}

/** What `record.mjs` has kept, at the pace at which it came. A question that was not recorded gets the first answer. */
async function recordings() {
  const files = (await readdir(`${folder}recorded`)).filter((file) => file.endsWith(".sse")).sort();
  const sessions = await Promise.all(files.map(async (file) => parse(await readFile(`${folder}recorded/${file}`, "utf8"))));
  return {
    name: "gemma-3-270m-recorded",
    async answer(question, { maxTokens, signal, onText }) {
      const session = sessions.find((session) => session.question === question) ?? sessions[0];
      let completionTokens = 0;
      for (const { text, delayMs } of session.pieces) {
        if (signal.aborted || completionTokens === maxTokens) break;
        await setTimeout(delayMs, undefined, { signal }).catch(() => {});
        completionTokens++;
        onText(text);
      }
      const finishReason = completionTokens === session.pieces.length ? session.finishReason : "length";
      return { finishReason, promptTokens: question.split(" ").length, completionTokens };
    },
  };
}

/** A recording is the event stream of a chat completion, with the question and the times between its events in comments. */
function parse(recording) {
  const session = { question: undefined, pieces: [], finishReason: "stop" };
  let delayMs = 0;
  for (const line of recording.split("\n")) {
    const [, question, delay, chunk] = /^(?:: question: (.*)|: \+(\d+) ms|data: (\{.*))$/.exec(line) ?? [];
    if (question) session.question = question;
    if (delay) delayMs += Number(delay);
    const choice = chunk && JSON.parse(chunk).choices[0];
    if (choice?.delta.content) {
      session.pieces.push({ text: choice.delta.content, delayMs });
      delayMs = 0;
    }
    session.finishReason = choice?.finish_reason ?? session.finishReason;
  }
  return session;
}
