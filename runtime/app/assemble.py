"""
Builds component objects from a draft: reads and parses the files of all roles, checks ids and types, resolves links
(spec/app-format.md 2.2, 2.3, 3, 5).
"""

from __future__ import annotations

from typing import Any

from runtime.app.draft import AppDraft, Draft, Link
from runtime.app.jsonc import Document, parse_jsonc
from runtime.app.refusals import connection_refusals, trigger_refusals, webhook_refusals
from runtime.app.report import Report, listed
from runtime.app.roles import GENERAL_ROLES, ID_PATTERNS, KINDS, MODULE_TYPES, OAUTH1_KEYS, OAUTH2_KEYS, ROLES, Role
from runtime.app.source import AppSource, SourceError, clean_path
from runtime.app.specs import (
    CodeFile,
    ConnectionSpec,
    EndpointSpec,
    FunctionSpec,
    ModuleSpec,
    RpcSpec,
    WebhookSpec,
)  # fmt: skip

_SHAPES = {dict: "object", list: "array", str: "text"}
_ARTICLES = {"object": "an object", "array": "an array", "text": "a text"}


class Assembler:
    """
    One app being built. `general` are the app-level files; `files` collects path -> bytes of every linked file that
    counts for the hash.
    """

    def __init__(self, source: AppSource, draft: AppDraft, report: Report) -> None:
        self.files: dict[str, bytes] = {}
        self._source = source
        self._draft = draft
        self._report = report
        self._documents: dict[str, Document] = {}
        self._app_problems: list[str] = []
        self.general = self._general()
        self._ids = {kind: {item.id for item in draft.components if item.kind == kind} for kind in KINDS}

    def components(self) -> dict[str, dict[str, Any]]:
        """Kind -> local id -> component object."""
        built: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}
        builders = {
            "connection": self._connection,
            "webhook": self._webhook,
            "module": self._module,
            "rpc": self._rpc,
            "function": self._function,
            "endpoint": self._endpoint,
        }
        # Webhooks before modules: an instant trigger inherits the connection of its webhook.
        for kind in KINDS:
            for draft in self._draft.components:
                if draft.kind == kind:
                    self._check_id(draft)
                    built[kind][draft.id] = builders[kind](draft, built)
        return built

    # Files -----------------------------------------------------------------------------------------------------------

    def _general(self) -> dict[str, CodeFile]:
        owner = Draft("app", self._draft.name, {}, {})
        general = {
            name: self._file(owner, role, self._draft.general.get(name))
            for name, role in GENERAL_ROLES.items()
            if not role.code
        }
        if owner.problems:
            self._app_problems.append(f"a file of the app itself cannot be used: {owner.problems[0]}")
        return general

    def _bytes(self, owner: Draft, role: Role, link: Link) -> tuple[str, bytes] | None:
        """Clean path and bytes of a linked file; None when it cannot be had, which is reported."""
        try:
            path = clean_path(link.path)
            data = self.files.get(path)
            if data is None:
                data = self._source.read(path)
        except SourceError as error:
            if role.code and error.trouble == "missing":
                return None
            self._trouble(owner, role, link, error)
            return None
        self.files[path] = data
        return path, data

    def _trouble(self, owner: Draft, role: Role, link: Link, error: SourceError) -> None:
        code = {"outside": "A207", "large": "J503"}.get(error.trouble, "A206")
        problem = f"{role.name}: {error.message}"
        owner.problems.append(problem)
        hint = {
            "A206": "create the file, correct the path, or write null for an empty role",
            "A207": "move the file into the app folder",
            "J503": "write a smaller file",
        }[code]
        self._report.add(
            "error", code, problem, document=link.document, pointer=link.pointer, file=link.path,
            component=owner.title, hint=hint,
        )  # fmt: skip

    def _file(self, owner: Draft, role: Role, link: Link | None) -> CodeFile:
        empty = CodeFile(role=role.name, value=role.empty_value())
        if link is None:
            return empty
        found = self._bytes(owner, role, link)
        if found is None:
            return empty.model_copy(update={"file": link.path[:1000]})
        path, data = found
        document = self._documents.get(path)
        if document is None:
            document = self._documents[path] = parse_jsonc(data, path)
            self._report.extend(document.findings)
        value = document.value
        if document.broken:
            owner.problems.append(f"{role.name}: {path} cannot be parsed: {_first_error(document)}")
            value = role.empty_value()
        elif document.empty or value is None:
            value = role.empty_value()
        elif _SHAPES.get(type(value), "") not in role.shapes:
            value = self._misshapen(owner, role, document)
        return CodeFile(role=role.name, file=path, value=value, document=document)

    def _misshapen(self, owner: Draft, role: Role, document: Document) -> Any:
        """A file of another shape than its role: a request is unusable, a list is kept as it is for its own checker."""
        found = _ARTICLES.get(_SHAPES.get(type(document.value), ""), "a single value")
        wanted = " or ".join([_ARTICLES[shape] for shape in role.shapes])
        message = f"{role.name} must be {wanted}, found {found}"
        fatal = role.empty == "object" and role.name not in ("samples", "common", "scopeList", "installDirectives")
        if fatal:
            owner.problems.append(message)
        severity = "error" if fatal else "warning"
        code = "C110" if role.name in ("defaultScope", "scopeList") else "A208"
        self._report.add(severity, code, message, document=document, component=owner.title)
        return role.empty_value() if fatal or role.empty == "object" else document.value

    def _roles(self, draft: Draft) -> dict[str, CodeFile]:
        return {
            name: self._file(draft, role, draft.links.get(name))
            for name, role in ROLES[draft.kind].items()
            if not role.code
        }

    # Fields ----------------------------------------------------------------------------------------------------------

    def _problem(self, draft: Draft, code: str, message: str, *, field: str = "", hint: str = "") -> None:
        draft.problems.append(message)
        self._say(draft, "error", code, message, field=field, hint=hint)

    def _say(self, draft: Draft, severity: Any, code: str, message: str, *, field: str = "", hint: str = "") -> None:
        pointer = draft.field_pointer(field) if field else draft.pointer
        self._report.add(
            severity, code, message, document=draft.document, pointer=pointer, component=draft.title, hint=hint
        )

    def _check_id(self, draft: Draft) -> None:
        if len(draft.id) > 200 or not ID_PATTERNS[draft.kind].fullmatch(draft.id):
            pattern = ID_PATTERNS[draft.kind].pattern
            self._problem(draft, "A210", f"the id does not match {pattern}", hint="rename the component")
        twins = [other for other in self._ids[draft.kind] if other != draft.id and other.lower() == draft.id.lower()]
        if twins and draft.id < min(twins):
            self._say(draft, "warning", "A210", f'"{twins[0]}" differs from it only in case')

    def _label(self, draft: Draft) -> str:
        label = draft.fields.get("label")
        return _clean(label) if isinstance(label, str) and label else draft.id

    def _text_field(self, draft: Draft, field: str) -> str | None:
        value = draft.fields.get(field)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            self._problem(draft, "A209", f"{field} must be a text or null", field=field)
            return None
        return value

    def _reference(self, draft: Draft, field: str, kind: str) -> str | None:
        """The local id that a link names, None for no link or a broken one."""
        wanted = self._text_field(draft, field)
        if wanted is None or wanted in self._ids[kind]:
            return wanted
        known = listed(self._ids[kind])
        self._problem(draft, "A301", f'{kind} "{_clean(wanted)}" does not exist (known: {known})', field=field)
        return None

    def _problems(self, draft: Draft) -> tuple[str, ...]:
        return tuple(dict.fromkeys([_clean(problem) for problem in (*draft.problems, *self._app_problems)]))

    # Components ------------------------------------------------------------------------------------------------------

    def _connection(self, draft: Draft, built: dict[str, dict[str, Any]]) -> ConnectionSpec:
        del built
        files = self._roles(draft)
        kind = draft.fields.get("connectionType")
        if kind not in ("basic", "oauth"):
            value = files["communication"].value
            keys: set[str] = set(value) if isinstance(value, dict) else set()
            # `oauth` is a directive of a plain request too, so it says nothing alone.
            phases = (OAUTH2_KEYS | OAUTH1_KEYS) - {"oauth"}
            assumed = "oauth" if keys & phases else "basic"
            what = "is missing" if kind is None else "must be basic or oauth"
            field = "connectionType" if kind is not None else ""
            hint = f'add `"connectionType": "{assumed}"`'
            self._say(draft, "warning", "A205", f"connectionType {what}; {assumed} is assumed", field=field, hint=hint)
            kind = assumed
        draft.problems += connection_refusals(kind, files["communication"].value)
        return ConnectionSpec(
            id=draft.id,
            label=self._label(draft),
            type=kind,
            communication=files["communication"],
            params=files["params"],
            common=files["common"],
            scope_list=files["scopeList"],
            default_scope=files["defaultScope"],
            install_spec=files["installSpec"],
            install_directives=files["installDirectives"],
            problems=self._problems(draft),
        )

    def _webhook(self, draft: Draft, built: dict[str, dict[str, Any]]) -> WebhookSpec:
        del built
        files = self._roles(draft)
        kind = draft.fields.get("webhookType")
        if kind not in ("web", "web-shared"):
            what = "is missing" if kind is None else "must be web or web-shared"
            field = "webhookType" if kind is not None else ""
            hint = 'add `"webhookType": "web"`'
            self._say(draft, "warning", "A205", f"webhookType {what}; web is assumed", field=field, hint=hint)
            kind = "web"
        draft.problems += webhook_refusals(kind, files["communication"].value)
        return WebhookSpec(
            id=draft.id,
            label=self._label(draft),
            type=kind,
            connection=self._reference(draft, "connection", "connection"),
            alt_connection=self._reference(draft, "altConnection", "connection"),
            communication=files["communication"],
            params=files["params"],
            attach=files["attach"],
            detach=files["detach"],
            update=files["update"],
            required_scope=files["requiredScope"],
            problems=self._problems(draft),
        )

    def _module_type(self, draft: Draft) -> Any:
        kind = draft.fields.get("moduleType")
        if isinstance(kind, str) and kind in MODULE_TYPES:
            return kind
        # Old manifests write the number; it says the same.
        number = next(
            (name for name, code in MODULE_TYPES.items() if code == kind and not isinstance(kind, bool)), None
        )
        if number:
            return number
        if "moduleType" in draft.fields or self._draft.layout == "manifest":
            what = "is missing" if kind is None else "is unknown"
            field = "moduleType" if kind is not None else ""
            self._problem(draft, "A209", f"moduleType {what}", field=field, hint=f"one of: {listed(MODULE_TYPES)}")
        return "unknown"

    def _module(self, draft: Draft, built: dict[str, dict[str, Any]]) -> ModuleSpec:
        kind = self._module_type(draft)
        files = self._roles(draft)
        connection = self._reference(draft, "connection", "connection")
        webhook = self._reference(draft, "webhook", "webhook")
        if kind == "instant_trigger":
            if webhook is None:
                if not draft.fields.get("webhook"):
                    self._problem(
                        draft, "A301", f"an instant trigger needs a webhook (known: {listed(self._ids['webhook'])})",
                        hint='add `"webhook": "..."` with one of the app\'s webhooks',
                    )  # fmt: skip
            else:
                theirs: str | None = built["webhook"][webhook].connection
                if connection and theirs and connection != theirs:
                    message = (
                        f'the module names the connection "{connection}", its webhook "{webhook}" names "{theirs}"'
                    )
                    self._say(draft, "warning", "A304", message, field="connection")
                connection = connection or theirs
        elif kind != "unknown" and "communication" not in draft.links:
            self._problem(draft, "A209", "the module has no communication", hint="link a communication file")
        elif kind == "trigger" and not draft.problems:
            draft.problems += trigger_refusals(files["communication"].value)
        crud = draft.fields.get("actionCrud")
        description = draft.fields.get("description")
        return ModuleSpec(
            id=draft.id,
            label=self._label(draft),
            type=kind,
            description=_clean(description) if isinstance(description, str) else "",
            crud=crud if isinstance(crud, str) and crud in ("create", "read", "update", "delete") else None,
            connection=connection,
            alt_connection=self._reference(draft, "altConnection", "connection"),
            webhook=webhook,
            communication=files["communication"],
            epoch=files["epoch"],
            static_params=files["staticParams"],
            mappable_params=files["mappableParams"],
            interface=files["interface"],
            samples=files["samples"],
            scope=files["scope"],
            problems=self._problems(draft),
        )

    def _rpc(self, draft: Draft, built: dict[str, dict[str, Any]]) -> RpcSpec:
        del built
        files = self._roles(draft)
        return RpcSpec(
            id=draft.id,
            label=self._label(draft),
            connection=self._reference(draft, "connection", "connection"),
            alt_connection=self._reference(draft, "altConnection", "connection"),
            communication=files["communication"],
            params=files["params"],
            problems=self._problems(draft),
        )

    def _function(self, draft: Draft, built: dict[str, dict[str, Any]]) -> FunctionSpec:
        del built
        link = draft.links.get("code")
        code = None
        found = self._bytes(draft, ROLES["function"]["code"], link) if link else None
        if found is None:
            message = "the code of the function is not here; a call of it fails"
            self._say(draft, "warning", "A206", message, hint="add the JavaScript file that the manifest names")
        else:
            try:
                code = found[1].decode("utf-8-sig")
            except UnicodeDecodeError:
                draft.problems.append(f"{found[0]} is no UTF-8 text")
                self._report.add("error", "J502", "the code is no UTF-8 text", file=found[0], component=draft.title)
        test = draft.links.get("test")
        return FunctionSpec(
            id=draft.id,
            label=self._label(draft),
            code=code,
            file=link.path if link else "",
            test_file=test.path if test else "",
            problems=tuple(dict.fromkeys(draft.problems)),
        )

    def _endpoint(self, draft: Draft, built: dict[str, dict[str, Any]]) -> EndpointSpec:
        del built
        files = self._roles(draft)
        raw = draft.fields.get("attachedAccounts")
        accounts = [item for item in raw if isinstance(item, str)] if isinstance(raw, list) else []
        for account in accounts:
            if account not in self._ids["connection"]:
                known = listed(self._ids["connection"])
                message = f'connection "{_clean(account)}" does not exist (known: {known})'
                self._problem(draft, "A301", message, field="attachedAccounts")
        description = draft.fields.get("description")
        return EndpointSpec(
            id=draft.id,
            label=self._label(draft),
            description=_clean(description) if isinstance(description, str) else "",
            attached_accounts=tuple(accounts),
            files=files,
            problems=self._problems(draft),
        )


def _clean(text: str) -> str:
    """A text of the app that every later step can encode: lone surrogates become `?`."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _first_error(document: Document) -> str:
    return next((finding.message for finding in document.findings if finding.severity == "error"), "not valid JSON")
