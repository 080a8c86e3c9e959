"""The root of an export by the package pymerkle: python3 merkle.py DIRECTORY"""
import base64, pathlib, sys

from pymerkle import InmemoryTree

directory = pathlib.Path(sys.argv[1])
origin, size, expected = (directory / "checkpoint").read_text().split("\n\n")[0].split("\n")
tree = InmemoryTree(algorithm="sha256")
for index in range((int(size) + 255) // 256):
    width = min(256, int(size) - 256 * index)
    assert index < 1000, "this example reads 256,000 entries at most"
    name = f"{index:03}" + ("" if width == 256 else f".p/{width}")
    bundle = (directory / "tile" / "entries" / name).read_bytes()
    while bundle:
        length = int.from_bytes(bundle[:2], "big")
        tree.append_entry(bundle[2:2 + length])
        bundle = bundle[2 + length:]
assert tree.get_size() == int(size), "another number of entries"
assert base64.b64encode(tree.get_root()).decode() == expected, "pymerkle finds another root"
print(f"pymerkle agrees: {size} entries of {origin}")
