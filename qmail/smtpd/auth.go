package smtpd

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/reqmail/reqmail/compat/child"
	"github.com/reqmail/reqmail/compat/environ"
	"github.com/reqmail/reqmail/compat/fdio"
)

// Replies of AUTH (RFC 4954), in the words of the AUTH patches.
const (
	replyAuthOK       = "235 ok, go ahead (#2.0.0)"
	replyAuthPipe     = "454 oops, unable to open pipe and I can't auth (#4.3.0)"
	replyAuthStart    = "454 oops, child won't start and I can't auth (#4.3.0)"
	replyAuthWrite    = "454 oops, unable to write pipe and I can't auth (#4.3.0)"
	replyAuthChild    = "454 oops, problem with child and I can't auth (#4.3.0)"
	replyAuthCancel   = "501 auth exchange canceled (#5.0.0)"
	replyAuthInput    = "501 malformed auth input (#5.5.4)"
	replyAuthNone     = "503 auth not available (#5.3.3)"
	replyAuthTwice    = "503 you're already authenticated (#5.5.0)"
	replyAuthInMail   = "503 no auth during mail transaction (#5.5.0)"
	replyAuthType     = "504 auth type unimplemented (#5.5.1)"
	replyAuthRequired = "530 Authorization required (#5.7.1) "
	replyAuthFailed   = "535 authentication failed (#5.7.1)"
)

// guessPause is how long a client waits that gave wrong credentials.
const guessPause = 5 * time.Second

// Auth is what the command line and the environment say about SMTP AUTH. The
// zero value is: none.
type Auth struct {
	known    bool     // AUTH is a command at all
	host     string   // in CRAM-MD5's challenges; empty means our side of the connection
	plain    []string // checks a password; with the program it runs behind it
	cram     []string // checks a CRAM-MD5 digest
	padded   bool     // a third, empty field follows the password
	required bool     // no MAIL without

	plainOffered bool
	cramOffered  bool
}

// ParseAuth reads qmail-smtpd's operands, in every form that the deployed
// patches have:
//
//	checker program …                  with SMTPAUTH, the checkpassword protocol
//	host checker program …             the older form, with a name for challenges
//	checker true cram-checker true     Plesk's: one checker for each kind
//
// and the variable SMTPAUTH: "-" none, "cram" CRAM-MD5 alone, "+cram" CRAM-MD5
// too, a "!" in front: required; REQUIRE_AUTH and SUBMISSION require it as
// well. Without the variable AUTH is on where there are operands.
func ParseAuth(operands []string, lookup func(name string) (string, bool)) Auth {
	mode, set := lookup("SMTPAUTH")
	a := Auth{known: set || len(operands) > 0}
	if mode == "-" {
		return a
	}
	mode, a.required = strings.CutPrefix(mode, "!")
	for _, name := range []string{"REQUIRE_AUTH", "SUBMISSION"} {
		if value, ok := lookup(name); ok && value != "0" {
			a.required = true // also where nobody can: the port is for those who do
		}
	}
	if !a.known {
		return a
	}
	both := a.parseOperands(operands)
	switch {
	case mode == "cram":
		a.cramOffered = true
	case mode == "+cram":
		a.plainOffered, a.cramOffered = true, true
	default:
		a.plainOffered, a.cramOffered = true, both
	}
	return a
}

// parseOperands reports whether their form is one that goes with both kinds
// of mechanisms. Of two operands the first is the checker, whatever it is
// called: with a host in front nothing but the program behind the checker
// would be left to ask, and /bin/true lets everybody in.
func (a *Auth) parseOperands(operands []string) (both bool) {
	isTrue := func(i int) bool { return filepath.Base(operands[i]) == "true" }
	switch {
	case len(operands) == 4 && isTrue(1) && isTrue(3):
		a.plain, a.cram = operands[:2], operands[2:]
		return true
	case len(operands) > 2 && !strings.Contains(operands[0], "/") && isExecutable(operands[1]):
		a.host, a.padded = operands[0], true
		a.plain, a.cram = operands[1:], operands[1:]
		return true
	}
	a.plain, a.cram = operands, operands
	return false
}

