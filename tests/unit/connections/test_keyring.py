"""The key ring: what it seals opens only with its key, in its place and unchanged."""

import base64
import os
import stat
import threading
from pathlib import Path

import pytest

from connections.keyring import (
    CipherError,
    DataKey,
    FollowedKeyRing,
    Key,
    KeyRing,
    add_key_to_file,
    ensure_key_file,
    generate_key,
    read_key_file,
)
from runtime.errors import SettingsError

OLD, NEW = generate_key(), generate_key()


@pytest.mark.parametrize(("mode", "accepted"), [(0o600, True), (0o644, True), (0o444, True), (0o664, False)])
def test_a_mounted_key_file_may_be_read_by_others_but_not_written(tmp_path: Path, mode: int, accepted: bool) -> None:
    """A platform mounts secrets readable inside the container; our own key file is for its owner alone."""
    file = tmp_path / "keys"
    file.write_text(KeyRing([generate_key()]).text())
    file.chmod(mode)
    if accepted:
        assert read_key_file(file, own=False).ids
    else:
        with pytest.raises(SettingsError, match="others may change"):
            read_key_file(file, own=False)


def test_sealed_bytes_come_back() -> None:
    """What was sealed opens again; two seals of the same bytes differ."""
    ring = KeyRing([NEW])
    first, second = ring.encrypt(b"secret", aad="a"), ring.encrypt(b"secret", aad="a")

    assert ring.decrypt(first, aad="a") == ring.decrypt(second, aad="a") == b"secret"
    assert first != second
    assert b"secret" not in first


def test_another_record_is_refused() -> None:
    """A cipher text that was copied to another record does not open there."""
    ring = KeyRing([NEW])
    cipher = ring.encrypt(b"secret", aad="connection:a:data")

    with pytest.raises(CipherError, match='"connection:b:data" cannot be decrypted'):
        ring.decrypt(cipher, aad="connection:b:data")


def test_every_changed_byte_is_refused() -> None:
    """No byte of a cipher text can be changed, its head included."""
    ring = KeyRing([NEW, OLD])
    cipher = ring.encrypt(b"secret", aad="a")

    for place in range(len(cipher)):
        changed = bytearray(cipher)
        changed[place] ^= 1
        with pytest.raises(CipherError):
            ring.decrypt(bytes(changed), aad="a")


@pytest.mark.parametrize("cipher", [b"", b"\x01", b"\x02ab", b"plain text", b"\x01\x00", b"\x01\xff"])
def test_what_is_no_cipher_text_is_refused(cipher: bytes) -> None:
    """Other bytes give a clear error."""
    with pytest.raises(CipherError):
        KeyRing([NEW]).decrypt(cipher, aad="a")


def test_rotation_keeps_old_records_readable() -> None:
    """A new key in front encrypts; the old one still decrypts; each cipher text knows whether it is due."""
    old = KeyRing([OLD])
    both = KeyRing([NEW, OLD])
    cipher = old.encrypt(b"secret", aad="a")

    assert both.decrypt(cipher, aad="a") == b"secret"
    assert both.needs_rotation(cipher)
    assert not both.needs_rotation(both.encrypt(b"secret", aad="a"))
    with pytest.raises(CipherError, match=f'key "{OLD.id}", which is not in the key ring'):
        KeyRing([NEW]).decrypt(cipher, aad="a")


def test_key_of_another_id_is_no_way_round() -> None:
    """The id in a cipher text is sealed with it: renaming a key does not open anything."""
    cipher = KeyRing([OLD]).encrypt(b"secret", aad="a")

    with pytest.raises(CipherError):
        KeyRing([Key(OLD.id, NEW.data)]).decrypt(cipher, aad="a")


def test_data_keys_are_wrapped_for_one_run() -> None:
    """A run's data key opens only what it sealed, and comes back only for its run."""
    ring, key = KeyRing([NEW]), DataKey.generate()
    wrapped = ring.wrap(key, aad="run:1")
    cipher = key.encrypt(b"bundle", aad="run:1:bundles:7")

    assert ring.unwrap(wrapped, aad="run:1").decrypt(cipher, aad="run:1:bundles:7") == b"bundle"
    with pytest.raises(CipherError):
        ring.unwrap(wrapped, aad="run:2")
    with pytest.raises(CipherError):
        key.decrypt(cipher, aad="run:1:bundles:8")
    with pytest.raises(CipherError):
        DataKey.generate().decrypt(cipher, aad="run:1:bundles:7")
    with pytest.raises(CipherError):
        key.decrypt(b"short", aad="run:1:bundles:7")


def test_ring_text_round_trip() -> None:
    """The text of a ring, one key a line, newest first, reads back; comments, blanks and commas are allowed."""
    ring = KeyRing.load(KeyRing([NEW, OLD]).text())

    assert ring.ids == (NEW.id, OLD.id)
    assert KeyRing.load(f"# mine\n\n  {NEW.line()} \r\n{OLD.line()}").ids == ring.ids
    assert KeyRing.load(f"{NEW.line()},{OLD.line()}").ids == ring.ids


