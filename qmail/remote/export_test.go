package remote

import (
	"testing"

	"github.com/reqmail/reqmail/compat/resolver"
)

// Deliver delivers as Run does, and returns the output.
func (d *Delivery) Deliver() string {
	r, res := d.deliver()
	r.chunk(res.letter, res.text)
	return string(r)
}

// Zone is a name server's knowledge.
type Zone = zone

// Serve runs the name server.
func (z zone) Serve(t *testing.T) *resolver.Resolver { return z.serve(t) }

// Home makes a home with control files.
func Home(t *testing.T, control map[string]string) string { return qmailHome(t, control) }

// Script is a server's side of a conversation.
type Script = script

// Serve has one conversation.
var Serve = serve
