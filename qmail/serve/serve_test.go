package serve

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/reqmail/reqmail/compat/steer"
)

// fake is a queue in memory.
type fake struct {
	messages []steer.Message
	acts     []steer.Act
	rules    []steer.Rule
	flushed  int
}

func (f *fake) Close() error { return nil }

func (f *fake) Status() (steer.Status, error) {
	return steer.Status{Now: 5000, Messages: len(f.messages), Oldest: &steer.Name{ID: 1, Birth: 1000}, Remote: steer.ChannelStatus{Running: 2, Allowed: 20}}, nil
}

func (f *fake) List(q steer.Query, each func(steer.Message) error) (total int, err error) {
	for _, m := range f.messages {
		if !q.Filter.Match(&m, 5000) {
			continue
		}
		if total++; q.Limit > 0 && total > q.Limit {
			continue
		}
		m.Recipients = m.Recipients[:min(len(m.Recipients), steer.FewRecipients)]
		if err := each(m); err != nil {
			return 0, err
		}
	}
	return total, nil
}

func (f *fake) Show(name steer.Name) (steer.Message, error) {
	for _, m := range f.messages {
		if m.ID == name.ID && (name.Birth == 0 || name.Birth == m.Birth) {
			return m, nil
		}
	}
	return steer.Message{}, &steer.Error{Text: "no such message"}
}

func (f *fake) Live(each func(steer.Delivery) error) error {
	return each(steer.Delivery{Name: steer.Name{ID: 2, Birth: 1001}, Number: 1, Channel: steer.Remote, Sender: "ann@a.example", Recipient: "cat@c.example", Phase: steer.PhaseSending})
}

func (f *fake) Rules() ([]steer.Rule, error) { return f.rules, nil }

func (f *fake) Act(a steer.Act) (steer.Result, error) {
	f.acts = append(f.acts, a)
	return steer.Result{Touched: len(a.Names)}, nil
}

func (f *fake) AddRule(r steer.Rule, dry bool) (steer.Result, error) {
	if !dry {
		f.rules = append(f.rules, r)
	}
	return steer.Result{Touched: 1, Rule: 1}, nil
}

func (f *fake) CancelRule(n int, _ bool) (steer.Result, error) {
	if n != 1 {
		return steer.Result{}, &steer.Error{Text: "no such rule"}
	}
	return steer.Result{Touched: 1}, nil
}

func (f *fake) Flush(string, bool) (steer.Result, error) {
	f.flushed++
	return steer.Result{Touched: 3}, nil
}

func remoteTo(addresses ...string) (list []steer.Recipient) {
	for _, a := range addresses {
		list = append(list, steer.Recipient{Address: a, Channel: steer.Remote, Reason: "why " + a})
	}
	return list
}

// hostile is what a stranger may put into addresses and reasons.
const hostile = "<img src=x onerror=alert(1)>,\x1b[2J"

func messages() []steer.Message {
	list := []steer.Message{
		{Name: steer.Name{ID: 1, Birth: 1000}, State: steer.Deferred, Size: 100, Sender: "ann@a.example", Recipients: remoteTo("bob@b.example", "cat@c.example"), NextTry: 6000},
		{Name: steer.Name{ID: 2, Birth: 1001}, State: steer.Fresh, Size: 200, Sender: "bob@b.example", Recipients: remoteTo("cat@c.example")},
		{Name: steer.Name{ID: 3, Birth: 1002}, State: steer.Frozen, Size: 300, Recipients: remoteTo("ann@a.example")},
		{Name: steer.Name{ID: 4, Birth: 1003}, State: steer.Deferred, Size: 400, Sender: hostile + "@x.example", Recipients: remoteTo("dan@d.example"), Reason: hostile},
	}
	for i := range list {
		list[i].Count, list[i].Left = len(list[i].Recipients), len(list[i].Recipients)
		list[i].Remote = 1
	}
	return list
}

