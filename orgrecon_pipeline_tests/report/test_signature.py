"""Signatures of reports: the format of ``ssh-keygen``, and nothing else counts."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orgrecon_pipeline.report.signature import NAMESPACE, BadSignature, PublicKey, SigningKey, signer_of
from orgrecon_pipeline_tests.support.report.signing_keys import (
    private_text,
    public_text,
    signing_key,
    ssh_keygen,
    write_keys,
)

KEY = signing_key()
CONTENT = "# Report\n\nnaïve\n".encode()


def keygen(*arguments: str | Path, content: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([ssh_keygen(), *map(str, arguments)], input=content, capture_output=True, check=False)


@pytest.mark.parametrize("content", [b"", b"x", CONTENT, b"\0\r\n" * 100_000], ids=["empty", "short", "text", "long"])
def test_signature_equals_that_of_ssh_keygen(content: bytes, tmp_path: Path) -> None:
    private, _ = write_keys(tmp_path)
    (tmp_path / "report").write_bytes(content)
    done = keygen("-q", "-Y", "sign", "-n", NAMESPACE.decode(), "-f", private, tmp_path / "report")
    assert done.returncode == 0, done.stderr
    assert KEY.sign(content) == (tmp_path / "report.sig").read_bytes()


def test_ssh_keygen_accepts_the_signature_and_refuses_another_text(tmp_path: Path) -> None:
    (tmp_path / "signers").write_bytes(b"orgrecon " + public_text("cluster"))
    (tmp_path / "sig").write_bytes(KEY.sign(CONTENT))
    verify = ("-Y", "verify", "-f", tmp_path / "signers", "-I", "orgrecon", "-n", NAMESPACE.decode(),
              "-s", tmp_path / "sig")
    assert keygen(*verify, content=CONTENT).returncode == 0
    assert keygen(*verify, content=CONTENT + b"\n").returncode != 0


def test_fingerprint_equals_that_of_ssh_keygen(tmp_path: Path) -> None:
    _, public = write_keys(tmp_path)
    assert KEY.public.fingerprint in keygen("-l", "-f", public).stdout.decode()


def test_signer_is_the_key_that_signed() -> None:
    other = signing_key("other")
    assert signer_of(CONTENT, KEY.sign(CONTENT)) == KEY.public == PublicKey.parse(public_text("cluster"))
    assert signer_of(CONTENT, other.sign(CONTENT)) == other.public != KEY.public


@settings(max_examples=300)
@given(st.data())
def test_signature_with_any_changed_byte_is_refused(data: st.DataObject) -> None:
    signature = KEY.sign(CONTENT)
    at = data.draw(st.integers(0, len(signature) - 1))
    byte = data.draw(st.integers(0, 255))
    changed = signature[:at] + bytes([byte]) + signature[at + 1 :]
    if changed == signature:
        return
    with pytest.raises(BadSignature):
        signer_of(CONTENT, changed)


@given(st.binary(max_size=400))
def test_arbitrary_bytes_are_no_signature(junk: bytes) -> None:
    with pytest.raises(BadSignature):
        signer_of(CONTENT, junk)


@given(st.binary(max_size=64), st.binary(max_size=64))
def test_signature_of_another_text_is_refused(text: bytes, other: bytes) -> None:
    if text == other:
        return
    with pytest.raises(BadSignature, match="does not match"):
        signer_of(text, KEY.sign(other))


@pytest.mark.parametrize("options", [("-n", "git"), ("-n", "orgrecon-report", "-O", "hashalg=sha256")])
def test_signature_for_another_purpose_is_refused(options: tuple[str, ...], tmp_path: Path) -> None:
    private, _ = write_keys(tmp_path)
    (tmp_path / "report").write_bytes(CONTENT)
    done = keygen("-q", "-Y", "sign", *options, "-f", private, tmp_path / "report")
    if b"hashalg" in done.stderr:
        pytest.skip("this ssh-keygen cannot choose the hash")
    with pytest.raises(BadSignature, match="not made for a report"):
        signer_of(CONTENT, (tmp_path / "report.sig").read_bytes())


def test_line_ends_that_git_changed_do_not_damage_a_signature() -> None:
    assert signer_of(CONTENT, KEY.sign(CONTENT).replace(b"\n", b"\r\n")) == KEY.public


@pytest.mark.parametrize(("options", "problem"), [
    (("-t", "rsa", "-b", "2048", "-N", ""), "not an Ed25519 key"),
    (("-t", "ecdsa", "-N", ""), "not an Ed25519 key"),
    (("-t", "ed25519", "-N", "passphrase"), "without a passphrase"),
])
def test_key_that_cannot_sign_is_refused_with_the_reason(
    options: tuple[str, ...], problem: str, tmp_path: Path
) -> None:
    assert keygen("-q", *options, "-f", tmp_path / "key").returncode == 0
    with pytest.raises(ValueError, match=problem):
        SigningKey.parse((tmp_path / "key").read_bytes())


@pytest.mark.parametrize("text", [b"", b"junk", public_text("cluster"), private_text("cluster")[:-60]])
def test_file_that_is_no_private_key_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match="not a private key in OpenSSH format") as refused:
        SigningKey.parse(text)
    assert refused.value.__cause__ is None


@pytest.mark.parametrize("text", [b"", b"junk", private_text("cluster"), b"ssh-ed25519 AAAA", b"ssh-dss AAAA"])
def test_file_that_is_no_public_key_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match="not a public key in OpenSSH format"):
        PublicKey.parse(text)


def test_private_key_is_in_no_representation() -> None:
    assert repr(KEY) == "SigningKey()"
