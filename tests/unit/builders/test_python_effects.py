"""What running a file does: programs run to an end, and neither definitions nor servers are taken for one."""

import warnings
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.runtimes.effects import Doing, Effect
from builders.runtimes.python_effects import doing_of

RUNS = [
    "print('done')",
    "from jobs import main\nmain()",
    "import sys\nfrom jobs import main\nsys.exit(main())",
    "from jobs import main\nraise SystemExit(main())",
    "def main():\n    print(1)\n\nif __name__ == '__main__':\n    main()",
    "async def main():\n    ...\n\nimport asyncio\nasyncio.run(main())",
    "import pandas as pd\nframe = pd.read_csv('a.csv')\nframe.to_csv('b.csv')",
    "def report():\n    return 1\n\nresult = report()",
    "import subprocess\ndone = subprocess.run(['ls'])",
    "for name in ['a']:\n    print(name)",
    "while True:\n    x = 1",
    "with open('a') as file:\n    file.write('x')",
    "try:\n    import fast\nexcept ImportError:\n    fast = None\nprint(fast)",
    "import sys\nif len(sys.argv) > 1:\n    serve.serve_forever()\nelse:\n    print('once')",
    "import typer\napp = typer.Typer()\n\n@app.command()\ndef main():\n    ...\n\napp()",
    "import click\n\n@click.command()\ndef cli():\n    ...\n\nif __name__ == '__main__':\n    cli()",
    "from celery import Celery\napp = Celery('x')\napp.worker_main()",
    "from app import app\nwith app.app_context():\n    clean_up()",
    "print 'a program of Python 2'",
    "match 1:\n    case 1:\n        print()",
    "[print(each) for each in range(3)]",
    "# /// script\n# dependencies = ['six']\n# ///\nimport six",
    "\ufeffprint()",
    "def a():\n    b()\n\ndef b():\n    a()\n\na()",
]
DEFINES = [
    ("", "is empty"),
    ('"""Nothing but words."""\n', "is empty"),
    (
        "from flask import Flask\napp = Flask(__name__)\n\n@app.route('/')\ndef home():\n    return ''",
        "a Flask app",
    ),
    (
        """
        from fastapi import FastAPI
        from starlette.middleware.cors import CORSMiddleware
        import os, models, database
        models.Base.metadata.create_all(bind=database.engine)
        app = FastAPI()
        app.add_middleware(CORSMiddleware, allow_origins=os.getenv("ORIGINS"))
        app.include_router(models.router())
        """,
        "a FastAPI app",
    ),
    ("import celery\napp = celery.Celery('x')\n\n@app.task\ndef work():\n    print(1)", "a Celery app"),
    ("def handler(event, context):\n    print(event)", "for a cloud to call"),
    (
        "import functions_framework\n\n@functions_framework.http\ndef hello(request):\n    return 'x'",
        "for a cloud",
    ),
    ("class A:\n    print = None\n\ndef main():\n    print(1)", "only defines things"),
    (
        "import logging\nlogging.basicConfig(level=logging.INFO)\nLOG = logging.getLogger(__name__)",
        "only defines",
    ),
    ("from dotenv import load_dotenv\nload_dotenv()\nimport os\nTOKEN = os.environ['TOKEN']", "only defines"),
    ("from factory import create_app\napp = create_app()", "only defines"),
    ("def create_app():\n    return 1\n\napp = create_app()", "only defines"),
    ("with open('version') as file:\n    version = file.read()", "only defines"),
    ("if __name__ == '__main__':\n    pass", "only defines"),
    ("main = lambda: print(1)", "only defines"),
]
SERVES = [
    "from flask import Flask\napp = Flask(__name__)\napp.run()",
    "from flask import Flask\napp = Flask(__name__)\n\nif __name__ == '__main__':\n    app.run(debug=True)",
    "from factory import create_app\nimport flask\napp = create_app()\nif __name__ == '__main__':\n    app.run()",
    "import uvicorn\n\ndef main():\n    uvicorn.run('app:app')\n\nif __name__ == '__main__':\n    main()",
    "import uvicorn\nserver = uvicorn.Server(uvicorn.Config('app:app'))\nserver.run()",
    "import asyncio, uvicorn\nasyncio.run(uvicorn.Server(uvicorn.Config('a:a')).serve())",
    "from http.server import HTTPServer\nHTTPServer(('', 80), None).serve_forever()",
    "import http.server\nwith http.server.HTTPServer(('', 80), None) as httpd:\n    httpd.serve_forever()",
    "from aiohttp import web\nweb.run_app(web.Application())",
    "from waitress import serve\nserve(app)",
    "import asyncio\n\nasync def main():\n    await server.serve_forever()\n\nasyncio.run(main())",
    "import grpc\nserver = grpc.server(None)\nserver.start()\nserver.wait_for_termination()",
]


@pytest.mark.parametrize("text", RUNS)
def test_a_program_runs(text: str) -> None:
    assert doing_of(text) == Doing(Effect.RUNS)


@pytest.mark.parametrize(("text", "note"), DEFINES)
def test_definitions_are_no_program(text: str, note: str) -> None:
    doing = doing_of(dedent(text))
    assert doing.effect is Effect.DEFINES
    assert note in doing.note


@pytest.mark.parametrize("text", SERVES)
def test_a_server_is_no_program(text: str) -> None:
    assert doing_of(text) == Doing(Effect.SERVES, "starts a server, which never finishes")


@given(st.text())
def test_any_text_is_something(text: str) -> None:
    assert isinstance(doing_of(text), Doing)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 100_000,
        "-" * 200_000 + "1",
        "x" * 2_000_000,
        "a\0b",
        "\\d" * 10,
        "'\\d'\nprint()",
        "if a:\n    b\n" + "elif a:\n    b\n" * 2_000,
    ],
)
def test_what_is_hostile_is_soon_taken_for_a_program(text: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert doing_of(text).effect is Effect.RUNS
