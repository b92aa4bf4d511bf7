import { useEffect, useEffectEvent, useState } from "react";
import { EventSource } from "tidings";

/**
 * Follows the stream at `url` while the component is mounted, and calls `onEvent` with each event, one after the other.
 *
 * It opens one stream for each `url`, in StrictMode too. A new `onEvent` or new `options` do not reconnect. Without a
 * `url` it follows nothing. If `onEvent` throws, the stream is closed.
 *
 * @returns {{ state: "connecting" | "open" | "closed", error?: unknown }}
 */
export function useEventSource(url, onEvent, options) {
  const [status, setStatus] = useState({ state: "connecting" });
  const handle = useEffectEvent(onEvent);
  const open = useEffectEvent(() => new EventSource(url, options));

  useEffect(() => {
    if (!url) return;
    let source;
    let isMounted = true;
    const tell = (state, error) => isMounted && setStatus({ state, error });

    async function follow() {
      if (!isMounted) return;
      source = open();
      source.onopen = () => tell("open");
      source.onerror = ({ error }) => tell(source.readyState === EventSource.CLOSED ? "closed" : "connecting", error);
      for await (const event of source) await handle(event);
    }
    // In StrictMode React mounts, unmounts and mounts again at once. The first mount never connects.
    queueMicrotask(() => follow().catch((error) => tell("closed", error)));
    return () => {
      isMounted = false;
      source?.close();
    };
  }, [url]);

  return status;
}
