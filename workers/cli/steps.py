"""How runs and their steps are shown to people; shared by `run`, `runs` and `demo`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runtime.values import compact_json
from workers.cli import output

#: An input or output longer than this is cut in the text form; `--json` has all of it.
SHOWN_CHARACTERS = 400
#: Exit code for each status of a run that has ended or waits (design section 8).
EXIT_CODES = {"success": 0, "warning": 0, "error": 1, "incomplete": 1, "cancelled": 1}


def exit_code(status: str) -> int:
    """0 for a run that did its work (or has not ended), 1 for one that did not."""
    return EXIT_CODES.get(status, 0)


def step_lines(step: Mapping[str, Any]) -> list[str]:
    """One step: a line with module, status and duration, then its outputs or its error."""
    head = f"module {step.get('module')}  {step.get('app', '')}  {step.get('status', '')}"
    outputs = step.get("output") or []
    if step.get("status") == "success":
        head += f"  {counted(len(outputs), 'bundle')}"
    if step.get("status") != "filtered" and step.get("ms") is not None:
        head += f"  {float(step['ms']):.0f} ms"
    lines = [head]
    if error := step.get("error"):
        lines.append(f"    {error.get('type')}: {error.get('message')}")
    lines += [f"    {shortened(shown_bundle(bundle))}" for bundle in outputs]
    return lines


def shown_bundle(bundle: Any) -> Any:
    """A bundle without what the platform adds to it (`__IMT...`)."""
    if not isinstance(bundle, dict):
        return bundle
    return {key: value for key, value in bundle.items() if not str(key).startswith("__IMT")}


def counted(number: int, one: str) -> str:
    """`1 bundle`, `2 bundles`."""
    return f"{number} {one}" if number == 1 else f"{number} {one}s"


def shortened(value: Any) -> str:
    """A value as compact JSON, cut at `SHOWN_CHARACTERS`."""
    text = compact_json(value)
    return text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "…"


def say_step(step: Mapping[str, Any], *, lines: bool = False, trace: bool = False) -> None:
    """Print a step; `lines` adds its request lines, `trace` whole requests and answers."""
    head, *rest = step_lines(step)
    output.say(head)
    if lines or trace:
        from workers.cli.exchanges import exchange_lines

        for exchange in step.get("exchanges") or ():
            for line in exchange_lines(exchange) if trace else exchange_lines(exchange)[:1]:
                output.say(f"    {line}")
    if trace:
        for line in debug_lines(step):
            output.say(f"    {line}")
    for line in rest:
        output.say(line)


def debug_lines(source: Mapping[str, Any]) -> list[str]:
    """What the custom functions of a step or a module run logged with `debug`."""
    return [f"debug: {line}" for text in source.get("debug") or () for line in str(text).splitlines() or [""]]


def step_json(step: Mapping[str, Any], *, trace: bool) -> dict[str, Any]:
    """A step as it is printed for programs (design section 8); `trace` keeps what it sent, warned of and logged."""
    return {key: value for key, value in step.items() if trace or key not in ("exchanges", "warnings", "debug")}


def say_end(report: Mapping[str, Any]) -> None:
    """Print the last line of a run's report, and its error."""
    done = f"{counted(report['operations'], 'operation')}, {counted(report['cycles'], 'cycle')}"
    output.say(f"{report['status']}  run {report['run'] or '-'}  {done}")
    if error := report.get("error"):
        module = f" in module {error['module']}" if error.get("module") else ""
        output.say(f"{error.get('type')}{module}: {error.get('message')}")
    if outputs := report.get("outputs"):
        output.say(f"outputs  {shortened(outputs)}")
