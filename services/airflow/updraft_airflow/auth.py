"""Who may do what in this cluster's Airflow.

The edge is the only one who says who somebody is: each request carries its short-lived EdDSA token. Nothing else is
believed, not even a token signed by Airflow itself, and no cookie is ever set. (Task tokens of the execution API are
checked elsewhere, by Airflow.) There are two roles: a cluster admin may do everything; a cluster user works with DAGs
and runs, and the Admin pages are hidden from them and refused.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import jwt
from airflow.api_fastapi.auth.managers.base_auth_manager import BaseAuthManager
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.auth.managers.models.resource_details import AccessView, DagAccessEntity
from airflow.api_fastapi.common.types import MenuItem
from fastapi import HTTPException, status

from updraft_airflow.admin_area import RefuseAdminArea
from updraft_airflow.keys import KeyFile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.api_fastapi.auth.managers.base_auth_manager import ResourceMethod
    from airflow.api_fastapi.auth.managers.models.batch_apis import (
        IsAuthorizedConnectionRequest,
        IsAuthorizedDagRequest,
        IsAuthorizedPoolRequest,
        IsAuthorizedVariableRequest,
    )
    from airflow.api_fastapi.auth.managers.models.resource_details import (
        AssetAliasDetails,
        AssetDetails,
        ConfigurationDetails,
        ConnectionDetails,
        DagDetails,
        PoolDetails,
        TeamDetails,
        VariableDetails,
    )

ISSUER = "updraft-edge"
ALGORITHM = "EdDSA"
LEEWAY_SECONDS = 5
MAX_LIFETIME_SECONDS = 60

Role = Literal["admin", "user"]

_USER_MENU = frozenset(
    {
        MenuItem.REQUIRED_ACTIONS,
        MenuItem.ASSETS,
        MenuItem.DAGS,
        MenuItem.DEADLINES,
        MenuItem.DOCS,
        MenuItem.JOBS,
        MenuItem.XCOMS,
    }
)
_USER_VIEWS = frozenset(
    {
        AccessView.CLUSTER_ACTIVITY,
        AccessView.DOCS,
        AccessView.IMPORT_ERRORS,
        AccessView.JOBS,
        AccessView.TRIGGERS,
        AccessView.WEBSITE,
    }
)
# What a user may do with a DAG (None) and with the things of a DAG. Whatever a later Airflow adds is refused.
_READ = frozenset({"GET"})
_USER_DAG_METHODS: dict[DagAccessEntity | None, frozenset[str]] = {
    # PUT pauses, resumes and favours a DAG. DELETE wipes its history: an admin's.
    None: frozenset({"GET", "PUT"}),
    DagAccessEntity.CODE: _READ,
    DagAccessEntity.DEPENDENCIES: _READ,
    DagAccessEntity.HITL_DETAIL: frozenset({"GET", "PUT"}),
    DagAccessEntity.RUN: frozenset({"GET", "POST", "PUT", "DELETE"}),
    DagAccessEntity.TASK: _READ,
    DagAccessEntity.TASK_INSTANCE: frozenset({"GET", "POST", "PUT", "DELETE"}),
    DagAccessEntity.TASK_LOGS: _READ,
    DagAccessEntity.VERSION: _READ,
    DagAccessEntity.WARNING: _READ,
    DagAccessEntity.XCOM: _READ,
}


@dataclass(frozen=True)
class User(BaseUser):
    """Somebody the edge vouches for, for the time of one request."""

    id: str
    email: str
    name: str
    role: Role

    def get_id(self) -> str:
        return self.id

    def get_name(self) -> str:
        return self.name or self.email or self.id

    @property
    def is_admin(self) -> bool:
        return self.role == "admin"


class UpdraftAuthManager(BaseAuthManager[User]):
    """Airflow's `core.auth_manager` in every Updraft cluster."""

    # Read at first use: the manager may have been made before the service's environment was known (see `prefork`).
    @cached_property
    def _keys(self) -> KeyFile:
        return KeyFile(Path(_required("UPDRAFT_JWKS_FILE")))

    @cached_property
    def _audience(self) -> str:
        return _required("UPDRAFT_AUDIENCE")

    def init(self) -> None:
        """Refuses to start an api-server that could verify nobody."""
        super().init()
        if os.environ.get("AIRFLOW__API__SECRET_KEY"):
            _required("UPDRAFT_JWKS_FILE")
            _required("UPDRAFT_AUDIENCE")

    # === Identity ===

    async def get_user_from_token(self, token: str) -> User:
        """The person of this token. Raises `jwt.InvalidTokenError`, whose expiry is 401 and everything else 403."""
        return self.verify(token)

    def verify(self, token: str) -> User:
        """As `get_user_from_token`, for callers that are not asynchronous."""
        header = jwt.get_unverified_header(token)
        kid = header.get("kid")
        key = self._keys.key(kid) if header.get("alg") == ALGORITHM and isinstance(kid, str) else None
        if key is None:
            raise jwt.InvalidTokenError("The token is signed with no key of the edge")
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=[ALGORITHM],
            audience=self._audience,
            issuer=ISSUER,
            leeway=LEEWAY_SECONDS,
            options={"require": ["iss", "aud", "sub", "iat", "exp"], "strict_aud": True},
        )
        if claims["exp"] - claims["iat"] > MAX_LIFETIME_SECONDS:
            raise jwt.InvalidTokenError("The token lives for longer than the edge's do")
        try:
            return self.deserialize_user(claims)
        except (KeyError, ValueError) as problem:
            raise jwt.InvalidTokenError(f"The token names nobody: {problem}") from problem

    def deserialize_user(self, token: dict[str, Any]) -> User:
        user_id, role = token["sub"], token["role"]
        if not isinstance(user_id, str) or not user_id:
            raise ValueError("no user id")
        if role not in ("admin", "user"):
            raise ValueError("no role of a cluster")
        return User(id=user_id, email=str(token.get("email", "")), name=str(token.get("name", "")), role=role)

    def serialize_user(self, user: User) -> dict[str, Any]:
        return {"sub": user.id, "email": user.email, "name": user.name, "role": user.role}

    def generate_jwt(self, user: User, *, expiration_time_in_seconds: int = 0) -> str:
        """Refused: Airflow mints no identity here."""
        del user, expiration_time_in_seconds
        raise HTTPException(
            status.HTTP_403_FORBIDDEN,
            "Airflow issues no tokens here. Make an API token in Updraft's console and use it with the same URL.",
        )

    def revoke_token(self, token: str) -> None:
        """Nothing to do: the edge ends the session, and this token outlives it by seconds."""

    def get_url_login(self, **_: object) -> str:
        """The edge's sign-in page. Airflow appends `?next=` with the page that was asked for."""
        return _required("UPDRAFT_LOGIN_URL").partition("?")[0]

    def get_url_logout(self) -> str | None:
        return _required("UPDRAFT_LOGOUT_URL")

    def get_fastapi_middlewares(self) -> list[tuple[Any, dict[str, Any]]]:
        """Refuses the Admin pages themselves, not only what they load."""
        return [(RefuseAdminArea, {"verify": self.verify})]

    # === Admin pages ===

    def is_authorized_configuration(
        self, *, method: ResourceMethod, user: User, details: ConfigurationDetails | None = None
    ) -> bool:
        del method, details
        return user.is_admin

    def is_authorized_connection(
        self, *, method: ResourceMethod, user: User, details: ConnectionDetails | None = None
    ) -> bool:
        del method, details
        return user.is_admin

    def is_authorized_pool(self, *, method: ResourceMethod, user: User, details: PoolDetails | None = None) -> bool:
        del method, details
        return user.is_admin

    def is_authorized_variable(
        self, *, method: ResourceMethod, user: User, details: VariableDetails | None = None
    ) -> bool:
        del method, details
        return user.is_admin

    def is_authorized_team(self, *, method: ResourceMethod, user: User, details: TeamDetails | None = None) -> bool:
        del method, details
        return user.is_admin

    def is_authorized_custom_view(self, *, method: ResourceMethod, resource_name: str, user: User) -> bool:
        """Views of a tenant's plugins can do anything: an admin's, until a plugin can say otherwise."""
        del method, resource_name
        return user.is_admin

    def is_authorized_view(self, *, access_view: AccessView, user: User) -> bool:
        return user.is_admin or access_view in _USER_VIEWS

    def filter_authorized_menu_items(self, menu_items: list[MenuItem], *, user: User) -> list[MenuItem]:
        return [item for item in menu_items if user.is_admin or item in _USER_MENU]

    # === DAGs and assets ===

    def is_authorized_dag(
        self,
        *,
        method: ResourceMethod,
        user: User,
        access_entity: DagAccessEntity | None = None,
        details: DagDetails | None = None,
    ) -> bool:
        if user.is_admin:
            return True
        if access_entity is DagAccessEntity.AUDIT_LOG:
            # One DAG's events belong to it; the whole log also tells of connections and variables.
            return method == "GET" and details is not None and details.id is not None
        return str(method) in _USER_DAG_METHODS.get(access_entity, frozenset())

    def is_authorized_asset(self, *, method: ResourceMethod, user: User, details: AssetDetails | None = None) -> bool:
        """A user may see assets, and emit and drop their events: that is how runs are triggered."""
        del details
        return user.is_admin or str(method) in ("GET", "POST", "DELETE")

    def is_authorized_asset_alias(
        self, *, method: ResourceMethod, user: User, details: AssetAliasDetails | None = None
    ) -> bool:
        del details
        return user.is_admin or str(method) == "GET"

    def is_authorized_hitl_task(self, *, assigned_users: set[str], user: User) -> bool:
        """Whoever the task names, by user id or e-mail address, and admins."""
        return user.is_admin or bool(assigned_users & {user.id, user.email} - {""})

    # === Many at once: no decision depends on the single id ===

    def batch_is_authorized_connection(self, requests: Sequence[IsAuthorizedConnectionRequest], *, user: User) -> bool:
        return user.is_admin or not requests

    def batch_is_authorized_pool(self, requests: Sequence[IsAuthorizedPoolRequest], *, user: User) -> bool:
        return user.is_admin or not requests

    def batch_is_authorized_variable(self, requests: Sequence[IsAuthorizedVariableRequest], *, user: User) -> bool:
        return user.is_admin or not requests

    def batch_is_authorized_dag(self, requests: Sequence[IsAuthorizedDagRequest], *, user: User) -> bool:
        return all(
            self.is_authorized_dag(
                method=request["method"],
                access_entity=request.get("access_entity"),
                details=request.get("details"),
                user=user,
            )
            for request in requests
        )

    def filter_authorized_connections(
        self, *, conn_ids: set[str], user: User, method: ResourceMethod = "GET", team_name: str | None = None
    ) -> set[str]:
        del method, team_name
        return conn_ids if user.is_admin else set()

    def filter_authorized_pools(
        self, *, pool_names: set[str], user: User, method: ResourceMethod = "GET", team_name: str | None = None
    ) -> set[str]:
        del method, team_name
        return pool_names if user.is_admin else set()

    def filter_authorized_variables(
        self, *, variable_keys: set[str], user: User, method: ResourceMethod = "GET", team_name: str | None = None
    ) -> set[str]:
        del method, team_name
        return variable_keys if user.is_admin else set()

    def filter_authorized_dag_ids(
        self, *, dag_ids: set[str], user: User, method: ResourceMethod = "GET", team_name: str | None = None
    ) -> set[str]:
        del team_name
        return dag_ids if self.is_authorized_dag(method=method, user=user) else set()


def _required(variable: str) -> str:
    value = os.environ.get(variable)
    if not value:
        raise RuntimeError(f"{variable} is not set: the api-server must be started by Updraft's agent")
    return value
