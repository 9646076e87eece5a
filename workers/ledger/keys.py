"""Names of all keys on the server (design section 3). Each starts with the configured prefix."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

#: Ids are hexadecimal digits; what older releases and tests call their own has a few more characters.
_ID: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True, slots=True)
class Keys:
    """
    Key names under one prefix. Ids come from us, names from people: a name stands last or is followed by a hash.

    What is asked for by an id may be any text of a person or a request. One that cannot be an id stands for a place
    where nothing is, so that no text reaches the keys below a run, such as its journal, as if they were a run.
    """

    prefix: str

    def run(self, run: str) -> str:
        """A run's state (hash)."""
        return f"{self.prefix}:run:{_id(run)}"

    def bundles(self, run: str) -> str:
        """A run's bundles in encrypted chunks (hash)."""
        return f"{self.prefix}:run:{run}:bundles"

    def blobs(self, run: str) -> str:
        """A run's buffers in encrypted pieces (hash)."""
        return f"{self.prefix}:run:{run}:blobs"

    def journal(self, run: str) -> str:
        """A run's step records (stream)."""
        return f"{self.prefix}:run:{run}:journal"

    @property
    def runs(self) -> str:
        """All runs by the instant at which they were accepted (sorted set)."""
        return f"{self.prefix}:runs"

    def scenario_runs(self, scenario: str) -> str:
        """One scenario's runs (sorted set)."""
        return f"{self.prefix}:scenario:{scenario}:runs"

    @property
    def queued(self) -> str:
        """Runs that wait for a worker, by the instant of their last message (sorted set)."""
        return f"{self.prefix}:runs:queued"

    @property
    def due(self) -> str:
        """Parked runs by wake-up instant (sorted set)."""
        return f"{self.prefix}:runs:due"

    @property
    def leased(self) -> str:
        """Runs that a worker holds, by the instant at which the lease ends (sorted set)."""
        return f"{self.prefix}:runs:leased"

    @property
    def ended(self) -> str:
        """Ended runs by the instant of their end (sorted set)."""
        return f"{self.prefix}:runs:ended"

    @property
    def ended_bare(self) -> str:
        """Ended runs whose bundles were cleared, by the instant of their end (sorted set)."""
        return f"{self.prefix}:runs:ended:bare"

    @property
    def ended_headers(self) -> str:
        """Ended runs whose journals were cleared too, by the instant of their end (sorted set)."""
        return f"{self.prefix}:runs:ended:headers"

    @property
    def ended_bytes(self) -> str:
        """What ended runs hold, in bytes (number)."""
        return f"{self.prefix}:runs:ended:bytes"

    @property
    def runs_waiting(self) -> str:
        """Accepted runs that no worker has taken yet, by the instant of their acceptance (sorted set)."""
        return f"{self.prefix}:runs:waiting"

    @property
    def runs_in_line(self) -> str:
        """Runs of sequential scenarios whose message came before their turn (sorted set)."""
        return f"{self.prefix}:runs:in-line"

    @property
    def runs_undecided(self) -> str:
        """Runs that stopped at a step of unknown outcome, by that instant (sorted set)."""
        return f"{self.prefix}:runs:undecided"

    @property
    def incompletes_unresolved(self) -> str:
        """Incomplete executions that wait for a person, by the instant since which they do (sorted set)."""
        return f"{self.prefix}:incompletes:unresolved"

    @property
    def counters(self) -> str:
        """What the installation has counted (hash: counter and its labels -> number)."""
        return f"{self.prefix}:counters"

    def counted(self, token: str) -> str:
        """Number of the last batch of counts that a process has added (text with expiry)."""
        return f"{self.prefix}:counted:{token}"

    def process(self, name: str) -> str:
        """What a process says of itself with its signs of life (JSON text with expiry)."""
        return f"{self.prefix}:process:{name}"

    @property
    def processes(self) -> str:
        """Processes of all roles by the instant of their last sign of life (sorted set)."""
        return f"{self.prefix}:processes"

    def drain(self, name: str) -> str:
        """That a supervisor is asked to end its workers (text with expiry)."""
        return f"{self.prefix}:drain:{name}"

    @property
    def workers(self) -> str:
        """Worker processes by the instant of their last sign of life (sorted set)."""
        return f"{self.prefix}:workers"

    @property
    def leader(self) -> str:
        """The scheduler process that is at work (text with expiry)."""
        return f"{self.prefix}:leader"

    @property
    def apps(self) -> str:
        """Names of the registered apps (set)."""
        return f"{self.prefix}:apps"

    def app(self, name: str) -> str:
        """An app's current hash and history (hash)."""
        return f"{self.prefix}:app:{name}"

    def app_files(self, content: str) -> str:
        """An app's files by content hash (hash: path -> sealed bytes)."""
        return f"{self.prefix}:app-files:{content}"

    def blueprint(self, content: str) -> str:
        """A blueprint's bytes by content hash (hash: sealed bytes)."""
        return f"{self.prefix}:blueprint:{content}"

    @property
    def contents(self) -> str:
        """Places of all sealed contents: app files and blueprints (set)."""
        return f"{self.prefix}:contents"

    @property
    def scenarios(self) -> str:
        """All scenarios by the instant at which they were imported (sorted set)."""
        return f"{self.prefix}:scenarios"

    @property
    def scenarios_due(self) -> str:
        """Active scenarios by the instant at which they are due next (sorted set)."""
        return f"{self.prefix}:scenarios:due"

    @property
    def notifications(self) -> str:
        """What people are told (stream)."""
        return f"{self.prefix}:notifications"

    @property
    def notified(self) -> str:
        """How far the notifications were sent, and the attempts for the next one (hash)."""
        return f"{self.prefix}:notifications:sent"

    def scenario(self, scenario: str) -> str:
        """A scenario (hash)."""
        return f"{self.prefix}:scenario:{_id(scenario)}"

    @property
    def connections(self) -> str:
        """Ids of all connections (set)."""
        return f"{self.prefix}:connections"

    def connection(self, connection: str) -> str:
        """A connection's record (hash)."""
        return f"{self.prefix}:connection:{_id(connection)}"

    def connection_lease(self, connection: str) -> str:
        """Who is renewing a connection now (hash)."""
        return f"{self.prefix}:connection:{connection}:lease"

    def connection_pause(self, connection: str) -> str:
        """Set while a connection rests because its service has refused too many requests (text with expiry)."""
        return f"{self.prefix}:connection:{connection}:pause"

    def connection_usage(self, connection: str) -> str:
        """When a connection was last used and what its last error was (hash)."""
        return f"{self.prefix}:connection:{connection}:usage"

    def pending(self, digest: str) -> str:
        """An authorization that waits for its callback, by the hash of its state (encrypted text with expiry)."""
        return f"{self.prefix}:pending:{digest}"

    def authorized(self, digest: str) -> str:
        """How such an authorization ended (text with expiry)."""
        return f"{self.prefix}:authorized:{digest}"

    def app_common(self, name: str) -> str:
        """The operator's common data of an app (encrypted)."""
        return f"{self.prefix}:app-common:{name}"

    def line(self, scenario: str) -> str:
        """Runs of a sequential scenario that have not ended, in the order in which they were accepted (sorted set)."""
        return f"{self.prefix}:scenario:{scenario}:line"

    @property
    def incompletes(self) -> str:
        """All incomplete executions by the instant at which they were stored (sorted set)."""
        return f"{self.prefix}:incompletes"

    @property
    def incompletes_due(self) -> str:
        """Pending incomplete executions by the instant of their next retry (sorted set)."""
        return f"{self.prefix}:incompletes:due"

    @property
    def incompletes_running(self) -> str:
        """Incomplete executions whose retry runs, by the instant at which it was accepted (sorted set)."""
        return f"{self.prefix}:incompletes:running"

    def incomplete(self, record: str) -> str:
        """An incomplete execution (hash)."""
        return f"{self.prefix}:incomplete:{_id(record)}"

    def open_incompletes(self, scenario: str) -> str:
        """One scenario's incomplete executions that are not resolved, by their instant (sorted set)."""
        return f"{self.prefix}:scenario:{scenario}:incompletes"

    def trigger(self, scenario: str, module: str) -> str:
        """A polling trigger's epoch (hash)."""
        return f"{self.prefix}:trigger:{scenario}:{module}"

    @property
    def tokens(self) -> str:
        """Names of the API's tokens and the hashes of these (hash)."""
        return f"{self.prefix}:tokens"

    def token(self, digest: str) -> str:
        """An API token by its hash (hash)."""
        return f"{self.prefix}:token:{digest}"

    @property
    def callbacks(self) -> str:
        """Ended runs whose end is still to be told, by the instant of the next try (sorted set)."""
        return f"{self.prefix}:callbacks"

    @property
    def hooks(self) -> str:
        """All webhooks by the instant at which they were made (sorted set)."""
        return f"{self.prefix}:hooks"

    def hook(self, hook: str) -> str:
        """A webhook (hash)."""
        return f"{self.prefix}:hook:{_id(hook)}"

    def hook_waiting(self, hook: str) -> str:
        """Events of a webhook that no run has taken, in order of arrival (sorted set)."""
        return f"{self.prefix}:hook:{hook}:waiting"

    def hook_events(self, hook: str) -> str:
        """Events that are not done with (hash: event -> encrypted item)."""
        return f"{self.prefix}:hook:{hook}:events"

    def hook_taken(self, hook: str) -> str:
        """Events that a run has taken (hash: event -> run)."""
        return f"{self.prefix}:hook:{hook}:taken"

    def hook_dead(self, hook: str) -> str:
        """Events that made their run fail and are not tried again, by the instant of that (sorted set)."""
        return f"{self.prefix}:hook:{hook}:dead"

    def hook_held(self, hook: str) -> str:
        """Events whose caller waits for an answer (hash: event -> channel of the gateway)."""
        return f"{self.prefix}:hook:{hook}:held"

    def hook_answer(self, hook: str, event: str) -> str:
        """The answer for such a caller (text with expiry)."""
        return f"{self.prefix}:hook:{hook}:answer:{event}"

    def hook_token(self, digest: str) -> str:
        """Whose an address is, by the hash of its token (text)."""
        return f"{self.prefix}:hook-token:{digest}"

    def hook_shared(self, app: str, component: str) -> str:
        """The token that all webhooks of a shared component have (encrypted)."""
        return f"{self.prefix}:hook-shared:{app}:{component}"

    def hook_uid(self, app: str, component: str, digest: str) -> str:
        """Webhooks of a shared component by the hash of their connection's uid (set)."""
        return f"{self.prefix}:hook-uid:{app}:{component}:{digest}"

    @property
    def busy_hooks(self) -> str:
        """Webhooks whose events may be waiting for a run (set)."""
        return f"{self.prefix}:hooks:busy"

    def instant_runs(self, scenario: str) -> str:
        """Runs of a scenario that an event has started and that have not ended (set)."""
        return f"{self.prefix}:scenario:{scenario}:instant"

    @property
    def stores(self) -> str:
        """Names of the data stores (set)."""
        return f"{self.prefix}:stores"

    def store(self, name: str) -> str:
        """A data store's id, wrapped data key and size (hash)."""
        return f"{self.prefix}:store:{name}"

    def store_records(self, store: str) -> str:
        """A data store's records by store id (hash: keyed hash of the key -> encrypted record)."""
        return f"{self.prefix}:store-records:{store}"

    def store_order(self, store: str) -> str:
        """The order in which a store's records were inserted (sorted set)."""
        return f"{self.prefix}:store-order:{store}"


def _id(text: str) -> str:
    """An id, or what no id is."""
    return text if text.isalnum() or _ID.fullmatch(text) else "-"


class IncompleteKeys(Keys):
    """The same names, where bundles and blobs are those of an incomplete execution instead of a run."""

    def bundles(self, run: str) -> str:
        """An incomplete execution's bundles (hash)."""
        return f"{self.incomplete(run)}:bundles"

    def blobs(self, run: str) -> str:
        """An incomplete execution's buffers (hash)."""
        return f"{self.incomplete(run)}:blobs"
