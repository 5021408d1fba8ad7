package remote

import (
	"io"
	"sync"

	"github.com/reqmail/reqmail/compat/errand"
	"github.com/reqmail/reqmail/compat/wire"
)

// watch is what can be seen of a delivery while it runs. Nobody looks at a nil
// one.
type watch struct {
	mu   sync.Mutex
	news errand.News
}

// enter notes that a phase begins. An empty host, and no total, are those of
// before.
func (w *watch) enter(phase, host string, total int64) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if host == "" {
		host = w.news.Host
	}
	sent := w.news.Sent
	if phase == wire.PhaseSending {
		sent = 0 // this time
	}
	w.news = errand.News{Phase: phase, Host: host, Sent: sent, Total: max(total, w.news.Total)}
}

func (w *watch) look() errand.News {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.news
}

// reading counts what is read of a message.
func (w *watch) reading(message io.Reader) io.Reader {
	if w == nil {
		return message
	}
	return &watched{message, w}
}

type watched struct {
	message io.Reader
	watch   *watch
}

func (r *watched) Read(p []byte) (int, error) {
	n, err := r.message.Read(p)
	r.watch.mu.Lock()
	defer r.watch.mu.Unlock()
	r.watch.news.Sent += int64(n)
	return n, err
}
