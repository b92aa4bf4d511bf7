// How the answer of a model looks in each of the three dialects that its clients speak.
//
// A dialect reads the `question` and the bound `maxTokens` from a request's body, and has the answer `whole`, or in
// events: those of `begin`, of each `piece` and of the `end`, as `{type, data}`.

import { randomUUID } from "node:crypto";

const DEFAULT_MAX_TOKENS = 120;

/** OpenAI's Chat Completions. */
function chatCompletions(body, model) {
  const common = { id: `chatcmpl-${randomUUID()}`, created: now(), model };
  const chunk = (choices, more) => ({ data: { ...common, object: "chat.completion.chunk", choices, ...more } });
  const delta = (delta, finish_reason = null) => chunk([{ index: 0, delta, finish_reason }]);
  const usage = ({ promptTokens, completionTokens }) => ({
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
  });
  return {
    question: textOf(body.messages.at(-1).content),
    maxTokens: body.max_completion_tokens ?? body.max_tokens ?? DEFAULT_MAX_TOKENS,
    begin: () => [delta({ role: "assistant", content: "" })],
    piece: (text) => [delta({ content: text })],
    end: (outcome) => [
      delta({}, outcome.finishReason),
      ...(body.stream_options?.include_usage ? [chunk([], { usage: usage(outcome) })] : []),
      { data: "[DONE]" },
    ],
    whole: (text, outcome) => ({
      ...common,
      object: "chat.completion",
      choices: [{ index: 0, message: { role: "assistant", content: text }, finish_reason: outcome.finishReason }],
      usage: usage(outcome),
    }),
  };
}

/** Anthropic's Messages. */
function messages(body, model) {
  const message = { id: `msg_${randomUUID()}`, type: "message", role: "assistant", model };
  const event = (data) => ({ type: data.type, data });
  const reasons = { length: "max_tokens", stop: "end_turn" };
  const end = ({ finishReason }) => ({ stop_reason: reasons[finishReason] ?? null, stop_sequence: null });
  const usage = ({ promptTokens = 1, completionTokens = 1 }) => ({ input_tokens: promptTokens, output_tokens: completionTokens });
  return {
    question: textOf(body.messages.at(-1).content),
    maxTokens: body.max_tokens,
    begin: () => [
      event({ type: "message_start", message: { ...message, content: [], ...end({}), usage: usage({}) } }),
      event({ type: "content_block_start", index: 0, content_block: { type: "text", text: "" } }),
      event({ type: "ping" }),
    ],
    piece: (text) => [event({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text } })],
    end: (outcome) => [
      event({ type: "content_block_stop", index: 0 }),
      event({ type: "message_delta", delta: end(outcome), usage: { output_tokens: outcome.completionTokens } }),
      event({ type: "message_stop" }),
    ],
    whole: (text, outcome) => ({
      ...message,
      content: [{ type: "text", text }],
      ...end(outcome),
      usage: usage(outcome),
    }),
  };
}

/** OpenAI's Responses. */
function responses(body, model) {
  const common = { id: `resp_${randomUUID()}`, object: "response", created_at: now(), model };
  const base = { ...common, parallel_tool_calls: true, tool_choice: "auto", tools: [] };
  const item = { id: `msg_${randomUUID()}`, type: "message", role: "assistant" };
  const place = { item_id: item.id, output_index: 0, content_index: 0 };
  const part = (text) => ({ type: "output_text", text, annotations: [] });
  const done = (text) => ({ ...item, status: "completed", content: [part(text)] });
  const status = ({ finishReason }) => (finishReason === "length" ? "incomplete" : "completed");
  const response = (text, { promptTokens, completionTokens, ...outcome }) => ({
    ...base,
    status: status(outcome),
    incomplete_details: status(outcome) === "incomplete" ? { reason: "max_output_tokens" } : null,
    output: [done(text)],
    usage: { input_tokens: promptTokens, output_tokens: completionTokens, total_tokens: promptTokens + completionTokens },
  });
  let sequence_number = 0;
  let whole = "";
  const event = (data) => ({ type: data.type, data: { ...data, sequence_number: sequence_number++ } });
  return {
    question: typeof body.input === "string" ? body.input : textOf(body.input.at(-1).content),
    maxTokens: body.max_output_tokens ?? DEFAULT_MAX_TOKENS,
    begin: () => [
      event({ type: "response.created", response: { ...base, status: "in_progress", output: [] } }),
      event({ type: "response.in_progress", response: { ...base, status: "in_progress", output: [] } }),
      event({ type: "response.output_item.added", output_index: 0, item: { ...item, status: "in_progress", content: [] } }),
      event({ type: "response.content_part.added", ...place, part: part("") }),
    ],
    piece: (text) => {
      whole += text;
      return [event({ type: "response.output_text.delta", ...place, delta: text, logprobs: [] })];
    },
    end: (outcome) => [
      event({ type: "response.output_text.done", ...place, text: whole, logprobs: [] }),
      event({ type: "response.content_part.done", ...place, part: part(whole) }),
      event({ type: "response.output_item.done", output_index: 0, item: done(whole) }),
      event({ type: `response.${status(outcome)}`, response: response(whole, outcome) }),
    ],
    whole: response,
  };
}

/** Each dialect by its path: a function of the body and the model's name. */
export const dialects = {
  "/v1/chat/completions": chatCompletions,
  "/v1/messages": messages,
  "/v1/responses": responses,
};

/** The text of a message, which is given as such or in parts. */
const textOf = (content) => (typeof content === "string" ? content : content.map(({ text }) => text).join(""));

const now = () => Math.floor(Date.now() / 1000);
