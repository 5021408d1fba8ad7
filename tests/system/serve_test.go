package system

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/reqmail/reqmail/compat/steer"
	"github.com/reqmail/reqmail/tests/host"
)

// serving starts reqmail serve with that line in its control file, whose port
// is 0, and returns the port that it has found.
func (s *system) serving(line string) string {
	s.t.Helper()
	s.ok(s.Control("reqmailserve", line+"\n"))
	log, err := os.Create(s.Path("serve.log"))
	s.ok(err)
	cmd := s.Command("reqmail", "serve")
	cmd.Stderr = log
	s.ok(cmd.Start())
	s.t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil || s.t.Failed() {
			s.t.Errorf("reqmail serve ends: %v\n%s", err, s.read(s.Path("serve.log")))
		}
		_ = log.Close()
	})
	port := ""
	s.until("reqmail serve", func() bool {
		_, after, _ := strings.Cut(s.read(s.Path("serve.log")), "listening on 127.0.0.1:")
		number, _, ended := strings.Cut(after, "\n")
		port = number
		return ended
	})
	return port
}

func (s *system) token(args ...string) string {
	s.t.Helper()
	out, err := s.Run("", append([]string{"reqmail", "token", "add"}, args...)...)
	if err != nil {
		s.t.Fatal(err, out)
	}
	return strings.TrimSpace(out)
}

func TestServeNeedsItsFile(t *testing.T) {
	s := layOut(t)
	out, err := s.Run("", "reqmail", "serve")
	if err == nil || !strings.Contains(out, "there is no HTTP service") {
		t.Errorf("%v: %s", err, out)
	}
	s.ok(s.Control("reqmailserve", "0.0.0.0:8025\n"))
	if out, err := s.Run("", "reqmail", "serve"); err == nil || !strings.Contains(out, "certificate") {
		t.Errorf("beyond loopback without TLS: %v: %s", err, out)
	}
}

// TestServeCountsAsSpamExpertsDoes: the line that administrators use, on queued
// mail.
func TestServeCountsAsSpamExpertsDoes(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not installed")
	}
	s := start(t)
	s.waiting(3, "ann@a.example")
	s.waiting(1, "bob@b.example")
	url := "http://user:" + s.token("monitor") + "@127.0.0.1:" + s.serving("0")
	out, err := s.Run("", "sh", "-c", `curl -k -s "`+url+`/cgi-bin/api?call=api_get_delivery_queue&include_retry_time=False&frozen=false" | cut -d "," -f6 | sort | uniq -c | sort -nr | head -20`)
	if want := "3 ann@a.example 1 bob@b.example"; err != nil || strings.Join(strings.Fields(out), " ") != want {
		t.Errorf("%v:\n%s", err, out)
	}
}

func TestServeOverTLS(t *testing.T) {
	s := start(t)
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not installed")
	}
	out, err := s.Run("", "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
		"-keyout", s.Path("control/web.key"), "-out", s.Path("control/web.pem"))
	if err != nil {
		t.Fatal(err, out)
	}
	secret := s.token("--act", "ann")
	port := s.serving("127.0.0.1:0 web.pem web.key")
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} // a certificate of the test's own
	r, err := http.NewRequest("GET", "https://127.0.0.1:"+port+"/api/v1/status", nil)
	s.ok(err)
	r.Header.Set("Authorization", "Bearer "+secret)
	answer, err := client.Do(r)
	s.ok(err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != 200 || !strings.Contains(string(text), `"messages":0`) {
		t.Errorf("%v, %v: %s", err, answer.Status, text)
	}
	if plain, err := http.Get("http://127.0.0.1:" + port + "/"); err == nil {
		plain.Body.Close()
		if plain.StatusCode == 200 {
			t.Error("the page in the clear")
		}
	}
}

