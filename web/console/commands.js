// The terminal commands that do the same as the page.

import { topicUrl, topicsUrl } from "./hub.js";
import { token } from "./token.js";

const quote = (text) => "'" + String(text).replaceAll("'", "'\\''") + "'";

/** The token itself would stay in the history of the shell. */
const bearer = () => (token() ? `-H "Authorization: Bearer $TOKEN" ` : "");

export const publishCommand = ({ topic, type, data }) => `curl ${bearer()}--data-raw ${quote(data)} ${quote(topicUrl(topic, type))}`;

export const watchCommand = (topics) => `curl -N ${bearer()}${quote(topics.length === 1 ? topicUrl(topics[0]) : topicsUrl(topics))}`;
