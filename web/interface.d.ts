export {};
export type Options = {
    /**
     * whether requests to other origins carry cookies; default false
     */
    withCredentials?: boolean;
    /**
     * default GET
     */
    method?: string;
    /**
     * headers, or what makes
     * them before each attempt, with a fresh token for instance; when it throws, the attempt has failed
     */
    headers?: HeadersInit | ((attempt: Attempt) => HeadersInit | Promise<HeadersInit>);
    body?: BodyInit;
    /**
     * topics and patterns to follow, at the `/topics` of a hub
     */
    topics?: Iterable<string>;
    /**
     * resumes after this event
     */
    lastEventId?: string;
    /**
     * milliseconds to wait, until the server says otherwise; default 3,000
     */
    reconnectionTime?: number;
    /**
     * the longest wait on top of that, in milliseconds; default 60,000, and 0 turns it off
     */
    maxBackoff?: number;
    /**
     * the longest reconnection time and `Retry-After` of a server that are obeyed, in
     * milliseconds; default 3,600,000, and at most 86,400,000
     */
    maxWait?: number;
    /**
     * gives up a connection that brings no byte for so many milliseconds; 0 is never.
     * Default: 45,000 as soon as the server has sent a comment, as those with heartbeats do; never before
     */
    idleTimeout?: number;
    /**
     * drops events whose ID is among so many that earlier connections brought; default 0
     */
    dedupe?: number;
    /**
     * the longest line and event, with its type, topics and names of fields, in UTF-16
     * units; default 16 Mi. A longer one ends the source
     */
    maxEventLength?: number;
    /**
     * sends the requests; default: the global one
     */
    fetch?: typeof globalThis.fetch;
};
export type Attempt = {
    /**
     * counted from 1
     */
    number: number;
    /**
     * empty if there is none
     */
    lastEventId: string;
};
export type Block = {
    /**
     * the event type
     */
    type: string;
    /**
     * absent if there is no event to dispatch
     */
    data?: string;
    /**
     * absent if the block sets none
     */
    id?: string;
    /**
     * the values of its `topic` fields
     */
    topics: string[];
};
export type StreamEvent = MessageEvent<string> & {
    topics: string[];
};
export type Failure = {
    /**
     * why the connection is gone; absent if the server has ended it in order
     */
    error?: unknown;
    /**
     * an answer that was no stream; a listener may read its body
     */
    response?: Response;
    /**
     * milliseconds until the next attempt; absent if there is none
     */
    retryIn?: number;
};
export type AnyListener = {
    addEventListener: (type: string, listener: ((event: any) => void) | {
        handleEvent(event: any): void;
    } | null, options?: boolean | AddEventListenerOptions) => void;
};
export type StreamTarget = Omit<EventTarget, "addEventListener"> & AnyListener;
/**
 * @typedef {object} Options
 * @property {boolean} [withCredentials] whether requests to other origins carry cookies; default false
 * @property {string} [method] default GET
 * @property {HeadersInit | ((attempt: Attempt) => HeadersInit | Promise<HeadersInit>)} [headers] headers, or what makes
 *   them before each attempt, with a fresh token for instance; when it throws, the attempt has failed
 * @property {BodyInit} [body]
 * @property {Iterable<string>} [topics] topics and patterns to follow, at the `/topics` of a hub
 * @property {string} [lastEventId] resumes after this event
 * @property {number} [reconnectionTime] milliseconds to wait, until the server says otherwise; default 3,000
 * @property {number} [maxBackoff] the longest wait on top of that, in milliseconds; default 60,000, and 0 turns it off
 * @property {number} [maxWait] the longest reconnection time and `Retry-After` of a server that are obeyed, in
 *   milliseconds; default 3,600,000, and at most 86,400,000
 * @property {number} [idleTimeout] gives up a connection that brings no byte for so many milliseconds; 0 is never.
 *   Default: 45,000 as soon as the server has sent a comment, as those with heartbeats do; never before
 * @property {number} [dedupe] drops events whose ID is among so many that earlier connections brought; default 0
 * @property {number} [maxEventLength] the longest line and event, with its type, topics and names of fields, in UTF-16
 *   units; default 16 Mi. A longer one ends the source
 * @property {typeof globalThis.fetch} [fetch] sends the requests; default: the global one
 *
 * @typedef {object} Attempt
 * @property {number} number counted from 1
 * @property {string} lastEventId empty if there is none
 *
 * @typedef {object} Block what the lines up to a blank one say
 * @property {string} type the event type
 * @property {string} [data] absent if there is no event to dispatch
 * @property {string} [id] absent if the block sets none
 * @property {string[]} topics the values of its `topic` fields
 *
 * @typedef {MessageEvent<string> & { topics: string[] }} StreamEvent an event of the stream; its topics, if a hub was
 *   asked for them
 *
 * @typedef {object} Failure what an `error` event tells
 * @property {unknown} [error] why the connection is gone; absent if the server has ended it in order
 * @property {Response} [response] an answer that was no stream; a listener may read its body
 * @property {number} [retryIn] milliseconds until the next attempt; absent if there is none
 *
 * @typedef {object} AnyListener
 * @property {(type: string, listener: ((event: any) => void) | { handleEvent(event: any): void } | null,
 *   options?: boolean | AddEventListenerOptions) => void} addEventListener
 *
 * @typedef {Omit<EventTarget, "addEventListener"> & AnyListener} StreamTarget an EventTarget whose listeners may expect
 *   any kind of event, as those of an EventSource
 */
