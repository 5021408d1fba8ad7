package smtpd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/reqmail/reqmail/compat/environ"
)

// program makes an executable file and returns its path.
func program(t *testing.T, script string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestParseAuth(t *testing.T) {
	check := program(t, "")
	for _, test := range []struct {
		name       string
		operands   []string
		env        environ.List
		mechanisms string // announced; empty: none
		required   bool
		plain      string // what checks a password, with its arguments
		cram       string
		host       string
	}{
		{"plain qmail", nil, nil, "", false, "", "", ""},
		{"operands alone", []string{check, "true"}, nil, "LOGIN PLAIN", false, check + " true", check + " true", ""},
		{"off", []string{check, "true"}, environ.List{"SMTPAUTH=-"}, "", false, "", "", ""},
		{"empty", []string{check, "true"}, environ.List{"SMTPAUTH="}, "LOGIN PLAIN", false, check + " true", check + " true", ""},
		{"cram", []string{check, "true"}, environ.List{"SMTPAUTH=cram"}, "CRAM-MD5", false, check + " true", check + " true", ""},
		{"all", []string{check, "true"}, environ.List{"SMTPAUTH=+cram"}, "LOGIN PLAIN CRAM-MD5", false, check + " true", check + " true", ""},
		{"required", []string{check, "true"}, environ.List{"SMTPAUTH=!"}, "LOGIN PLAIN", true, check + " true", check + " true", ""},
		{"required, all", []string{check, "true"}, environ.List{"SMTPAUTH=!+cram"}, "LOGIN PLAIN CRAM-MD5", true, check + " true", check + " true", ""},
		{"submission", []string{check, "true"}, environ.List{"SUBMISSION=1", "SMTPAUTH=1"}, "LOGIN PLAIN", true, check + " true", check + " true", ""},
		{"required, without a checker", nil, environ.List{"REQUIRE_AUTH=1"}, "", true, "", "", ""},
		{"required, but not", nil, environ.List{"REQUIRE_AUTH=0"}, "", false, "", "", ""},
		{"required by name", []string{check, "true"}, environ.List{"REQUIRE_AUTH=1"}, "LOGIN PLAIN", true, check + " true", check + " true", ""},
		{"host in front", []string{"mx.example", check, "/bin/true"}, nil, "LOGIN PLAIN CRAM-MD5", false, check + " /bin/true", check + " /bin/true", "mx.example"},
		{"checker by PATH", []string{"checkpassword", check}, nil, "LOGIN PLAIN", false, "checkpassword " + check, "checkpassword " + check, ""},
		{"two checkers", []string{"/q/smtp_auth", "/q/true", "/q/cmd5checkpw", "/q/true"}, environ.List{"SMTPAUTH=1"}, "LOGIN PLAIN CRAM-MD5", false, "/q/smtp_auth /q/true", "/q/cmd5checkpw /q/true", ""},
		{"two checkers by PATH", []string{"smtp_auth", "true", "cmd5checkpw", "true"}, nil, "LOGIN PLAIN CRAM-MD5", false, "smtp_auth true", "cmd5checkpw true", ""},
		{"checker with options", []string{"/q/check", "-s", "smtp", "--", "true"}, nil, "LOGIN PLAIN", false, "/q/check -s smtp -- true", "/q/check -s smtp -- true", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := ParseAuth(test.operands, test.env.Lookup)
			if a.Offered() != (test.mechanisms != "") || a.Offered() && a.mechanisms() != test.mechanisms {
				t.Errorf("offered %v: %q, want %q", a.Offered(), a.mechanisms(), test.mechanisms)
			}
			if a.required != test.required || a.host != test.host {
				t.Errorf("required %v, host %q; want %v, %q", a.required, a.host, test.required, test.host)
			}
			if plain, cram := strings.Join(a.plain, " "), strings.Join(a.cram, " "); plain != test.plain || cram != test.cram {
				t.Errorf("checkers %q and %q, want %q and %q", plain, cram, test.plain, test.cram)
			}
		})
	}
}

