"""What running a Python file does, as far as its text tells: a file that only defines things is no program."""

import ast
import re
import threading
import warnings
from collections.abc import Iterable, Sequence

from builders.runtimes.effects import IS_EMPTY, ONLY_DEFINES, SERVES_FOR_EVER, Doing, Effect

MOST_CHARACTERS = 200_000  # more is not parsed, and taken for a program
_ONE_AT_A_TIME = threading.Lock()  # filters of warnings are the process's

FRAMEWORKS = {
    "Flask": "a Flask app",
    "APIFlask": "a Flask app",
    "FlaskApp": "a Connexion app",
    "AsyncApp": "a Connexion app",
    "FastAPI": "a FastAPI app",
    "Quart": "a Quart app",
    "Sanic": "a Sanic app",
    "Bottle": "a Bottle app",
    "Starlette": "a Starlette app",
    "Litestar": "a Litestar app",
    "Robyn": "a Robyn app",
    "Dash": "a Dash app",
    "SocketIO": "a Socket.IO server",
    "FastMCP": "an MCP server",
    "Celery": "a Celery app",
    "DAG": "an Airflow DAG",
}
_WEB_IMPORTS = frozenset(
    ["flask", "quart", "sanic", "bottle", "dash", "connexion", "fastapi", "starlette", "apiflask"]
)
_WEB_NAMES = frozenset(["app", "application", "server", "api", "socketio"])
_SERVERS = frozenset(
    [
        "uvicorn.run",
        "hypercorn.run",
        "waitress.serve",
        "bjoern.run",
        "web.run_app",
        "aiohttp.web.run_app",
        "bottle.run",
        "cherrypy.quickstart",
        "werkzeug.serving.run_simple",
        "run_simple",
        "run_app",
    ]
)
_SERVING_METHODS = frozenset(
    ["serve_forever", "run_app", "run_server", "wait_for_termination", "launch_server"]
)
_SETTING_UP = re.compile(
    r"(?:.*\.)?(?:basicConfig|dictConfig|fileConfig|setLevel|addHandler|captureWarnings|getLogger"
    r"|(?:setup|configure|init)_?log\w*|load_dotenv|filterwarnings|simplefilter|setlocale|setdefault|seed"
    r"|init_app|create_all|include_router|mount|from_object|from_pyfile|from_mapping|register\w*|add_\w+"
    r"|autodiscover_tasks|config_from_object|set_page_config|patch_all|set_start_method|set_event_loop_policy"
    r"|enable_tracing|_path_append)"
    r"|sys\.path\.\w+|os\.environ\.\w+|os\.putenv|django\.setup|matplotlib\.use|sentry_sdk\.init"
    r"|nest_asyncio\.apply|faulthandler\.enable|pd\.set_option|pandas\.set_option|torch\.manual_seed"
)
_FACTORY = re.compile(r"(?:create|make|get|build|init|setup|load|parse)(?:_|$)")
_ACTS = re.compile(r"subprocess\.\w+|os\.system|requests\.(?:get|post|put|patch|delete)|input")
_IS_SCRIPT = re.compile(r"^# /// script$", re.MULTILINE)
_ARGUMENTS_OF_FUNCTIONS = (["event", "context"], ["request"], ["cloud_event"], ["event"])


def doing_of(text: str) -> Doing:
    """Return what running the file does. What says that it is a script, by a block of dependencies, is believed, and
    what can't be parsed, such as Python 2, is taken for a program.
    """
    tree = None if _IS_SCRIPT.search(text) else _parsed(text)
    if tree is None:
        return Doing(Effect.RUNS)
    module = _Module(tree)
    try:
        effect = module.sequence(tree.body)
    except RecursionError:
        effect = Effect.RUNS
    if effect is Effect.RUNS:
        return Doing(effect)
    if effect is Effect.SERVES:
        return Doing(effect, SERVES_FOR_EVER)
    return Doing(effect, module.defined())


def function_doing(text: str, name: str) -> Effect:
    """Return what calling the file's function of that name does; RUNS for one that isn't there."""
    tree = _parsed(text)
    return Effect.RUNS if tree is None else _Module(tree).function(name)


def _parsed(text: str) -> ast.Module | None:
    if len(text) > MOST_CHARACTERS:
        return None
    try:
        with _ONE_AT_A_TIME, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text.lstrip("\ufeff"))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


