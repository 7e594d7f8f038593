"""`/tokens` and `/me`: the tokens of an account, for whoever has the scope `admin`, and who asks."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus

import trio
from starlette.requests import Request
from starlette.responses import Response

from callctl.api.access import insufficient, principal_of
from callctl.api.claims import made_token
from callctl.api.house import House
from callctl.api.keys import read_secret
from callctl.api.reading import NewToken, read
from callctl.api.shapes import Answer, MadeToken, TokenList, me_shape, token_shape
from callctl.api.visible import Visible
from callctl.config.settings import HttpSettings
from callctl.errors import WrongMoment
from callctl.ids import Ids
from callctl.model import TokenRecord
from callctl.records.tokens import new_token

NO_SECRET = (
    "callctl makes tokens with the secret of jwt-secret-file in [http], and there is none; "
    "with other keys, tokens come from their issuer"
)


class Tokens:
    """The tokens as a resource."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._ids = Ids()

    async def me(self, request: Request) -> Response:
        """GET /me: who asks."""
        return Answer(me_shape(principal_of(request)))

    async def list_all(self, request: Request) -> Response:
        """GET /tokens: newest first."""
        who = principal_of(request)
        known = self._house.access.tokens.all()
        return Answer(TokenList(tokens=[token_shape(each) for each in known if who.sees(each.account)]))

    async def create(self, request: Request) -> Response:
        """POST /tokens: a new token, which is shown this once; for the account of whoever asks for it."""
        who, order = principal_of(request), await read(request, NewToken)
        access = self._house.access
        if access.settings.jwt_secret_file is None:
            raise WrongMoment(NO_SECRET)
        if not who.sees(order.account):
            raise insufficient(f"a token of the account {who.account} makes none of another")
        if order.agent:
            Visible.to(request, self._house).agent(order.agent)
        record = new_token(
            jti=self._ids.uuid(),
            subject=order.subject,
            account=order.account,
            scope=order.scope,
            agent=order.agent,
            seconds=order.seconds,
            now=self._house.now(),
        )
        token = await trio.to_thread.run_sync(partial(signed, record, access.settings))
        access.tokens.add(record)
        await self._house.written()
        return Answer(MadeToken(token=token, about=token_shape(record)), HTTPStatus.CREATED)

    async def revoke(self, request: Request) -> Response:
        """DELETE /tokens/{jti}: the token of this name counts no longer, also one of another issuer."""
        self._house.access.tokens.revoke(request.path_params["jti"], principal_of(request))
        await self._house.written()
        return Response(status_code=HTTPStatus.NO_CONTENT)


def signed(record: TokenRecord, settings: HttpSettings) -> str:
    """Return the token that `record` describes; blocks. Raises ConfigError if the secret cannot be used."""
    return made_token(read_secret(settings), record, settings)