// converse runs a session with AUTH and returns the replies behind the
// greeting, what was reported, and how long the client was kept waiting.
func converse(t *testing.T, operands []string, env environ.List, input string) (replies string, reports []string, waited time.Duration) {
	t.Helper()
	p := &pipe{Reader: strings.NewReader(input)}
	s := NewSession(testConfig(t), environ.List(os.Environ()).With(stranger...).With(env...), p)
	s.UseAuth(ParseAuth(operands, s.lookup), func(line string) { reports = append(reports, line) })
	s.pause = func(d time.Duration) { waited += d }
	s.Serve()
	_, replies, _ = strings.Cut(p.String(), "\r\n")
	return replies, reports, waited
}

func TestAuthReplies(t *testing.T) {
	yes, no := program(t, "cat <&3 >/dev/null"), program(t, "cat <&3 >/dev/null; exit 1")
	for _, test := range []struct {
		name     string
		operands []string
		mode     string
		input    string
		want     string
	}{
		{"not configured", nil, "", "AUTH PLAIN AGEAYg==\r\n", replyUnknown},
		{"no checker", nil, "SMTPAUTH=1", "AUTH PLAIN AGEAYg==\r\n", replyAuthNone},
		{"switched off", []string{yes}, "SMTPAUTH=-", "AUTH PLAIN AGEAYg==\r\n", replyAuthNone},
		{"plain", []string{yes}, "", "AUTH PLAIN AGEAYg==\r\n", replyAuthOK},
		{"mechanism's case", []string{yes}, "", "auth plain AGEAYg==\r\n", replyAuthOK},
		{"plain, asked", []string{yes}, "", "AUTH PLAIN\r\nAGEAYg==\r\n", "334 \r\n" + replyAuthOK},
		{"plain, wrong", []string{no}, "", "AUTH PLAIN AGEAYg==\r\n", replyAuthFailed},
		{"plain, two fields", []string{yes}, "", "AUTH PLAIN YQBi\r\n", replyAuthInput},
		{"plain, four fields", []string{yes}, "", "AUTH PLAIN AGEAYgBj\r\n", replyAuthInput},
		{"plain, no password", []string{yes}, "", "AUTH PLAIN AGEA\r\n", replyAuthInput},
		{"login", []string{yes}, "", "AUTH LOGIN\r\nYQ==\r\nYg==\r\n", "334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n" + replyAuthOK},
		{"login with user", []string{yes}, "", "AUTH LOGIN YQ==\r\nYg==\r\n", "334 UGFzc3dvcmQ6\r\n" + replyAuthOK},
		{"login, empty password", []string{yes}, "", "AUTH LOGIN YQ==\r\n\r\n", "334 UGFzc3dvcmQ6\r\n" + replyAuthInput},
		{"cancelled", []string{yes}, "", "AUTH LOGIN\r\n*\r\n", "334 VXNlcm5hbWU6\r\n" + replyAuthCancel},
		{"cram not offered", []string{yes}, "", "AUTH CRAM-MD5\r\n", replyAuthType},
		{"unknown", []string{yes}, "", "AUTH GSSAPI\r\n", replyAuthType},
		{"in a transaction", []string{yes}, "", "MAIL FROM:<a>\r\nAUTH PLAIN AGEAYg==\r\n", "250 ok\r\n" + replyAuthInMail},
		{"twice", []string{yes}, "", "AUTH PLAIN AGEAYg==\r\nAUTH PLAIN AGEAYg==\r\n", replyAuthOK + "\r\n" + replyAuthTwice},
		{"crash", []string{program(t, "cat <&3 >/dev/null; kill -9 $$")}, "", "AUTH PLAIN AGEAYg==\r\n", replyAuthChild},
		{"no such program", []string{"/no/such/checker"}, "", "AUTH PLAIN AGEAYg==\r\n", replyAuthStart},
		{"required", []string{yes}, "SMTPAUTH=!", "MAIL FROM:<a>\r\nAUTH PLAIN AGEAYg==\r\nMAIL FROM:<a>\r\nRCPT TO:<b@elsewhere.example>\r\n",
			replyAuthRequired + "\r\n" + replyAuthOK + "\r\n250 ok\r\n250 ok"},
		{"offered", []string{yes}, "SMTPAUTH=+cram", "EHLO x\r\n", "250-me.example\r\n250-PIPELINING\r\n250-AUTH LOGIN PLAIN CRAM-MD5\r\n250-AUTH=LOGIN PLAIN CRAM-MD5\r\n250 8BITMIME"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var env environ.List
			if test.mode != "" {
				env = environ.List{test.mode}
			}
			if got, _, _ := converse(t, test.operands, env, test.input); got != test.want+"\r\n" {
				t.Errorf("got  %q\nwant %q", got, test.want+"\r\n")
			}
		})
	}
}