SHORT = base64.b64encode(b"x" * 16).decode()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "holds no key", id="empty"),
        pytest.param("# comment", "holds no key", id="comment only"),
        pytest.param("justtext", "key 1 cannot be read", id="no id"),
        pytest.param(f"a:{SHORT}", "key 1 cannot be read", id="too short"),
        pytest.param("a:!!!", "key 1 cannot be read", id="no base64"),
        pytest.param(f"a b:{NEW.line().partition(':')[2]}", "key 1 cannot be read", id="bad id"),
        pytest.param(f"{NEW.line()}\n{NEW.line()}", "two keys of the id", id="same id twice"),
        pytest.param(f"{NEW.line()}\nx:{SHORT}", "key 2 cannot be read", id="second line"),
    ],
)
def test_unreadable_ring_is_refused_without_showing_it(text: str, message: str) -> None:
    """The error names the place of the key, where it comes from and what is wanted, but shows no key."""
    with pytest.raises(SettingsError, match=message) as caught:
        KeyRing.load(text, source="SCENARIST_KEYS")

    assert "SCENARIST_KEYS" in str(caught.value)
    assert SHORT not in str(caught.value)


def test_nothing_prints_a_key() -> None:
    """Keys, rings and data keys may end up in a traceback."""
    key = DataKey.generate()
    printed = f"{NEW!r} {KeyRing([NEW])!r} {key!r}"

    assert NEW.line().partition(":")[2] not in printed
    assert str(NEW.data) not in printed
    assert str(key.raw) not in printed


def test_key_file_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    """The file is made with one key, readable by its owner only whatever the umask is, and read from then on."""
    before = os.umask(0)
    try:
        ring = ensure_key_file(tmp_path / "keys")
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o600
    assert ensure_key_file(tmp_path / "keys").ids == ring.ids
    assert [path.name for path in tmp_path.iterdir()] == ["keys"]


def test_key_file_of_a_race_is_one(tmp_path: Path) -> None:
    """Processes that start at the same time agree on one key."""
    rings: list[KeyRing] = []
    barrier = threading.Barrier(8)

    def start() -> None:
        barrier.wait()
        rings.append(ensure_key_file(tmp_path / "keys"))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len({ring.ids for ring in rings}) == 1
    assert len(rings) == 8
    assert [path.name for path in tmp_path.iterdir()] == ["keys"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644])
def test_key_file_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    """A key file that others can read or change is not used; the error says what to do."""
    ensure_key_file(tmp_path / "keys")
    (tmp_path / "keys").chmod(mode)

    with pytest.raises(SettingsError, match="chmod 600"):
        ensure_key_file(tmp_path / "keys")


def test_key_file_must_be_a_file(tmp_path: Path) -> None:
    """A link to nothing, a folder, bytes or nothing in the place of the file give a clear error."""
    link, folder, binary = (tmp_path / name for name in ("link", "folder", "binary"))
    link.symlink_to(tmp_path / "nothing")
    folder.mkdir(mode=0o700)
    binary.write_bytes(b"\xff\xfe")
    binary.chmod(0o600)

    for path in (link, folder, binary):
        with pytest.raises(SettingsError, match=str(path)):
            ensure_key_file(path)
    with pytest.raises(SettingsError, match="does not exist"):
        read_key_file(tmp_path / "absent")
    with pytest.raises(SettingsError, match="cannot be written"):
        ensure_key_file(tmp_path / "absent" / "keys")


def test_key_file_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever owns the file could replace the keys: it must be ours or the administrator's."""
    ensure_key_file(tmp_path / "keys")
    if os.geteuid() == 0:
        os.chown(tmp_path / "keys", 12345, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 12345)

    with pytest.raises(SettingsError, match="belongs to another user"):
        ensure_key_file(tmp_path / "keys")


def test_key_file_may_be_a_link(tmp_path: Path) -> None:
    """Clusters mount secrets as links; the file behind it counts."""
    ring = ensure_key_file(tmp_path / "keys")
    (tmp_path / "link").symlink_to(tmp_path / "keys")

    assert ensure_key_file(tmp_path / "link").ids == ring.ids


def test_new_key_goes_in_front_of_the_file(tmp_path: Path) -> None:
    """A rotation keeps the old keys, and the file's mode."""
    old = ensure_key_file(tmp_path / "keys")
    ring = add_key_to_file(tmp_path / "keys")

    assert ring.ids[1:] == old.ids
    assert read_key_file(tmp_path / "keys").ids == ring.ids
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o600


def test_a_followed_ring_knows_what_its_file_holds_now(tmp_path: Path) -> None:
    """Another process puts a key in front: this one opens what the new key sealed, and seals with it."""
    file = tmp_path / "keys"
    first = ensure_key_file(file)
    followed = FollowedKeyRing(file, read_key_file)
    sealed = followed.encrypt(b"before", aad="a")

    second = add_key_to_file(file)

    assert followed.decrypt(second.encrypt(b"after", aad="a"), aad="a") == b"after"
    assert followed.decrypt(sealed, aad="a") == b"before"
    assert followed.ids == second.ids == (second.ids[0], *first.ids)
    assert not second.needs_rotation(followed.encrypt(b"new", aad="a"))
    assert followed.needs_rotation(sealed)


@pytest.mark.parametrize("content", [None, "", "no ring"])
def test_a_followed_ring_outlives_a_broken_file(tmp_path: Path, content: str | None) -> None:
    """A file that is gone or no ring leaves the process with the keys that it has; a good one is taken again."""
    file = tmp_path / "keys"
    ring = ensure_key_file(file)
    followed = FollowedKeyRing(file, read_key_file)
    if content is None:
        file.unlink()
    else:
        file.write_text(content)

    assert ring.decrypt(followed.encrypt(b"x", aad="a"), aad="a") == b"x"

    file.unlink(missing_ok=True)
    assert followed.ids == ring.ids
    fresh = ensure_key_file(file)
    assert followed.ids == fresh.ids