func isExecutable(path string) bool {
	info, err := os.Stat(path)
	return strings.Contains(path, "/") && err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// Offered reports whether AUTH is announced.
func (a Auth) Offered() bool { return len(a.plain) > 0 && (a.plainOffered || a.cramOffered) }

// mechanisms are the offered ones, as in the reply to EHLO.
func (a Auth) mechanisms() string {
	var names []string
	if a.plainOffered {
		names = append(names, "LOGIN", "PLAIN")
	}
	if a.cramOffered {
		names = append(names, "CRAM-MD5")
	}
	return strings.Join(names, " ")
}

// UseAuth lets the session offer AUTH. report is told of each failure.
func (s *Session) UseAuth(a Auth, report func(line string)) { s.authorizer, s.report = a, report }

// credentials are what a client has shown.
type credentials struct {
	mechanism string
	user      string
	secret    string // password or digest
	challenge string // of CRAM-MD5
}

func (s *Session) auth(arg string) error {
	mechanism, initial, _ := strings.Cut(arg, " ")
	exchange := s.exchangeOf(strings.ToLower(mechanism))
	switch {
	case !s.authorizer.known:
		s.Reply(replyUnknown)
		return nil
	case !s.authorizer.Offered():
		s.Reply(replyAuthNone)
		return nil
	case s.user != "":
		s.Reply(replyAuthTwice)
		return nil
	case s.inMail:
		s.Reply(replyAuthInMail)
		return nil
	case s.mustTLS():
		s.Reply(replyMustTLS)
		return nil
	case exchange == nil:
		s.Reply(replyAuthType)
		return nil
	}
	c, refusal, err := exchange(strings.TrimSpace(initial))
	if err != nil {
		return err
	}
	if refusal == "" {
		refusal = s.authorizer.check(c, s.env)
	}
	if refusal != "" {
		s.refuseAuth(c, refusal)
		return nil
	}
	t := s.transaction()
	t.Mechanism, t.User = strings.ToLower(mechanism), c.user
	if refused, err := s.answered(s.filters.Auth(t)); refused {
		return err
	}
	s.user = c.user
	s.peer.RemoteInfo, s.peer.HasInfo = c.user, true
	s.setenv("TCPREMOTEINFO", c.user)
	s.mayRelay()
	s.Reply(replyAuthOK)
	return nil
}

// refuseAuth answers a failure. Who guesses has to wait.
func (s *Session) refuseAuth(c credentials, refusal string) {
	if refusal == replyAuthFailed {
		s.report("AUTH " + c.mechanism + " failed for user " + visible(c.user) + " from [" + s.peer.RemoteIP + "]")
		s.pause(guessPause)
	}
	s.Reply(refusal)
}

// visible keeps a client's words from looking like more than one.
func visible(s string) string {
	const longest = 100
	b := []byte(s[:min(len(s), longest)])
	for i, c := range b {
		if c <= ' ' || c > '~' || c == '[' || c == ']' {
			b[i] = '?'
		}
	}
	return string(b)
}

// exchange asks the client for what a mechanism needs. refusal is a reply.
type exchange func(initial string) (c credentials, refusal string, err error)

func (s *Session) exchangeOf(mechanism string) exchange {
	switch {
	case mechanism == "login" && s.authorizer.plainOffered:
		return s.authLogin
	case mechanism == "plain" && s.authorizer.plainOffered:
		return s.authPlain
	case mechanism == "cram-md5" && s.authorizer.cramOffered:
		return s.authCram
	}
	return nil
}

func (s *Session) authLogin(initial string) (c credentials, refusal string, err error) {
	c.mechanism = "LOGIN"
	if initial == "" {
		c.user, refusal, err = s.ask("334 VXNlcm5hbWU6")
	} else {
		c.user, refusal = decode(initial)
	}
	if err != nil || refusal != "" {
		return c, refusal, err
	}
	c.secret, refusal, err = s.ask("334 UGFzc3dvcmQ6")
	if err == nil && refusal == "" && (c.user == "" || c.secret == "") {
		refusal = replyAuthInput
	}
	return c, refusal, err
}

func (s *Session) authPlain(initial string) (c credentials, refusal string, err error) {
	c.mechanism = "PLAIN"
	text := ""
	if initial == "" {
		text, refusal, err = s.ask("334 ")
	} else {
		text, refusal = decode(initial)
	}
	if err != nil || refusal != "" {
		return c, refusal, err
	}
	fields := strings.Split(text, "\x00") // RFC 4616: authzid, user, password
	if len(fields) != 3 || fields[1] == "" || fields[2] == "" {
		return c, replyAuthInput, nil
	}
	c.user, c.secret = fields[1], fields[2]
	return c, "", nil
}

func (s *Session) authCram(initial string) (c credentials, refusal string, err error) {
	c.mechanism = "CRAM-MD5"
	if initial != "" {
		return c, replyAuthInput, nil // RFC 2195: the server begins
	}
	host := s.authorizer.host
	if host == "" {
		host = s.peer.Local
	}
	c.challenge = "<" + strconv.Itoa(os.Getpid()) + "." + strconv.FormatInt(time.Now().UnixNano(), 10) + "@" + host + ">"
	answer, refusal, err := s.ask("334 " + base64.StdEncoding.EncodeToString([]byte(c.challenge)))
	if err != nil || refusal != "" {
		return c, refusal, err
	}
	i := strings.LastIndexByte(answer, ' ')
	if i <= 0 || i == len(answer)-1 {
		return c, replyAuthInput, nil
	}
	c.user, c.secret = answer[:i], answer[i+1:]
	return c, "", nil
}

// ask sends a prompt and decodes the client's line.
func (s *Session) ask(prompt string) (text, refusal string, err error) {
	s.Reply(prompt)
	line, err := s.Line()
	if err != nil {
		return "", "", err
	}
	if line == "*" {
		return "", replyAuthCancel, nil
	}
	text, refusal = decode(line)
	return text, refusal, nil
}

// decode decodes base64; nothing may be left of it but something must be.
func decode(line string) (text, refusal string) {
	b, err := base64.StdEncoding.DecodeString(line)
	if err != nil || len(b) == 0 {
		return "", replyAuthInput
	}
	return string(b), ""
}

// check asks the checker. It returns a reply unless the credentials are good.
func (a Auth) check(c credentials, env environ.List) (refusal string) {
	if strings.Contains(c.user, "\x00") || strings.Contains(c.secret, "\x00") {
		return replyAuthInput
	}
	if c.challenge == "" {
		fields := c.user + "\x00" + c.secret + "\x00"
		if a.padded {
			fields += "\x00"
		}
		return runChecker(a.plain, fields, env)
	}
	refusal = runChecker(a.cram, c.user+"\x00"+c.secret+"\x00"+c.challenge+"\x00", env)
	if refusal == replyAuthFailed && strings.HasPrefix(filepath.Base(a.cram[0]), "cmd5checkpw") {
		// Its older releases take the challenge first.
		return runChecker(a.cram, c.user+"\x00"+c.challenge+"\x00"+c.secret+"\x00", env)
	}
	return refusal
}

// runChecker runs a checkpassword program with the fields on descriptor 3.
func runChecker(argv []string, fields string, env environ.List) (refusal string) {
	r, w, err := fdio.Pipe()
	if err != nil {
		return replyAuthPipe
	}
	cmd := child.Command{Path: argv[0], Args: argv, Env: env, Find: true, Files: []fdio.FD{0, 1, 2, r}}
	pid, err := cmd.Start()
	r.Close()
	if err != nil {
		w.Close()
		return replyAuthStart
	}
	_, writeErr := w.WriteString(fields)
	w.Close()
	end, err := child.Wait(pid)
	switch {
	case writeErr != nil && err == nil && end.Exited() && end.ExitStatus() != 0:
		return replyAuthFailed // it did not want to know more
	case writeErr != nil:
		return replyAuthWrite
	case err != nil || !end.Exited():
		return replyAuthChild
	case end.ExitStatus() != 0:
		return replyAuthFailed
	}
	return ""
}
