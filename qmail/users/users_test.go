package users

import (
	"bytes"
	"os"
	"os/user"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/home"
)

const assign = "=joe:joe:1:2:/h:::\n=Joe:second:1:2:/h:::\n+joe-:joe:1:2:/h:-::\n+joe-List:list:3:4:/l:-:pre-:\n+:alias:5:6:/a:-::comment\n.\nignored\n"

// inHome makes the current directory a home with that users/assign.
func inHome(t *testing.T, text string) {
	t.Helper()
	t.Chdir(t.TempDir())
	if err := os.Mkdir("users", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("users/assign", []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestNewuAndFind(t *testing.T) {
	inHome(t, assign)
	if err := Newu(); err != nil {
		t.Fatal(err)
	}
	db := &Database{Path: "users/cdb"}
	for local, want := range map[string]string{
		"joe":        "joe|1|2|/h||",
		"JOE":        "joe|1|2|/h||", // the first of several entries counts
		"joe-x":      "joe|1|2|/h|-|x",
		"Joe-X-y":    "joe|1|2|/h|-|X-y",
		"joe-list-Z": "list|3|4|/l|-|pre--Z",
		"joex":       "alias|5|6|/a|-|joex",
		"":           "alias|5|6|/a|-|",
		"joe-":       "joe|1|2|/h|-|",
	} {
		data, found, err := db.Find(local)
		if got := strings.ReplaceAll(string(data), "\x00", "|"); err != nil || !found || got != want {
			t.Errorf("%q: got %q, %v, %v, want %q", local, got, found, err, want)
		}
	}
}

func state(t *testing.T, path string) version {
	t.Helper()
	st, err := fdio.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return versionOf(st)
}

// Whatever is kept of a database, what is there now is what is found.
func TestFindChanged(t *testing.T) {
	inHome(t, assign)
	db := &Database{Path: "users/cdb", now: func() time.Time { return time.Now().Add(time.Hour) }}
	look := func(want string) {
		t.Helper()
		for range 2 {
			data, found, err := db.Find("joe")
			if got, _, _ := strings.Cut(string(data), "\x00"); got != want || found != (want != "") || err != nil {
				t.Errorf("found %q, %v, want %q", got, err, want)
			}
		}
	}
	compile := func(user string) {
		t.Helper()
		if err := os.WriteFile("users/assign", []byte("=joe:"+user+":1:2:/h:::\n.\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := Newu(); err != nil {
			t.Fatal(err)
		}
	}
	look("")
	compile("joe")
	look("joe")
	compile("ann")
	look("ann")
	text, err := os.ReadFile("users/cdb")
	if err != nil {
		t.Fatal(err)
	}
	for before := state(t, "users/cdb"); state(t, "users/cdb") == before; { // the clock of files is coarse
		if err := os.WriteFile("users/cdb", bytes.Replace(text, []byte("ann"), []byte("bob"), 1), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	look("bob")
	if err := os.Remove("users/cdb"); err != nil {
		t.Fatal(err)
	}
	look("")
}

func TestFindWithoutDatabase(t *testing.T) {
	t.Chdir(t.TempDir())
	if _, found, err := (&Database{Path: "cdb"}).Find("x"); found || err != nil {
		t.Errorf("missing: %v, %v", found, err)
	}
	for name, content := range map[string]string{"empty": "", "short": "abc", "zeros": strings.Repeat("\x00", 2048), "garbage": strings.Repeat("\xff", 4096)} {
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, found, err := (&Database{Path: name}).Find("x"); found || err == nil {
			t.Errorf("%s: found %v, error %v, want an error", name, found, err)
		}
	}
}

func TestNewuRefuses(t *testing.T) {
	for _, text := range []string{
		"=joe:joe:1:2:/h:::\n",       // no last line
		"=joe:joe:1:2:/h:::",         // no newline
		"=joe:joe:1:2:/h::\n.\n",     // too few colons
		"=joe\n.\n",                  // none
		":joe:1:2:/h:::\n.\n",        // no name
		"=j\x00e:joe:1:2:/h:::\n.\n", // a NUL
		"\n.\n",
	} {
		inHome(t, text)
		if err := os.WriteFile("users/cdb", []byte("old"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := Newu(); err != errFormat {
			t.Errorf("%q: got %v, want %v", text, err, errFormat)
		}
		if old, _ := os.ReadFile("users/cdb"); string(old) != "old" {
			t.Errorf("%q: the old database is gone", text)
		}
	}
}

func TestGetpw(t *testing.T) {
	me, err := user.Current()
	if err != nil {
		t.Skip("no account for this uid: ", err)
	}
	uid, _ := strconv.Atoi(me.Uid)
	st, err := os.Stat(me.HomeDir)
	if uid == 0 || err != nil || !st.IsDir() {
		t.Skip("needs an ordinary account with a home")
	}
	got, code := Getpw(strings.ToUpper(me.Username)+"-Ext-x", home.Private())
	if want := record2(me, "-", "Ext-x"); code != 0 || got != want {
		t.Errorf("got %q, %d, want %q", got, code, want)
	}
}

func record2(u *user.User, dash, ext string) string {
	return strings.Join([]string{u.Username, u.Uid, u.Gid, u.HomeDir, dash, ext, ""}, "\x00")
}

func TestRootGetsNoMailByName(t *testing.T) {
	got, code := Getpw("root-x", home.Private())
	if code == 0 && !strings.HasPrefix(got, "alias\x00") {
		t.Errorf("got %q, want alias", got)
	}
}

func TestPw2u(t *testing.T) {
	uid := strconv.Itoa(os.Getuid() + 1)
	passwd := "root:x:0:0::/root:/bin/sh\nalias:x:" + uid + ":7::/a:/bin/true\nJoe:x:" + uid + ":7::/j:/bin/sh\nann:x:" + uid + ":7::/n:/bin/sh\nshort:x\n"
	users := func(p *Pw2u, files map[string]string) string {
		t.Helper()
		t.Chdir(t.TempDir())
		if err := os.Mkdir("users", 0o755); err != nil {
			t.Fatal(err)
		}
		for name, text := range files {
			if err := os.WriteFile("users/"+name, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		var out bytes.Buffer
		if err := p.Run(strings.NewReader(passwd), &out); err != nil {
			return err.Error()
		}
		return strings.ReplaceAll(out.String(), ":"+uid+":7:", ":U:G:")
	}
	alias := "+:alias:U:G:/a:-::\n=alias:alias:U:G:/a:::\n+alias-:alias:U:G:/a:-::\n"
	ann := "=ann:ann:U:G:/n:::\n+ann-:ann:U:G:/n:-::\n"
	for _, test := range []struct {
		name  string
		p     Pw2u
		files map[string]string
		want  string
	}{
		{"plain", Pw2u{Homes: IgnoreHomes, Break: "-", Dash: "-"}, nil, alias + ann + ".\n"},
		{"capitals", Pw2u{Homes: IgnoreHomes, Break: "-", Dash: "-", AllowCaps: true}, nil, alias + "=Joe:Joe:U:G:/j:::\n+Joe-:Joe:U:G:/j:-::\n" + ann + ".\n"},
		{"no break, slash", Pw2u{Homes: IgnoreHomes, Dash: "-/"}, nil, "+:alias:U:G:/a:-/::\n=alias:alias:U:G:/a:::\n=ann:ann:U:G:/n:::\n.\n"},
		{"exclude", Pw2u{Homes: IgnoreHomes, Break: "-", Dash: "-"}, map[string]string{"exclude": "ann\n"}, alias + ".\n"},
		{"include without alias", Pw2u{Homes: IgnoreHomes, Break: "-", Dash: "-"}, map[string]string{"include": "ann\n"}, "unable to find alias user"},
		{"names, subusers, append", Pw2u{Homes: IgnoreHomes, Break: "-", Dash: "-"},
			map[string]string{"mailnames": "ann:a::b\n", "subusers": "sub:ann:pre:\nnoend:ann:x\n", "append": "raw\n"},
			alias + "=a:ann:U:G:/n:::\n+a-:ann:U:G:/n:-::\n=b:ann:U:G:/n:::\n+b-:ann:U:G:/n:-::\n" +
				"=sub:ann:U:G:/n:-:pre:\n+sub-:ann:U:G:/n:-:pre-:\nraw\n.\n"},
		{"unknown subuser", Pw2u{Homes: IgnoreHomes, Break: "-", Dash: "-"}, map[string]string{"subusers": "s:nobody:\n"}, "unable to find nobody user for subuser"},
		{"homes missing", Pw2u{Break: "-", Dash: "-"}, nil, "unable to find alias user"},
		{"stop", Pw2u{Homes: StopOnMissing}, nil, "unable to stat /a"},
	} {
		if got := users(&test.p, test.files); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

func FuzzAssign(f *testing.F) {
	f.Add(assign)
	f.Add("+:::::::\n.")
	f.Fuzz(func(t *testing.T, text string) {
		out, err := os.Create(t.TempDir() + "/cdb")
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		if compile(strings.NewReader(text), out) != nil {
			return
		}
		for line := range strings.Lines(text) {
			name, _, _ := strings.Cut(line, ":")
			if strings.HasPrefix(line, ".") || name == "" || name[0] == '+' {
				break
			}
			if _, found, err := find(out, name[1:]); !found || err != nil {
				t.Errorf("%q: %q is not found: %v", text, name[1:], err)
			}
		}
	})
}

func FuzzDamagedDatabase(f *testing.F) {
	f.Add([]byte{}, "x")
	f.Add(make([]byte, 2048), "joe")
	f.Fuzz(func(t *testing.T, data []byte, local string) {
		result, _, err := find(bytes.NewReader(data), local)
		if err == nil && len(result) > len(data)+len(local) {
			t.Errorf("%d bytes of data from %d", len(result), len(data))
		}
	})
}
