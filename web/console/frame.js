// An update as an event of the stream: as a subscriber without an envelope gets it.

/** The bytes of the event, as text. */
export function toFrame({ type, data, id, retry }) {
  const lines = [];
  if (type !== "message") lines.push(`event: ${type}`);
  if (retry !== undefined && retry !== null) lines.push(`retry: ${retry}`);
  for (const line of data.split("\n")) lines.push(`data: ${line}`);
  if (id) lines.push(`id: ${id}`);
  return lines.join("\n") + "\n\n";
}
