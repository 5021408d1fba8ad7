// Package spf drives the built qmail-smtpd through the published test cases of
// SPF, with a name server that has their zones.
package spf

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/reqmail/reqmail/tests/host"
	"go.yaml.in/yaml/v3"
)

// suite is a document of a test suite.
type suite struct {
	Description string
	Tests       map[string]published
	Zone        map[string][]record `yaml:"zonedata"`
}

// published is a case of a suite.
type published struct {
	Helo, Host, MailFrom string
	Result               texts
	Explanation          string
	Skip                 string // why the library does not do it
}

// mail is the command. An empty local part must be quoted: what begins with
// "@" is a source route.
func (p published) mail() string {
	if strings.HasPrefix(p.MailFrom, "@") {
		return `MAIL FROM:<""` + p.MailFrom + ">"
	}
	return "MAIL FROM:<" + p.MailFrom + ">"
}

// results are ours, in the words of the SPF patch.
var results = map[string]string{"permerror": "unknown", "temperror": "error"}

// suites reads a file of the library's.
func suites(t *testing.T, file string) []suite {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "blitiri.com.ar/go/spf").Output()
	if err != nil || strings.TrimSpace(string(dir)) == "" {
		t.Skip("the module blitiri.com.ar/go/spf with its test data is not there (go mod download)")
	}
	f, err := os.Open(filepath.Join(strings.TrimSpace(string(dir)), "testdata", file))
	if err != nil {
		t.Skip("no test data: ", err)
	}
	defer f.Close()
	var list []suite
	for dec := yaml.NewDecoder(f); ; {
		var s suite
		err := dec.Decode(&s)
		if err == io.EOF {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, s)
	}
}

// layOut makes a home whose queue program keeps what it gets.
func layOut(t *testing.T) *host.Host {
	t.Helper()
	if os.Getenv(inside) == "" {
		t.Skip("needs unshare(1) and the right to use it")
	}
	bin, err := filepath.Abs("../../build/bin")
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	if err := host.LayOut(home, bin); err != nil {
		t.Fatal("the programs are not built (make build): ", err)
	}
	queue := "#!/bin/sh\nprintf '%s\\n' \"SPFRESULT=$SPFRESULT\" > " + home + "/queued.$$\ncat >> " + home + "/queued.$$\ncat <&1 > /dev/null\n"
	if err := os.WriteFile(home+"/queue-program", []byte(queue), 0o755); err != nil {
		t.Fatal(err)
	}
	h := host.New(home)
	h.Env = append(h.Env, "QMAILQUEUE="+home+"/queue-program", "TCPLOCALHOST=receiver.example", "TCPREMOTEHOST=client.example")
	if err := h.Control("spfexp", "DEFAULT\n"); err != nil {
		t.Fatal(err)
	}
	return h
}

// sessions are conversations with qmail-smtpd, by SPFBEHAVIOR and the client's
// address: a program for each case would take long.
type sessions struct {
	host *host.Host
	open map[string]*session
}

// session is a conversation with qmail-smtpd.
type session struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func (s *sessions) with(t *testing.T, behavior, ip string) *session {
	t.Helper()
	key := behavior + " " + ip
	if open, ok := s.open[key]; ok {
		return open
	}
	cmd := s.host.Command("qmail-smtpd")
	cmd.Env = append(slices.Clone(s.host.Env), "SPFBEHAVIOR="+behavior, "TCPREMOTEIP="+ip)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	open := &session{cmd, in, bufio.NewReader(out)}
	s.open[key] = open
	open.reply(t)
	return open
}

// close ends all conversations.
func (s *sessions) close() {
	for _, open := range s.open {
		_ = open.in.Close()
		_ = open.cmd.Wait()
	}
	clear(s.open)
}

// say gives a command and returns the last line of its reply.
func (s *session) say(t *testing.T, command string) string {
	t.Helper()
	if _, err := io.WriteString(s.in, command+"\r\n"); err != nil {
		t.Fatal(err)
	}
	return s.reply(t)
}

func (s *session) reply(t *testing.T) string {
	t.Helper()
	for {
		line, err := s.out.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if len(line) > 3 && line[3] != '-' {
			return strings.TrimSuffix(line, "\r\n")
		}
	}
}

// sent is what the queue program got from a client's message.
func (s *sessions) sent(t *testing.T, p published) (message string) {
	t.Helper()
	talk := s.with(t, "1", p.Host)
	talk.say(t, "EHLO "+p.Helo)
	talk.say(t, p.mail())
	talk.say(t, "RCPT TO:<you@demo.example>")
	talk.say(t, "DATA")
	reply := talk.say(t, "\r\n.")
	_, qp, ok := strings.Cut(reply, " qp ")
	if !ok {
		return reply
	}
	path := s.host.Path("queued." + qp)
	queued, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	return string(queued)
}

// refusal is the reply to a recipient of a client's message.
func (s *sessions) refusal(t *testing.T, p published) string {
	t.Helper()
	talk := s.with(t, "3", p.Host)
	talk.say(t, "EHLO "+p.Helo)
	talk.say(t, p.mail())
	return talk.say(t, "RCPT TO:<you@demo.example>")
}

// TestPublished: what RFC 7208's suite, another one, and the library's own say
// is what the queue program and the recipient are told. Cases that the library
// does not do by its own word may come out otherwise; those are counted.
func TestPublished(t *testing.T) {
	s := &sessions{layOut(t), map[string]*session{}}
	dns := serve(t)
	for _, file := range []string{"rfc7208-tests.yml", "blitirispf-tests.yml", "pyspf-tests.yml"} {
		t.Run(file, func(t *testing.T) {
			good, other := 0, 0
			for _, suite := range suites(t, file) {
				dns.load(suite.Zone)
				for name, p := range suite.Tests {
					problem := judge(t, s, p)
					switch {
					case problem == "":
						good++
					case p.Skip != "":
						other++
						t.Logf("%s: %s: %s: %s", suite.Description, name, p.Skip, problem)
					default:
						t.Errorf("%s: %s: %s", suite.Description, name, problem)
					}
				}
				s.close()
			}
			t.Logf("%d cases come out as published, %d otherwise", good, other)
		})
	}
}

// judge runs a case and says what is wrong.
func judge(t *testing.T, s *sessions, p published) (problem string) {
	t.Helper()
	message := s.sent(t, p)
	result, rest, _ := strings.Cut(strings.TrimPrefix(message, "SPFRESULT="), "\n")
	wanted := false
	for _, want := range p.Result {
		if ours, ok := results[want]; ok {
			want = ours
		}
		wanted = wanted || want == result
	}
	switch {
	case !wanted:
		return "got " + result + ", want one of " + strings.Join(p.Result, ", ")
	case !strings.Contains(rest, "\nReceived-SPF: "+result+" (receiver.example: "):
		return "no field for " + result + " in\n" + message
	case p.Explanation == "" || result != "fail":
		return ""
	}
	reply := s.refusal(t, p)
	if want := "550 " + p.Explanation + " (#5.7.1)"; reply != want {
		return "got " + reply + ", want " + want
	}
	return ""
}
