"""Verifies with tools of others what Orderly signed, and signs for Orderly to verify.

Usage: interop.py DIRECTORY. Reads {order,statement,receipt}.json with their public keys, and targets.json, which the Rust
side of the test wrote; writes python-{order,statement,receipt}.json. Any difference ends it with a traceback.
Nothing of Orderly is used here: formats are written down again from the documents that describe them.
"""

import base64
import hashlib
import json
import pathlib
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import CryptoSigner, SSlibKey

TYPES = {
    "order": "application/vnd.orderly.order.v1+json",
    "statement": "application/vnd.in-toto+json",
    "receipt": "application/vnd.orderly.receipt.v1+json",
}


def pae(payload_type, payload):
    """DSSE protocol, version 1."""
    kind = payload_type.encode()
    return b" ".join([b"DSSEv1", str(len(kind)).encode(), kind, str(len(payload)).encode(), payload])


def spki(key):
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def key_id(key):
    return hashlib.sha256(spki(key)).hexdigest()


def instance_id(key):
    return "i-" + base64.b32encode(hashlib.sha256(spki(key)).digest()).decode().lower()[:26]


def merkle_root(leaves):
    """MTH of RFC 6962, section 2.1."""
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + merkle_root(leaves[:k]) + merkle_root(leaves[k:])).digest()


def verify_with_cryptography(envelope, key):
    payload = base64.b64decode(envelope["payload"], validate=True)
    message = pae(envelope["payloadType"], payload)
    [signature] = envelope["signatures"]
    assert signature["keyid"] == key_id(key), "key id"
    raw = base64.b64decode(signature["sig"], validate=True)
    key.verify(raw, message)
    try:
        key.verify(raw, message + b" ")
    except InvalidSignature:
        return payload
    raise AssertionError("a changed message verified")


def verify_with_securesystemslib(text, key):
    sslib = SSlibKey.from_crypto(key, keyid=key_id(key))
    envelope = Envelope.from_dict(json.loads(text))
    assert list(envelope.verify([sslib], 1)) == [key_id(key)]
    envelope.payload += b" "
    try:
        envelope.verify([sslib], 1)
    except VerificationError:
        return
    raise AssertionError("a changed payload verified")


def sign(directory, name, payload):
    """Signs with the key of that name; white space and the order of names are our own on purpose."""
    private = serialization.load_pem_private_key((directory / f"{name}.key.pem").read_bytes(), None)
    public = SSlibKey.from_crypto(private.public_key(), keyid=f"python's own label for {name}")
    body = json.dumps(payload, indent=2, sort_keys=True).encode()
    envelope = Envelope(body, TYPES[name], {})
    envelope.sign(CryptoSigner(private, public))
    (directory / f"python-{name}.json").write_text(json.dumps(envelope.to_dict(), indent=2))


def main(directory):
    payloads = {}
    for name, payload_type in TYPES.items():
        text = (directory / f"{name}.json").read_text()
        key = serialization.load_pem_public_key((directory / f"{name}.pub.pem").read_bytes())
        envelope = json.loads(text)
        assert envelope["payloadType"] == payload_type
        payloads[name] = json.loads(verify_with_cryptography(envelope, key))
        verify_with_securesystemslib(text, key)
        print(f"verified {name}")

    receipt_key = serialization.load_pem_public_key((directory / "receipt.pub.pem").read_bytes())
    assert payloads["receipt"]["instance"] == instance_id(receipt_key), "instance id"
    order = json.loads((directory / "order.json").read_text())
    message = pae(order["payloadType"], base64.b64decode(order["payload"]))
    assert payloads["receipt"]["order"] == "sha256:" + hashlib.sha256(message).hexdigest(), "order digest"
    print("verified instance id and order digest")

    instances = sorted(json.loads((directory / "targets.json").read_text()))
    leaves = [instance.encode() + b"\x00" + bytes(32) for instance in instances]
    targets = {"count": len(leaves), "root": "sha256:" + merkle_root(leaves).hex()}
    assert payloads["order"]["targets"] == targets, "targets"
    print("verified targets")

    for name, payload in payloads.items():
        sign(directory, name, payload)
        print(f"signed {name}")


main(pathlib.Path(sys.argv[1]))
