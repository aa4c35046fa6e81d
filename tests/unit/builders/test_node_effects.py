"""What running a file of JavaScript does: programs run to an end; exports, servers and pages' scripts are none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.runtimes.effects import Doing, Effect
from builders.runtimes.node_effects import doing_of

RUNS = [
    "console.log('done')",
    "#!/usr/bin/env node\nconst a = require('a')\na.run()\n",
    "import { main } from './main.js';\nmain().catch((error) => { console.error(error); process.exit(1) })",
    "main()\n  .then(done)\n  .catch(failed)\n\nasync function main() {\n  await 1\n}",
    "(async () => {\n  await work()\n})()",
    "(async () => {\n  await work()\n})().catch(console.error);",
    "!function () { work() }()",
    "const rows = await fetch('https://example.com')",
    "const main = async () => { }\nconst done = main()",
    "for (const name of names) {\n  console.log(name)\n}",
    "if (require.main === module) {\n  main()\n}",
    "if (require.main === module) main();",
    "try {\n  work()\n} catch (error) {\n  process.exit(1)\n}",
    "require('./lib/job')",
    "import './job.js'",
    "process.exit(run())",
    "new Job().start()",
    "module.exports = {}\nwork()",
    "const text = `a ${'x'} \n }`\nconsole.log(text)",
    "const quotes = /['\"`{(]/g\nconsole.log(1)",
    "const a = b / c; console.log(a / 2)",
    "// nothing (\n/* { */ console.log(1)",
    "import x from 'x'\nawait x()",
]
DEFINES = [
    ("", "is empty"),
    ("// only a word\n", "is empty"),
    ("module.exports = {\n  a: run(),\n}", "only defines"),
    ("module.exports = require('./lib')", "only defines"),
    (
        "'use strict';\nconst a = require('a');\nexports.handler = async (event) => {\n  return a.run(event)\n}",
        "only",
    ),
    ("export default function handler(request) {\n  work()\n}\n", "only defines"),
    ("export const a = work()\nexport default a\n", "only defines"),
    (
        "import express from 'express'\nconst app = express()\napp.get('/', (a, b) => b.send(''))\nexport default app",
        "only",
    ),
    (
        "const { Router } = require('express')\nconst router = Router()\nrouter.use(a())\nmodule.exports = router",
        "only",
    ),
    ("require('dotenv').config()\nmodule.exports = { a: 1 }", "only defines"),
    (
        "const functions = require('@google-cloud/functions-framework')\nfunctions.http('x', (a, b) => {})",
        "only",
    ),
    ("function main() {\n  work()\n}\n", "only defines"),
    ("function main()\n{\n  work()\n}\n", "only defines"),
    ("class A {\n  run() { work() }\n}\nmodule.exports = A\n", "only defines"),
    ("interface A {\n  a: string\n}\nexport type B = A\nconst enum C { a }\n", "only defines"),
    ("describe('it', () => {\n  it('works', () => {})\n})", "only defines"),
    ("const a =\n  work()\n", "only defines"),
    ("document.getElementById('a').addEventListener('click', () => {})", "is for a browser"),
    ("$(document).ready(function () { alert(1) })", "is for a browser"),
]
SERVES = [
    "const express = require('express')\nconst app = express()\napp.listen(3000)",
    "const http = require('http')\nhttp.createServer((a, b) => b.end()).listen(8080, () => console.log('up'))",
    "import fastify from 'fastify'\nconst start = async () => {\n  await fastify().listen({})\n}\nstart()",
    "const server = require('./app').listen(3000)",
    "import { A } from '@nestjs/core'\nasync function start() {\n  const app = A()\n  await app.listen(1)\n}\nstart()",
    "Bun.serve({ fetch() {} })",
]


@pytest.mark.parametrize("text", RUNS)
def test_a_program_runs(text: str) -> None:
    assert doing_of(text) == Doing(Effect.RUNS)


@pytest.mark.parametrize(("text", "note"), DEFINES)
def test_definitions_are_no_program(text: str, note: str) -> None:
    doing = doing_of(text)
    assert doing.effect is Effect.DEFINES
    assert note in doing.note


@pytest.mark.parametrize("text", SERVES)
def test_a_server_is_no_program(text: str) -> None:
    assert doing_of(text) == Doing(Effect.SERVES, "starts a server, which never finishes")


@given(st.text(st.sampled_from("ab './`\"(){}[];=\n/*\\$")))
def test_any_text_is_something(text: str) -> None:
    assert isinstance(doing_of(text), Doing)
