"""
What `check` finds in each loadable app of the corpus, kept as a file that a person can read and judge.

`SCENARIST_RENEW=1 pytest tests/conformance/test_check_snapshots.py` writes the files anew; read the difference before
it is kept: each line has to be true of an app that works.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from runtime.app.checker import check_app
from runtime.app.findings import Finding
from runtime.app.loader import load_app
from tests.conformance.test_corpus_apps import ABSENT_FUNCTIONS, COUNTS, EXPORTS, JUDGED, REFUSED

FOLDER = Path(__file__).resolve().parent / "check"

#: What was judged of warnings and hints, by code: why each finding of it in the corpus is true.
REASONS = {
    "A202": "the key is absent in the manifest",
    "A204": "the role is that of the online API, and the kind has another name for it",
    "A205": "the manifest says no type; the assumed one is what the files need",
    "A206": "JavaScript is not in the corpus; a call of the function fails with a clear error",
    "A216": "the module is named in no group",
    "A405": "an export never holds the values of common",
    "C105": "the list names a header that is sent nowhere, mostly one of the template that was deleted",
    "C111": "the app has two connections, and this one of them has no such input; or none has it",
    "C114": "the value is shown in the form as it is typed",
    "C115": "the file holds an empty object",
    "I602": "the call has an argument that the function does not know, or lacks one",
    "I605": "no such variable is documented, and nothing sets it",
    "I606": "no list of the module declares it; one is a difference in case, the others were left over from a copy",
    "M401": "done on purpose, to keep the key from a foreign download host; a comment would say so",
    "M407": "the request stands in a list of one",
    "M410": "the body of later pages lacks members of the first one",
    "M411": "there is neither a limit nor a pagination where the hint says so",
    "M412": "the engine writes the header itself",
    "M413": "the url ends in a query and qs has members",
    "M414": "the connection is that of the editor's template, unused",
    "M421": "the directive has no effect in this kind of module",
    "M431": "the request has no body in the file and is sent with an empty one",
    "M436": "only the documentation has this spelling",
    "M442": "the body is one expression and no type is written; a collection is sent as JSON all the same",
    "P301": "the type is not in the published schema",
    "P302": "the limit stands where nothing reads it",
    "P303": "the schema allows fewer characters",
    "P305": "the name stands twice in one list",
    "P307": "the engine adds the key itself and overwrites this one",
    "P312": "the key is a misspelling, or unknown to the documentation",
    "P317": "the output has the member and the interface does not",
    "P318": "the sample has the member and the interface does not",
    "P319": "the sample has another type than the interface says",
    "P320": "the default is outside of the limits or options that stand beside it",
}


def _header(name: str, findings: list[Finding]) -> list[str]:
    counts = Counter(finding.severity for finding in findings)
    shown = ", ".join(f"{counts[level]} {level}" for level in ("error", "warning", "info") if counts[level])
    lines = [f"# What `check` says about {name}: {shown or 'nothing'}.", "#"]
    judged = JUDGED.get(name, {})
    if counts["error"]:
        lines.append("# Errors, judged one by one:")
        lines += [f"#   {code} {place}: {why}" for (code, place), (_, why) in judged.items()]
        if name in EXPORTS and any(finding.code == "A303" for finding in findings):
            lines.append("#   A303: the custom functions of the export are JavaScript, which the corpus does not hold")
    others = sorted({finding.code for finding in findings if finding.severity != "error"})
    if others:
        lines.append("# Warnings and hints, judged by code:")
        lines += [f"#   {code}: {REASONS[code]}" for code in others]
    return [line.rstrip() for line in lines]


def snapshot_name(app: str) -> str:
    """The file name of an app of the corpus."""
    return app.replace("/", "+") + ".txt"


@pytest.mark.parametrize("name", COUNTS)
def test_what_check_says_about_a_real_app_is_known(shared: Path, name: str) -> None:
    """Nothing new is said about a working app unnoticed, and what is said has its reason in the header."""
    findings = check_app(load_app(shared / "corpus" / "apps" / name))
    text = "\n".join([*_header(name, findings), "", *[finding.text() for finding in findings], ""])
    file = FOLDER / snapshot_name(name)
    if os.environ.get("SCENARIST_RENEW"):
        file.write_text(text, "utf-8")

    assert str(shared) not in text
    assert file.read_text("utf-8") == text


def test_every_error_was_judged(shared: Path) -> None:
    """No error stands in a snapshot without a reason, and no snapshot without an app."""
    for name in COUNTS:
        for finding in check_app(load_app(shared / "corpus" / "apps" / name)):
            absent = finding.code == "A303" and any(f'"{known}"' in finding.message for known in ABSENT_FUNCTIONS)
            assert finding.severity != "error" or absent or (finding.code, finding.component) in JUDGED[name]
    assert {path.name for path in FOLDER.glob("*.txt")} == {snapshot_name(name) for name in (*COUNTS, *REFUSED)}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_app_has_its_refusal_and_nothing_else(shared: Path, name: str) -> None:
    """The layout is named, with what to do; nothing of the folder is judged."""
    findings = check_app(load_app(shared / "corpus" / "apps" / name))
    code, layout = REFUSED[name]
    header = f"# {name} has the layout that is named below; it is refused by name and nothing of it is loaded."
    text = "\n".join([header, "", *[finding.text() for finding in findings], ""])
    file = FOLDER / snapshot_name(name)
    if os.environ.get("SCENARIST_RENEW"):
        file.write_text(text, "utf-8")

    assert {code} == {finding.code for finding in findings}
    assert all(layout in finding.message and finding.severity == "error" for finding in findings)
    assert all(finding.hint for finding in findings if code != "A203")
    assert file.read_text("utf-8") == text
