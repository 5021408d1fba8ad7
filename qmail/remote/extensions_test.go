package remote

import (
	"errors"
	"io"
	"strings"
	"testing"
)

// parametersOf returns the MAIL command that a message and envelope get from a
// host that offers some extensions, or the result that ends the delivery.
func parametersOf(offer, message string, d *Delivery) string {
	if d.Message == nil {
		d.Message = strings.NewReader(message)
	}
	x := newExchange(d)
	x.s = &Session{extensions: parseExtensions(Reply{Text: "250-hi\n" + offer})}
	x.partner = "IP"
	got, res := x.parameters()
	if res != nil {
		return string(res.letter) + res.text
	}
	return got
}

func TestParameters(t *testing.T) {
	const (
		all  = "250-SIZE 1000\n250-8bitmime\n250 SMTPUTF8\n"
		none = "250 HELP\n"
		no   = "DConnected to IP but server does not support internationalized email addresses.\n"
	)
	latin := "Subject: \xe4\n\nx\n"
	header := "Subject: ä\n\nx\n"
	body := "Subject: a\n\nä\n"
	for _, test := range []struct {
		name    string
		offer   string
		message string
		utf8    bool
		sender  string
		want    string
	}{
		{"nothing offered", none, body, false, "s@x", ""},
		{"all offered, nothing needed", all, "a\n\nb\n", true, "s@x", " SIZE=8"},
		{"8 bits", all, body, false, "s@x", " SIZE=18 BODY=8BITMIME"},
		{"8 bits, not offered", "250 SIZE\n", body, false, "s@x", " SIZE=18"},
		{"8 bits in the body need no SMTPUTF8", all, body, true, "s@x", " SIZE=18 BODY=8BITMIME"},
		{"UTF-8 in the header", all, header, true, "s@x", " SIZE=18 BODY=8BITMIME SMTPUTF8"},
		{"the same, switched off", all, header, false, "s@x", " SIZE=18 BODY=8BITMIME"},
		{"the same, not offered", none, header, true, "s@x", no},
		{"Latin-1 in the header is nobody's UTF-8", none, latin, true, "s@x", ""},
		{"UTF-8 in an address", all, "a\n", true, "ä@x", " SIZE=3 SMTPUTF8"},
		{"the same, not offered", "250 8BITMIME\n", "a\n", true, "ä@x", no},
		{"the same, switched off", none, "a\n", false, "ä@x", ""},
	} {
		d := &Delivery{Sender: test.sender, Recipients: []string{"r@y"}}
		d.Config.SMTPUTF8 = test.utf8
		if got := parametersOf(test.offer, test.message, d); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

// TestMessageFromPipe: what cannot be read twice is sent as it comes.
func TestMessageFromPipe(t *testing.T) {
	d := &Delivery{Sender: "s@x", Message: io.MultiReader(strings.NewReader("ä\n"))}
	if got := parametersOf("250-SIZE\n250 8BITMIME\n", "", d); got != "" {
		t.Errorf("got %q", got)
	}
}

// TestFields: header fields go out in front of the message, which is whole
// although they were made of it.
func TestFields(t *testing.T) {
	s := append(script{"220 hi\r\n", "<", "250-hi\r\n250 SIZE\r\n"}, goodScript[3:]...)
	fields := func(sender string, message io.ReadSeeker) ([]byte, error) {
		text, err := io.ReadAll(message)
		return []byte("X-Seen: " + sender + " " + strings.TrimSpace(string(text)) + "\n"), err
	}
	d := &Delivery{Libraries: &Libraries{Fields: fields}, Config: Config{Signs: true}}
	output, read := converseWith(t, d, s, "body\n", "r@y")
	if want := "MAIL FROM:<s@x.example> SIZE=32\r\n"; !strings.Contains(read, want) {
		t.Errorf("the server read %q, want %q in it", read, want)
	}
	if want := "DATA\r\nX-Seen: s@x.example body\r\nbody\r\n.\r\n"; !strings.Contains(read, want) {
		t.Errorf("the server read %q, want %q in it; the output is %q", read, want, output)
	}
	d = &Delivery{Libraries: &Libraries{Fields: func(string, io.ReadSeeker) ([]byte, error) { return nil, errors.New("x") }}, Config: Config{Signs: true}}
	if output, _ := converseWith(t, d, goodScript[:3], "body\n", "r@y"); output != "ZUnable to sign message: x. (#4.3.0)\n" {
		t.Errorf("no fields to be had: %q", output)
	}
}

// TestPipelining: where it is offered everything as far as DATA goes out at
// once, and every recipient still gets his own answer.
func TestPipelining(t *testing.T) {
	const message = "x\n"
	begin := script{"220 hi\r\n", "<", "250-hi\r\n250 PIPELINING\r\n"}
	commands := script{"<", "<", "<", "<"} // all are there before anything is answered
	with := func(steps ...string) script { return append(append(append(script{}, begin...), commands...), steps...) }
	for _, test := range []struct {
		name       string
		script     script
		want, last string // the output, and how what the server read ends
	}{
		{"success", with("250 s\r\n250 a\r\n550 b\r\n354 go\r\n", ".", "250 ok\r\n"),
			"r\x00h192.0.2.1 does not like recipient.\nRemote host said: 550 b\n\x00K192.0.2.1 accepted message.\nRemote host said: 250 ok\n",
			"DATA\r\nx\r\n.\r\nQUIT\r\n"},
		{"sender", with("550 s\r\n503 a\r\n503 b\r\n503 d\r\n"),
			"DConnected to 192.0.2.1 but sender was rejected.\nRemote host said: 550 s\n", "DATA\r\nQUIT\r\n"},
		{"nobody", with("250 s\r\n450 a\r\n550 b\r\n503 d\r\n"),
			"s192.0.2.1 does not like recipient.\nRemote host said: 450 a\n\x00h192.0.2.1 does not like recipient.\nRemote host said: 550 b\n\x00DGiving up on 192.0.2.1.\n",
			"DATA\r\nQUIT\r\n"},
		{"nobody, but the host wants the message", with("250 s\r\n550 a\r\n550 b\r\n354 d\r\n", "<", "554 nobody\r\n"),
			"h192.0.2.1 does not like recipient.\nRemote host said: 550 a\n\x00h192.0.2.1 does not like recipient.\nRemote host said: 550 b\n\x00DGiving up on 192.0.2.1.\n",
			"DATA\r\n.\r\nQUIT\r\n"},
		{"DATA refused", with("250 s\r\n250 a\r\n250 b\r\n451 d\r\n"), "r\x00r\x00Z192.0.2.1 failed on DATA command.\nRemote host said: 451 d\n", "DATA\r\nQUIT\r\n"},
		{"lost", with("250 s\r\n250 a\r\n"), "r\x00ZConnected to 192.0.2.1 but connection died. (#4.4.2)\n", "DATA\r\n"},
	} {
		output, read := converse(t, test.script, message, "a@y", "b@y")
		if output != test.want || !strings.HasSuffix(read, test.last) {
			t.Errorf("%s: got %q, the server read %q; want %q, %q at the end", test.name, output, read, test.want, test.last)
		}
	}
}

// TestManyInFlight: more commands than may be under way at a time.
func TestManyInFlight(t *testing.T) {
	const recipients = 2 * most
	s := script{"220 hi\r\n", "<", "250-hi\r\n250 PIPELINING\r\n"}
	for left := 1 + recipients + 1; left > 0; left -= most {
		n := min(most, left)
		for range n {
			s = append(s, "<")
		}
		s = append(s, strings.Repeat("250 ok\r\n", n))
	}
	output, read := converse(t, append(s, ".", "250 ok\r\n"), "x\n", make([]string, recipients)...)
	if strings.Count(output, "r\x00") != recipients || !strings.HasSuffix(output, "K192.0.2.1 accepted message.\nRemote host said: 250 ok\n") {
		t.Errorf("got %q, the server read %q", output, read)
	}
}

func TestExtensions(t *testing.T) {
	s := Session{extensions: parseExtensions(Reply{Text: "250-SIZE hello\n250-size 5\n250-AUTH=LOGIN\n250-AUTH PLAIN x\n250- \n250\n250 8BITMIME \n"})}
	for keyword, want := range map[string]string{"SIZE": "5", "AUTH": "LOGIN PLAIN x", "8BITMIME": ""} {
		if got, ok := s.Extension(keyword); !ok || got != want {
			t.Errorf("%s: %q, %v", keyword, got, ok)
		}
	}
	if _, ok := s.Extension("HELLO"); ok || len(s.extensions) != 3 {
		t.Errorf("got %q", s.extensions)
	}
}

func TestXtext(t *testing.T) {
	if got, want := xtext("a b+c=d@e\x80"), "a+20b+2Bc+3Dd@e+80"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// FuzzExtensions: keywords hold no blanks and are in capitals.
func FuzzExtensions(f *testing.F) {
	f.Add("250-hi\n250 AUTH=LOGIN\n250-\n\n250 x y")
	f.Fuzz(func(t *testing.T, text string) {
		for keyword := range parseExtensions(Reply{Text: text}) {
			if strings.ContainsAny(keyword, " =\n") {
				t.Errorf("%q in %q", keyword, text)
			}
		}
	})
}
