"""
The manifest layout: `makecomapp.json` (spec/app-format.md 2).
"""

from __future__ import annotations

import re
from typing import Any, Final

from runtime.app.draft import AppDraft, Draft, Link
from runtime.app.jsonc import Document, parse_jsonc
from runtime.app.layout import MANIFEST, METADATA, refuse_manifest
from runtime.app.positions import escape_pointer
from runtime.app.report import Report, listed
from runtime.app.roles import GENERAL_ROLES, KINDS, ONLINE_ROLES, ROLES
from runtime.app.source import AppSource, SourceError

_ROOT_KEYS: Final = frozenset({"fileVersion", "generalCodeFiles", "components", "origins"})
_COMMON_KEYS: Final = frozenset({"label", "codeFiles"})
#: Kind -> the keys that its components may have (2.2).
FIELDS: Final[dict[str, frozenset[str]]] = {
    "connection": _COMMON_KEYS | {"connectionType"},
    "webhook": _COMMON_KEYS | {"webhookType", "connection", "altConnection"},
    "module": _COMMON_KEYS
    | {"description", "moduleType", "moduleSubtype", "actionCrud", "connection", "altConnection", "webhook"},
    "rpc": _COMMON_KEYS | {"connection", "altConnection"},
    "function": frozenset({"codeFiles", "label"}),
    "endpoint": _COMMON_KEYS | {"description", "attachedAccounts", "annotations"},
}
_APP_ID: Final = re.compile(r"[a-z][0-9a-z-]*[0-9a-z]")


def read_manifest(source: AppSource, report: Report, *, origin: str | None) -> AppDraft | None:
    """
    The app that a manifest declares; None when the manifest is unusable or of a refused layout (the report says why).

    Args:
        source: Files with a `makecomapp.json` at their root.
        report: Takes the findings.
        origin: Label of the origin that names the app; the first one without it.
    """
    try:
        data = source.read(MANIFEST)
    except SourceError as error:
        report.add("error", "A206", error.message, file=MANIFEST)
        return None
    document = parse_jsonc(data, MANIFEST)
    report.extend(document.findings)
    if document.broken:
        return None
    if document.lenient:
        report.add(
            "warning", "J506", "the manifest holds comments or trailing commas", document=document,
            hint="the official tool reads it as strict JSON and fails on them",
        )  # fmt: skip
    root = document.value
    components: Any = root.get("components") if isinstance(root, dict) else None
    if not isinstance(root, dict) or components is None:
        refusal = refuse_manifest("A102", MANIFEST)
        report.add("error", refusal.code, refusal.message, document=document, hint=refusal.hint)
        return None
    if not _component_maps(components, document, report):
        return None
    if (METADATA, False) in source.entries():
        report.add("info", "A410", f"{MANIFEST} and {METADATA} are both here; the manifest is used", document=document)
    _check_root(root, document, report)
    name, version, aliases = _origin(root, components, document, report, source.label, origin)
    return AppDraft(
        name=name,
        version=version,
        label=name,
        layout="manifest",
        general=_general(root, document, report),
        components=_components(components, document, report),
        aliases=aliases,
        declared={MANIFEST: data},
    )


def _component_maps(components: Any, document: Document, report: Report) -> bool:
    if not isinstance(components, dict):
        code = "A203" if isinstance(components, list) else "A209"
        message = f"components must be an object keyed by kind, found {_shape(components)}"
        report.add("error", code, message, document=document, pointer="/components")
        return False
    good = True
    for kind, members in components.items():
        pointer = f"/components/{escape_pointer(kind)}"
        if isinstance(members, list):
            good = False
            report.add(
                "error", "A203", f'components.{kind} must be an object keyed by local id, found an array: this looks '
                'like the "component lists" layout, which is not supported', document=document, pointer=pointer,
                hint="clone the app with the editor's local development, or write each component under its local id",
            )  # fmt: skip
    return good


def _shape(value: Any) -> str:
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "an array"
    if isinstance(value, str):
        return "a text"
    if isinstance(value, bool):
        return "a boolean"
    return "null" if value is None else "a number"


