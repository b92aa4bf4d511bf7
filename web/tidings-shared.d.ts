import { EventSource } from "./tidings.js";
import type { Attempt, Block, Options } from "./interface.js";
/** An EventSource that shares one connection with other tabs. */
export declare class SharedEventSource extends EventSource {
    /**
     * @param {string | URL | ((attempt: Attempt) => string | URL | Promise<string | URL>)} url
     * @param {Options & { group?: string }} [options] only tabs with the same `group` share, for pages with several users
     */
    constructor(url: string | URL | ((attempt: Attempt) => string | URL | Promise<string | URL>), options?: Options & {
        group?: string;
    });
}
/**
 * A `fetch` whose event streams are shared. Without Web Locks, which only secure contexts have, nothing is shared.
 * @param {typeof globalThis.fetch} [fetch]
 * @param {string} [group]
 * @returns {typeof globalThis.fetch}
 */
export declare function share(fetch?: typeof globalThis.fetch, group?: string): typeof globalThis.fetch;
export type Told = {
    /**
     * the member that asks for the blocks after its `place`
     */
    ask?: string;
    /**
     * the leadership that speaks, or that the message asks for
     */
    term?: string;
    /**
     * the only member that is addressed
     */
    to?: string;
    place?: string;
    /**
     * topics that the sender follows
     */
    topics?: string[];
    /**
     * whether the leader has not reached the newcomer's position yet
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
     * what the stream's hub says of the access; absent if the stream is not a hub's
     */
    hub?: string;
};
