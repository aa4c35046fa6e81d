import { mkdirSync, writeFileSync } from "node:fs";
import isNumber from "is-number";

mkdirSync("dist");
writeFileSync("dist/job.js", `
import { existsSync } from "node:fs";
import ms from "ms";
console.log("built with", ${isNumber(1)}, "runs with", ms("1s"));
console.log("development packages", existsSync("node_modules/is-number"));
`);
