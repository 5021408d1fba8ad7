package cdb

import (
	"bytes"
	"fmt"
	"os"
	"testing"
)

func build(t testing.TB, pairs [][2]string) []byte {
	t.Helper()
	f, err := os.Create(t.TempDir() + "/cdb")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w, err := NewWriter(f)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pairs {
		if err := w.Add([]byte(p[0]), []byte(p[1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestWriteAndFind(t *testing.T) {
	pairs := [][2]string{{"", "empty"}, {"a", "first"}, {"a", "second"}, {"nothing", ""}}
	for i := range 1000 {
		pairs = append(pairs, [2]string{fmt.Sprint("key", i), fmt.Sprint("value", i)})
	}
	db := bytes.NewReader(build(t, pairs))
	seen := map[string]bool{}
	for _, p := range pairs {
		if seen[p[0]] {
			continue // the first of equal keys is found
		}
		seen[p[0]] = true
		data, found, err := Find(db, []byte(p[0]))
		if err != nil || !found || string(data) != p[1] {
			t.Errorf("%q: got %q, %v, %v, want %q", p[0], data, found, err, p[1])
		}
	}
	if _, found, err := Find(db, []byte("no such key")); found || err != nil {
		t.Errorf("a key that is not there: %v, %v", found, err)
	}
}

// TestLayout compares a small database with one made by hand from the
// format's description.
func TestLayout(t *testing.T) {
	db := build(t, [][2]string{{"a", "b"}})
	if want := headerSize + 8 + 2 + 2*8; len(db) != want {
		t.Fatalf("%d bytes, want %d", len(db), want)
	}
	if got := string(db[headerSize : headerSize+10]); got != "\x01\x00\x00\x00\x01\x00\x00\x00ab" {
		t.Errorf("record %q", got)
	}
	h := uint32(5381)*33 ^ 'a'
	table := int(h % 256)
	// A table without slots points to where it would be.
	for i, want := range map[int]string{0: "\x0a\x08\x00\x00\x00\x00\x00\x00", table: "\x0a\x08\x00\x00\x02\x00\x00\x00"} {
		if got := string(db[i*8 : i*8+8]); got != want && i != table || i == table && got != want {
			t.Errorf("table %d: %q, want %q", i, got, want)
		}
	}
}

func FuzzFind(f *testing.F) {
	good := build(f, [][2]string{{"a", "b"}, {"key", "data"}})
	f.Add(good, []byte("a"))
	f.Add([]byte{}, []byte{})
	f.Add(bytes.Repeat([]byte{0xff}, 4096), []byte("x"))
	f.Fuzz(func(t *testing.T, db, key []byte) {
		data, found, err := Find(bytes.NewReader(db), key)
		if found && err == nil && len(data) > len(db) {
			t.Errorf("%d bytes of data from a file of %d", len(data), len(db))
		}
	})
}
