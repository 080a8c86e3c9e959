"""Checks an export of the audit log with none of its own code: python3 verify.py DIRECTORY VERIFIER_KEY"""
import base64, datetime, hashlib, json, pathlib, sys, time

directory, vkey = pathlib.Path(sys.argv[1]), sys.argv[2]
sha = lambda data: hashlib.sha256(data).digest()

def root(hashes):  # RFC 6962, section 2.1
    if len(hashes) < 2:
        return hashes[0] if hashes else sha(b"")
    left = 1 << (len(hashes) - 1).bit_length() - 1
    return sha(b"\x01" + root(hashes[:left]) + root(hashes[left:]))

def path(kind, index, width):  # c2sp.org/tlog-tiles
    groups = [f"{index % 1000:03}"]
    while index := index // 1000:
        groups.insert(0, f"x{index % 1000:03}")
    return directory / "tile" / kind / ("/".join(groups) + ("" if width == 256 else f".p/{width}"))

def widths(count):
    return [256] * (count // 256) + ([count % 256] if count % 256 else [])

text, signatures = (directory / "checkpoint").read_text().split("\n\n")
origin, size, expected = text.split("\n")
name, key_id, key = vkey.split("+", 2)
assert name == origin, "the checkpoint is of another log"
lines = [line.split(" ") for line in signatures.splitlines() if line.startswith(f"\u2014 {name} ")]
ours = [base64.b64decode(line[2]) for line in lines]
ours = [signature[4:] for signature in ours if signature[:4].hex() == key_id]
assert ours, "the checkpoint is not signed by this key"
try:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    Ed25519PublicKey.from_public_bytes(base64.b64decode(key)[1:]).verify(ours[0], (text + "\n").encode())
except ImportError:
    print("the package cryptography is missing: the signature was not checked")

leaves, pruned, first_at, prunes = [], 0, 0, []
for index, width in enumerate(widths(int(size))):
    if pruned == len(leaves) and not path("entries", index, width).exists():  # its hashes stay
        tile = path("0", index, width).read_bytes()
        leaves += [tile[at:at + 32] for at in range(0, len(tile), 32)]
        pruned = len(leaves)
        continue
    bundle = path("entries", index, width).read_bytes()
    for _ in range(width):
        length = int.from_bytes(bundle[:2], "big")
        assert len(bundle) >= 2 + length, f"bundle {index} is cut"
        leaves.append(sha(b"\x00" + bundle[2:2 + length]))
        entry = json.loads(bundle[2:2 + length])
        first_at = first_at or entry["at_us"]
        if entry["action"] == "log.prune":
            prunes.append((len(leaves), entry["at_us"], entry["detail"]))
        bundle = bundle[2 + length:]
    assert not bundle, f"bundle {index} has too much"
def allows(number, at, said):  # a log.prune behind what went, after its term, and what is kept follows within a day
    day, sealed = 86400e6, datetime.datetime.fromisoformat(said["sealed_up_to"].replace("Z", "+00:00")).timestamp() * 1e6
    is_due = said["months"] >= 24 and sealed + said["months"] * 30 * day <= min(at, time.time() * 1e6)
    return is_due and pruned <= said["last"] < number and first_at <= sealed + day

assert not pruned or any(allows(*each) for each in prunes), f"the first {pruned} entries are gone, and no entry allows it"
assert base64.b64encode(root(leaves)).decode() == expected, "the root is another one"

level, row = 0, leaves
while row:
    for index, width in enumerate(widths(len(row))):
        stored = path(str(level), index, width).read_bytes()
        assert stored == b"".join(row[256 * index:256 * index + width]), f"tile {level}/{index} is another one"
    level, row = level + 1, [root(row[256 * n:256 * n + 256]) for n in range(len(row) // 256)]
print(f"in order: {size} entries of {origin}, root {expected}" + (f"; the first {pruned} were pruned" if pruned else ""))
