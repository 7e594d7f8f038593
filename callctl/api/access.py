"""Who asks, and what that one may do: the scopes, and the principal that each request is asked by.

A **principal** is whoever holds a token, a login, or the control socket. An endpoint gets it with
`principal_of(request)`, and asks it `sees(account)` before it shows anything of an account; what is not seen
is answered like what does not exist. Whether the scope suffices for an operation is checked before the
endpoint runs (`operations`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http import HTTPStatus

from attrs import frozen
from starlette.exceptions import HTTPException
from starlette.requests import Request

from callctl.model import EVERY_ACCOUNT, Scope

COVERS: Mapping[Scope, frozenset[Scope]] = {
    Scope.READ: frozenset({Scope.READ}),
    Scope.AGENT: frozenset({Scope.AGENT}),
    Scope.SUPERVISOR: frozenset({Scope.READ, Scope.AGENT, Scope.SUPERVISOR}),
    Scope.ADMIN: frozenset(Scope),
}
"""What each scope may do of the others. `read` and `agent` lie beside each other."""


@frozen(kw_only=True)
class Principal:
    """Whoever asks.

    `subject` is the name for the log and the history. `scopes` are those that were given; `may` asks what
    they cover. `account` is whose things are seen, `*` for all. `agent` is the agent that is acted for, ""
    for none. `jti` names the token, "" for the control socket and for a token without one; `session` the
    login of a browser. `expires_at` is until when it counts, in epoch seconds; a stream ends then.
    """

    subject: str
    scopes: frozenset[Scope]
    account: str
    agent: str = ""
    jti: str = ""
    session: str = ""
    expires_at: float | None = None

    @property
    def sees_every_account(self) -> bool:
        """Whether nothing is hidden from it."""
        return self.account == EVERY_ACCOUNT

    @property
    def only_agent(self) -> str | None:
        """The agent to whom everything that is shown and done is limited; None for whoever sees all."""
        return None if self.may(Scope.READ) else self.agent

    def sees(self, account: str) -> bool:
        """Say whether things of this account are shown; shared ones (`*`) are seen by `*` alone."""
        return self.sees_every_account or self.account == account

    def may(self, scope: Scope) -> bool:
        """Say whether one of the scopes covers this one."""
        return any(scope in COVERS[each] for each in self.scopes)

    def acts_for(self, agent: str) -> bool:
        """Say whether it may do what an agent does, in the name of this agent."""
        return self.may(Scope.SUPERVISOR) or (self.may(Scope.AGENT) and bool(agent) and self.agent == agent)


CONTROL_SOCKET = Principal(subject="control-socket", scopes=frozenset({Scope.ADMIN}), account=EVERY_ACCOUNT)
"""Whoever may open the control socket, which only its owner may: may do everything."""

_IN_SCOPE = "callctl.principal"


def note(request: Request, principal: Principal | None) -> None:
    """Note who asks, for `principal_of`; None for what is open to everybody."""
    request.scope[_IN_SCOPE] = principal


def principal_of(request: Request) -> Principal:
    """Return who asks, for an operation that is not open to everybody."""
    principal: Principal = request.scope[_IN_SCOPE]
    return principal


def unauthorized(detail: str, error: str = "") -> HTTPException:
    """Return the refusal of a request without a token, or with one that is no good (`invalid_token`)."""
    challenge = 'Bearer realm="callctl"' + (f', error="{error}"' if error else "")
    return HTTPException(HTTPStatus.UNAUTHORIZED, detail, {"WWW-Authenticate": challenge})


def insufficient(detail: str, scopes: Iterable[Scope] = ()) -> HTTPException:
    """Return the refusal of a request whose token is good, but does not suffice."""
    challenge = 'Bearer realm="callctl", error="insufficient_scope"'
    if needed := " ".join(scopes):
        challenge += f', scope="{needed}"'
    return HTTPException(HTTPStatus.FORBIDDEN, detail, {"WWW-Authenticate": challenge})


def with_account(request: Request, body: Mapping[str, object]) -> Mapping[str, object]:
    """Return a body with the account of whoever asks, where it says none.

    Raises the refusal of one that names an account of others.
    """
    who = principal_of(request)
    if who.sees_every_account:
        return body
    account = body.get("account", who.account)
    if isinstance(account, str) and not who.sees(account):
        raise insufficient(f"this token is for things of the account {who.account} alone")
    return {**body, "account": account}


def check_acts_for(request: Request, agent: str) -> None:
    """Raise the refusal of whoever must not do what this agent does."""
    who = principal_of(request)
    if not who.acts_for(agent):
        whom = f"the agent {who.agent} alone" if who.agent else "no agent, as it names none"
        raise insufficient(f"this token acts for {whom}")


def check_admin(request: Request, what: str) -> None:
    """Raise the refusal of one who is no admin; `what` could run a command on a switch."""
    if not principal_of(request).may(Scope.ADMIN):
        raise insufficient(f"{what} can run commands on the switch, and needs the scope admin", [Scope.ADMIN])
