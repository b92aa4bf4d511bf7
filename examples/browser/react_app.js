import { StrictMode, createElement as h, useState } from "react";
import { createRoot } from "react-dom/client";

import { useEventSource } from "./use_event_source.js";

const hub = new URLSearchParams(location.search).get("hub") ?? "http://127.0.0.1:4400";
const options = { withCredentials: true };

function News({ topic }) {
  const [items, setItems] = useState([]);
  const { state } = useEventSource(
    `${hub}/topics/${topic}?from=start`,
    ({ type, data, lastEventId }) => type === "message" && setItems((items) => [...items, { data, lastEventId }]),
    options,
  );
  return h("section", null,
    h("h1", null, topic),
    h("p", { id: "state", role: "status" }, state),
    h("ul", { id: "events" }, items.map(({ data, lastEventId }) => h("li", { key: lastEventId }, data))));
}

function App() {
  const [topic, setTopic] = useState("news");
  const other = topic === "news" ? "sport" : "news";
  // The topic is the key, so another topic begins with an empty list.
  return h("main", null,
    h(News, { topic, key: topic }),
    h("button", { onClick: () => setTopic(other) }, `Show ${other}`));
}

createRoot(document.querySelector("#root")).render(h(StrictMode, null, h(App)));
