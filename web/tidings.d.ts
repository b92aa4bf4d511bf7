import type { Access, Attempt, Block, Failure, Options, StreamEvent, StreamTarget } from "./interface.js";
/** Bytes to events. Source: HTML, "Interpreting an event stream". */
export declare class Decoder {
    #private;
    /** @type {number | undefined} */
    retry: number | undefined;
    comments: boolean;
    /** @param {number} [max] the longest line and event */
    constructor(max?: number);
    /** Returns the blocks that end in `chunk`. @param {Uint8Array} chunk */
    decode(chunk: Uint8Array): Block[];
    /** Whether a response is an event stream. Source: Fetch, "extract a MIME type". @param {Headers} headers */
    static reads(headers: Headers): boolean;
}
/** @type {new () => StreamTarget} */
declare const Target: new () => StreamTarget;
/** Follows a stream across reconnections. */
export declare class EventSource extends Target {
    #private;
    /** @readonly */
    withCredentials: boolean;
    static CONNECTING: number;
    static OPEN: number;
    static CLOSED: number;
    CONNECTING: number;
    OPEN: number;
    CLOSED: number;
    /** @type {((event: Event) => void) | null} */
    onopen: ((event: Event) => void) | null;
    /** @type {((event: StreamEvent) => void) | null} */
    onmessage: ((event: StreamEvent) => void) | null;
    /** What a hub says of the credential, or why a request was refused for good. @type {((event: Event & Access) => void) | null} */
    onaccess: ((event: Event & Access) => void) | null;
    /** Final if `readyState` is CLOSED. @type {((event: Event & Failure) => void) | null} */
    onerror: ((event: Event & Failure) => void) | null;
    /**
     * @param {string | URL | ((attempt: Attempt) => string | URL | Promise<string | URL>)} url
     * @param {Options} [options]
     */
    constructor(url: string | URL | ((attempt: Attempt) => string | URL | Promise<string | URL>), options?: Options);
    get url(): string;
    get readyState(): number;
    get lastEventId(): string;
    /** Only at a hub. Topics that stay lose nothing. */
    get topics(): string[];
    set topics(topics: string[]);
    /** Ends the source. */
    close(): void;
    /** Closes, and asks the server to stop the work. */
    stop(): Promise<void>;
    /** All events except a hub's `start`. Nothing is read until you take them. */
    [Symbol.asyncIterator](): AsyncGenerator<StreamEvent, void, unknown>;
}
export {};
