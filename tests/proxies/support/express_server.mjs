// An Express application with `compression`: `node express_server.mjs ORIGIN PORT`. The environment variable COMPRESSION is
// the line that puts it in.

import compression from "compression";
import express from "express";

import { ask, plainHeaders } from "./application.mjs";

const [origin, port] = process.argv.slice(2);
const app = express();
new Function("app", "compression", process.env.COMPRESSION)(app, compression);
app.use((incoming, outgoing) => {
  ask(origin, incoming, outgoing, (answer) => {
    outgoing.writeHead(answer.statusCode, plainHeaders(answer));
    answer.on("data", (piece) => outgoing.write(piece));
    answer.on("end", () => outgoing.end());
    answer.on("error", () => outgoing.destroy());
  });
});
app.listen(Number(port), "127.0.0.1");
