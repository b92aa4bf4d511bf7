// Serves the recipes as a website, without a bundler and without the Internet.
//
//     npm ci --prefix examples/browser
//     node examples/browser/serve.mjs [PORT]
//
// Files below /npm/ come from node_modules, and the browser client from web/.

import { once } from "node:events";
import { readFile } from "node:fs/promises";
import http from "node:http";
import { createRequire } from "node:module";
import { extname } from "node:path";

const require = createRequire(import.meta.url);
const here = new URL("./", import.meta.url);
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css" };

/** React is CommonJS, which browsers cannot load. A bundler would convert it for you. */
const COMMON_JS = ["react", "react-dom", "react-dom/client", "scheduler"];

async function read(path) {
  if (path.startsWith("/npm/tidings/")) return readFile(new URL(`../../web/${path.slice(13)}`, here));
  if (!path.startsWith("/npm/")) return readFile(new URL(path === "/" ? "./index.html" : `.${path}`, here));
  const name = path.slice(5);
  if (!COMMON_JS.includes(name)) return readFile(new URL(`./node_modules/${name}`, here));
  return toModule(name);
}

/** The development build of a package, as an ES module. */
async function toModule(name) {
  const [folder, file = folder] = name.split("/");
  const built = file === folder ? folder : `${folder}-${file}`;
  const code = await readFile(new URL(`./node_modules/${folder}/cjs/${built}.development.js`, here), "utf8");
  const needs = [...new Set([...code.matchAll(/\brequire\("([^"]+)"\)/g)].map(([, needed]) => needed))];
  return `
    ${needs.map((needed, at) => `import need${at} from "/npm/${needed}";`).join("\n")}
    const needs = { ${needs.map((needed, at) => `"${needed}": need${at}`).join(", ")} };
    const [require, process, module] = [(name) => needs[name], { env: {} }, { exports: {} }];
    ((exports) => {${code}
    })(module.exports);
    export default module.exports;
    export const { ${Object.keys(require(name)).join(", ")} } = module.exports;`;
}

const server = http.createServer(async (request, response) => {
  const { pathname } = new URL(request.url, "http://localhost");
  try {
    const body = await read(pathname);
    const type = TYPES[extname(pathname) || (pathname === "/" ? ".html" : ".js")];
    response.writeHead(200, { "Content-Type": `${type}; charset=utf-8` }).end(body);
  } catch (error) {
    response.writeHead(404).end(error.code === "ENOENT" ? "no such file\n" : `${error.stack}\n`);
  }
});
server.listen(Number(process.argv[2] ?? 8000), "localhost");
await once(server, "listening");
const site = `http://localhost:${server.address().port}`;
console.log(`The recipes  ${site}/
Start a hub  tidings serve --allow-origin ${site}`);
