"""The least a receiver can do: check the signature, parse the JSON, answer. Keeps nothing."""

import hmac
import json
import os

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

SECRET = os.environ["BENCH_SECRET"].encode()


async def receive(request: Request) -> JSONResponse:
    body = await request.body()
    wanted = "sha256=" + hmac.new(SECRET, body, "sha256").hexdigest()
    if not hmac.compare_digest(wanted, request.headers["x-hub-signature-256"]):
        return JSONResponse({}, 401)
    json.loads(body)
    return JSONResponse({"status": "accepted"}, 202)


app = Starlette(routes=[Route("/", receive, methods=["POST"])])
