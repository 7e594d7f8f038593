"""A small blocking client of the control socket, for commands and scripts.

    ControlClient(control_socket(database)).get("/api/v1/queues")

It needs nothing but the standard library, so that a command starts at once.
"""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from callctl.errors import CallctlError

ANSWER_SECONDS = 30.0
"""How long the server may take. It answers in milliseconds; a command must not hang on one that is stuck."""


class RequestRefused(CallctlError):
    """The server answered with an error; the text is its own, and `status` the HTTP status."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class ControlClient:
    """Requests to the server behind one control socket. Each is a connection of its own."""

    def __init__(self, path: Path) -> None:
        """`path` is the socket's, see `callctl.config.paths.control_socket`."""
        self._path = path

    def is_served(self) -> bool:
        """Say whether a server listens there."""
        connection = _UnixConnection(self._path)
        try:
            connection.connect()
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
            return False
        except OSError as error:
            raise CallctlError(
                f"cannot reach the server at {self._path}: {error.strerror or error}"
            ) from error
        connection.close()
        return True

    def get(self, path: str, **query: str) -> Any:
        """Return the JSON that GET answers with; `query` are its parameters."""
        return self.request("GET", f"{path}?{urlencode(query)}" if query else path)

    def post(self, path: str, body: Mapping[str, object] | None = None) -> Any:
        """POST a JSON object, and return the answer's."""
        return self.request("POST", path, body)

    def put(self, path: str, body: Mapping[str, object]) -> Any:
        """PUT a JSON object, and return the answer's."""
        return self.request("PUT", path, body)

    def patch(self, path: str, body: Mapping[str, object]) -> Any:
        """PATCH with a JSON object, and return the answer's."""
        return self.request("PATCH", path, body)

    def delete(self, path: str) -> None:
        """DELETE."""
        self.request("DELETE", path)

    def request(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Any:
        """Send a request and return the decoded answer, None for an empty one.

        Raises RequestRefused with the server's own words, and CallctlError when no server answers.
        """
        connection = _UnixConnection(self._path)
        content = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} if content is not None else {}
        try:
            connection.request(method, path, content, headers)
            response = connection.getresponse()
            status, text = response.status, response.read().decode()
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise CallctlError(f"no server listens at {self._path}; callctl serve starts one") from error
        except (OSError, http.client.HTTPException) as error:
            raise CallctlError(
                f"no answer from the server at {self._path}: {error or 'it went away'}"
            ) from error
        finally:
            connection.close()
        if status >= 400:
            raise RequestRefused(status, _words_of(status, text))
        return json.loads(text) if text else None


def path_of(*parts: str) -> str:
    """Return the path of a resource below `/api/v1`, with each part escaped: `path_of("agents", name)`."""
    return "/api/v1/" + "/".join(quote(part, safe="") for part in parts)


def _words_of(status: int, text: str) -> str:
    try:
        problem = json.loads(text)
        return str(problem["detail"])
    except (ValueError, KeyError, TypeError):
        return f"the server answered with status {status}"


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=ANSWER_SECONDS)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket at the path."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.sock.settimeout(self.timeout)
            self.sock.connect(str(self._path))
        except BaseException:
            self.close()
            raise
