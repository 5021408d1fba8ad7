package system

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"
)

// browser is a headless Chromium with one page, told what to do over its
// debugging pipe: lines of JSON that end in NUL.
type browser struct {
	t       *testing.T
	to      *os.File
	answers chan map[string]any
	session string
	last    int
}

// startBrowser skips where there is no chromium.
func startBrowser(t *testing.T) *browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed")
	}
	profile := t.TempDir()
	cmd := exec.Command(path, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
		"--user-data-dir="+profile, "--remote-debugging-pipe", "about:blank")
	cmd.Env = append(os.Environ(), "HOME="+profile)
	theirs, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	from, mine, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.ExtraFiles = []*os.File{theirs, mine}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, _ = theirs.Close(), mine.Close()
	b := &browser{t: t, to: to, answers: make(chan map[string]any, 100)}
	go b.listen(from)
	t.Cleanup(func() {
		b.call("Browser.close", nil)
		_ = cmd.Wait() // how it ends does not matter
		_ = to.Close()
	})
	b.session = b.attach()
	return b
}

// listen hands on what answers a command; events are not of interest.
func (b *browser) listen(from *os.File) {
	defer close(b.answers)
	in := bufio.NewReader(from)
	for {
		line, err := in.ReadBytes(0)
		if err != nil {
			return
		}
		var answer map[string]any
		if json.Unmarshal(line[:len(line)-1], &answer) == nil && answer["id"] != nil {
			b.answers <- answer
		}
	}
}

// call runs one command of the DevTools protocol.
func (b *browser) call(method string, params map[string]any) map[string]any {
	b.t.Helper()
	b.last++
	request := map[string]any{"id": b.last, "method": method, "params": params}
	if params == nil {
		request["params"] = map[string]any{}
	}
	if b.session != "" {
		request["sessionId"] = b.session
	}
	text, err := json.Marshal(request)
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.to.Write(append(text, 0)); err != nil {
		b.t.Fatal(err)
	}
	timeout := time.After(time.Minute)
	for {
		select {
		case answer, ok := <-b.answers:
			if !ok {
				return nil // it has ended
			}
			if answer["id"] != float64(b.last) {
				continue
			}
			if answer["error"] != nil {
				b.t.Fatalf("%s: %v", method, answer["error"])
			}
			result, _ := answer["result"].(map[string]any)
			return result
		case <-timeout:
			b.t.Fatalf("%s: no answer", method)
		}
	}
}

// attach begins a session with a new page.
func (b *browser) attach() string {
	target := b.call("Target.createTarget", map[string]any{"url": "about:blank"})
	session := b.call("Target.attachToTarget", map[string]any{"targetId": target["targetId"], "flatten": true})
	return fmt.Sprint(session["sessionId"])
}

// eval evaluates an expression in the page.
func (b *browser) eval(expression string) any {
	b.t.Helper()
	answer := b.call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true})
	if answer["exceptionDetails"] != nil {
		b.t.Fatalf("%s: %v", expression, answer["exceptionDetails"])
	}
	result, _ := answer["result"].(map[string]any)
	return result["value"]
}

// resize makes the page that big.
func (b *browser) resize(width, height int) {
	b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500})
}

// picture writes the page to a file, if the variable REQMAIL_PICTURES names a
// folder for people to look at.
func (b *browser) picture(name string) {
	folder := os.Getenv("REQMAIL_PICTURES")
	if folder == "" {
		return
	}
	shot := b.call("Page.captureScreenshot", map[string]any{"format": "png"})
	text, _ := shot["data"].(string)
	data, err := base64.StdEncoding.DecodeString(text)
	if err == nil {
		err = os.WriteFile(folder+"/"+name+".png", data, 0o644)
	}
	if err != nil {
		b.t.Error(err)
	}
}
