// Prints, as JSON, what the AsyncAPI project's own parser finds in the document on standard input.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(join(process.cwd(), "check.mjs"));
const { Parser } = require("@asyncapi/parser");

const { document, diagnostics } = await new Parser().parse(readFileSync(0, "utf8"));
console.log(
  JSON.stringify({
    version: document?.version() ?? null,
    channels: document ? document.channels().all().map((channel) => channel.address()) : [],
    operations: document ? document.operations().all().map((op) => `${op.action()} ${op.channels().all()[0].address()}`) : [],
    diagnostics: diagnostics.map(({ code, message, path, severity }) => ({ code, message, path: path.join("."), severity })),
  }),
);
