"""The installation's key ring: from the settings, else from a key file in the data folder, made on first use."""

from __future__ import annotations

from connections.keyring import FollowedKeyRing, KeyRing, add_key_to_file, ensure_key_file, read_key_file
from runtime.errors import SettingsError
from workers.settings import Settings

KEY_FILE = "keys"


def load_keyring(settings: Settings) -> KeyRing:
    """
    The key ring that the settings name; one in a file follows the file's changes.

    Raises:
        SettingsError: It cannot be read, or the key file that it would be in cannot be made. Names the setting.
    """
    if settings.keys is not None:
        return KeyRing.load(settings.keys, source="SCENARIST_KEYS")
    if settings.keys_file is None:
        ensure_key_file(settings.home / KEY_FILE)
        return FollowedKeyRing(settings.home / KEY_FILE, read_key_file)
    try:
        return FollowedKeyRing(settings.keys_file, lambda path: read_key_file(path, own=False))
    except SettingsError as error:
        raise SettingsError(f"SCENARIST_KEYS_FILE: {error.message}") from None


def add_newest_key(settings: Settings) -> KeyRing:
    """
    The ring with which everything is to be encrypted anew: a ring of our own key file gets a new key in front; a ring
    from the settings is the operator's, and used as it is.

    Raises:
        SettingsError: As `load_keyring`.
    """
    ring = load_keyring(settings)
    if settings.keys is None and settings.keys_file is None:
        return add_key_to_file(settings.home / KEY_FILE)
    return ring
