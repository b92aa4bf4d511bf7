import { EventSource } from "./tidings.js";
import type { Block, Options } from "./interface.js";
/** An EventSource that has one connection together with those of other tabs. */
export declare class SharedEventSource extends EventSource {
    /**
     * @param {string | URL} url
     * @param {Options & { group?: string }} [options] only tabs with the same `group` share, for pages that act for
     *   several people
     */
    constructor(url: string | URL, options?: Options & {
        group?: string;
    });
}
/**
 * A `fetch` whose event streams are shared. Without Web Locks, which only secure contexts have, it is as it was.
 * @param {typeof globalThis.fetch} [fetch]
 * @param {string} [group]
 * @returns {typeof globalThis.fetch}
 */
export declare function share(fetch?: typeof globalThis.fetch, group?: string): typeof globalThis.fetch;
export type Told = {
    /**
     * the member that asks to be told what follows its `place`
     */
    ask?: string;
    /**
     * the leadership that speaks, or is asked whether it is there
     */
    term?: string;
    /**
     * the only member it is for
     */
    to?: string;
    place?: string;
    /**
     * what who asks follows, or what the leader does
     */
    topics?: string[];
    /**
     * whether the leader has yet to come to the place of who joins
     */
    ahead?: boolean;
    /**
     * topics that the hub refuses
     */
    refused?: string[];
    says?: "joins" | "waits" | "unknown" | "opened" | "here" | "left" | "ended" | "broke";
    blocks?: Block[];
    count?: number;
    retry?: number;
    /**
     * whether a hub speaks
     */
    hub?: boolean;
};