def _check_root(root: dict[str, Any], document: Document, report: Report) -> None:
    for key in root.keys() - _ROOT_KEYS:
        pointer = f"/{escape_pointer(key)}"
        report.add(
            "warning", "A211", f'unknown key "{key}" in the manifest', document=document, pointer=pointer, key=True
        )
    version = root.get("fileVersion")
    if version is None:
        report.add(
            "warning", "A212", "fileVersion is missing; 1 is assumed", document=document, hint='add `"fileVersion": 1`'
        )
    elif version is True or version != 1:
        shown = version if isinstance(version, (int, float)) else _shape(version)
        report.add("error", "A212", f"unsupported fileVersion {shown}", document=document, pointer="/fileVersion")


def _origin(
    root: dict[str, Any], components: dict[str, Any], document: Document, report: Report, label: str, wanted: str | None
) -> tuple[str, int, dict[str, dict[str, str]]]:
    """Name, version and aliases of the app."""
    origins = root.get("origins")
    if origins is not None and not isinstance(origins, list):
        report.add(
            "warning",
            "A213",
            f"origins must be an array, found {_shape(origins)}",
            document=document,
            pointer="/origins",
        )
    places = [
        (index, item)
        for index, item in enumerate(origins if isinstance(origins, list) else [])
        if isinstance(item, dict)
    ]
    chosen = places[0] if places else None
    if wanted is not None:
        chosen = next((place for place in places if place[1].get("label") == wanted), None)
        if chosen is None:
            known = listed(str(item.get("label")) for _, item in places)
            report.add(
                "error",
                "A213",
                f'no origin is labelled "{wanted}" (known: {known})',
                document=document,
                pointer="/origins",
            )
            chosen = places[0] if places else None
    if chosen is None:
        return label, 1, {}
    index, origin = chosen
    pointer = f"/origins/{index}"
    name = origin.get("appId")
    if not isinstance(name, str) or not _APP_ID.fullmatch(name):
        if name is not None:
            report.add(
                "warning", "A213", f'appId is no app name; the folder name "{label}" is used', document=document,
                pointer=f"{pointer}/appId", hint="lower-case letters, digits and dashes, a letter first",
            )  # fmt: skip
        name = label
    version = origin.get("appVersion", 1)
    if isinstance(version, bool) or not isinstance(version, (int, float)) or version != version or abs(version) > 1e6:
        report.add(
            "warning", "A213", "appVersion is no number; 1 is used", document=document, pointer=f"{pointer}/appVersion"
        )
        version = 1
    return name, int(version), _aliases(origin.get("idMapping"), components, document, report, f"{pointer}/idMapping")


def _aliases(
    mapping: Any, components: dict[str, Any], document: Document, report: Report, pointer: str
) -> dict[str, dict[str, str]]:
    aliases: dict[str, dict[str, str]] = {}
    if not isinstance(mapping, dict):
        return aliases
    for kind in KINDS:
        rows = mapping.get(kind)
        known = components.get(kind)
        for index, row in enumerate(rows if isinstance(rows, list) else []):
            local = row.get("local") if isinstance(row, dict) else None
            if not isinstance(local, str):
                continue
            if not isinstance(known, dict) or known.get(local) is None:
                if row.get("localDeleted") is not True:
                    report.add(
                        "info", "A214", f'idMapping names the {kind} "{local}", which the app does not have',
                        document=document, pointer=f"{pointer}/{kind}/{index}",
                    )  # fmt: skip
                continue
            remote = row.get("remote")
            if isinstance(remote, str) and remote != local:
                aliases.setdefault(kind, {}).setdefault(remote, local)
    return aliases


def _general(root: dict[str, Any], document: Document, report: Report) -> dict[str, Link]:
    files = root.get("generalCodeFiles")
    if not isinstance(files, dict):
        what = "is missing" if files is None else f"must be an object, found {_shape(files)}"
        report.add(
            "warning",
            "A202",
            f"generalCodeFiles {what}; the app has no Base",
            document=document,
            pointer="/generalCodeFiles",
        )
        return {}
    for role in ("common", "groups", "readme"):
        if role not in files:
            report.add(
                "info", "A202", f"generalCodeFiles.{role} is missing", document=document, pointer="/generalCodeFiles",
                hint=f'add `"{role}": null` to say it is left out on purpose',
            )  # fmt: skip
    if "base" not in files:
        report.add(
            "warning",
            "A202",
            "generalCodeFiles.base is missing; the app has no Base",
            document=document,
            pointer="/generalCodeFiles",
        )
    return _links("app", files, GENERAL_ROLES.keys(), {}, document, "/generalCodeFiles", report, "app")


