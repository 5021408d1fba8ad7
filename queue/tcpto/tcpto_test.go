package tcpto

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

var (
	host  = []byte{192, 0, 2, 1}
	other = []byte{192, 0, 2, 2}
	host6 = []byte{0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}
)

// emptyTables makes a queue directory with both tables.
func emptyTables(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "lock"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, size := range map[string]int{"tcpto": 64 * 16, "tcpto6": 64 * 28} {
		if err := os.WriteFile(filepath.Join(dir, "lock", name), make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// remove leaves a queue directory without one of the tables.
func remove(t *testing.T, queue, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(queue, "lock", name)); err != nil {
		t.Fatal(err)
	}
}

func TestBackOff(t *testing.T) {
	t.Run("IPv4", func(t *testing.T) { testBackOff(t, host, other) })
	t.Run("IPv6", func(t *testing.T) { testBackOff(t, host6, bytes.Repeat([]byte{9}, 16)) })
}

func testBackOff(t *testing.T, host, other []byte) {
	queue := emptyTables(t)
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
	queue := emptyTables(t)
	for i := range records {
		Timeout(queue, []byte{10, 0, 0, byte(i)}, 1e9+int64(i)*1000)
	}
	// The record that is oldest by time and number of timeouts goes.
	Timeout(queue, []byte{10, 0, 0, 0}, 1e9+5000)
	Timeout(queue, host, 2e9)
	list, err := List(queue)
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 2*records || !bytes.Equal(list[1].IP, host) || list[0].Count != 2 {
		t.Errorf("got %v first", list[:3])
	}
}

// TestLayout: the table of IPv4 hosts is shared with the C programs. Bytes
// that mean nothing to them stay.
func TestLayout(t *testing.T) {
	queue := emptyTables(t)
	name := filepath.Join(queue, "lock", "tcpto")
	raw := bytes.Repeat([]byte{0xee}, 64*16)
	for i := range 64 {
		raw[i*16+4] = 1
	}
	copy(raw[16:], host)
	if err := os.WriteFile(name, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	Success(queue, host)
	raw[20] = 0
	if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, raw) {
		t.Errorf("success: got %x, %v", got[16:32], err)
	}
	Timeout(queue, host, 0x01020304)
	copy(raw[16:], "\xc0\x00\x02\x01\x01\xee\xee\xee\x04\x03\x02\x01\xee\xee\xee\xee")
	if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, raw) {
		t.Errorf("timeout: got %x, %v", got[16:32], err)
	}
	// A count is a signed byte there: what is below 0 is no reason to skip.
	raw[20] = 200
	if err := os.WriteFile(name, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if skip, known := Skip(queue, host, 0x01020304, 0); skip || !known {
		t.Errorf("damaged: got skip %v, known %v", skip, known)
	}
}

func TestClear(t *testing.T) {
	for name, clear := range map[string]func(string){
		"Clear":  func(q string) { _ = Clear(q) },
		"Forget": Forget,
	} {
		for _, ip := range [][]byte{host, host6} {
			queue := emptyTables(t)
			Timeout(queue, ip, 1e9)
			clear(queue)
			list, err := List(queue)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range list {
				if r.Count != 0 || r.When != 0 {
					t.Errorf("%s leaves %v", name, r)
				}
			}
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
	if err := Clear(queue); err == nil {
		t.Error("a table that is not there can be cleared")
	}
	queue = emptyTables(t)
	if err := os.Truncate(filepath.Join(queue, "lock", "tcpto"), 7); err != nil {
		t.Fatal(err)
	}
	Timeout(queue, host, 1e9)
	if _, known := Skip(queue, host, 1e9, 1); known {
		t.Error("a record in a table without room")
	}
}

// TestNoIPv6Table: homes that qmail laid out have none, which is no error.
func TestNoIPv6Table(t *testing.T) {
	queue := emptyTables(t)
	remove(t, queue, "tcpto6")
	Timeout(queue, host6, 1e9)
	if _, known := Skip(queue, host6, 1e9, 1); known {
		t.Error("known without a table")
	}
	if list, err := List(queue); err != nil || len(list) != records {
		t.Errorf("got %d records, %v", len(list), err)
	}
	if err := Clear(queue); err != nil {
		t.Error(err)
	}
}
