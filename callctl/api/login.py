"""`/login` and `/logout`: a browser exchanges a token, or a user's password, for a cookie."""

from __future__ import annotations

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from callctl.api.house import House
from callctl.api.reading import Login, read
from callctl.api.sessions import CSRF_COOKIE, SESSION_COOKIE, Session
from callctl.api.shapes import Answer, LoggedIn, me_shape
from callctl.errors import ConfigError


class Logins:
    """Logging in and out, as resources."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def log_in(self, request: Request) -> Response:
        """POST /login: with a token, or with a user and a password."""
        order = await read(request, Login)
        if bool(order.token) == bool(order.user):
            raise ConfigError("give either a token, or a user and a password")
        access = self._house.access
        if order.token:
            session, cookie = await access.log_in_with_token(request, order.token)
        else:
            session, cookie = await access.log_in_with_password(request, order.user, order.password)
        who = me_shape(session.principal)
        answer = Answer(LoggedIn(csrf_token=session.csrf_token, me=who))
        seconds = int((session.principal.expires_at or 0) - self._house.now())
        _set(answer, SESSION_COOKIE, cookie, seconds, is_for_pages=False)
        _set(answer, CSRF_COOKIE, session.csrf_token, seconds, is_for_pages=True)
        return answer

    async def log_out(self, request: Request) -> Response:
        """POST /logout: the login counts no longer, also if somebody has copied its cookie."""
        session: Session | None = await self._house.access.session_to_end(request)
        if session is not None:
            self._house.access.end_session(session)
            await self._house.written()
        answer = Response(status_code=HTTPStatus.NO_CONTENT)
        for name in (SESSION_COOKIE, CSRF_COOKIE):
            answer.delete_cookie(name, secure=True, httponly=name == SESSION_COOKIE, samesite="lax")
        return answer


def _set(answer: Response, name: str, value: str, seconds: int, *, is_for_pages: bool) -> None:
    answer.set_cookie(
        name, value, max_age=max(1, seconds), secure=True, httponly=not is_for_pages, samesite="lax"
    )