// service is a service over a fake queue, with tokens by name.
type testService struct {
	t       *testing.T
	queue   *fake
	url     string
	secrets map[string]string
	log     *bytes.Buffer
	nobody  bool
}

func start(t *testing.T) *testService {
	t.Helper()
	s := &testService{t: t, queue: &fake{messages: messages()}, secrets: map[string]string{}, log: &bytes.Buffer{}}
	tokens, err := OpenTokens(filepath.Join(t.TempDir(), "tokens"))
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range []Token{{Name: "reader"}, {Name: "root", Act: true}, {Name: "b", Act: true, Domains: []string{"b.example"}}} {
		if s.secrets[token.Name], err = tokens.Add(token, func(string) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	server := httptest.NewServer(Handler(Config{
		Tokens: tokens, Log: s.log,
		Open: func() (Queue, error) {
			if s.nobody {
				return nil, steer.ErrNobody
			}
			return s.queue, nil
		},
		Text: func(id uint64, _ int) ([]byte, error) {
			return fmt.Appendf(nil, "Subject: <script>%d</script>\n\nbody\n", id), nil
		},
		Ours: func(to steer.Recipient) bool { return !strings.HasSuffix(to.Address, "@c.example") },
		Host: func(to steer.Recipient) string { return "mx." + domainOf(to.Address) },
	}))
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// do makes a request with a token and returns status and body.
func (s *testService) do(token, method, path, body string, headers ...string) (int, string) {
	s.t.Helper()
	r, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+s.secrets[token])
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	if answer.Header.Get("Content-Security-Policy") != policy || answer.Header.Get("X-Content-Type-Options") != "nosniff" {
		s.t.Errorf("%s %s: headers %v", method, path, answer.Header)
	}
	return answer.StatusCode, string(text)
}

func TestWhoMayDoWhat(t *testing.T) {
	s := start(t)
	const hold = `{"verb":"hold","names":["1.1000"]}`
	for _, test := range []struct {
		token, method, path, body string
		want                      int
	}{
		{"", "GET", "/", "", 200},
		{"", "GET", "/api/v1/openapi.json", "", 200},
		{"", "GET", "/api/v1/messages", "", 401},
		{"", "GET", "/metrics", "", 401},
		{"unknown", "GET", "/api/v1/messages", "", 401},
		{"reader", "GET", "/api/v1/messages", "", 200},
		{"reader", "GET", "/api/v1/messages?sendr=x", "", 400}, // a filter misspelt is not no filter
		{"reader", "GET", "/api/v1/messages?limit=0", "", 400},
		{"reader", "GET", "/api/v1/messages?channel=odd", "", 400},
		{"reader", "GET", "/api/v1/messages?sender=a&sender=b", "", 400},
		{"reader", "GET", "/api/v1/messages/1", "", 200},
		{"reader", "GET", "/api/v1/messages/9", "", 404},
		{"reader", "GET", "/api/v1/messages/1.999", "", 404},
		{"reader", "GET", "/api/v1/messages/one", "", 400},
		{"reader", "GET", "/api/v1/messages/1/text", "", 400}, // a number alone may be another's at once
		{"reader", "GET", "/api/v1/messages/1.1000/text", "", 200},
		{"reader", "GET", "/api/v1/status", "", 200},
		{"reader", "GET", "/nothing", "", 404},
		{"reader", "POST", "/api/v1/acts", hold, 403},
		{"reader", "POST", "/api/v1/flush", `{}`, 403},
		{"reader", "DELETE", "/api/v1/rules/1", "", 403},
		{"root", "POST", "/api/v1/acts", hold, 200},
		{"root", "POST", "/api/v1/acts", `{"verb":"hold"}`, 400}, // everything must be asked for
		{"root", "POST", "/api/v1/acts", `{"verb":"hold","filter":{}}`, 200},
		{"root", "POST", "/api/v1/acts", `{"verb":"hold","filter":{},"names":["1.1000"]}`, 400},
		{"root", "POST", "/api/v1/acts", `{"verb":"hold","names":["1"]}`, 400},
		{"root", "POST", "/api/v1/acts", `{"verb":"list","filter":{}}`, 400},
		{"root", "POST", "/api/v1/acts", `{"verb":"hold","nams":["1.1000"]}`, 400},
		{"root", "POST", "/api/v1/acts", hold + hold, 400},
		{"root", "POST", "/api/v1/acts", `{"reason":"` + strings.Repeat("x", maxBody) + `"}`, 413},
		{"root", "POST", "/api/v1/rules", `{"verb":"suspend","destination":"b.example"}`, 200},
		{"root", "POST", "/api/v1/rules", `{"verb":"suspend"}`, 400},
		{"root", "DELETE", "/api/v1/rules/1?dry_run=true", "", 200},
		{"root", "DELETE", "/api/v1/rules/1?dryrun=true", "", 400},
		{"root", "DELETE", "/api/v1/rules/2", "", 422},
		{"root", "POST", "/api/v1/flush", `{"channel":"remote"}`, 200},
		{"b", "GET", "/api/v1/status", "", 403},
		{"b", "GET", "/api/v1/rules", "", 403},
		{"b", "GET", "/metrics", "", 403},
		{"b", "POST", "/api/v1/flush", `{}`, 403},
		{"b", "GET", "/api/v1/messages/1", "", 200},
		{"b", "GET", "/api/v1/messages/3", "", 404}, // others' mail does not exist
		{"b", "GET", "/api/v1/messages/3.1002/text", "", 404},
	} {
		if got, text := s.do(test.token, test.method, test.path, test.body); got != test.want {
			t.Errorf("%s: %s %s: %d, not %d: %s", test.token, test.method, test.path, got, test.want, text)
		}
	}
	if s.queue.flushed != 1 || len(s.queue.rules) != 1 {
		t.Errorf("flushed %d, rules %v", s.queue.flushed, s.queue.rules)
	}
	if !strings.Contains(s.log.String(), "reqmail serve: root: hold: touched 1, failed 0\n") {
		t.Errorf("log %q", s.log)
	}
}

func TestOtherSitesAndForms(t *testing.T) {
	s := start(t)
	const hold = `{"verb":"hold","names":["1.1000"]}`
	for name, headers := range map[string][]string{
		"another site":     {"Sec-Fetch-Site", "cross-site"},
		"another origin":   {"Origin", "https://evil.example"},
		"a form":           {"Content-Type", "application/x-www-form-urlencoded"},
		"text of a form":   {"Content-Type", "text/plain"},
		"basic":            {"Authorization", basic(s.secrets["root"])},
		"a token as query": {"Authorization", ""},
	} {
		if got, _ := s.do("root", "POST", "/api/v1/acts?token="+s.secrets["root"], hold, headers...); got < 400 {
			t.Errorf("%s: %d", name, got)
		}
	}
	if len(s.queue.acts) != 0 {
		t.Errorf("acts %v", s.queue.acts)
	}
}

func basic(secret string) string {
	r := httptest.NewRequest("GET", "/", nil)
	r.SetBasicAuth("anybody", secret)
	return r.Header.Get("Authorization")
}

func TestListAnswers(t *testing.T) {
	s := start(t)
	_, text := s.do("reader", "GET", "/api/v1/messages?limit=1&state=deferred", "")
	var list List
	if err := json.Unmarshal([]byte(text), &list); err != nil || len(list.Messages) != 1 || list.Total != 2 || list.Messages[0].Handle != "1.1000" {
		t.Errorf("%v in %s", err, text)
	}
	if _, text := s.do("reader", "GET", "/api/v1/messages?sender=nobody", ""); text != `{"messages":[],"total":0}`+"\n" {
		t.Errorf("an empty list: %s", text)
	}
	if _, text := s.do("reader", "GET", "/api/v1/messages/4", ""); strings.ContainsAny(text, "<\x1b") {
		t.Errorf("hostile bytes in JSON: %s", text)
	}
	if _, text := s.do("reader", "GET", "/api/v1/messages/1.1000/text", ""); text != "Subject: <script>1</script>\n" {
		t.Errorf("header: %q", text)
	}
	if _, text := s.do("reader", "GET", "/api/v1/messages/1.1000/text?part=all", ""); !strings.HasSuffix(text, "\n\nbody\n") {
		t.Errorf("text: %q", text)
	}
}

func TestTokenForADomain(t *testing.T) {
	s := start(t)
	_, text := s.do("b", "GET", "/api/v1/messages", "")
	var list List
	if err := json.Unmarshal([]byte(text), &list); err != nil || list.Total != 2 || len(list.Messages) != 2 {
		t.Fatalf("%v in %s", err, text)
	}
	if m := list.Messages[0]; len(m.Recipients) != 1 || m.Recipients[0].Address != "bob@b.example" || m.Count != 1 || m.Left != 1 {
		t.Errorf("recipients of other domains are seen: %+v", m)
	}
	if m := list.Messages[1]; len(m.Recipients) != 1 || m.Sender != "bob@b.example" {
		t.Errorf("the domain's own message: %+v", m)
	}
	// A filter must not tell about recipients that are not seen.
	if _, text := s.do("b", "GET", "/api/v1/messages?recipient=cat@*&sender=ann@*", ""); !strings.Contains(text, `"total":0`) {
		t.Errorf("a filter tells: %s", text)
	}
	if _, text := s.do("b", "GET", "/api/v1/deliveries", ""); text != `{"deliveries":[]}`+"\n" {
		t.Errorf("deliveries: %s", text)
	}
	for _, test := range []struct {
		body    string
		acted   []steer.Name
		failed  int
		touched int
	}{
		// Message 1 is for another domain too, message 3 for another alone.
		{`{"verb":"hold","names":["1.1000","2.1001","3.1002"]}`, []steer.Name{{ID: 2, Birth: 1001}}, 2, 1},
		{`{"verb":"hold","names":["2.999"]}`, nil, 1, 0},
		{`{"verb":"hold","filter":{}}`, []steer.Name{{ID: 2, Birth: 1001}}, 1, 1},
	} {
		s.queue.acts = nil
		_, text := s.do("b", "POST", "/api/v1/acts", test.body)
		var result steer.Result
		if err := json.Unmarshal([]byte(text), &result); err != nil || result.Failed != test.failed || result.Touched != test.touched {
			t.Errorf("%s: %v, %s", test.body, err, text)
		}
		var acted []steer.Name
		for _, a := range s.queue.acts {
			if a.Filter != nil || len(a.Names) == 0 {
				t.Errorf("%s: acts on %+v", test.body, a)
			}
			acted = append(acted, a.Names...)
		}
		if !slices.Equal(acted, test.acted) {
			t.Errorf("%s: acted on %v", test.body, acted)
		}
	}
}

// TestManyRecipients: a token acts on what is its own to the last recipient.
func TestManyRecipients(t *testing.T) {
	s := start(t)
	var many []string
	for i := range 30 {
		many = append(many, fmt.Sprintf("u%d@b.example", i))
	}
	own := steer.Message{Name: steer.Name{ID: 7, Birth: 7}, Recipients: remoteTo(many...), Left: 30, Count: 30, Remote: 1}
	other := steer.Message{Name: steer.Name{ID: 8, Birth: 8}, Recipients: remoteTo(append(many, "x@c.example")...), Left: 31, Count: 31, Remote: 1}
	s.queue.messages = []steer.Message{own, other}
	if _, text := s.do("b", "POST", "/api/v1/acts", `{"verb":"retry","names":["7.7","8.8"]}`); !strings.HasPrefix(text, `{"touched":1,"failed":1,`) {
		t.Error(text)
	}
	_, text := s.do("reader", "GET", "/cgi-bin/api?call=api_get_delivery_queue", "")
	if n := strings.Count(text, "\n"); n != 60 {
		t.Errorf("%d lines:\n%s", n, text)
	}
}

func TestNobodyListens(t *testing.T) {
	s := start(t)
	s.nobody = true
	if got, text := s.do("reader", "GET", "/api/v1/messages", ""); got != 503 || !strings.Contains(text, "qmail-send") {
		t.Errorf("%d: %s", got, text)
	}
	if got, text := s.do("reader", "GET", "/metrics", ""); got != 200 || !strings.Contains(text, "\nreqmail_up 0\n") {
		t.Errorf("%d: %s", got, text)
	}
}

func TestMetrics(t *testing.T) {
	s := start(t)
	_, text := s.do("", "GET", "/metrics", "", "Authorization", basic(s.secrets["reader"]))
	for _, want := range []string{
		"# TYPE reqmail_up gauge\nreqmail_up 1\n", "\nreqmail_queue_messages 4\n", "\nreqmail_queue_oldest_age_seconds 4000\n",
		"\nreqmail_deliveries_allowed{channel=\"remote\"} 20\n", "\nreqmail_recent_deferred{span=\"1h\"} 0\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

func TestSpamExperts(t *testing.T) {
	s := start(t)
	age := func(text string) string { // ages depend on the clock
		var out []string
		for line := range strings.Lines(text) {
			f := strings.Split(strings.TrimSuffix(line, "\n"), ",")
			for i := range f {
				if strings.Contains(f[i], ".100") && i+1 < len(f) {
					f[i+1] = "AGE"
				}
			}
			out = append(out, strings.Join(f, ","))
		}
		return strings.Join(out, "\n")
	}
	for _, test := range []struct{ query, want string }{
		{"call=api_get_delivery_queue&domain=b.example&include_retry_time=False", "b.example,mx.b.example,1.1000,AGE,100,ann@a.example,bob,False"},
		{"call=api_get_delivery_queue&domain=a.example", "a.example,mx.a.example,3.1002,AGE,300,,ann,True"},
		{"call=api_get_delivery_queue&domain=a.example&frozen=false", ""},
		{"call=api_get_delivery_queue&frozen=True", "a.example,mx.a.example,3.1002,AGE,300,,ann,True"},
		{"call=api_delivery_queue&domain=b.example&include_retry_time=True", "b.example\nmx.b.example,1.1000,AGE,100,ann@a.example,bob,False,6000"},
		{"call=api_get_outgoing_delivery_queue&include_retry_time=False&frozen=false",
			"a.example,mx.c.example,1.1000,AGE,100,ann@a.example,cat@c.example,False\n" +
				"b.example,mx.c.example,2.1001,AGE,200,bob@b.example,cat@c.example,False"},
		// A comma, a space and an escape sequence move no field.
		{"call=api_get_delivery_queue&domain=d.example", "d.example,mx.d.example,4.1003,AGE,400,<img%20src=x%20onerror=alert(1)>%2C%1B[2J@x.example,dan,False"},
	} {
		status, text := s.do("", "GET", "/cgi-bin/api?"+test.query, "", "Authorization", basic(s.secrets["reader"]))
		if got := age(text); status != 200 || got != test.want {
			t.Errorf("%s: %d\n%s\nnot\n%s", test.query, status, got, test.want)
		}
	}
	for query, want := range map[string]int{"": 404, "call=api_x": 404, "call=api_delivery_queue&frozen=2": 400, "call=api_delivery_queue&domain=*": 400, "call=api_delivery_queue&x=": 400} {
		if got, _ := s.do("reader", "GET", "/cgi-bin/api?"+query, ""); got != want {
			t.Errorf("%s: %d, not %d", query, got, want)
		}
	}
	if _, text := s.do("b", "GET", "/cgi-bin/api?call=api_get_delivery_queue", ""); strings.Contains(text, "a.example,mx") || strings.Count(text, "\n") != 1 {
		t.Errorf("a domain's token: %s", text)
	}
}

// TestDescriptionIsTrue: every answer has the fields that the description says
// and no others, and every call that is described exists.
func TestDescriptionIsTrue(t *testing.T) {
	s := start(t)
	s.queue.rules = []steer.Rule{{Number: 1, Verb: steer.Suspend, Destination: "b.example"}}
	_, text := s.do("", "GET", "/api/v1/openapi.json", "")
	var d struct {
		OpenAPI    string
		Paths      map[string]map[string]operation
		Components struct{ Schemas map[string]schema }
	}
	if err := json.Unmarshal([]byte(text), &d); err != nil || d.OpenAPI != "3.1.0" {
		t.Fatal(err, d.OpenAPI)
	}
	bodies := map[string]string{
		"/api/v1/acts": `{"verb":"retry","names":["1.1000","9.9"]}`, "/api/v1/rules": `{"verb":"bounce","senderDomain":"a.example"}`, "/api/v1/flush": `{}`,
	}
	calls := 0
	for path, methods := range d.Paths {
		for method, op := range methods {
			calls++
			url := strings.NewReplacer("{name}", "1.1000", "{number}", "1").Replace(path)
			if strings.HasPrefix(path, "/cgi-bin") {
				url += "?call=api_delivery_queue"
			}
			body := ""
			if method == "post" {
				body = bodies[path]
			}
			status, answer := s.do("root", strings.ToUpper(method), url, body)
			if status != 200 {
				t.Errorf("%s %s: %d %s", method, path, status, answer)
			}
			for media, content := range op.Responses["200"].Content {
				if media != "application/json" || content.Schema.Ref == "" {
					continue
				}
				var v any
				if err := json.Unmarshal([]byte(answer), &v); err != nil {
					t.Errorf("%s %s: %v", method, path, err)
				}
				for _, fault := range content.Schema.faults(d.Components.Schemas, path, v) {
					t.Error(fault)
				}
			}
			if len(op.Security) == 0 {
				continue
			}
			if status, _ := s.do("", strings.ToUpper(method), url, body); status != 401 {
				t.Errorf("%s %s is described as guarded and answers %d to anybody", method, path, status)
			}
		}
	}
	if calls != len(routes()) {
		t.Errorf("%d calls are described, %d exist", calls, len(routes()))
	}
	// What may be asked is what is described.
	act := d.Components.Schemas["Act"]
	for _, field := range []string{"verb", "names", "filter", "dryRun", "until", "reason", "bounce"} {
		if _, ok := act.Properties[field]; !ok {
			t.Errorf("Act lacks %s: %v", field, slices.Sorted(maps.Keys(act.Properties)))
		}
	}
}

type operation struct {
	Responses map[string]struct {
		Content map[string]struct{ Schema schema }
	}
	Security []map[string]any
}

// schema is as much of a JSON schema as the description uses.
type schema struct {
	Ref        string `json:"$ref"`
	Type       string
	Items      *schema
	Properties map[string]schema
	Required   []string
}

// faults returns where a value is not as described.
func (s schema) faults(all map[string]schema, where string, v any) (list []string) {
	if s.Ref != "" {
		var ok bool
		if s, ok = all[strings.TrimPrefix(s.Ref, "#/components/schemas/")]; !ok {
			return []string{where + ": refers to nothing"}
		}
	}
	kind := map[string]bool{"object": false, "array": false, "string": false, "integer": false, "boolean": false}
	switch v := v.(type) {
	case map[string]any:
		kind["object"] = true
		for name, value := range v {
			p, ok := s.Properties[name]
			if !ok {
				list = append(list, where+"."+name+" is not described")
				continue
			}
			list = append(list, p.faults(all, where+"."+name, value)...)
		}
		for _, name := range s.Required {
			if _, ok := v[name]; !ok {
				list = append(list, where+"."+name+" is missing")
			}
		}
	case []any:
		kind["array"] = true
		for _, value := range v {
			if s.Items != nil {
				list = append(list, s.Items.faults(all, where+"[]", value)...)
			}
		}
	case string:
		kind["string"] = true
	case float64:
		kind["integer"] = true
	case bool:
		kind["boolean"] = true
	}
	if !kind[s.Type] {
		list = append(list, fmt.Sprintf("%s is no %s: %v", where, s.Type, v))
	}
	return list
}

func TestPageIsItsOwn(t *testing.T) {
	s := start(t)
	for _, path := range []string{"/", "/page.css", "/page.js"} {
		_, text := s.do("", "GET", path, "")
		for _, bad := range []string{"http://", "https://", "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", " style=", " onclick=", "localStorage", "cookie"} {
			if strings.Contains(text, bad) {
				t.Errorf("%s has %q", path, bad)
			}
		}
	}
}

func TestTokensFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens")
	tokens, err := OpenTokens(path)
	if err != nil {
		t.Fatal(err)
	}
	owned := ""
	own := func(path string) error { owned = path; return nil }
	secret, err := tokens.Add(Token{Name: "ann", Domains: []string{"a.example", "b.example"}}, own)
	if err != nil || owned == "" {
		t.Fatal(err, owned)
	}
	text, _ := os.ReadFile(path)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 || bytes.Contains(text, []byte(secret)) || len(secret) < 40 {
		t.Errorf("%v, %v: %s", err, info.Mode(), text)
	}
	// Another process sees it at once.
	other, err := OpenTokens(path)
	if err != nil {
		t.Fatal(err)
	}
	if token, known, err := other.Find(secret); !known || err != nil || token.Name != "ann" || token.Act || len(token.Domains) != 2 {
		t.Errorf("%+v, %v, %v", token, known, err)
	}
	if _, err := tokens.Add(Token{Name: "ann"}, own); err == nil {
		t.Error("two of one name")
	}
	if _, err := tokens.Add(Token{Name: "a:b"}, own); err == nil {
		t.Error("a name with a colon")
	}
	if _, err := tokens.Add(Token{Name: "b"}, func(string) error { return errors.New("no") }); err == nil {
		t.Error("a file that cannot be given away is put in place")
	}
	if err := tokens.Remove("ann", own); err != nil {
		t.Error(err)
	}
	if _, known, _ := other.Find(secret); known {
		t.Error("a token that is removed counts")
	}
	if err := tokens.Remove("ann", own); err == nil {
		t.Error("removed twice")
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := other.All(); err == nil {
		t.Error("everybody may read the file")
	}
}

func FuzzParseTokens(f *testing.F) {
	f.Add("ann:act:" + strings.Repeat("0a", 32) + ":a.example,b.example\n# a comment\n")
	f.Add("ann:read:" + strings.Repeat("0a", 32) + ":")
	f.Fuzz(func(t *testing.T, text string) {
		tokens, err := ParseTokens(text)
		if err != nil {
			return
		}
		for _, token := range tokens {
			again, err := ParseTokens(token.String())
			if err != nil || len(again) != 1 || again[0].String() != token.String() {
				t.Errorf("%q becomes %v, %v", token.String(), again, err)
			}
		}
	})
}

func TestParsePlace(t *testing.T) {
	for line, want := range map[string]string{
		"8025":                         "127.0.0.1:8025",
		":8025":                        "127.0.0.1:8025",
		"[::1]:8025":                   "[::1]:8025",
		"127.0.0.1:8025 c.pem":         "127.0.0.1:8025 /control/c.pem /control/c.pem",
		"192.0.2.1:443 /a/c.pem k.pem": "192.0.2.1:443 /a/c.pem /control/k.pem",
		"192.0.2.1:443":                "", // tokens in the clear
		"0.0.0.0:443":                  "",
		"[::ffff:192.0.2.1]:443":       "",
		"localhost:8025":               "", // a name may be anything
		"1.2.3.4:99999 c":              "",
		"a b c d":                      "",
	} {
		p, err := ParsePlace(line, "/control")
		got := ""
		if err == nil {
			got = strings.TrimSpace(p.Address.String() + " " + p.Certificate + " " + p.Key)
		}
		if got != want {
			t.Errorf("%q: %q, %v", line, got, err)
		}
	}
}
