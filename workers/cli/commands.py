"""
The table of commands: name, file, one line of help. Help of a group is printed from here, so that no command's file is
imported until it is used (`scenarist --help` stays quick).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """One command: the module that holds its `app` (a `typer.Typer`) and its line in the help."""

    file: str
    help: str


#: Every command of the program in the order of the help.
COMMANDS: dict[str, Entry] = {
    "demo": Entry("workers.cli.demo", "Run everything once on sample data, then clean up."),
    "check": Entry("workers.cli.check", "Check app folders and blueprints; errors with file:line:column."),
    "app": Entry("workers.cli.app", "Register, list, show, test and remove apps; their common data."),
    "connection": Entry("workers.cli.connection", "Authorize connections once and manage them."),
    "module": Entry("workers.cli.module", "Run one module of an app now, in this process."),
    "rpc": Entry("workers.cli.rpc", "Call one RPC of an app now, in this process."),
    "scenario": Entry("workers.cli.scenario", "Import scenarios, switch them on and off, say when they run."),
    "hook": Entry("workers.cli.hook", "Make, attach, list, change and remove webhooks; their events."),
    "run": Entry("workers.cli.run", "Run a scenario on the queue or in this process."),
    "runs": Entry("workers.cli.runs", "List, show, watch, retry and cancel runs."),
    "incomplete": Entry("workers.cli.incomplete", "List, show, retry, resolve and drop incomplete executions."),
    "notifications": Entry("workers.cli.notifications", "List what happened while nobody was looking."),
    "store": Entry("workers.cli.store", "List, show, import and export data stores."),
    "token": Entry("workers.cli.token", "Make, list and remove tokens of the HTTP API."),
    "worker": Entry("workers.cli.worker", "Start the worker processes of this machine."),
    "scheduler": Entry("workers.cli.scheduler", "Start the scheduler: wake-ups, lost messages, retention."),
    "gateway": Entry("workers.cli.gateway", "Start the gateway: webhooks, the HTTP API, callbacks of OAuth providers."),
    "up": Entry("workers.cli.up", "Start all processes on this machine."),
    "doctor": Entry("workers.cli.doctor", "Look at the installation and say what is wrong."),
    "iml": Entry("workers.cli.iml", "Evaluate an IML expression."),
    "keys": Entry("workers.cli.keys", "Make and rotate the keys that protect stored secrets."),
}
