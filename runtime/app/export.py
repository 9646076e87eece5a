"""
The export folder layout: one folder per component, fixed file names (spec/app-format.md 10).
"""

from __future__ import annotations

from typing import Any, Final

from runtime.app.draft import AppDraft, Draft, Link
from runtime.app.jsonc import Document, parse_jsonc
from runtime.app.layout import KIND_FOLDERS, METADATA, SECTION_ENDINGS
from runtime.app.report import Report, listed
from runtime.app.roles import MODULE_TYPES
from runtime.app.source import AppSource, SourceError

#: Kind -> section file name -> role (10.3).
SECTIONS: Final[dict[str, dict[str, str]]] = {
    "app": {"base": "base", "groups": "groups", "common": "common"},
    "module": {
        "api": "communication", "parameters": "staticParams", "expect": "mappableParams", "interface": "interface",
        "samples": "samples", "scope": "scope", "epoch": "epoch",
    },
    "connection": {
        "api": "communication", "parameters": "params", "scope": "defaultScope", "scopes": "scopeList",
        "common": "common", "installSpec": "installSpec", "installDirectives": "installDirectives",
    },
    "webhook": {
        "api": "communication", "parameters": "params", "attach": "attach", "detach": "detach", "update": "update",
        "scope": "requiredScope",
    },
    "rpc": {"api": "communication", "parameters": "params"},
    "function": {},
}  # fmt: skip
#: Module type -> sections that it does not have (10.3).
_UNUSED: Final[dict[str, frozenset[str]]] = {
    "action": frozenset({"epoch"}),
    "search": frozenset({"epoch"}),
    "universal": frozenset({"epoch"}),
    "trigger": frozenset({"expect"}),
    "instant_trigger": frozenset({"expect", "epoch", "scope"}),
    "responder": frozenset({"epoch", "interface", "samples", "scope"}),
}
_TYPE_NUMBERS: Final = {number: name for name, number in MODULE_TYPES.items()}


class _Reader:
    """One export folder being read."""

    def __init__(self, source: AppSource, report: Report) -> None:
        self.source = source
        self.report = report
        self.declared: dict[str, bytes] = {}

    def metadata(self, path: str) -> Document | None:
        """A metadata file; None when it is not there or unreadable."""
        try:
            data = self.source.read(path)
        except SourceError:
            return None
        self.declared[path] = data
        document = parse_jsonc(data, path)
        self.report.extend(document.findings)
        if document.lenient:
            self.report.add("warning", "J506", f"{METADATA} holds comments or trailing commas", document=document)
        return document

    def links(self, kind: str, folder: str, title: str) -> tuple[dict[str, Link], dict[str, str]]:
        """Role -> link, and section -> path, of the section files in a folder."""
        links: dict[str, Link] = {}
        sections: dict[str, str] = {}
        prefix = f"{folder}/" if folder else ""
        for name, is_folder in self.source.entries(folder):
            ending = next((ending for ending in SECTION_ENDINGS if name.endswith(ending)), None)
            if is_folder or ending is None or name == METADATA:
                continue
            section = name[: -len(ending)]
            role = SECTIONS[kind].get(section)
            path = prefix + name
            if role is None:
                continue
            if section in sections:
                message = f'the section "{section}" is here twice, in {sections[section]} and {path}'
                self.report.add("error", "A407", message, file=path, component=title, hint="delete one of the files")
                continue
            sections[section] = path
            links[role] = Link(path)
        return links, sections


def read_export(source: AppSource, report: Report) -> AppDraft | None:
    """
    The app in an export folder; None when its `metadata.json` cannot be used (the report says why).
    """
    reader = _Reader(source, report)
    document = reader.metadata(METADATA)
    root = document.value if document else None
    if document is None or not isinstance(root, dict) or not isinstance(root.get("name"), str) or not root["name"]:
        message = f'{METADATA} must be an object with a "name"'
        if document is None or not document.broken:
            report.add("error", "A401", message, document=document, file=METADATA)
        else:
            report.add("error", "A401", message, file=METADATA)
        return None
    version = root.get("version")
    if isinstance(version, bool) or not isinstance(version, (int, float)) or version != version or abs(version) > 1e6:
        what = "is missing" if version is None else "is no number"
        report.add("warning", "A213", f"version {what}; 1 is used", document=document, hint='add `"version": 1`')
        version = 1
    label = root.get("label")
    return AppDraft(
        name=root["name"],
        version=int(version),
        label=label if isinstance(label, str) and label else root["name"],
        layout="export",
        general=reader.links("app", "", "app")[0],
        components=_components(reader),
        aliases={},
        declared=reader.declared,
    )


