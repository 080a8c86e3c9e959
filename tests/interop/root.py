"""The root of a whole export, from the bytes of its entries alone: python3 root.py DIRECTORY"""
import base64, hashlib, pathlib, sys

directory, leaves = pathlib.Path(sys.argv[1]), []
sha = lambda data: hashlib.sha256(data).digest()

def root(hashes):  # RFC 6962, section 2.1
    if len(hashes) < 2:
        return hashes[0] if hashes else sha(b"")
    left = 1 << (len(hashes) - 1).bit_length() - 1
    return sha(b"\x01" + root(hashes[:left]) + root(hashes[left:]))

origin, size, expected = (directory / "checkpoint").read_text().split("\n\n")[0].split("\n")
for index in range(-(-int(size) // 256)):  # c2sp.org/tlog-tiles: tile/entries/x001/234, 256 entries each
    name, width = f"{index % 1000:03}", min(256, int(size) - 256 * index)
    while index := index // 1000:
        name = f"x{index % 1000:03}/{name}"
    bundle = (directory / "tile/entries" / (name if width == 256 else f"{name}.p/{width}")).read_bytes()
    while bundle:
        end = 2 + int.from_bytes(bundle[:2], "big")
        leaves.append(sha(b"\x00" + bundle[2:end]))
        bundle = bundle[end:]
assert len(leaves) == int(size) and base64.b64encode(root(leaves)).decode() == expected, "another root"
print(f"in order: {size} entries of {origin} have the root {expected}")
