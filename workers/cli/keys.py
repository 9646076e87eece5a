"""`scenarist keys`: the key ring that protects stored secrets."""

from __future__ import annotations

from workers.cli import output
from workers.cli.arguments import JsonOption
from workers.cli.lazy import example, new_app
from workers.cli.services import service
from workers.cli.steps import counted

app = new_app("Make and rotate the keys that protect stored secrets.", "scenarist keys rotate")


@app.command("new", epilog=example("scenarist keys new > secrets/scenarist_keys"))
def new(as_json: JsonOption = False) -> int:
    """
    Print a new key.

    For SCENARIST_KEYS_FILE: put it in front of the older keys, then run scenarist keys rotate.
    """
    from connections.keyring import generate_key

    key = generate_key().line()
    # The one output whose very purpose is a secret: whoever asks for a key gets it in the open.
    output.print_json({"key": key}) if as_json else output.say(key)
    return 0


@app.command("rotate", epilog=example("scenarist keys rotate"))
def rotate(as_json: JsonOption = False) -> int:
    """
    Encrypt the stored secrets with a new key.

    The key file in the data folder gets a new key in front. With SCENARIST_KEYS or SCENARIST_KEYS_FILE put it there
    yourself (keys new), then run this; afterwards the older keys can be taken out. Running processes follow the file;
    they take SCENARIST_KEYS in at their next start.
    """
    with service() as opened:
        number = opened.keys.rotate()
    if as_json:
        output.print_json({"rotated": number})
    else:
        output.say(f"{counted(number, 'record')} encrypted with the newest key")
    return 0
