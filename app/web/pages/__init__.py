from starlette.responses import PlainTextResponse


def page_routes():
    return []


async def page_error(request, error):
    return PlainTextResponse(str(error), 500)
