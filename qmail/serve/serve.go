// Package serve is the HTTP service of `reqmail serve`: the verbs of package
// steer as JSON, with an OpenAPI description that is made of the same tables as
// the handlers; SpamExperts' calls; metrics for Prometheus; and one web page.
//
// It owns requests, answers, tokens and what a token may see and do. It must
// not know files of the queue: it asks a Queue, which a running qmail-send is.
//
// # Safety
//
// Nothing is answered without a token but the page itself and the description
// of the API, which hold no data. Tokens come in the Authorization header
// alone. There are no cookies, so a browser adds nothing by itself to requests
// that another site makes it send; those are refused in any case. What a token
// for domains does not concern does not exist for it.
package serve

import (
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/reqmail/reqmail/compat/steer"
)

// Queue is what the service asks and steers: a conversation with qmail-send.
type Queue interface {
	Status() (steer.Status, error)
	List(q steer.Query, each func(steer.Message) error) (total int, err error)
	Show(name steer.Name) (steer.Message, error)
	Live(each func(steer.Delivery) error) error
	Rules() ([]steer.Rule, error)
	Act(steer.Act) (steer.Result, error)
	AddRule(rule steer.Rule, dryRun bool) (steer.Result, error)
	CancelRule(number int, dryRun bool) (steer.Result, error)
	Flush(channel string, dryRun bool) (steer.Result, error)
	Close() error
}

var _ Queue = (*steer.Client)(nil)

// Limits of the service.
const (
	maxConversations = 8       // with qmail-send at a time
	maxBody          = 2 << 20 // bytes of a request's body: steer.MaxNames names fit
	maxHeader        = 16 << 10
	maxText          = 1 << 20 // bytes of a message that are shown
	defaultLimit     = 100     // messages of a list
	maxLimit         = 50000

	headerPatience = 10 * time.Second
	bodyPatience   = 30 * time.Second
	answerPatience = 5 * time.Minute // a list of everything takes its time
	idlePatience   = time.Minute
)

// Config is what a service works with.
type Config struct {
	Tokens *Tokens
	Open   func() (Queue, error) // begins a conversation; steer.ErrNobody where nobody listens

	// Text returns the beginning of a message's text, at most so many bytes.
	Text func(id uint64, most int) ([]byte, error)
	// Ours reports whether mail to a recipient is incoming mail in the words
	// of SpamExperts: to a domain that this host serves.
	Ours func(to steer.Recipient) bool
	// Host names where a recipient's mail goes, for SpamExperts' calls.
	Host func(to steer.Recipient) string

	Log io.Writer // a line for each act
}

// service answers requests.
type service struct {
	Config
	busy chan struct{} // one for each conversation with qmail-send
}

// Handler returns the whole service.
func Handler(c Config) http.Handler {
	s := &service{Config: c, busy: make(chan struct{}, maxConversations)}
	mux := http.NewServeMux()
	for _, r := range routes() {
		mux.Handle(r.method+" "+r.path, s.guarded(r))
	}
	servePage(mux)
	return secured(http.NewCrossOriginProtection().Handler(mux))
}

// Server returns an HTTP server with the limits and deadlines of the service.
func Server(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerPatience,
		ReadTimeout:       bodyPatience,
		WriteTimeout:      answerPatience,
		IdleTimeout:       idlePatience,
		MaxHeaderBytes:    maxHeader,
	}
}

// policy is the Content-Security-Policy of every answer: nothing but what this
// service itself has, no inline script, no frame around it.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// secured bounds what comes in and adds what every answer needs.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		next.ServeHTTP(w, r)
	})
}

// call is one request of a token.
type call struct {
	*service
	w     http.ResponseWriter
	r     *http.Request
	token Token
}

// Refusals that do not come from qmail-send.
var (
	errToken     = &refusal{http.StatusUnauthorized, "a token is needed: Authorization: Bearer TOKEN"}
	errScope     = &refusal{http.StatusForbidden, "this token may only read"}
	errDomains   = &refusal{http.StatusForbidden, "this token is for domains, not for the whole queue"}
	errNoMessage = &refusal{http.StatusNotFound, "no such message"}
)

// refusal is an error with the HTTP status for it.
type refusal struct {
	status int
	text   string
}

func (e *refusal) Error() string { return e.text }

func wrong(text string) error { return &refusal{http.StatusBadRequest, text} }

// guarded wraps a route: token, scope, and errors as JSON.
func (s *service) guarded(r route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		c := &call{service: s, w: w, r: req}
		err := c.admit(r)
		if err == nil {
			err = r.serve(c)
		}
		if err != nil {
			c.fail(err)
		}
	})
}

// admit finds the token of a request and checks that it may do what it asks.
func (c *call) admit(r route) error {
	if r.open {
		return nil
	}
	secret, ok := bearer(c.r)
	if !ok && r.basic {
		_, secret, ok = c.r.BasicAuth()
	}
	if !ok {
		return errToken
	}
	token, known, err := c.Tokens.Find(secret)
	switch {
	case err != nil:
		return err
	case !known:
		return errToken
	case r.acts && !token.Act:
		return errScope
	case r.whole && len(token.Domains) > 0:
		return errDomains
	}
	c.token = token
	return nil
}

// converse has a conversation with qmail-send.
func (c *call) converse(do func(Queue) error) error {
	select {
	case c.busy <- struct{}{}:
	case <-c.r.Context().Done():
		return c.r.Context().Err()
	}
	defer func() { <-c.busy }()
	q, err := c.Open()
	if err != nil {
		return err
	}
	defer q.Close()
	return do(q)
}

// fail answers with an error.
func (c *call) fail(err error) {
	var own *refusal
	var theirs *steer.Error
	status := http.StatusInternalServerError
	switch {
	case errors.As(err, &own):
		status = own.status
	case errors.As(err, &theirs):
		status = http.StatusUnprocessableEntity
	case errors.Is(err, steer.ErrNobody):
		status = http.StatusServiceUnavailable
	}
	if status == http.StatusUnauthorized {
		// Not Basic, for which a browser would ask and then send it along.
		c.w.Header().Set("WWW-Authenticate", `Bearer realm="reqmail"`)
	}
	writeJSON(c.w, status, Problem{err.Error()})
}

// abort ends a connection in the middle of an answer.
var abort = http.ErrAbortHandler
