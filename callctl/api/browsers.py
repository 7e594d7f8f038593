"""What is asked of a browser's requests: that they are meant for us, and come from a page of ours.

A page of somebody else can give its own name our address (DNS rebinding), and can have a browser send
requests with our cookie. The Host header tells the first, the Origin header the second. A request with a
token in its Authorization header needs neither: no page can send one that it does not know.
"""

from __future__ import annotations

from http import HTTPStatus
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request

from callctl.config.settings import HttpSettings


def check_browser(request: Request, settings: HttpSettings) -> None:
    """Raise HTTPException for a request under a name that is not ours, or from a page that is not."""
    host = request.headers.get("host", "")
    name = _name_of(host)
    if not _is_ours(name, settings):
        raise HTTPException(
            HTTPStatus.MISDIRECTED_REQUEST,
            f"{name[:100]!r} is no name of this callctl; public-url in [http] of callctl.toml says which is",
        )
    origin = request.headers.get("origin")
    if origin is not None and not _is_page_of_ours(origin, host, settings):
        raise HTTPException(HTTPStatus.FORBIDDEN, f"a page of {origin[:100]!r} has no business here")


def _is_ours(name: str, settings: HttpSettings) -> bool:
    """Say whether we may be called so. An address is no name, and nobody can give ours to their own page."""
    if name == "localhost" or name.endswith(".localhost") or name == settings.listen.host.lower():
        return True
    if settings.public_url and name == (urlsplit(settings.public_url).hostname or ""):
        return True
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _is_page_of_ours(origin: str, host: str, settings: HttpSettings) -> bool:
    if settings.public_url and origin.lower() == settings.public_url.rstrip("/").lower():
        return True
    parts = urlsplit(origin)
    return parts.scheme in ("http", "https") and parts.netloc.lower() == host.lower()


def _name_of(host: str) -> str:
    """Return the name in a Host header, without the port; "" for what is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