def _components(components: dict[str, Any], document: Document, report: Report) -> list[Draft]:
    drafts: list[Draft] = []
    for kind, members in components.items():
        pointer = f"/components/{escape_pointer(kind)}"
        if kind not in ROLES:
            near = report.near(kind, KINDS)
            report.add(
                "warning", "A211", f'unknown kind of components "{kind}"', document=document, pointer=pointer, key=True,
                hint=f'did you mean "{near}"?' if near else "",
            )  # fmt: skip
        elif members is not None and not isinstance(members, dict):
            message = f"components.{kind} must be an object keyed by local id, found {_shape(members)}"
            report.add("error", "A209", message, document=document, pointer=pointer)
        else:
            for local, raw in (members or {}).items():
                draft = _component(kind, local, raw, document, f"{pointer}/{escape_pointer(local)}", report)
                if draft:
                    drafts.append(draft)
    return drafts


def _component(kind: str, local: str, raw: Any, document: Document, pointer: str, report: Report) -> Draft | None:
    title = f'{kind} "{local}"'
    if raw is None:
        report.add(
            "info",
            "A215",
            "the id is reserved and has no component",
            document=document,
            pointer=pointer,
            component=title,
        )
        return None
    draft = Draft(kind, local, {}, {}, document, pointer)
    if not isinstance(raw, dict):
        draft.problems.append(f"the component must be an object, found {_shape(raw)}")
        report.add("error", "A209", draft.problems[0], document=document, pointer=pointer, component=title)
        return draft
    draft.fields = dict(raw)
    for key in raw.keys() - FIELDS[kind]:
        report.add(
            "warning", "A211", f'unknown key "{key}"', document=document, pointer=f"{pointer}/{escape_pointer(key)}",
            key=True, component=title,
        )  # fmt: skip
    if "moduleSubtype" in raw and "moduleType" not in raw:
        draft.fields["moduleType"] = raw["moduleSubtype"]
    files = raw.get("codeFiles")
    if files is None:
        files = {}
        report.add("warning", "A209", "codeFiles is missing", document=document, pointer=pointer, component=title)
    if not isinstance(files, dict):
        draft.problems.append(f"codeFiles must be an object, found {_shape(files)}")
        report.add(
            "error", "A209", draft.problems[0], document=document, pointer=f"{pointer}/codeFiles", component=title
        )
        return draft
    draft.links = _links(
        kind, files, ROLES[kind].keys(), ONLINE_ROLES[kind], document, f"{pointer}/codeFiles", report, title
    )
    return draft


def _links(
    kind: str,
    files: dict[str, Any],
    known: Any,
    online: dict[str, str],
    document: Document,
    pointer: str,
    report: Report,
    title: str,
) -> dict[str, Link]:
    """Role -> link. Names of the online API are taken where the proper role is absent (A204)."""
    links: dict[str, Link] = {}
    for role, path in files.items():
        place = f"{pointer}/{escape_pointer(role)}"
        if path is not None and not isinstance(path, str):
            report.add(
                "error", "A209", f"role {role} must be a path or null, found {_shape(path)}", document=document,
                pointer=place, component=title,
            )  # fmt: skip
            continue
        proper = role
        if role not in known:
            proper = online.get(role, "")
            near = proper or report.near(role, known)
            taken = bool(proper) and files.get(proper) is None
            hint = f'did you mean "{near}"?' if near else f"roles of this kind: {listed(known)}"
            # A null under a foreign name takes nothing away, so it is no error.
            severity = "warning" if proper or path is None else "error"
            what = f'unknown role "{role}"' + ("" if taken or not proper else f' is left out: "{proper}" is there too')
            report.add(severity, "A204", what, document=document, pointer=place, key=True, component=title, hint=hint)
            if not taken:
                continue
        if path:
            links[proper] = Link(path, document, place)
    del kind
    return links
