package newmrh

import (
	"os"
	"syscall"
	"testing"

	"github.com/reqmail/reqmail/compat/cdb"
)

// inHome makes control with these files the working directory's.
func inHome(t testing.TB, files map[string]string) {
	t.Helper()
	t.Chdir(t.TempDir())
	if err := os.Mkdir("control", 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile("control/"+name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func lookUp(t *testing.T, host string) bool {
	t.Helper()
	db, err := os.Open(database)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	data, ok, err := cdb.Find(db, []byte(host))
	if err != nil || len(data) > 0 {
		t.Fatalf("%q: %q, %v", host, data, err)
	}
	return ok
}

func TestCompile(t *testing.T) {
	inHome(t, map[string]string{"morercpthosts": "One.Example \t\n#two.example\n\n \t\n four.example\n.five.example\n" +
		"\x00six\nlast.example", "morercpthosts.cdb": "old", "morercpthosts.tmp": "left behind by a crash"})
	if err := Compile(); err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]bool{
		"one.example": true, "One.Example": false, // callers look up in lower case
		"#two.example": false, "two.example": false, "": false,
		" four.example": true, "four.example": false, // blanks before a host belong to it
		".five.example": true, "\x00six": true, "last.example": true,
	} {
		if lookUp(t, host) != want {
			t.Errorf("%q found: %v", host, !want)
		}
	}
	if _, err := os.Stat(temp); !os.IsNotExist(err) {
		t.Errorf("%s: %v", temp, err)
	}
}

func TestCompileErrors(t *testing.T) {
	mkdir := func(name string) func() error {
		return func() error { return os.Mkdir("control/"+name, 0o700) }
	}
	tests := []struct {
		name  string
		files map[string]string
		spoil func() error
		want  string
	}{
		{"missing", nil, func() error { return nil },
			"unable to read control/morercpthosts: file does not exist"},
		{"directory", nil, mkdir("morercpthosts"),
			"unable to read control/morercpthosts: is a directory"},
		{"temporary file", map[string]string{"morercpthosts": "a\n"}, mkdir("morercpthosts.tmp"),
			"unable to write to control/morercpthosts.tmp: is a directory"},
		{"database", map[string]string{"morercpthosts": "a\n"}, mkdir("morercpthosts.cdb"),
			"unable to move control/morercpthosts.tmp to control/morercpthosts.cdbis a directory"},
		{"disk full", map[string]string{"morercpthosts": "a\n"},
			func() error { return os.Symlink("/dev/full", temp) },
			"unable to write to control/morercpthosts.tmp: out of disk space"},
	}
	for _, test := range tests {
		inHome(t, test.files)
		if err := test.spoil(); err != nil {
			t.Fatal(err)
		}
		if err := Compile(); err == nil || err.Error() != test.want {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

func TestCompileKeepsOldDatabase(t *testing.T) {
	inHome(t, map[string]string{"morercpthosts.cdb": "old"})
	if Compile() == nil {
		t.Fatal("no error")
	}
	if data, err := os.ReadFile(database); err != nil || string(data) != "old" {
		t.Errorf("%q, %v", data, err)
	}
	var st syscall.Stat_t
	if syscall.Stat(temp, &st) != syscall.ENOENT {
		t.Error("temporary file without need")
	}
}

// FuzzParseLine: a host is never empty, a comment, or followed by blanks, and
// naming it again changes nothing.
func FuzzParseLine(f *testing.F) {
	for _, seed := range []string{"One.Example \t\n", "#x\n", "\n", " .x\x00Y"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		host, ok := parseLine(line)
		if !ok {
			return
		}
		again, ok := parseLine(host)
		if !ok || string(again) != string(host) || len(host) > len(line) {
			t.Fatalf("%q: %q, %q", line, host, again)
		}
	})
}
