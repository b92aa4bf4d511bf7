// The token that a person gave this tab, and that the pages send with each request.

/** In the tab's own storage, which ends with the tab. A tab that opens next does not have it. */
const KEY = "tidings-token";

/** The token, or an empty text without one. */
export const token = () => sessionStorage.getItem(KEY) ?? "";

/** Keeps a token as a person pastes it. Throws if it is none. */
export function keep(text) {
  const given = text.trim().replace(/^(Authorization: *)?Bearer +/i, "");
  if (!/^[\x21-\x7e]+$/.test(given)) throw new Error("A token has no spaces and no letters beyond ASCII.");
  sessionStorage.setItem(KEY, given);
}

export const drop = () => sessionStorage.removeItem(KEY);

/** The header of a request, if there is a token. */
export const credential = () => (token() ? { Authorization: `Bearer ${token()}` } : {});

/** The claims of a JSON Web Token, or `undefined` for any other text. Nothing is verified. */
export function claimsOf(text) {
  try {
    const [, payload] = /^[\w-]+\.([\w-]+)\.[\w-]*$/.exec(text);
    const bytes = Uint8Array.from(atob(payload.replace(/-/g, "+").replace(/_/g, "/")), (char) => char.charCodeAt(0));
    const claims = JSON.parse(new TextDecoder().decode(bytes));
    return claims !== null && typeof claims === "object" ? claims : undefined;
  } catch {
    return undefined;
  }
}
