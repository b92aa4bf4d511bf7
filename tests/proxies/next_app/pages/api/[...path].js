// A stream of the origin, passed on as a handler of Next.js sends its own.

import { ask, plainHeaders } from "../../../../support/application.mjs";

export const config = { api: { externalResolver: true, bodyParser: false } };

export default function handler(incoming, outgoing) {
  ask(process.env.ORIGIN, incoming, outgoing, (answer) => {
    outgoing.writeHead(answer.statusCode, plainHeaders(answer));
    answer.on("data", (piece) => outgoing.write(piece));
    answer.on("end", () => outgoing.end());
    answer.on("error", () => outgoing.destroy());
  });
}
