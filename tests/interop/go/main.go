// Checks an export of the audit log with the packages by which the Go toolchain checks its own checksum database:
// interop DIRECTORY VERIFIER_KEY
package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "violated:", err)
		os.Exit(1)
	}
}

// files reads tiles from a directory. tlog-tiles leaves out the height of tiles, which is always 8, and calls the
// entries by their name.
type files string

func (directory files) Height() int { return 8 }

func (directory files) SaveTiles([]tlog.Tile, [][]byte) {}

func (directory files) path(tile tlog.Tile) string {
	path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
	return filepath.Join(string(directory), strings.Replace(path, "tile/data/", "tile/entries/", 1))
}

func (directory files) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var data [][]byte
	for _, tile := range tiles {
		content, err := os.ReadFile(directory.path(tile))
		if err != nil {
			return nil, err
		}
		data = append(data, content)
	}
	return data, nil
}

// entry is what of an entry says whether others may be gone.
type entry struct {
	Action string
	AtUs   int64 `json:"at_us"`
	Detail struct {
		Last, Months int64
		SealedUpTo   time.Time `json:"sealed_up_to"`
	}
}

// allows says up to which entry the one of this number lets others go: what lies before it and was sealed 24 months or
// more before. What is kept has to follow within a day.
func (prune entry) allows(number int64, firstKept time.Time) int64 {
	said, at := prune.Detail, time.UnixMicro(prune.AtUs)
	if at.After(time.Now()) {
		at = time.Now()
	}
	const day = 24 * time.Hour
	isDue := said.Months >= 24 && said.Months < 1200 && !said.SealedUpTo.Add(time.Duration(said.Months)*30*day).After(at)
	if prune.Action != "log.prune" || !isDue || said.Last >= number || firstKept.After(said.SealedUpTo.Add(day)) {
		return 0
	}
	return said.Last
}

func main() {
	directory := files(os.Args[1])
	verifier, err := note.NewVerifier(os.Args[2])
	must(err)
	signed, err := os.ReadFile(filepath.Join(string(directory), "checkpoint"))
	must(err)
	opened, err := note.Open(signed, note.VerifierList(verifier))
	must(err)
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != verifier.Name() {
		must(fmt.Errorf("not a checkpoint of this log"))
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	must(err)
	root, err := tlog.ParseHash(lines[2])
	must(err)
	tree := tlog.Tree{N: size, Hash: root}

	// The reader checks each tile against the root before it gives a hash out of it.
	hashes := tlog.TileHashReader(tree, directory)
	var pruned, allowed int64
	var firstKept time.Time
	for first := int64(0); first < size; first += 256 {
		width := min(256, size-first)
		bundle, err := os.ReadFile(directory.path(tlog.Tile{H: 8, L: -1, N: first / 256, W: int(width)}))
		if os.IsNotExist(err) && pruned == first {
			// Pruned entries are gone from the beginning on; their hashes are still proven against the root.
			pruned = first + width
			for index := first; index < pruned; index++ {
				leaf, err := hashes.ReadHashes([]int64{tlog.StoredHashIndex(0, index)})
				must(err)
				proof, err := tlog.ProveRecord(size, index, hashes)
				must(err)
				must(tlog.CheckRecord(proof, size, root, index, leaf[0]))
			}
			continue
		}
		must(err)
		for index := first; index < first+width; index++ {
			if len(bundle) < 2 || len(bundle) < 2+int(binary.BigEndian.Uint16(bundle)) {
				must(fmt.Errorf("entry %d is cut", index+1))
			}
			length := int(binary.BigEndian.Uint16(bundle))
			leaf := tlog.RecordHash(bundle[2 : 2+length])
			var read entry
			if json.Unmarshal(bundle[2:2+length], &read) == nil {
				if firstKept.IsZero() {
					firstKept = time.UnixMicro(read.AtUs)
				}
				allowed = max(allowed, read.allows(index+1, firstKept))
			}
			bundle = bundle[2+length:]
			proof, err := tlog.ProveRecord(size, index, hashes)
			must(err)
			if err := tlog.CheckRecord(proof, size, root, index, leaf); err != nil {
				must(fmt.Errorf("entry %d: %w", index+1, err))
			}
		}
		if len(bundle) != 0 {
			must(fmt.Errorf("the bundle of entry %d has too much", first+1))
		}
	}
	if pruned > allowed {
		must(fmt.Errorf("the first %d entries are gone, and no entry allows it", pruned))
	}
	for _, older := range []int64{1, size / 3, size - 1} {
		if older < 1 {
			continue
		}
		before, err := tlog.TreeHash(older, hashes)
		must(err)
		proof, err := tlog.ProveTree(size, older, hashes)
		must(err)
		must(tlog.CheckTree(proof, size, root, older, before))
	}
	fmt.Printf("in order: %d entries of %s", size, lines[0])
	if pruned > 0 {
		fmt.Printf("; the first %d were pruned", pruned)
	}
	fmt.Println()
}
