package tcpto

import (
	"os"
	"path/filepath"
	"testing"
)

var (
	host  = [4]byte{192, 0, 2, 1}
	other = [4]byte{192, 0, 2, 2}
)

func emptyTable(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "lock"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, path), make([]byte, tableSize), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestBackOff(t *testing.T) {
	queue := emptyTable(t)
	const now, pid = 1e9, 0
	expect := func(when int64, skip, known bool) {
		t.Helper()
		if s, k := Skip(queue, host, when, pid); s != skip || k != known {
			t.Errorf("at %d: skip %v, known %v, want %v, %v", when-now, s, k, skip, known)
		}
	}
	expect(now, false, false)
	Timeout(queue, host, now)
	expect(now, false, true) // once is not enough
	Timeout(queue, host, now+119)
	expect(now+119, false, true) // too close to be a second one
	Timeout(queue, host, now+120)
	expect(now+120, true, true)
	expect(now+120+60*64-1, true, true)
	expect(now+120+60*64, false, true)
	if skip, _ := Skip(queue, host, now+120+60*64, 33); !skip {
		t.Error("the pause must differ from process to process")
	}
	Success(queue, other) // nobody we know
	Success(queue, host)
	expect(now+130, false, true)
	Timeout(queue, host, now+131) // the first again
	expect(now+131, false, true)
}

func TestFullTable(t *testing.T) {
	queue := emptyTable(t)
	for i := range records {
		Timeout(queue, [4]byte{10, 0, 0, byte(i)}, 1e9+int64(i)*1000)
	}
	// The record that is oldest by time and number of timeouts goes.
	Timeout(queue, [4]byte{10, 0, 0, 0}, 1e9+5000)
	Timeout(queue, host, 2e9)
	list, err := List(queue)
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != records || list[1].IP != host || list[0].Count != 2 {
		t.Errorf("got %v first", list[:3])
	}
}

func TestClear(t *testing.T) {
	for name, clear := range map[string]func(string){"Clear": func(q string) { _ = Clear(q) }, "Forget": Forget} {
		queue := emptyTable(t)
		Timeout(queue, host, 1e9)
		clear(queue)
		if list, err := List(queue); err != nil || list[0] != (Record{}) {
			t.Errorf("%s leaves %v, %v", name, list[0], err)
		}
	}
}

// TestNoTable: without the file, or with a damaged one, the mechanism is off.
func TestNoTable(t *testing.T) {
	queue := t.TempDir()
	Timeout(queue, host, 1e9)
	Success(queue, host)
	Forget(queue)
	if skip, known := Skip(queue, host, 1e9, 1); skip || known {
		t.Error("known without a table")
	}
	if _, err := List(queue); err == nil {
		t.Error("no error for a table that is not there")
	}
	queue = emptyTable(t)
	if err := os.Truncate(filepath.Join(queue, path), 7); err != nil {
		t.Fatal(err)
	}
	Timeout(queue, host, 1e9)
	if _, known := Skip(queue, host, 1e9, 1); known {
		t.Error("a record in a table without room")
	}
}
