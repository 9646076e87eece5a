"""
The component objects of an app: frozen, the same for every layout (spec/app-format.md 1, 5).

Ids are local ids. A component with `problems` is loaded so that the rest of the app works, and refused when it is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from runtime.app.jsonc import Document
from runtime.errors import InvalidConfigurationError

ModuleType: TypeAlias = Literal["trigger", "action", "search", "instant_trigger", "responder", "universal", "unknown"]


class _Spec(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class CodeFile(_Spec):
    """
    One role of a component. `value` is the parsed content; the empty content of the role when nothing is linked, the
    file is empty or cannot be used. `file` is its path in the app, "" when nothing is linked.
    """

    role: str
    file: str = ""
    #: Not in the representation: common files hold secrets, and nobody reads whole files in a message.
    value: Any = Field(default=None, repr=False)
    document: Document | None = Field(default=None, repr=False)

    @property
    def linked(self) -> bool:
        """True when a file stands behind it."""
        return bool(self.file)

    def locate(self, pointer: str) -> tuple[int, int]:
        """Line and column of a value, (0, 0) when no file stands behind it."""
        return self.document.locate(pointer) if self.document else (0, 0)


class Component(_Spec):
    """What every component has. `problems` are sentences for people; any makes the component unusable."""

    kind: ClassVar[str] = "component"

    id: str
    label: str
    problems: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """How messages name it: `module "listRows"`."""
        return f'{self.kind} "{self.id}"'

    def require_usable(self) -> None:
        """
        Refuse a broken component at the moment of its use (communication.md 2).

        Raises:
            InvalidConfigurationError: The component has problems; the message is the checker's text.
        """
        if self.problems:
            raise InvalidConfigurationError(f"{self.title}: {self.problems[0]}", suberrors=self.problems[1:])


class ConnectionSpec(Component):
    """A connection; `type` is its `connectionType`."""

    kind: ClassVar[str] = "connection"

    type: Literal["basic", "oauth"]
    communication: CodeFile
    params: CodeFile
    common: CodeFile
    scope_list: CodeFile
    default_scope: CodeFile
    install_spec: CodeFile
    install_directives: CodeFile


class WebhookSpec(Component):
    """A webhook. `connection` and `alt_connection` are local ids of connections."""

    kind: ClassVar[str] = "webhook"

    type: Literal["web", "web-shared"]
    connection: str | None = None
    alt_connection: str | None = None
    communication: CodeFile
    params: CodeFile
    attach: CodeFile
    detach: CodeFile
    update: CodeFile
    required_scope: CodeFile


class ModuleSpec(Component):
    """
    A module. `connection`, `alt_connection` and `webhook` are local ids; an instant trigger without a connection of
    its own has the one of its webhook (spec/app-format.md 5).
    """

    kind: ClassVar[str] = "module"

    type: ModuleType
    description: str = ""
    crud: str | None = None
    connection: str | None = None
    alt_connection: str | None = None
    webhook: str | None = None
    communication: CodeFile
    epoch: CodeFile
    static_params: CodeFile
    mappable_params: CodeFile
    interface: CodeFile
    samples: CodeFile
    scope: CodeFile


class RpcSpec(Component):
    """A remote procedure: `rpc://id`."""

    kind: ClassVar[str] = "rpc"

    connection: str | None = None
    alt_connection: str | None = None
    communication: CodeFile
    params: CodeFile


class FunctionSpec(Component):
    """
    A custom function. `code` is JavaScript, None when its file is not there: calling it then fails with a clear error.
    `file` is the path of the code, `test_file` the path of its test, "" when there is none.
    """

    kind: ClassVar[str] = "function"

    code: str | None = Field(default=None, repr=False)
    file: str = ""
    test_file: str = ""


class EndpointSpec(Component):
    """An endpoint: stored, not run yet (spec/modules.md 1.11)."""

    kind: ClassVar[str] = "endpoint"

    description: str = ""
    attached_accounts: tuple[str, ...] = ()
    files: Mapping[str, CodeFile]


class App(_Spec):
    """
    One app. `hash` identifies its content (spec/app-format.md 5.8); `common_values` are the file's values with those
    of the operator over them (5.7); `aliases` maps kind -> remote name -> local id.
    """

    name: str
    version: int = 1
    label: str = ""
    hash: str
    layout: Literal["manifest", "export"] = "manifest"
    base: CodeFile
    common: CodeFile
    common_values: Mapping[str, Any] = Field(repr=False)
    groups: CodeFile
    connections: Mapping[str, ConnectionSpec]
    webhooks: Mapping[str, WebhookSpec]
    modules: Mapping[str, ModuleSpec]
    rpcs: Mapping[str, RpcSpec]
    functions: Mapping[str, FunctionSpec]
    endpoints: Mapping[str, EndpointSpec]
    aliases: Mapping[str, Mapping[str, str]]

    def local_id(self, kind: str, name: str) -> str:
        """The local id behind a name of a scenario: an id stays, a remote name is looked up (app-format.md 2.1)."""
        return name if name in self.components(kind) else self.aliases.get(kind, {}).get(name, name)

    def components(self, kind: str) -> Mapping[str, Component]:
        """All components of a kind (`module`, `rpc`, ...) by local id."""
        tables: dict[str, Mapping[str, Component]] = {
            "connection": self.connections,
            "webhook": self.webhooks,
            "module": self.modules,
            "rpc": self.rpcs,
            "function": self.functions,
            "endpoint": self.endpoints,
        }
        return tables[kind]

    def module(self, name: str) -> ModuleSpec | None:
        """The module of this local id or remote name."""
        return self.modules.get(self.local_id("module", name))

    def connection(self, name: str) -> ConnectionSpec | None:
        """The connection of this local id or remote name."""
        return self.connections.get(self.local_id("connection", name))

    def webhook(self, name: str) -> WebhookSpec | None:
        """The webhook of this local id or remote name."""
        return self.webhooks.get(self.local_id("webhook", name))

    def rpc(self, name: str) -> RpcSpec | None:
        """The RPC of this local id or remote name; a name that differs only in case is found too (5.5)."""
        found = self.rpcs.get(self.local_id("rpc", name))
        if found is None:
            found = next((spec for key, spec in self.rpcs.items() if key.lower() == name.lower()), None)
        return found
