"""`scenarist doctor`: what is wrong with an installation, and what to do."""

from __future__ import annotations

import os
from collections import Counter

from workers.cli import output
from workers.cli.arguments import JsonOption
from workers.cli.lazy import example, new_app

app = new_app()


@app.command(epilog=example("scenarist doctor", "scenarist doctor --json"))
def doctor(as_json: JsonOption = False) -> int:
    """
    Look at the installation and say what is wrong.

    Server and persistence, clocks, keys, formats, processes, queues, stuck runs, disk, addresses, settings; each with
    what to do. Exit code 1 when there is an error; warnings leave it 0.
    """
    from runtime.logs import configure_logging
    from workers.doctor import Level, examine

    # A look is no event; what there is to say is said below.
    configure_logging("console", "error", output.secrets())
    findings = examine(os.environ)
    counts = Counter(finding.level for finding in findings)
    if as_json:
        output.print_json({
            "ok": not counts[Level.ERROR],
            "findings": [
                {"check": each.check, "level": str(each.level), "text": each.text, "advice": each.advice}
                for each in findings
            ],
        })  # fmt: skip
    else:
        width = max(len(each.check) for each in findings)
        for each in findings:
            output.say(output.redacted_text(f"{each.level:<8} {each.check:<{width}}  {each.text}"))
            if each.advice:
                output.say(output.redacted_text(f"{'':<8} {'':<{width}}  {each.advice}"))
        output.say()
        output.say(f"{counts[Level.ERROR]} errors, {counts[Level.WARNING]} warnings")
    return 1 if counts[Level.ERROR] else 0
