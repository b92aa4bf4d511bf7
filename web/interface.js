// The types of tidings.js. Nothing here runs, and no page loads it.

export {};

/**
 * @typedef {object} Options
 * @property {boolean} [withCredentials] whether requests to other origins carry cookies; default false
 * @property {string} [method] default GET
 * @property {HeadersInit | ((attempt: Attempt) => HeadersInit | Promise<HeadersInit>)} [headers] headers, or a
 *   function that makes them before each attempt, for instance with a fresh token; if it throws, the attempt has failed
 * @property {string | URL | ((attempt: Attempt) => Minted | Promise<Minted>)} [ticket] where your application answers a
 *   POST with a ticket of the hub, as JSON, or a function that mints one; asked before each attempt
 * @property {BodyInit} [body]
 * @property {Iterable<string>} [topics] topics and patterns to follow, at the `/topics` of a hub
 * @property {string} [lastEventId] resume after this event
 * @property {number} [reconnectionTime] milliseconds to wait before a reconnection, until the server sets another
 *   time; default 3,000
 * @property {number} [maxBackoff] the longest back-off on top of that, in milliseconds; default 60,000; 0 turns it off
 * @property {number} [maxWait] the longest reconnection time or `Retry-After` of a server that is obeyed, in
 *   milliseconds; default 3,600,000, at most 86,400,000
 * @property {number} [idleTimeout] give up a connection that brings no byte for this many milliseconds; 0 means
 *   never. Default: 45,000 once the server has sent a comment, such as a heartbeat; never before that
 * @property {number} [dedupe] how many IDs to remember, to drop events that an earlier connection brought; default 0
 * @property {number} [maxEventLength] the longest line and event, with its type, topics and field names, in UTF-16
 *   units; default 16 Mi. A longer one ends the source
 * @property {typeof globalThis.fetch} [fetch] the function that sends the requests; default: the global one
 *
 * @typedef {object} Attempt
 * @property {number} number counted from 1
 * @property {string} lastEventId empty if there is none
 * @property {boolean} [isRefused] whether the answer to the attempt before was 401, so the same token again will not do
 *
 * @typedef {string | { ticket: string, url?: string } | { ticket?: undefined, url: string }} Minted a ticket, which goes
 *   into the query of the source's URL, or a URL that has one, relative to that of the source
 *
 * @typedef {object} Block the fields of the lines up to a blank line
 * @property {string} type the event type
 * @property {string} [data] absent if there is no event to dispatch
 * @property {string} [id] absent if the block sets none
 * @property {string[]} topics the values of its `topic` fields
 *
 * @typedef {MessageEvent<string> & { topics: string[] }} StreamEvent an event of the stream, with its topics if you
 *   asked a hub for them
 *
 * @typedef {object} Access the properties of an `access` event
 * @property {string} reason what a hub says: `expires` soon, or has ended because it `expired`, for instance; or
 *   `refused`: the answer is 401 or 403, and the source has ended
 * @property {number} [status] 401 or 403, if refused
 * @property {string} [rule] a hub's word for the rule that refused
 * @property {string} [detail] the value, the rule and the next step, for people
 *
 * @typedef {object} Prepared a request that may be sent
 * @property {string} url
 * @property {Headers} headers
 *
 * @typedef {object} Stream a response that is being read
 * @property {ReadableStreamDefaultReader<Uint8Array>} reader
 * @property {Promise<ReadableStreamReadResult<Uint8Array>>} [read] the read that is under way
 * @property {import("./tidings.js").Decoder} decoder
 * @property {string} origin
 * @property {boolean} isOwn whether nothing else renews its credential
 *
 * @typedef {object} Failure the properties of an `error` event
 * @property {unknown} [error] the reason why the connection is lost; absent if the server ended the response normally
 * @property {Response} [response] a response that is not a stream; a listener may read its body
 * @property {number} [retryIn] milliseconds until the next attempt; absent if there is none
 *
 * @typedef {object} AnyListener
 * @property {(type: string, listener: ((event: any) => void) | { handleEvent(event: any): void } | null,
 *   options?: boolean | AddEventListenerOptions) => void} addEventListener
 *
 * @typedef {Omit<EventTarget, "addEventListener"> & AnyListener} StreamTarget an EventTarget whose listeners may expect
 *   any kind of event, as those of an EventSource
 */