// TestAuthFailureIsReported: in one line, which the client's words cannot
// break, with its address; and the client waits.
func TestAuthFailureIsReported(t *testing.T) {
	no := program(t, "exit 1")
	_, reports, waited := converse(t, []string{no}, nil, "AUTH PLAIN AGEKIGZyb20gWzE5OC41MS4xMDAuMV0AYg==\r\n")
	want := "AUTH PLAIN failed for user a??from??198.51.100.1? from [192.0.2.1]"
	if len(reports) != 1 || reports[0] != want {
		t.Errorf("reported %q, want %q", reports, want)
	}
	if waited != 5*time.Second {
		t.Errorf("the client waited %v, want 5 s", waited)
	}
}

// TestCheckerProtocol: the bytes on descriptor 3.
func TestCheckerProtocol(t *testing.T) {
	seen := filepath.Join(t.TempDir(), "seen")
	check := program(t, "cat <&3 > "+seen)
	for _, test := range []struct {
		name     string
		operands []string
		mode     string
		input    string
		want     string // {C} is the challenge
	}{
		{"password", []string{check}, "SMTPAUTH=", "AUTH PLAIN AGpvZQBzZWNyZXQ=\r\n", "joe\x00secret\x00"},
		{"host in front", []string{"mx.example", check, "true"}, "SMTPAUTH=", "AUTH PLAIN AGpvZQBzZWNyZXQ=\r\n", "joe\x00secret\x00\x00"},
		{"CRAM-MD5", []string{check}, "SMTPAUTH=cram", "AUTH CRAM-MD5\r\nam9lIDAxMjM=\r\n", "joe\x000123\x00<"},
	} {
		t.Run(test.name, func(t *testing.T) {
			os.Remove(seen)
			converse(t, test.operands, environ.List{test.mode}, test.input)
			got, _ := os.ReadFile(seen)
			if string(got) != test.want && !(test.mode == "SMTPAUTH=cram" && strings.HasPrefix(string(got), test.want)) {
				t.Errorf("descriptor 3 has %q, want %q", got, test.want)
			}
		})
	}
}

// TestAuthReachesTheQueue: the queue program learns who it was.
func TestAuthReachesTheQueue(t *testing.T) {
	dir := t.TempDir()
	queue := program(t, `cat >/dev/null; cat <&1 >/dev/null; echo "$TCPREMOTEINFO,${RELAYCLIENT-unset}" > `+dir+`/env`)
	yes := program(t, "cat <&3 >/dev/null")
	t.Setenv("REQMAIL_HOME", dir)
	replies, _, _ := converse(t, []string{yes}, environ.List{"QMAILQUEUE=" + queue},
		"AUTH PLAIN AGpvZQBzZWNyZXQ=\r\nMAIL FROM:<a>\r\nRCPT TO:<b@elsewhere.example>\r\nDATA\r\n.\r\n")
	if !strings.Contains(replies, "354 go ahead\r\n250 ok ") {
		t.Fatalf("replies %q", replies)
	}
	if got, _ := os.ReadFile(dir + "/env"); string(got) != "joe,\n" {
		t.Errorf("TCPREMOTEINFO and RELAYCLIENT are %q, want %q", got, "joe,\n")
	}
}

func TestMailParameters(t *testing.T) {
	for arg, want := range map[string]parameters{
		"FROM:<a@b>":                              {},
		"FROM:<a@b> SIZE=12 BODY=8BITMIME":        {size: 12},
		"FROM:<a@b> size=12 smtputf8":             {size: 12, utf8: true},
		"FROM:<a@b> SIZE=-1":                      {},
		"FROM:<a@b> AUTH=joe+40x.example SIZE=1":  {size: 1, user: "joe@x.example"},
		"FROM:<a@b> AUTH=<>":                      {},
		"FROM:<a@b> AUTH=a+2Bb+4":                 {user: "a+b+4"},
		"FROM:<SIZE=9@b>":                         {},
		"FROM:<a@b> SIZE=99999999999999999999999": {size: 1<<64 - 1},
	} {
		if got := mailParameters(arg); got != want {
			t.Errorf("%q: got %+v, want %+v", arg, got, want)
		}
	}
}
