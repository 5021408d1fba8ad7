package showctl

import (
	"os"
	"strings"
	"testing"
	"time"
)

// show explains a control directory of these files; a name that ends with a
// slash is a directory.
func show(t *testing.T, files map[string]string) (string, bool) {
	t.Helper()
	home := t.TempDir()
	if err := os.Mkdir(home+"/control", 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		path, isDir := strings.CutSuffix(home+"/control/"+name, "/")
		err := os.WriteFile(path, []byte(text), 0o600)
		if isDir {
			err = os.Remove(path)
			if err == nil {
				err = os.Mkdir(path, 0o700)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(home)
	var out strings.Builder
	ok := Show(&out, home)
	return out.String(), ok
}

// defaults has "HOST-" before names that stand in where there is no me, and ME
// for what is said of me.
const defaults = `
badmailfrom: (Default.) Any MAIL FROM is allowed.

bouncefrom: (Default.) Bounce user name is MAILER-DAEMON.

bouncehost: (Default.) Bounce host name is HOST-bouncehost.

concurrencylocal: (Default.) Local concurrency is 10.

concurrencyremote: (Default.) Remote concurrency is 20.

databytes: (Default.) SMTP DATA limit is 0 bytes.

defaultdomain: (Default.) Default domain name is HOST-defaultdomain.

defaulthost: (Default.) Default host name is HOST-defaulthost.

doublebouncehost: (Default.) 2B recipient host: HOST-doublebouncehost.

doublebounceto: (Default.) 2B recipient user: postmaster.

envnoathost: (Default.) Presumed domain name is HOST-envnoathost.

helohost: (Default.) SMTP client HELO host name is HOST-helohost.

idhost: (Default.) Message-ID host name is HOST-idhost.

localiphost: (Default.) Local IP address becomes HOST-localiphost.

locals: (Default.) Messages for me are delivered locally.

me: ME

percenthack: (Default.) The percent hack is not allowed.

plusdomain: (Default.) Plus domain name is HOST-plusdomain.

qmqpservers: (Default.) No QMQP servers.

queuelifetime: (Default.) Message lifetime in the queue is 604800 seconds.

rcpthosts: (Default.) SMTP clients may send messages to any recipient.

morercpthosts: (Default.) No rcpthosts; morercpthosts is irrelevant.

morercpthosts.cdb: (Default.) No effect.

smtpgreeting: (Default.) SMTP greeting: 220 HOST-smtpgreeting.

smtproutes: (Default.) No artificial SMTP routes.

timeoutconnect: (Default.) SMTP client connection timeout is 60 seconds.

timeoutremote: (Default.) SMTP client data timeout is 1200 seconds.

timeoutsmtpd: (Default.) SMTP server data timeout is 1200 seconds.

virtualdomains: (Default.) No virtual domains.
`

func TestDefaults(t *testing.T) {
	withoutMe := strings.ReplaceAll(defaults, "HOST-", "")
	withoutMe = strings.Replace(withoutMe, "me: ME\n", "me: (Default.) My name is undefined! Uh-oh.\n", 1)
	if got, ok := show(t, nil); !ok || got != withoutMe {
		t.Errorf("without me: %s", got)
	}
	var want []string
	for line := range strings.Lines(defaults) {
		if before, _, ok := strings.Cut(line, "HOST-"); ok {
			line = before + "mx.example.\n"
		}
		want = append(want, strings.Replace(line, "ME\n", "My name is mx.example.\n", 1))
	}
	if got, ok := show(t, map[string]string{"me": "mx.example \n"}); !ok || got != strings.Join(want, "") {
		t.Errorf("with me: %s", got)
	}
}

func TestFiles(t *testing.T) {
	tests := []struct {
		name  string
		files map[string]string
		want  string // a part of the text
	}{
		{"line", map[string]string{"bouncehost": "a\xe4\x01b \t\nc"}, "\nbouncehost: Bounce host name is a??b.\n\n"},
		{"empty line is no default", map[string]string{"me": "x", "idhost": ""}, "\nidhost: Message-ID host name is .\n\n"},
		{"number", map[string]string{"databytes": "12x\n"}, "\ndatabytes: SMTP DATA limit is 12 bytes.\n\n"},
		{"no number", map[string]string{"concurrencylocal": "x1"}, "\nconcurrencylocal: (Default.) Local concurrency is 10.\n\n"},
		{"no sign", map[string]string{"timeoutsmtpd": "-1"}, "\ntimeoutsmtpd: (Default.) SMTP server data timeout is 1200 seconds.\n\n"},
		{"beyond an int", map[string]string{"queuelifetime": "4294967295"}, "\nqueuelifetime: Message lifetime in the queue is 0 seconds.\n\n"},
		{"list", map[string]string{"locals": " a \n#b\n #c\n\x00x\nd\x00e\n\n\t\nlast"},
			"\nlocals: \nMessages for  a are delivered locally.\nMessages for  #c are delivered locally.\n" +
				"Messages for d are delivered locally.\nMessages for e are delivered locally.\nMessages for last are delivered locally.\n\n"},
		{"empty list", map[string]string{"virtualdomains": "# none\n"}, "\nvirtualdomains: \n"},
		{"entries as they are", map[string]string{"smtproutes": ":relay\xff\n"}, "\nsmtproutes: \nSMTP route: :relay?\n\n"},
		{"unreadable line", map[string]string{"plusdomain/": ""}, "\nplusdomain: Oops! Trouble reading this file.\n\n"},
		{"unreadable number", map[string]string{"timeoutconnect/": ""}, "\ntimeoutconnect: Oops! Trouble reading this file.\n\n"},
		{"unreadable list", map[string]string{"badmailfrom/": ""}, "\nbadmailfrom: Oops! Trouble reading this file.\n\n"},
		{"unreadable rcpthosts are rcpthosts", map[string]string{"rcpthosts/": "", "morercpthosts": "m\n"},
			"\nmorercpthosts: \nSMTP clients may send messages to recipients at m.\n\n"},
		{"rcpthosts alone", map[string]string{"rcpthosts": "r\n"},
			"\nrcpthosts: \nSMTP clients may send messages to recipients at r.\n\nmorercpthosts: (Default.) No effect.\n\n"},
		{"morercpthosts alone", map[string]string{"morercpthosts": "m\n"},
			"\nmorercpthosts: \nNo rcpthosts; doesn't matter that morercpthosts has m.\n\n" +
				"morercpthosts.cdb: Oops! morercpthosts exists but morercpthosts.cdb doesn't.\n\n"},
		{"database alone", map[string]string{"morercpthosts.cdb": ""},
			"\nmorercpthosts.cdb: Oops! morercpthosts.cdb exists but morercpthosts doesn't.\n\n"},
		{"unknown", map[string]string{"defaultdelivery": "x"}, "\ndefaultdelivery: I have no idea what this file does.\n"},
		{"of a patch", map[string]string{"tlsminimum": "1.3"}, "\ntlsminimum: Lowest version of TLS to speak with clients and other hosts: 1.0, 1.1, 1.2 or 1.3.\n"},
		{"our own", map[string]string{"concurrencyspawn": "300"}, "\nconcurrencyspawn: Silent concurrency limit becomes 300.\n"},
	}
	for _, test := range tests {
		if got, ok := show(t, test.files); !ok || !strings.Contains(got, test.want) {
			t.Errorf("%s: %s", test.name, got)
		}
	}
}

func TestDatabaseAge(t *testing.T) {
	t.Chdir(t.TempDir())
	now := time.Now()
	for _, test := range []struct {
		age  time.Duration // of the database, compared with its source
		want string
	}{
		{0, "Modified recently enough; hopefully up to date.\n"},
		{-time.Hour, "Modified recently enough; hopefully up to date.\n"},
		{time.Hour, "Oops! morercpthosts.cdb is older than morercpthosts.\n"},
	} {
		for name, at := range map[string]time.Time{"morercpthosts": now, "morercpthosts.cdb": now.Add(-test.age)} {
			if err := os.WriteFile(name, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(name, at, at); err != nil {
				t.Fatal(err)
			}
		}
		if got := databaseState(); got != test.want {
			t.Errorf("%v: %q", test.age, got)
		}
	}
}

func TestTrouble(t *testing.T) {
	if got, ok := show(t, map[string]string{"me/": ""}); ok || got != "Oops! Trouble reading control/me." {
		t.Errorf("%q", got)
	}
	home := t.TempDir()
	t.Chdir(home)
	var out strings.Builder
	if Show(&out, home) || out.String() != "Oops! Unable to chdir to control.\n" {
		t.Errorf("%q", out.String())
	}
	out.Reset()
	if Show(&out, home+"/none") || out.String() != "Oops! Unable to chdir to "+home+"/none.\n" {
		t.Errorf("%q", out.String())
	}
}

// In a private home the accounts need not exist.
func TestHead(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root's home is never private, and the accounts may be missing")
	}
	home := t.TempDir()
	t.Setenv("REQMAIL_HOME", home)
	var out strings.Builder
	if err := Head(&out, home); err != nil {
		t.Fatal(err)
	}
	want := "qmail home directory: " + home + ".\nuser-ext delimiter: -.\npaternalism (in decimal): 2.\n" +
		"silent concurrency limit: 120.\nsubdirectory split: 23.\nuser ids: "
	if !strings.HasPrefix(out.String(), want) || strings.Count(out.String(), ", ") != 8 {
		t.Errorf("%q", out.String())
	}
}
