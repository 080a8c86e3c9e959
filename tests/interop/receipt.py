"""Checks a receipt with none of its own code: python3 receipt.py ENTRY.json ENTRY.tlog-proof VERIFIER_KEY"""
import base64, hashlib, json, pathlib, sys

entry, receipt = (pathlib.Path(name).read_bytes() for name in sys.argv[1:3])
sha = lambda data: hashlib.sha256(data).digest()

def root(leaf, index, size, hashes):  # RFC 9162, section 2.1.3.2
    assert 0 <= index < size, "the tree has no such entry"
    node, last = sha(b"\x00" + leaf), size - 1
    for step in hashes:
        assert last > 0, "the proof is too long"
        if index % 2 or index == last:
            node = sha(b"\x01" + step + node)
            while index and not index % 2:
                index, last = index >> 1, last >> 1
        else:
            node = sha(b"\x01" + node + step)
        index, last = index >> 1, last >> 1
    assert last == 0, "the proof is too short"
    return node

head, text, signatures = receipt.decode().split("\n\n")
lines = head.split("\n")
assert lines.pop(0) == "c2sp.org/tlog-proof@v1", "this is no receipt"
opening = json.loads(base64.b64decode(lines.pop(0)[6:])) if lines[0].startswith("extra ") else None
index, hashes = int(lines.pop(0).removeprefix("index ")), [base64.b64decode(line) for line in lines]
origin, size, expected = text.split("\n")
assert root(entry, index, int(size), hashes) == base64.b64decode(expected), "the entry does not stand under this head"

name, key_id, key = sys.argv[3].split("+", 2)
assert name == origin, "the head is of another log"
ours = [base64.b64decode(line.split(" ")[2]) for line in signatures.splitlines() if line.startswith(f"\u2014 {name} ")]
ours = [signature[4:] for signature in ours if signature[:4].hex() == key_id]
assert ours, "the head is not signed by this key"
try:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    Ed25519PublicKey.from_public_bytes(base64.b64decode(key)[1:]).verify(ours[0], (text + "\n").encode())
except ImportError:
    print("the package cryptography is missing: the signature was not checked")
print(f"proven: entry {index + 1} of {size} of {origin}")

if opening and "items" in opening:  # the erasure of one contact on the page of a sweep
    page = json.loads(entry)["detail"]
    item = b"\x00".join([b"dsrd/sweep-item/v1", bytes.fromhex(opening["salt"]) + opening["case"].encode(), opening["contact"].encode()])
    proof = [base64.b64decode(line) for line in opening["proof"]]
    assert opening["items"] == page["items"] and root(sha(item), opening["index"], page["items"], proof).hex() == page["root"]
    print(f"proven: the erasure of contact {opening['contact']} was submitted as case {opening['case']}")