class _Module:
    def __init__(self, tree: ast.Module) -> None:
        self.body = tree.body
        self.functions = {
            each.name: each for each in tree.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        self.imports = {name for each in tree.body for name in _imported(each)}
        self.apps = {
            target.id: framework
            for each in tree.body
            if isinstance(each, ast.Assign) and isinstance(each.value, ast.Call)
            for target in each.targets
            if isinstance(target, ast.Name)
            and (framework := FRAMEWORKS.get(_dotted(each.value.func).rpartition(".")[2]))
        }
        self.looking_at: set[str] = set()  # functions that call one another

    def defined(self) -> str:
        if self.apps:
            return f"defines {next(iter(self.apps.values()))} and runs nothing"
        if any(_arguments(each) in _ARGUMENTS_OF_FUNCTIONS for each in self.functions.values()):
            return "defines a function for a cloud to call and runs nothing"
        if any(not _is_docstring(each) for each in self.body):
            return ONLY_DEFINES
        return IS_EMPTY

    def function(self, name: str) -> Effect:
        found = self.functions.get(name)
        if found is None or name in self.looking_at:
            return Effect.RUNS
        self.looking_at.add(name)
        effect = self.sequence(found.body)
        self.looking_at.discard(name)
        return Effect.SERVES if effect is Effect.SERVES else Effect.RUNS

    def sequence(self, statements: Iterable[ast.stmt]) -> Effect:
        return max((self.statement(each) for each in statements), default=Effect.DEFINES)

    def statement(self, node: ast.stmt) -> Effect:
        match node:
            case ast.Expr() | ast.Return():
                return self.expression(node.value)
            case ast.Raise():
                return self.expression(node.exc)
            case ast.Assign() | ast.AnnAssign() | ast.AugAssign():
                return self.assignment(node)
            case ast.If():
                return _either(self.sequence(node.body), self.sequence(node.orelse))
            case ast.Match():
                return _either(*(self.sequence(case.body) for case in node.cases))
            case ast.Try():
                return self.sequence((*node.body, *node.orelse, *node.finalbody))
            case ast.With() | ast.AsyncWith() | ast.For() | ast.AsyncFor():
                return self.sequence(node.body)
            case ast.While():
                return max(Effect.RUNS, self.sequence(node.body))
        return Effect.DEFINES

    def expression(self, node: ast.expr | None) -> Effect:
        if isinstance(node, ast.Await):
            return self.expression(node.value)
        if isinstance(node, ast.Call):
            return self.call(node)
        return max((self.call(each) for each in _calls(node)), default=Effect.DEFINES)

    def assignment(self, node: ast.Assign | ast.AnnAssign | ast.AugAssign) -> Effect:
        """Return RUNS where the value is worked out by the file itself; what is only made from elsewhere is defined."""
        value = node.value
        if isinstance(value, ast.Await):
            return Effect.RUNS
        if not isinstance(value, ast.Call):
            return Effect.DEFINES
        name = _dotted(value.func)
        is_own = name in self.functions and not _FACTORY.match(name)
        return Effect.RUNS if is_own or _ACTS.fullmatch(name) else Effect.DEFINES

    def call(self, node: ast.Call) -> Effect:
        name = _dotted(node.func)
        if self.serves(name):
            return Effect.SERVES
        if _SETTING_UP.fullmatch(name) or self.is_of_app(name):
            return Effect.DEFINES
        if name in self.functions:
            return self.function(name)
        return max([Effect.RUNS, *(self.argument(each) for each in node.args)])

    def argument(self, node: ast.expr) -> Effect:
        """Return what a function or coroutine does that is handed to another to call, as `asyncio.run` does."""
        return self.call(node) if isinstance(node, ast.Call) else self.function(_dotted(node))

    def serves(self, name: str) -> bool:
        owner, _, method = name.rpartition(".")
        by_uvicorn = method in ("run", "serve") and "uvicorn" in self.imports and "erver" in owner
        by_waitress = name == "serve" and "waitress" in self.imports
        if name in _SERVERS or method in _SERVING_METHODS or by_uvicorn or by_waitress:
            return True
        is_app = self.apps.get(owner, "") not in ("", "a Celery app", "an Airflow DAG")
        is_called_so = owner in _WEB_NAMES and bool(self.imports & _WEB_IMPORTS)
        return method in ("run", "run_async") and (is_app or is_called_so)

    def is_of_app(self, name: str) -> bool:
        owner, _, method = name.partition(".")
        return bool(method) and owner in self.apps and self.apps[owner] != "a Celery app"


def _either(*effects: Effect) -> Effect:
    """Return what one of several ways does: who serves only otherwise still runs."""
    return Effect.RUNS if Effect.RUNS in effects else max(effects, default=Effect.DEFINES)


def _calls(node: ast.AST | None) -> list[ast.Call]:
    return [] if node is None else [each for each in ast.walk(node) if isinstance(each, ast.Call)]


def _dotted(node: ast.AST) -> str:
    """Return `a.b.c` for what is called so, and `a.b().c` for what a call returned."""
    names: list[str] = []
    while not isinstance(node, ast.Name):
        if isinstance(node, ast.Attribute):
            names.append(f".{node.attr}")
            node = node.value
        elif isinstance(node, ast.Call):
            names.append("()")
            node = node.func
        else:
            return "".join(reversed(names))
    return node.id + "".join(reversed(names))


def _imported(node: ast.stmt) -> Sequence[str]:
    if isinstance(node, ast.Import):
        return [alias.name.partition(".")[0] for alias in node.names]
    return [(node.module or "").partition(".")[0]] if isinstance(node, ast.ImportFrom) else []


def _arguments(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    return [each.arg for each in node.args.args]


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
