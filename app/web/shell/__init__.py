"""Shells in running containers, over WebSockets: who may open one (`handshake`), and what goes to and fro (`talk`)."""

from app.web.shell.handshake import PATH, RIGHT, shell_routes

__all__ = ["PATH", "RIGHT", "shell_routes"]
