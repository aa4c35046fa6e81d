"""The composition root: the only package that names concrete engines, and wires everything once.

`server.open_server` puts a server together of its `parts`, its `web` context and its `loops`; `engine` and `builds`
make what the settings name of engines, builders and registries, for a server and for commands. The data directory and
the store are opened by `app.installation`.
"""
