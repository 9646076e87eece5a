"""
The paragraphs of spec/scenarios.md sections 2 and 3, and parts for the tests that show them (issue point 2).

A test says with `@paragraph` which paragraph it shows: the section, and words with which the paragraph begins.
`test_scenario_spec_index.py` looks that every paragraph has one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from tests.paths import SHARED
from tests.unit.scenario.helpers import module
from workers import imports
from workers.service import Service, open_service
from workers.settings import load_settings
from workers.views import RunReport

FILE = SHARED / "spec" / "scenarios.md"
Test = TypeVar("Test", bound=Callable[..., None])
#: (section, first words) of each paragraph that a test shows -> names of the tests.
SHOWN: dict[tuple[str, str], list[str]] = {}

_HEADING = re.compile(r"#{2,3} (\d+)(?:\.(\d+))?[. ]")
_ITEM = re.compile(r"\s*(?:- |\d+\. )")


class Paragraph(NamedTuple):
    """One paragraph: a line of prose, an item of a list, a table, or a block of code."""

    section: str
    text: str


def paragraph(section: str, words: str) -> Callable[[Test], Test]:
    """Say that a test shows the paragraph of this section that begins with these words."""

    def mark(test: Test) -> Test:
        name = f"test_{section.replace('.', '_')}_"
        if not test.__name__.startswith(name):
            raise ValueError(f"{test.__name__} shows a paragraph of {section}: its name must begin with {name}")
        SHOWN.setdefault((section, words), []).append(test.__name__)
        return test

    return mark


def paragraphs(text: str, chapters: str = "23") -> list[Paragraph]:
    """The paragraphs of these chapters, in order, without the marks of lists, bold and italics."""
    found: list[Paragraph] = []
    section, block = "", ""
    for line in text.splitlines():
        heading = _HEADING.match(line)
        if block != "code" and heading:
            section, block = ".".join(part for part in heading.groups() if part), ""
            continue
        if section[:1] not in set(chapters) or not section:
            continue
        if line.startswith("```"):
            block = "" if block == "code" else "code"
        elif block == "code":
            if line.strip() and (not found or not found[-1].text.startswith("```") or found[-1].section != section):
                found.append(Paragraph(section, "```" + line))
        elif not line.strip() or line.startswith("---"):
            block = ""
        elif line.startswith("|"):
            if block != "table":
                found.append(Paragraph(section, _plain(line)))
            block = "table"
        else:
            block = "prose"
            found.append(Paragraph(section, _plain(_ITEM.sub("", line, count=1))))
    return found


def _plain(line: str) -> str:
    return re.sub(r"[*`]", "", line).strip()


# -- runs through a real ledger ----------------------------------------------------------------------------------------


@contextmanager
def service_in(home: Path, **environment: str) -> Iterator[Service]:
    """A service over a server of its own."""
    values = {"SCENARIST_HOME": str(home), "SCENARIST_FSYNC": "everysec", **environment}
    with open_service(load_settings(values)) as service:
        yield service


def stored(number: int, key: str, data: dict[str, Any] | None = None, **rest: Any) -> dict[str, Any]:
    """A module that writes a record into data store 1."""
    mapper = {"key": key, "overwrite": True, "data": data or {"v": key}}
    return module(number, "datastore:AddRecord", mapper, parameters={"datastore": 1}, **rest)


@dataclass
class Place:
    """A service, and what tests do with it: inline runs of a file, and runs of a stored scenario as a schedule's."""

    service: Service
    names: list[str] = field(default_factory=list)

    def inline(self, blueprint: dict[str, Any], **options: Any) -> dict[str, Any]:
        """What an inline run prints."""
        return self.service.runs.inline(json.dumps(blueprint).encode(), **options).to_json()

    def rows(self, blueprint: dict[str, Any], **options: Any) -> tuple[str, list[str]]:
        """Status of an inline run, and the keys that are in data store 1 afterwards."""
        report = self.inline(blueprint, stores={"1": {}}, **options)
        return report["status"], list(report["stores"]["1"])

    def scenario(self, blueprint: dict[str, Any], **options: Any) -> str:
        """Store a scenario; gives its id. It is active."""
        self.names.append(f"S{len(self.names)}")
        row = self.service.scenarios.import_(json.dumps(blueprint).encode(), name=self.names[-1], **options).row
        assert row is not None
        runs = self.service.runner.runs
        runs.client.hset(runs.keys.scenario(row.id), "active", 1)
        return row.id

    def accept(self, scenario: str, kind: str = "auto") -> str:
        """Accept a run of this kind; gives its id."""
        runner = self.service.runner
        request = imports.scenario_request(runner, runner.library.scenarios.get(scenario), None, None)
        return runner.runs.create(replace(request, kind=kind)).id

    def work(self, run: str) -> RunReport:
        """Do a run's next segment in this process, as a worker would."""
        runner = self.service.runner
        runner.run_message(run, runner.runs.header(run).fence)
        return self.service.runs.show(run)

    def auto(self, scenario: str) -> RunReport:
        """A run as a schedule starts it, to its end."""
        return self.work(self.accept(scenario))
