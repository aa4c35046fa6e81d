def api_routes():
    return []