def _components(reader: _Reader) -> list[Draft]:
    found: dict[tuple[str, str], tuple[Draft, str]] = {}
    for folder, is_folder in reader.source.entries():
        if not is_folder or folder not in KIND_FOLDERS:
            continue
        kind = KIND_FOLDERS[folder]
        for name, is_component in reader.source.entries(folder):
            if not is_component or name.startswith("."):
                continue
            path = f"{folder}/{name}"
            draft = _component(reader, kind, path, name)
            if draft is None:
                continue
            twin = found.get((kind, draft.id))
            if twin:
                code = "A402" if twin[1].partition("/")[0] == folder else "A407"
                message = f"two folders give this id, {twin[1]} and {path}; the first one is used"
                reader.report.add("error", code, message, file=path, component=draft.title, hint="rename one of them")
            else:
                found[kind, draft.id] = (draft, path)
    return [draft for draft, _ in found.values()]


def _component(reader: _Reader, kind: str, folder: str, name: str) -> Draft | None:
    report = reader.report
    document = reader.metadata(f"{folder}/{METADATA}")
    if kind == "function":
        links = {
            role: Link(f"{folder}/{role}.js")
            for role in ("code", "test")
            if reader.source.exists(f"{folder}/{role}.js")
        }
        return Draft(kind, name, {}, links, document)
    if document is None:
        message = f"the component folder {folder} has no {METADATA}"
        report.add("error", "A403", message, file=folder, hint="export the app again, or write the file")
        return None
    fields: Any = document.value
    if not isinstance(fields, dict):
        draft = Draft(kind, name, {}, {}, document, problems=[f"{folder}/{METADATA} cannot be used"])
        if not document.broken:
            report.add("error", "A403", f"{METADATA} must be an object", document=document, component=draft.title)
        return draft
    local = fields.get("name")
    if not isinstance(local, str) or not local:
        local = name
    draft = Draft(kind, local, {}, {}, document)
    if local != name:
        message = f'the folder is named "{name}", the component "{local}"; the name in {METADATA} counts'
        report.add("warning", "A402", message, document=document, pointer="/name", component=draft.title)
    draft.links, sections = reader.links(kind, folder, draft.title)
    draft.fields = {key: fields[key] for key in ("label", "description", "connection", "webhook") if key in fields}
    if fields.get("altConnection") and kind != "connection":
        draft.fields["altConnection"] = fields["altConnection"]
        message = "altConnection is not part of an export; it is used"
        report.add("info", "A409", message, document=document, pointer="/altConnection", component=draft.title)
    if kind == "module":
        _module_type(reader, draft, fields, sections)
    elif kind in ("connection", "webhook") and "type" in fields:
        draft.fields[f"{kind}Type"] = fields["type"]
    return draft


def _module_type(reader: _Reader, draft: Draft, fields: dict[str, Any], sections: dict[str, str]) -> None:
    written = fields.get("type")
    kind = written if isinstance(written, str) and written in MODULE_TYPES else None
    number = fields.get("typeId")
    by_number = _TYPE_NUMBERS.get(number) if isinstance(number, int) and not isinstance(number, bool) else None
    if kind and by_number and kind != by_number:
        message = f"type {kind} and typeId {number} ({by_number}) contradict each other"
    elif kind or (by_number and written is None):
        draft.fields["moduleType"] = chosen = kind or by_number
        for section in sections.keys() & _UNUSED[str(chosen)]:
            message = f'a module of type {chosen} does not use the section "{section}"'
            reader.report.add("info", "A406", message, file=sections[section], component=draft.title)
            draft.links.pop(SECTIONS["module"][section], None)
        return
    else:
        message = (
            f"module {draft.id} has no type" if written is None and number is None else "the module type is unknown"
        )
    draft.problems.append(message)
    reader.report.add(
        "error", "A404", message, document=draft.document, component=draft.title,
        hint=f'add `"type": "action"` to its {METADATA} (or {listed(MODULE_TYPES.keys() - {"action"})})',
    )  # fmt: skip
