"""Small apps for tests of modules, made in memory without files."""

from __future__ import annotations

from typing import Any

from runtime.app.specs import App, CodeFile, ConnectionSpec, ModuleSpec, RpcSpec


def code(role: str, value: Any) -> CodeFile:
    """A code file that came from nowhere."""
    return CodeFile(role=role, value=value)


def module_spec(
    kind: str,
    communication: Any,
    *,
    name: str = "case",
    epoch: Any = None,
    static: Any = None,
    mappable: Any = None,
    interface: Any = None,
) -> ModuleSpec:
    """A module with these files, the rest empty."""
    return ModuleSpec(
        id=name,
        label=name,
        type=kind,  # type: ignore[arg-type]
        communication=code("communication", communication),
        epoch=code("epoch", {} if epoch is None else epoch),
        static_params=code("staticParams", [] if static is None else static),
        mappable_params=code("mappableParams", [] if mappable is None else mappable),
        interface=code("interface", [] if interface is None else interface),
        samples=code("samples", {}),
        scope=code("scope", []),
    )


def rpc_spec(communication: Any, *, name: str = "case", params: Any = None) -> RpcSpec:
    """An RPC with this communication."""
    return RpcSpec(
        id=name,
        label=name,
        communication=code("communication", communication),
        params=code("params", [] if params is None else params),
    )


def connection_spec(
    communication: Any, *, name: str = "case", params: Any = None, common: Any = None
) -> ConnectionSpec:
    """A basic connection with this communication."""
    return ConnectionSpec(
        id=name,
        label=name,
        type="basic",
        communication=code("communication", communication),
        params=code("params", [] if params is None else params),
        common=code("common", {} if common is None else common),
        scope_list=code("scopeList", {}),
        default_scope=code("defaultScope", []),
        install_spec=code("installSpec", []),
        install_directives=code("installDirectives", {}),
    )


def app_of(*modules: ModuleSpec, base: Any = None, common: Any = None, content_hash: str = "") -> App:
    """An app with these modules. Without a hash nothing of it is cached."""
    values = {} if common is None else common
    return App(
        name="demo",
        hash=content_hash,
        base=code("base", {} if base is None else base),
        common=code("common", values),
        common_values=values,
        groups=code("groups", []),
        connections={},
        webhooks={},
        modules={module.id: module for module in modules},
        rpcs={},
        functions={},
        endpoints={},
        aliases={},
    )
