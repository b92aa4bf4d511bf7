// The terminal commands that do the same as the page.

import { topicUrl, topicsUrl } from "./hub.js";

const quote = (text) => "'" + String(text).replaceAll("'", "'\\''") + "'";

export const publishCommand = ({ topic, type, data }) => `curl --data-raw ${quote(data)} ${quote(topicUrl(topic, type))}`;

export const watchCommand = (topics) => `curl -N ${quote(topics.length === 1 ? topicUrl(topics[0]) : topicsUrl(topics))}`;