// TestPage: what an administrator does on the page happens to queued mail.
func TestPage(t *testing.T) {
	s := start(t)
	b := startBrowser(t)
	const evil = `"<img/src=x/onerror=window.evil=1>"@x.example`
	s.write("verdict", "111\n")
	s.write("alias/.qmail-verdict", "|echo '<b>greylisted</b>, come back later'; exit `cat "+s.Path("verdict")+"`\n")
	s.write("alias/.qmail-slow", "|sleep 30; exit 111\n")
	s.inject("Subject: <script>window.evil=1</script>\n\ntext\n", "-f", evil, "verdict@"+host.Name)
	for i := range 4 {
		s.inject(fmt.Sprintf("Subject: %d\n\ntext\n", i), "-f", "newsletter@shop.example", "verdict@"+host.Name)
	}
	// A conversation that is idle for long is ended: each look begins one.
	status := func() steer.Status {
		st, err := s.dial().Status()
		s.ok(err)
		return st
	}
	s.until("deferrals", func() bool { return status().Minute.Deferred == 5 })
	s.inject("Subject: slow\n\ntext\n", "-f", "ann@a.example", "slow@"+host.Name)
	port := s.serving(":0")
	secret := s.token("--act", "admin")

	b.resize(1280, 900)
	b.call("Page.navigate", map[string]any{"url": "http://127.0.0.1:" + port + "/"})
	s.until("the form", func() bool {
		return b.eval(`document.readyState === 'complete' && !!document.getElementById('enter') && !document.getElementById('enter').hidden`) == true
	})
	b.eval(`document.getElementById('token').value = 'wrong'; document.getElementById('enter').requestSubmit()`)
	s.until("a refusal", func() bool { return b.eval(`!document.getElementById('trouble').hidden`) == true })
	b.picture("enter")
	b.eval(`document.getElementById('token').value = '` + secret + `'; document.getElementById('enter').requestSubmit()`)
	s.until("the list", func() bool { return b.eval(`document.querySelectorAll('#rows tr').length`) == 6.0 })
	if url := fmt.Sprint(b.eval(`location.href`)); strings.Contains(url, secret) {
		t.Errorf("the token is in the address: %s", url)
	}
	s.until("the delivery under way", func() bool { return b.eval(`document.querySelectorAll('#live tr').length`) == 1.0 })
	b.picture("desktop")

	// Hostile text is text.
	text := fmt.Sprint(b.eval(`document.body.textContent`))
	if !strings.Contains(text, "onerror=window.evil=1") || !strings.Contains(text, "<b>greylisted</b>") {
		t.Errorf("text is not shown as it is: %s", text)
	}
	b.eval(`[...document.querySelectorAll('#rows tr')].find(r => r.textContent.includes('onerror')).querySelector('button.name').click()`)
	s.until("the header", func() bool {
		return strings.Contains(fmt.Sprint(b.eval(`document.getElementById('text').textContent`)), "<script>window.evil=1</script>")
	})
	b.picture("detail")
	if b.eval(`window.evil === undefined && document.querySelectorAll('img, #detail script').length === 0`) != true {
		t.Error("text of mail has become part of the page")
	}
	b.eval(`document.getElementById('close').click()`)

	// Inline script is not run, whatever gets into the document.
	b.eval(`{ const s = document.createElement('script'); s.textContent = 'window.inline = 1'; document.body.append(s); }`)
	if b.eval(`window.inline === undefined`) != true {
		t.Error("the policy lets inline script run")
	}

	// Filter, choose all, hold them with a reason.
	b.eval(`document.querySelector('#filter [name=sender]').value = '*@shop.example'; document.getElementById('filter').requestSubmit()`)
	s.until("the filter", func() bool { return b.eval(`document.querySelectorAll('#rows tr').length`) == 4.0 })
	b.eval(`document.getElementById('all').click()`)
	b.eval(`document.querySelector('[data-verb=hold]').click()`)
	s.until("the question", func() bool {
		return strings.HasPrefix(fmt.Sprint(b.eval(`document.getElementById('ask').open && document.getElementById('question').textContent`)), "Hold 4 messages?")
	})
	b.eval(`document.getElementById('reason').value = 'is this spam?'; 1`)
	b.picture("ask")
	b.eval(`document.getElementById('yes').click()`)
	s.until("four held messages", func() bool { return status().Held == 4 })
	s.until("their state", func() bool { return b.eval(`document.querySelectorAll('#rows .state.held').length`) == 4.0 })

	// One of them is removed.
	b.eval(`document.querySelector('#rows input').click(); document.querySelector('[data-verb=remove]').click()`)
	s.until("the question", func() bool { return b.eval(`document.getElementById('ask').open`) == true })
	b.eval(`document.getElementById('yes').click()`)
	s.until("its end", func() bool { return status().Held == 3 })

	// A suspension.
	b.eval(`document.querySelector('#newrule [name=which]').value = '*.slow.example'; document.getElementById('newrule').requestSubmit()`)
	s.until("the question", func() bool { return b.eval(`document.getElementById('ask').open`) == true })
	b.eval(`document.getElementById('yes').click()`)
	s.until("the order", func() bool { r, err := s.dial().Rules(); return err == nil && len(r) == 1 })
	s.until("its row", func() bool { return b.eval(`document.querySelectorAll('#rules tr').length`) == 1.0 })

	// On a telephone nothing is wider than the screen.
	b.resize(390, 844)
	b.call("Page.reload", nil)
	s.until("the list", func() bool { return b.eval(`document.querySelectorAll('#rows tr').length`) == 5.0 })
	if wide := b.eval(`document.documentElement.scrollWidth`); wide.(float64) > 390 {
		t.Errorf("the page is %v pixels wide", wide)
	}
	b.picture("telephone")
	b.eval(`document.getElementById('all').click(); document.getElementById('list-title').scrollIntoView()`)
	b.picture("telephone-list")
	b.eval(`document.querySelector('#rows button.name').click()`)
	s.until("the message", func() bool { return b.eval(`document.getElementById('detail').open`) == true })
	s.until("its header", func() bool { return b.eval(`document.getElementById('text').textContent !== ''`) == true })
	b.picture("telephone-detail")
	b.eval(`document.getElementById('close').click(); document.getElementById('leave').click()`)
	if b.eval(`sessionStorage.length === 0 && document.querySelectorAll('#rows tr').length === 0 && document.cookie === ''`) != true {
		t.Error("something stays when the token is forgotten")
	}
}
